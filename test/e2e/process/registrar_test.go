package process_test

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/webhook"
)

// registrarAlone is a registrar without the rest of eksguard, so that the moment can be chosen; the API server is real. It
// registers one policy, about what nobody writes, and nobody answers.
func registrarAlone(t *testing.T, funcs interceptor.Funcs) (r *webhook.Registrar, repaired map[string]int) {
	t.Helper()
	api, err := client.NewWithWatch(cluster.Plane(t).Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cluster.Unregister(t) })
	repaired = map[string]int{}
	return &webhook.Registrar{
		Client:   interceptor.NewClient(api, funcs),
		Reader:   api,
		Endpoint: webhook.Endpoint{URL: &url.URL{Scheme: "https", Host: "localhost:1"}},
		Policies: func() []*policy.Policy { return []*policy.Policy{aboutNothing(policy.Deny)} },
		CABundle: func() []byte { return nil },
		Ready:    func() error { return nil },
		Repaired: func(kind string) { repaired[kind]++ },
		Logger:   slog.New(slog.DiscardHandler),
	}, repaired
}

func aboutNothing(rules ...policy.RuleKind) *policy.Policy {
	p := &policy.Policy{
		Name: "nothing", FailurePolicy: admissionv1.Fail,
		Match: []admissionv1.RuleWithOperations{{
			Operations: []admissionv1.OperationType{admissionv1.Create},
			Rule: admissionv1.Rule{APIGroups: []string{"e2e.eksguard.io"},
				APIVersions: []string{"v1"}, Resources: []string{"nothings"}},
		}},
	}
	for _, kind := range rules {
		p.Rules = append(p.Rules, policy.Rule{ID: string(kind), Kind: kind})
	}
	return p
}

func reconcileOnce(t *testing.T, r *webhook.Registrar) reconcile.Result {
	t.Helper()
	result, err := r.Reconcile(t.Context(), reconcile.Request{})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// Nobody but others deletes a configuration: it stays without webhooks when no policy needs one, and comes back with them.
func TestAConfigurationWithoutWebhooksStays(t *testing.T) {
	registrar, repaired := registrarAlone(t, interceptor.Funcs{})
	for _, row := range []struct {
		name                 string
		policies             []*policy.Policy
		validating, mutating int // webhooks; -1 for no configuration
	}{
		{"no mutations yet", []*policy.Policy{aboutNothing(policy.Deny)}, 2, -1},
		{"both", []*policy.Policy{aboutNothing(policy.Deny, policy.MutateRule)}, 2, 2},
		{"no mutations any more", []*policy.Policy{aboutNothing(policy.Deny)}, 2, 0},
		{"neither", nil, 0, 0},
		{"both again", []*policy.Policy{aboutNothing(policy.Deny, policy.MutateRule)}, 2, 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			registrar.Policies = func() []*policy.Policy { return row.policies }
			for range 2 { // it is content with what it has made
				reconcileOnce(t, registrar)
				webhooksV, webhooksM := -1, -1
				if v, err := validating(t); err == nil {
					webhooksV = len(v.Webhooks)
				} else if !apierrors.IsNotFound(err) {
					t.Fatal(err)
				}
				if m, err := mutating(t); err == nil {
					webhooksM = len(m.Webhooks)
				} else if !apierrors.IsNotFound(err) {
					t.Fatal(err)
				}
				if webhooksV != row.validating || webhooksM != row.mutating {
					t.Errorf("there are %d validating and %d mutating webhooks, want %d and %d", webhooksV, webhooksM, row.validating, row.mutating)
				}
			}
		})
	}
	if len(repaired) > 0 {
		t.Errorf("its own changes are counted as repairs: %v", repaired)
	}
}

// A replica that does not do the registration puts back what is gone for a second, if it would answer, and nothing that has
// never been there.
func TestOthersThanTheLeaderPutBack(t *testing.T) {
	registrar, repaired := registrarAlone(t, interceptor.Funcs{})
	leads, notReady := false, errors.New("draining")
	registrar.Leads = func() bool { return leads }
	notThere := func() {
		t.Helper()
		if _, err := validating(t); !apierrors.IsNotFound(err) {
			t.Fatalf("there is a configuration (%v)", err)
		}
	}
	reconcileOnce(t, registrar)
	notThere()
	leads = true
	reconcileOnce(t, registrar)
	want, err := validating(t)
	if err != nil {
		t.Fatal(err)
	}
	leads = false
	reconcileOnce(t, registrar) // it sees
	if err := cluster.Clients(t).AdmissionregistrationV1().ValidatingWebhookConfigurations().
		Delete(t.Context(), "eksguard", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if again := reconcileOnce(t, registrar).RequeueAfter; again <= 0 {
		t.Error("it does not look again")
	}
	notThere() // which leaves the leader time
	registrar.Ready = func() error { return notReady }
	time.Sleep(time.Second)
	if again := reconcileOnce(t, registrar).RequeueAfter; again <= 0 {
		t.Error("it does not look again")
	}
	notThere()
	registrar.Ready = func() error { return nil }
	registrar.Policies = func() []*policy.Policy { return nil } // it may be newer or older than the leader
	reconcileOnce(t, registrar)
	got, err := validating(t)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, asApplied); diff != "" {
		t.Errorf("it is not as it was (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"ValidatingWebhookConfiguration": 1}, repaired); diff != "" {
		t.Errorf("repairs (-want +got):\n%s", diff)
	}
}

// What others change while eksguard repairs is repaired at once, and is one repair more.
func TestDriftDuringARepairIsCounted(t *testing.T) {
	hooks := cluster.Clients(t).AdmissionregistrationV1().ValidatingWebhookConfigurations()
	afterApply := func() {}
	registrar, repaired := registrarAlone(t, interceptor.Funcs{
		Apply: func(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration,
			options ...client.ApplyOption) error {
			err := c.Apply(ctx, o, options...)
			afterApply()
			return err
		},
	})
	reconciled := func() []admissionv1.ValidatingWebhook {
		t.Helper()
		reconcileOnce(t, registrar)
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
