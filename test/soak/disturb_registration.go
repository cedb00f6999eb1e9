package soak

import (
	"context"
	"errors"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
)

// What others do to the registration, eksguard repairs by itself; nothing is done about it here.

func (s *soak) validatingDeleted(ctx context.Context, _ *window) error {
	return s.plane.Client().AdmissionregistrationV1().ValidatingWebhookConfigurations().
		Delete(ctx, configuration, metav1.DeleteOptions{})
}

func (s *soak) mutatingDeleted(ctx context.Context, _ *window) error {
	return s.plane.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().
		Delete(ctx, configuration, metav1.DeleteOptions{})
}

func (s *soak) webhookTakenOut(ctx context.Context, _ *window) error {
	return s.alter(ctx, func(c *admissionv1.ValidatingWebhookConfiguration) { c.Webhooks = c.Webhooks[1:] })
}

func (s *soak) rulesNarrowed(ctx context.Context, _ *window) error {
	return s.alter(ctx, func(c *admissionv1.ValidatingWebhookConfiguration) {
		for i := range c.Webhooks {
			ignore := admissionv1.Ignore
			c.Webhooks[i].FailurePolicy = &ignore
			c.Webhooks[i].Rules = c.Webhooks[i].Rules[:1]
			c.Webhooks[i].Rules[0].Operations = []admissionv1.OperationType{admissionv1.Connect}
		}
	})
}

// registeredAuthoritySpoiled has the API server trust somebody else.
func (s *soak) registeredAuthoritySpoiled(ctx context.Context, _ *window) error {
	stranger, err := newAuthority(time.Hour)
	if err != nil {
		return err
	}
	return s.alter(ctx, func(c *admissionv1.ValidatingWebhookConfiguration) {
		for i := range c.Webhooks {
			c.Webhooks[i].ClientConfig.CABundle = stranger.CertPEM
		}
	})
}

// leaderKilledAndDeleted has nobody repair the registration until the other replica leads.
func (s *soak) leaderKilledAndDeleted(ctx context.Context, w *window) error {
	leader, _, err := s.leader(ctx)
	if err != nil {
		return err
	}
	s.windows.begin(w)
	if err := leader.kill(); err != nil {
		return err
	}
	return errors.Join(s.validatingDeleted(ctx, w), s.mutatingDeleted(ctx, w), leader.start(ctx))
}

func (s *soak) alter(ctx context.Context, change func(*admissionv1.ValidatingWebhookConfiguration)) error {
	hooks := s.plane.Client().AdmissionregistrationV1().ValidatingWebhookConfigurations()
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		c, err := hooks.Get(ctx, configuration, metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(c)
		_, err = hooks.Update(ctx, c, metav1.UpdateOptions{})
		return err
	})
}
