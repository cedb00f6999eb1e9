package process_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// ownerArgs make a ClusterRole the owner of the registration; the Helm chart names its own.
var ownerArgs = []string{"--owner-clusterrole", "eksguard-e2e"}

func createOwner(t *testing.T) types.UID {
	t.Helper()
	role := e2e.Parse(t, "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: eksguard-e2e}, rules: []}")
	c := cluster.As(t, admin)
	owner := c.Create(role).Admitted().Object
	t.Cleanup(func() {
		if o := c.Delete(role); o.Err != nil && !apierrors.IsNotFound(o.Err) {
			t.Error(o.Err)
		}
	})
	return owner.GetUID()
}

func validating(t testing.TB) (*admissionv1.ValidatingWebhookConfiguration, error) {
	return cluster.Clients(t).AdmissionregistrationV1().ValidatingWebhookConfigurations().
		Get(t.Context(), "eksguard", metav1.GetOptions{})
}

func mutating(t testing.TB) (*admissionv1.MutatingWebhookConfiguration, error) {
	return cluster.Clients(t).AdmissionregistrationV1().MutatingWebhookConfigurations().
		Get(t.Context(), "eksguard", metav1.GetOptions{})
}

// both are the two configurations, or what is wrong with either.
func both(t testing.TB) (*admissionv1.ValidatingWebhookConfiguration, *admissionv1.MutatingWebhookConfiguration, error) {
	v, errV := validating(t)
	m, errM := mutating(t)
	return v, m, errors.Join(errV, errM)
}

// awaitMutating waits for the second of the two configurations, which is registered a moment after the first.
func awaitMutating(t *testing.T, guard *e2e.Guard) (m *admissionv1.MutatingWebhookConfiguration) {
	t.Helper()
	e2e.Eventually(t, 5*time.Second, "the mutating configuration is registered", func() (err error) {
		if m, err = mutating(t); err == nil && !strings.HasPrefix(*m.Webhooks[0].ClientConfig.URL, guard.WebhookURL) {
			return errors.New("it is another one's")
		}
		return err
	})
	return m
}

// What is registered for the bundle testdata/bundles/registration is written down whole.
func TestRegistration(t *testing.T) {
	owner := createOwner(t)
	guard := cluster.Guard(t, local.EksguardOptions{Bundle: "testdata/bundles/registration", ExtraArgs: ownerArgs})
	v, err := validating(t)
	if err != nil {
		t.Fatal(err)
	}
	m := awaitMutating(t, guard)

	caBundle := v.Webhooks[0].ClientConfig.CABundle
	response, err := cluster.WebhookClient(t).Get(guard.WebhookURL + "/validate/guarded")
	if err != nil {
		t.Fatalf("caBundle does not vouch for the certificate that is served: %v", err)
	}
	_ = response.Body.Close()

	for file, got := range map[string]any{"registration/validating.yaml": v, "registration/mutating.yaml": m} {
		t.Run(file, func(t *testing.T) {
			chance := strings.NewReplacer(guard.WebhookURL, "https://localhost:9443", string(owner), "<its uid>")
			e2e.Golden(t, file, chance.Replace(registered(t, got, caBundle)))
		})
	}
}

// registered is a configuration as YAML, without what the API server adds to it, and without caBundle, which is to be
// this everywhere.
func registered(t *testing.T, configuration any, caBundle []byte) string {
	t.Helper()
	var clients []*admissionv1.WebhookClientConfig
	switch c := configuration.(type) {
	case *admissionv1.ValidatingWebhookConfiguration:
		c.ObjectMeta = declared(c.ObjectMeta)
		for i := range c.Webhooks {
			clients = append(clients, &c.Webhooks[i].ClientConfig)
		}
	case *admissionv1.MutatingWebhookConfiguration:
		c.ObjectMeta = declared(c.ObjectMeta)
		for i := range c.Webhooks {
			clients = append(clients, &c.Webhooks[i].ClientConfig)
		}
	}
	for _, client := range clients {
		if diff := cmp.Diff(string(caBundle), string(client.CABundle)); diff != "" {
			t.Errorf("caBundle differs between webhooks:\n%s", diff)
		}
		client.CABundle = nil
	}
	text, err := yaml.Marshal(configuration)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func declared(meta metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: meta.Name, Labels: meta.Labels, Annotations: meta.Annotations, OwnerReferences: meta.OwnerReferences}
}

