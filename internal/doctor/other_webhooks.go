package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/webhook"
)

// lookAtOtherWebhooks finds webhooks that write what eksguard writes too. What eksguard denies they cannot get past it:
// validation comes after all mutation (kubernetes/website: extensible-admission-controllers).
func lookAtOtherWebhooks(ctx context.Context, e *examination) (string, error) {
	list, err := e.Clients.AdmissionregistrationV1().MutatingWebhookConfigurations().List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", fmt.Errorf("list %ss: %w", mutatingKind, err)
	}
	var mutated []admissionregistrationv1.RuleWithOperations
	for _, p := range e.Snapshot.Policies() {
		if p.Has(policy.MutateRule) {
			mutated = append(mutated, p.Match...)
		}
	}
	others, after := 0, []string(nil)
	for i := range list.Items {
		c := &list.Items[i]
		if c.Name == webhook.ConfigurationName {
			continue
		}
		others++
		// Configurations are called in the order of their names.
		if c.Name > webhook.ConfigurationName &&
			slices.ContainsFunc(c.Webhooks, func(w admissionregistrationv1.MutatingWebhook) bool {
				return overlap(w.Rules, mutated)
			}) {
			after = append(after, c.Name)
		}
	}
	if len(after) > 0 {
		e.find(Finding{
			Severity: Info,
			What:     "webhooks that change, after eksguard, what eksguard changes too: " + listed(after),
			Why: "eksguard is called again after them and judges what they leave, but they do not see what it then changes " +
				"unless their reinvocationPolicy is IfNeeded",
			Do: "kubectl get mutatingwebhookconfiguration " + after[0] + " -o jsonpath='{.webhooks[*].reinvocationPolicy}'",
		})
	}
	return fmt.Sprintf("%d that mutate", others), nil
}

func overlap(a, b []admissionregistrationv1.RuleWithOperations) bool {
	for _, x := range a {
		for _, y := range b {
			if intersect(x.APIGroups, y.APIGroups) && intersect(x.Resources, y.Resources) {
				return true
			}
		}
	}
	return false
}

func intersect(a, b []string) bool {
	return slices.ContainsFunc(a, func(x string) bool {
		return slices.ContainsFunc(b, func(y string) bool {
			return x == y || strings.HasPrefix(x, "*") || strings.HasPrefix(y, "*")
		})
	})
}
