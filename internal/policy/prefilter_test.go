package policy

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/mozilla-iam/eksguard/internal/prefilter"
)

// enforcedSettings turn every rule on.
var enforcedSettings = map[string]any{
	"iam_role": map[string]any{"complete_bare_names": true},
	"cluster":  map[string]any{"account": "555555555555"},
	"flux": map[string]any{"reach": []any{
		map[string]any{"users": []any{"system:serviceaccount:flux:flux"}, "namespaces": []any{"team-*"}},
		map[string]any{"users": []any{"system:serviceaccount:*:reconciler"},
			"namespace_selector": map[string]any{"matchLabels": map[string]any{"tenant": "team-a"}}},
	}},
}

// TestMatchConditionsNeverChangeADecision holds for every policy of the default bundle, with the API server's own
// evaluator: wherever a condition is false, the policy yields nothing; and no condition fails on an object of a right shape.
func TestMatchConditionsNeverChangeADecision(t *testing.T) {
	embedded, err := defaultBundle()
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := NewSnapshot(t.Context(), embedded, enforcedSettings)
	if err != nil {
		t.Fatal(err)
	}
	engine := NewEngine(snapshot, StaticState{})
	compiler := prefilter.NewCompiler()
	conditions := map[string]*prefilter.Conditions{}
	for _, p := range snapshot.Policies() {
		conditions[p.Name] = compiler.Compile(p.Name, p.MatchConditions, p.FailurePolicy)
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
			asSent := &admissionv1.AdmissionReview{}
			if err := json.Unmarshal(body, asSent); err != nil {
				t.Fatal(err)
			}
			for _, p := range snapshot.Policies() {
				r, err := ParseRequest(body)
				if err != nil {
					t.Fatal(err)
				}
				r.Policy = p.Name
				if !p.Matches(r) {
					continue
				}
				failed, err := conditions[p.Name].Match(t.Context(), asSent)
				if err != nil && round == 0 {
					t.Fatalf("%s: policy %q: %v", file, p.Name, err)
				}
				if failed == "" || err != nil {
					sent[p.Name]++
					continue
				}
				heldBack[p.Name]++
				for _, r.Phase = range []Phase{Validate, Mutate} {
					if d := engine.Decide(t.Context(), r); len(d.Violations)+len(d.Mutations)+len(d.Faults) > 0 {
						t.Fatalf("policy %q: condition %q is false, but: %+v\n%s", p.Name, failed, d, body)
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