// Of the default bundle, this is what matters for the cluster: who is asked about what, and what a failure means.
func TestRegistrationOfTheDefaultBundle(t *testing.T) {
	guard := cluster.Guard(t, local.EksguardOptions{Settings: standardSettings})
	v, err := validating(t)
	if err != nil {
		t.Fatal(err)
	}
	m := awaitMutating(t, guard)
	var asked strings.Builder
	for _, w := range v.Webhooks {
		fmt.Fprintf(&asked, "validating %s\n%s\n", w.Name, summary(t, w.FailurePolicy, w.NamespaceSelector, w.Rules, w.MatchConditions))
	}
	for _, w := range m.Webhooks {
		fmt.Fprintf(&asked, "mutating %s\n%s\n", w.Name, summary(t, w.FailurePolicy, w.NamespaceSelector, w.Rules, w.MatchConditions))
	}
	e2e.Golden(t, "registration/default-bundle.txt", asked.String())
}

func summary(t *testing.T, failure *admissionv1.FailurePolicyType, namespaces *metav1.LabelSelector,
	rules []admissionv1.RuleWithOperations, conditions []admissionv1.MatchCondition) string {
	t.Helper()
	lines := []string{"failure policy " + string(*failure)}
	for _, e := range namespaces.MatchExpressions {
		if e.Key != "kubernetes.io/metadata.name" || len(namespaces.MatchLabels) > 0 {
			t.Errorf("the namespace selector is %v", namespaces)
		}
		lines = append(lines, fmt.Sprintf("namespaces %s %s", e.Operator, strings.Join(e.Values, ",")))
	}
	for _, condition := range conditions {
		lines = append(lines, "if "+condition.Name)
	}
	for _, rule := range rules {
		group := rule.APIGroups[0]
		if group == "" {
			group = "core"
		}
		var operations []string
		for _, operation := range rule.Operations {
			operations = append(operations, string(operation))
		}
		lines = append(lines, fmt.Sprintf("%s/%s %s %s", group, strings.Join(rule.APIVersions, ","),
			strings.Join(rule.Resources, ","), strings.Join(operations, ",")))
	}
	return "  " + strings.Join(lines, "\n  ") + "\n"
}

// drift is what somebody does to the registration.
type drift struct {
	validating func(*admissionv1.ValidatingWebhookConfiguration)
	mutating   func(*admissionv1.MutatingWebhookConfiguration)
}

var drifts = map[string]drift{
	"the validating configuration is deleted": {validating: nil},
	"the mutating configuration is deleted":   {mutating: nil},
	"a webhook is removed": {validating: func(c *admissionv1.ValidatingWebhookConfiguration) {
		c.Webhooks = slices.Delete(c.Webhooks, 0, 1)
	}},
	"all webhooks are removed": {validating: func(c *admissionv1.ValidatingWebhookConfiguration) { c.Webhooks = nil }},
	"a webhook is added": {validating: func(c *admissionv1.ValidatingWebhookConfiguration) {
		another := *c.Webhooks[0].DeepCopy()
		another.Name = "another.eksguard.io"
		c.Webhooks = append(c.Webhooks, another)
	}},
	"a rule is removed": {validating: func(c *admissionv1.ValidatingWebhookConfiguration) {
		c.Webhooks[0].Rules = slices.Delete(c.Webhooks[0].Rules, 0, 1)
	}},
	"a rule loses an operation": {validating: func(c *admissionv1.ValidatingWebhookConfiguration) {
		c.Webhooks[0].Rules[0].Operations = []admissionv1.OperationType{admissionv1.Create}
	}},
	"a match condition that is never true is added": {validating: func(c *admissionv1.ValidatingWebhookConfiguration) {
		never := admissionv1.MatchCondition{Name: "never", Expression: "false"}
		c.Webhooks[0].MatchConditions = append(c.Webhooks[0].MatchConditions, never)
	}},
	"a match condition is changed": {validating: func(c *admissionv1.ValidatingWebhookConfiguration) {
		c.Webhooks[0].MatchConditions[0].Expression = "false"
	}},
	"a namespace is selected away": {validating: func(c *admissionv1.ValidatingWebhookConfiguration) {
		c.Webhooks[0].NamespaceSelector.MatchLabels = map[string]string{"guarded": "yes"}
	}},
	"objects are selected away": {validating: func(c *admissionv1.ValidatingWebhookConfiguration) {
		c.Webhooks[0].ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"guarded": "yes"}}
	}},
	"the failure policy is changed": {validating: func(c *admissionv1.ValidatingWebhookConfiguration) {
		ignore := admissionv1.Ignore
		c.Webhooks[0].FailurePolicy = &ignore
	}},
	"the address is changed": {validating: func(c *admissionv1.ValidatingWebhookConfiguration) {
		elsewhere := "https://localhost:1/"
		c.Webhooks[0].ClientConfig.URL = &elsewhere
	}},
	"the certificate authority is removed": {validating: func(c *admissionv1.ValidatingWebhookConfiguration) {
		c.Webhooks[0].ClientConfig.CABundle = nil
	}},
	"the owner is removed": {validating: func(c *admissionv1.ValidatingWebhookConfiguration) {
		c.OwnerReferences = nil
	}},
	"a label is removed": {validating: func(c *admissionv1.ValidatingWebhookConfiguration) {
		delete(c.Labels, "app.kubernetes.io/managed-by")
	}},
	"a rule of the mutating configuration is removed": {mutating: func(c *admissionv1.MutatingWebhookConfiguration) {
		c.Webhooks[0].Rules = slices.Delete(c.Webhooks[0].Rules, 0, 1)
	}},
	"an older eksguard said that there are no side effects": {validating: func(c *admissionv1.ValidatingWebhookConfiguration) {
		none := admissionv1.SideEffectClassNone
		for i := range c.Webhooks {
			c.Webhooks[i].SideEffects = &none
		}
	}},
	"mutations are not to be repeated": {mutating: func(c *admissionv1.MutatingWebhookConfiguration) {
		never := admissionv1.NeverReinvocationPolicy
		c.Webhooks[0].ReinvocationPolicy = &never
	}},
}

