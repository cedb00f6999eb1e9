package policy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A request with dryRun is decided like any other: Flux begins with them.
func TestDryRunRequestsAreJudgedLikeAnyOther(t *testing.T) {
	embedded, err := defaultBundle()
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := NewSnapshot(t.Context(), embedded, everyRule(t))
	if err != nil {
		t.Fatal(err)
	}
	engine := NewEngine(snapshot, StaticState{})
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("reviews: %v, %v", files, err)
	}
	denied := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		decisions := map[bool]Decision{}
		for _, dryRun := range []bool{false, true} {
			var review map[string]any
			if err := json.Unmarshal(text, &review); err != nil {
				t.Fatal(err)
			}
			review["request"].(map[string]any)["dryRun"] = dryRun
			body, err := json.Marshal(review)
			if err != nil {
				t.Fatal(err)
			}
			r, err := ParseRequest(body)
			if err != nil {
				t.Fatal(err)
			}
			decisions[dryRun] = engine.Decide(t.Context(), r)
		}
		if diff := cmp.Diff(decisions[false], decisions[true]); diff != "" {
			t.Errorf("%s: a dry run is decided otherwise (-want +got):\n%s", file, diff)
		}
		if !decisions[true].Allowed {
			denied++
		}
	}
	if denied == 0 {
		t.Error("none of the reviews is denied")
	}
}
