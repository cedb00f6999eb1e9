package process_test

import (
	"context"
	"log/slog"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/webhook"
)

// What others change while eksguard repairs is repaired at once, and is one repair more. The registrar is alone here,
// so that the moment can be chosen; the API server is real.
func TestDriftDuringARepairIsCounted(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := admissionv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	api, err := client.NewWithWatch(cluster.Plane(t).Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	hooks := cluster.Clients(t).AdmissionregistrationV1().ValidatingWebhookConfigurations()
	afterApply := func() {}
	repaired := map[string]int{}
	registrar := &webhook.Registrar{
		Client: interceptor.NewClient(api, interceptor.Funcs{
			Apply: func(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration,
				options ...client.ApplyOption) error {
				err := c.Apply(ctx, o, options...)
				afterApply()
				return err
			},
		}),
		Reader:   api,
		Endpoint: webhook.Endpoint{URL: &url.URL{Scheme: "https", Host: "localhost:1"}},
		// Nobody writes what it is about, and nobody answers.
		Policies: func() []*policy.Policy {
			return []*policy.Policy{{
				Name: "nothing", FailurePolicy: admissionv1.Fail, Rules: []policy.Rule{{ID: "a", Kind: policy.Deny}},
				Match: []admissionv1.RuleWithOperations{{
					Operations: []admissionv1.OperationType{admissionv1.Create},
					Rule: admissionv1.Rule{APIGroups: []string{"e2e.eksguard.io"},
						APIVersions: []string{"v1"}, Resources: []string{"nothings"}},
				}},
			}}
		},
		CABundle: func() []byte { return nil },
		Ready:    func() error { return nil },
		Repaired: func(kind string) { repaired[kind]++ },
		Logger:   slog.New(slog.DiscardHandler),
	}
	t.Cleanup(func() { cluster.Unregister(t) })
	reconciled := func() []admissionv1.ValidatingWebhook {
		t.Helper()
		if _, err := registrar.Reconcile(t.Context(), reconcile.Request{}); err != nil {
			t.Fatal(err)
		}
		configuration, err := hooks.Get(t.Context(), "eksguard", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return configuration.Webhooks
	}
	want := reconciled()
	ignore := func() {
		configuration, err := hooks.Get(t.Context(), "eksguard", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		failure := admissionv1.Ignore
		configuration.Webhooks[0].FailurePolicy = &failure
		if _, err := hooks.Update(t.Context(), configuration, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		name   string
		before func()
		during func()
		count  int
	}{
		{"nothing is changed", func() {}, func() {}, 0},
		{"before", ignore, func() {}, 1},
		{"before and during", ignore, ignore, 2},
		{"another's webhook, which an apply leaves there, is one change", func() {
			configuration, err := hooks.Get(t.Context(), "eksguard", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			another := *configuration.Webhooks[0].DeepCopy()
			another.Name = "another.eksguard.io"
			configuration.Webhooks = append(configuration.Webhooks, another)
			if _, err := hooks.Update(t.Context(), configuration, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
		}, func() {}, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			clear(repaired)
			row.before()
			afterApply = row.during
			got := reconciled()
			afterApply = func() {}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("it is not repaired (-want +got):\n%s", diff)
			}
			if count := repaired["ValidatingWebhookConfiguration"]; count != row.count {
				t.Errorf("%d repairs are counted, want %d", count, row.count)
			}
		})
	}
}