// asApplied leaves out what the API server writes.
var asApplied = cmpopts.IgnoreFields(metav1.ObjectMeta{}, "UID", "ResourceVersion", "Generation", "CreationTimestamp", "ManagedFields")

func TestDrift(t *testing.T) {
	createOwner(t)
	guard := cluster.Guard(t, local.EksguardOptions{Bundle: "testdata/bundles/registration", ExtraArgs: ownerArgs})
	awaitMutating(t, guard)
	hooks := cluster.Clients(t).AdmissionregistrationV1()
	wantV, wantM, err := both(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(drifts)) {
		wasRepaired := t.Run(name, func(t *testing.T) {
			kind := "ValidatingWebhookConfiguration"
			if d := drifts[name]; d.mutating != nil || strings.Contains(name, "mutating") {
				kind = "MutatingWebhookConfiguration"
			}
			v, m, err := both(t)
			if err != nil {
				t.Fatal(err)
			}
			switch d := drifts[name]; {
			case d.validating != nil:
				d.validating(v)
				_, err = hooks.ValidatingWebhookConfigurations().Update(t.Context(), v, metav1.UpdateOptions{})
			case d.mutating != nil:
				d.mutating(m)
				_, err = hooks.MutatingWebhookConfigurations().Update(t.Context(), m, metav1.UpdateOptions{})
			case kind == "MutatingWebhookConfiguration":
				err = hooks.MutatingWebhookConfigurations().Delete(t.Context(), m.Name, metav1.DeleteOptions{})
			default:
				err = hooks.ValidatingWebhookConfigurations().Delete(t.Context(), v.Name, metav1.DeleteOptions{})
			}
			if err != nil {
				t.Fatal(err)
			}
			e2e.Eventually(t, 5*time.Second, "it is repaired", func() error {
				v, m, err := both(t)
				if err != nil {
					return err
				}
				for _, o := range []metav1.Object{v, m} {
					// Tells when an authority was added, also one that had been taken out.
					annotations := o.GetAnnotations()
					if delete(annotations, "eksguard.io/authorities-since"); len(annotations) == 0 {
						o.SetAnnotations(nil)
					}
				}
				if diff := cmp.Diff(wantV, v, asApplied) + cmp.Diff(wantM, m, asApplied); diff != "" {
					return errors.New(diff)
				}
				return nil
			})
		})
		if !wasRepaired {
			t.Fatal("the others would begin with what was not repaired")
		}
	}
	t.Run("repairs are counted", func(t *testing.T) {
		// Two changes right after each other are one repair, so let it be done with the last one.
		time.Sleep(time.Second)
		defer guard.Counts(t, `eksguard_registration_repairs_total{kind="ValidatingWebhookConfiguration"}`, 1)()
		defer guard.Counts(t, `eksguard_registration_repairs_total{kind="MutatingWebhookConfiguration"}`, 1)()
		if err := errors.Join(
			hooks.ValidatingWebhookConfigurations().Delete(t.Context(), "eksguard", metav1.DeleteOptions{}),
			hooks.MutatingWebhookConfigurations().Delete(t.Context(), "eksguard", metav1.DeleteOptions{}),
		); err != nil {
			t.Fatal(err)
		}
		e2e.Eventually(t, 5*time.Second, "both are there again", func() error {
			_, _, err := both(t)
			return err
		})
	})
	t.Run("what others write elsewhere on it is left alone", func(t *testing.T) {
		untouched := guard.Counts(t, `eksguard_registration_repairs_total{kind="ValidatingWebhookConfiguration"}`, 0)
		note := []byte(`{"metadata": {"annotations": {"example.com/note": "seen"}}}`)
		if _, err := hooks.ValidatingWebhookConfigurations().
			Patch(t.Context(), "eksguard", types.MergePatchType, note, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
		if v, err := validating(t); err != nil || v.Annotations["example.com/note"] != "seen" {
			t.Errorf("the annotation is gone (%v)", err)
		}
		untouched()
	})
}

// Uninstalling removes what eksguard's ServiceAccount may do, and with it the registration, so that it never leaves a
// cluster whose API server asks somebody who is not there.
func TestGarbageCollection(t *testing.T) {
	createOwner(t)
	guard := cluster.Guard(t, local.EksguardOptions{Settings: standardSettings, ExtraArgs: ownerArgs})
	awaitMutating(t, guard)
	c, pod := cluster.As(t, admin), e2e.Manifest(t, "manifests/pod.yaml", ownRole, foreignRole)
	c.Create(pod, e2e.DryRun).Denied("iam-role/ownership")

	c.Delete(e2e.Parse(t, "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: eksguard-e2e}}")).Admitted()
	gone := func() error {
		_, errV := validating(t)
		_, errM := mutating(t)
		if apierrors.IsNotFound(errV) && apierrors.IsNotFound(errM) {
			return nil
		}
		return errors.Join(errors.New("one of them is there"), errV, errM)
	}
	e2e.Eventually(t, 20*time.Second, "both configurations are collected", gone)
	// Though eksguard still runs, it does not register again.
	time.Sleep(2 * time.Second)
	if err := gone(); err != nil {
		t.Error(err)
	}
	c.Create(pod, e2e.DryRun).Admitted()
	if err := guard.Stop(); err != nil {
		t.Error(err)
	}
	c.Create(pod, e2e.DryRun).Admitted()
}

// The webhook is asked in every way that its rules name.
func TestRegistrationIsInUse(t *testing.T) {
	guard := cluster.Guard(t, local.EksguardOptions{Bundle: "testdata/bundles/registration"})
	awaitMutating(t, guard)
	c := cluster.As(t, admin)
	labelled := func(value string) (name string) {
		return strings.Replace(e2e.Read(t, "manifests/configmap.yaml"), "  name: some\n", "  name: some\n  labels: {e2e: "+value+"}\n", 1)
	}
	c.Create(e2e.Parse(t, labelled("forbidden")), e2e.DryRun).Denied("guarded/forbidden")
	c.Create(e2e.Parse(t, labelled("welcome")), e2e.DryRun).Admitted()
	e2e.Eventually(t, 5*time.Second, "the API server asks for mutations too", func() error {
		o := c.Create(e2e.Parse(t, labelled("complete")), e2e.DryRun).Admitted().Object
		if value := o.GetLabels()["e2e"]; value != "completed" {
			return fmt.Errorf("the label is %q", value)
		}
		return nil
	})
	t.Run("a warning of a policy whose failure is ignored", func(t *testing.T) {
		namespace := e2e.Parse(t, "{apiVersion: v1, kind: Namespace, metadata: {name: unloved}}")
		c := cluster.As(t, admin)
		c.Create(namespace).Admitted()
		c.Delete(namespace).Admitted().Warned("[watched/deleted] metadata.name: deleted.")
	})
}
