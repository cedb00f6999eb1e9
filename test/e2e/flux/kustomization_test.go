package flux_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/mozilla-iam/eksguard/test/e2e"
)

// patience is how long Flux may take for what it does at once.
const patience = 30 * time.Second

// kustomization is a Kustomization of a repository. Its methods fail the test if what they say does not come about.
type kustomization struct {
	repository *repository
	object     *unstructured.Unstructured
}

// Kustomization creates the Kustomization of testdata/kustomization.yaml with these replacements.
func (r *repository) Kustomization(t testing.TB, replacements ...string) *kustomization {
	t.Helper()
	object := e2e.Manifest(t, "kustomization.yaml", replacements...)
	return &kustomization{repository: r, object: cluster.As(t, admin).Create(object).Admitted().Object}
}

// Nested is the Kustomization of testdata/nested.yaml, which somebody else creates.
func (r *repository) Nested(t testing.TB) *kustomization {
	t.Helper()
	return &kustomization{repository: r, object: e2e.Manifest(t, "nested.yaml")}
}

// status is what is read of a Kustomization's.
type status struct {
	LastAttemptedRevision string             `json:"lastAttemptedRevision"`
	Conditions            []metav1.Condition `json:"conditions"`
}

func (s status) ready() (c metav1.Condition) {
	for _, condition := range s.Conditions {
		if condition.Type == "Ready" {
			return condition
		}
	}
	return c
}

// Ready means that Flux comes to deploy what is in the repository.
func (k *kustomization) Ready(t testing.TB) {
	t.Helper()
	k.is(t, "True", "ReconciliationSucceeded", "Applied revision: "+k.repository.revision)
}

// NotReady means that Flux does not come to, and tells exactly this.
func (k *kustomization) NotReady(t testing.TB, reason, message string) {
	t.Helper()
	k.is(t, "False", reason, message)
}

var ruleID = regexp.MustCompile(`\[([a-z0-9-]+/[a-z0-9-]+)\] `)

// Denied means that Flux does not come to, and tells that eksguard denied this object, for exactly these rules and with a
// fix for each.
func (k *kustomization) Denied(t testing.TB, object string, rules ...string) {
	t.Helper()
	ready := k.reconciled(t).ready()
	var got []string
	for _, match := range ruleID.FindAllStringSubmatch(ready.Message, -1) {
		got = append(got, match[1])
	}
	if diff := cmp.Diff(rules, got); diff != "" || ready.Status != metav1.ConditionFalse ||
		!strings.HasPrefix(ready.Message, object+" dry-run failed (Forbidden): admission webhook ") ||
		strings.Count(ready.Message, " Fix: ") != len(rules) {
		t.Fatalf("condition Ready of Kustomization %q is %s: %s\nwant a denial of %s (-want +got):\n%s",
			k.object.GetName(), ready.Status, ready.Message, object, diff)
	}
}

func (k *kustomization) is(t testing.TB, want, reason, message string) {
	t.Helper()
	ready := k.reconciled(t).ready()
	got := []string{string(ready.Status), ready.Reason, strings.TrimSpace(ready.Message)}
	if diff := cmp.Diff([]string{want, reason, message}, got); diff != "" {
		t.Fatalf("condition Ready of Kustomization %q (-want +got):\n%s", k.object.GetName(), diff)
	}
}

// reconciled waits until Flux has tried to deploy what is in the repository.
func (k *kustomization) reconciled(t testing.TB) (s status) {
	t.Helper()
	e2e.Eventually(t, patience, "the revision has been tried", func() error {
		s = k.status(t)
		if ready := s.ready(); s.LastAttemptedRevision != k.repository.revision ||
			ready.Status != metav1.ConditionTrue && ready.Status != metav1.ConditionFalse {
			return fmt.Errorf("status of Kustomization %q: %+v", k.object.GetName(), s)
		}
		return nil
	})
	return s
}

func (k *kustomization) status(t testing.TB) status {
	t.Helper()
	var stored struct {
		Status status `json:"status"`
	}
	object := cluster.As(t, admin).Get(k.object).Object
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object, &stored); err != nil {
		t.Fatal(err)
	}
	return stored.Status
}

// Told means that Flux has recorded an Event with this text beside the Kustomization.
func (k *kustomization) Told(t testing.TB, text string) {
	t.Helper()
	e2e.Eventually(t, patience, "there is an Event", func() error {
		told := kubectl(t, "get", "events", "-n", k.object.GetNamespace(),
			"--field-selector=involvedObject.kind=Kustomization,involvedObject.name="+k.object.GetName(),
			`-o=jsonpath={range .items[*]}{.message}{"\n"}{end}`)
		if !strings.Contains(told, text) {
			return fmt.Errorf("none of the Events of Kustomization %q says %q:\n%s", k.object.GetName(), text, told)
		}
		return nil
	})
}
