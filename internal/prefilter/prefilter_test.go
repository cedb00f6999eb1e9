package prefilter_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/internal/prefilter"
)

// TestMatchConditionsNeverChangeADecision holds for every policy of the default bundle, with the API server's own
// evaluator: wherever a condition is false, the policy yields nothing; and no condition fails on an object of a right
// shape.
func TestMatchConditionsNeverChangeADecision(t *testing.T) {
	settings, err := bundle.LoadSettings("../policy/testdata/settings/every-rule.yaml")
	if err != nil {
		t.Fatal(err)
	}
	snapshot := compile(t, "", settings)
	broken, tried, err := prefilter.Property(t.Context(), snapshot, policy.StaticState{}, reviews(t), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range broken {
		t.Errorf("policy %q: condition %q: %s\n%s", b.Policy, b.Condition, b.Finding, b.Review)
	}
	for _, p := range snapshot.Policies() {
		if tried.HeldBack[p.Name] == 0 || tried.Sent[p.Name] == 0 {
			t.Errorf("policy %q: %d reviews held back, %d sent: the reviews do not exercise its conditions",
				p.Name, tried.HeldBack[p.Name], tried.Sent[p.Name])
		}
	}
}

func TestAConditionThatHoldsBackAViolationIsFound(t *testing.T) {
	snapshot := compile(t, "testdata/narrow", nil)
	broken, _, err := prefilter.Property(t.Context(), snapshot, policy.StaticState{}, reviews(t), 100)
	if err != nil {
		t.Fatal(err)
	}
	for i := range broken {
		broken[i].Review = nil
	}
	want := []prefilter.Broken{{
		Policy: "narrow", Condition: "in-one-namespace",
		Finding: `rule "name" finds metadata.name: every Pod is wrong`,
	}}
	if diff := cmp.Diff(want, broken); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAConditionThatDoesNotCompileIsNamed(t *testing.T) {
	snapshot := compile(t, "testdata/misspelt", nil)
	faults := prefilter.NewCompiler().Faults(snapshot.Policies()[0].MatchConditions)
	if len(faults) != 1 || faults[0].Index != 1 || !strings.Contains(faults[0].Err.Error(), "undeclared reference to 'objct'") {
		t.Errorf("faults: %+v", faults)
	}
}

func compile(t *testing.T, path string, settings map[string]any) *policy.Snapshot {
	t.Helper()
	b, err := bundle.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := policy.NewSnapshot(t.Context(), b, settings)
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

func reviews(t *testing.T) (texts [][]byte) {
	t.Helper()
	files, err := filepath.Glob("../policy/testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("reviews: %v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text)
	}
	return texts
}
