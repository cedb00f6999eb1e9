package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// takenUp returns once the API server uses the webhook configurations that exist, which it does a moment after they are
// written and tells nobody. To see it, a marker is written after them, one more configuration that stops a certain
// request: because the API server learns of configurations in order, the first request that is stopped shows that the
// others are in use. Mutating and validating configurations are learnt of apart, so each kind has its marker.
func takenUp(ctx context.Context, clients kubernetes.Interface) (bool, error) {
	hooks := clients.AdmissionregistrationV1()
	mutating, validating := newMarker(), newMarker()
	_, err := hooks.MutatingWebhookConfigurations().Create(ctx, mutating.mutating(), metav1.CreateOptions{})
	if err == nil {
		_, err = hooks.ValidatingWebhookConfigurations().Create(ctx, validating.validating(), metav1.CreateOptions{})
	}
	if err == nil {
		err = errors.Join(mutating.awaitStop(ctx, clients), validating.awaitStop(ctx, clients))
	}
	// Even if the context has ended they must go; what was not created need not.
	ctx = context.WithoutCancel(ctx)
	_ = hooks.MutatingWebhookConfigurations().Delete(ctx, mutating.name, metav1.DeleteOptions{})
	_ = hooks.ValidatingWebhookConfigurations().Delete(ctx, validating.name, metav1.DeleteOptions{})
	return err == nil, err
}

// marker is a webhook configuration that refuses the ConfigMaps that carry its name as a label: what it would have
// called is nowhere.
type marker struct{ name string }

func newMarker() marker { return marker{name: "eksguard-local-" + strings.ToLower(rand.Text()[:8])} }

func (m marker) awaitStop(ctx context.Context, clients kubernetes.Interface) error {
	probe := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: m.name, Labels: map[string]string{m.name: ""}}}
	dryRun := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	err := poll(ctx, time.Minute, func(ctx context.Context) (bool, error) {
		_, err := clients.CoreV1().ConfigMaps(metav1.NamespaceDefault).Create(ctx, probe, dryRun)
		return err != nil && strings.Contains(err.Error(), m.webhook()), err
	})
	if err != nil {
		return fmt.Errorf("waiting for webhook %q: %w", m.webhook(), err)
	}
	return nil
}

func (m marker) webhook() string { return m.name + ".eksguard.io" }

func (m marker) validating() *admissionv1.ValidatingWebhookConfiguration {
	sideEffects, timeout := admissionv1.SideEffectClassNone, int32(1)
	return &admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: m.name},
		Webhooks: []admissionv1.ValidatingWebhook{{
			Name:                    m.webhook(),
			ClientConfig:            nowhere(),
			SideEffects:             &sideEffects,
			TimeoutSeconds:          &timeout,
			AdmissionReviewVersions: []string{"v1"},
			ObjectSelector:          m.selector(),
			Rules:                   configMapsCreated(),
		}},
	}
}

func (m marker) mutating() *admissionv1.MutatingWebhookConfiguration {
	sideEffects, timeout := admissionv1.SideEffectClassNone, int32(1)
	return &admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: m.name},
		Webhooks: []admissionv1.MutatingWebhook{{
			Name:                    m.webhook(),
			ClientConfig:            nowhere(),
			SideEffects:             &sideEffects,
			TimeoutSeconds:          &timeout,
			AdmissionReviewVersions: []string{"v1"},
			ObjectSelector:          m.selector(),
			Rules:                   configMapsCreated(),
		}},
	}
}

func (m marker) selector() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
		{Key: m.name, Operator: metav1.LabelSelectorOpExists},
	}}
}

func nowhere() admissionv1.WebhookClientConfig {
	url := "https://" + loopback + ":1/"
	return admissionv1.WebhookClientConfig{URL: &url}
}

func configMapsCreated() []admissionv1.RuleWithOperations {
	return []admissionv1.RuleWithOperations{{
		Operations: []admissionv1.OperationType{admissionv1.Create},
		Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
	}}
}
