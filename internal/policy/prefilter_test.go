package policy

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	admissioncel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/cel/environment"

	"github.com/mozilla-iam/eksguard/internal/bundle"
)

// TestMatchConditionsNeverChangeADecision holds for every policy of the default bundle, with the API server's own
// evaluator: wherever a condition is false, the policy yields nothing; and no condition fails on an object of a right shape.
func TestMatchConditionsNeverChangeADecision(t *testing.T) {
	embedded, err := bundle.Load("")
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := NewSnapshot(t.Context(), embedded, map[string]any{
		"iam_role": map[string]any{"complete_bare_names": true}, "cluster": map[string]any{"account": "555555555555"}})
	if err != nil {
		t.Fatal(err)
	}
	engine := NewEngine(snapshot, StaticState{})
	compiler := admissioncel.NewConditionCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	matchers := map[string]matchconditions.Matcher{}
	for _, p := range snapshot.Policies() {
		matchers[p.Name] = webhook.NewValidatingWebhookAccessor(p.Name, "eksguard", &admissionregistrationv1.ValidatingWebhook{
			Name: p.Name, MatchConditions: p.MatchConditions, FailurePolicy: &p.FailurePolicy,
		}).GetCompiledMatcher(compiler)
	}
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("reviews: %v, %v", files, err)
	}
	random := rand.New(rand.NewPCG(3, 4))
	heldBack, sent := map[string]int{}, map[string]int{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for round := range 100 {
			var review map[string]any
			if err := json.Unmarshal(text, &review); err != nil {
				t.Fatal(err)
			}
			request := review["request"].(map[string]any)
			for range min(round, random.IntN(4)) { // the first round is the review as it is
				change(random, request["object"])
				change(random, request["oldObject"])
			}
			body, err := json.Marshal(review)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range snapshot.Policies() {
				r, err := ParseRequest(body)
				if err != nil {
					t.Fatal(err)
				}
				r.Policy = p.Name
				if !p.matches(r) {
					continue
				}
				result := matchers[p.Name].Match(t.Context(), attributes(t, body), nil, nil)
				if result.Error != nil && round == 0 {
					t.Fatalf("%s: policy %q: %v", file, p.Name, result.Error)
				}
				if result.Matches || result.Error != nil {
					sent[p.Name]++
					continue
				}
				heldBack[p.Name]++
				for _, r.Phase = range []Phase{Validate, Mutate} {
					if d := engine.Decide(t.Context(), r); len(d.Violations)+len(d.Mutations)+len(d.Faults) > 0 {
						t.Fatalf("policy %q: condition %q is false, but: %+v\n%s", p.Name, result.FailedConditionName, d, body)
					}
				}
			}
		}
	}
	for _, p := range snapshot.Policies() {
		if heldBack[p.Name] == 0 || sent[p.Name] == 0 {
			t.Errorf("policy %q: %d reviews held back, %d sent: the reviews do not exercise its conditions",
				p.Name, heldBack[p.Name], sent[p.Name])
		}
	}
}

// attributes makes of a review what the API server's admission chain has before it calls a webhook.
func attributes(t *testing.T, body []byte) *admission.VersionedAttributes {
	t.Helper()
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(body, &review); err != nil {
		t.Fatal(err)
	}
	r := review.Request
	object := func(raw runtime.RawExtension) runtime.Object {
		if len(raw.Raw) == 0 || string(raw.Raw) == "null" {
			return nil
		}
		u := &unstructured.Unstructured{}
		if err := json.Unmarshal(raw.Raw, &u.Object); err != nil {
			t.Fatal(err)
		}
		return u
	}
	kind := schema.GroupVersionKind{Group: r.Kind.Group, Version: r.Kind.Version, Kind: r.Kind.Kind}
	resource := schema.GroupVersionResource{Group: r.Resource.Group, Version: r.Resource.Version, Resource: r.Resource.Resource}
	return &admission.VersionedAttributes{
		Attributes: admission.NewAttributesRecord(object(r.Object), object(r.OldObject), kind, r.Namespace, r.Name, resource,
			r.SubResource, admission.Operation(r.Operation), nil, r.DryRun != nil && *r.DryRun,
			&user.DefaultInfo{Name: r.UserInfo.Username, Groups: r.UserInfo.Groups}),
		VersionedObject: admission.NewLazyObject(object(r.Object)), VersionedOldObject: admission.NewLazyObject(object(r.OldObject)),
		VersionedKind: kind,
	}
}
