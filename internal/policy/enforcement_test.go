package policy

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/mozilla-iam/eksguard/internal/bundle"
)

// The properties below hold for every rule of the default bundle. The reviews in testdata together make every rule find
// something.

var (
	// enforcedSettings turn every rule on.
	enforcedSettings = map[string]any{
		"iam_role": map[string]any{"complete_bare_names": true},
		"cluster":  map[string]any{"account": "555555555555"},
		"flux": map[string]any{"reach": []any{
			map[string]any{"users": []any{"system:serviceaccount:flux:flux"}, "namespaces": []any{"team-*"}},
			map[string]any{"users": []any{"system:serviceaccount:*:reconciler"},
				"namespace_selector": map[string]any{"matchLabels": map[string]any{"tenant": "team-a"}}},
		}},
	}
	// enforcedState has a CRD in use, and one that tells no version.
	enforcedState = map[string]any{
		"apiextensions.k8s.io/v1/customresourcedefinitions": map[string]any{
			"servicemonitors.monitoring.coreos.com": map[string]any{}, "podmonitors.monitoring.coreos.com": map[string]any{},
		},
		"monitoring.coreos.com/v1/servicemonitors": map[string]any{"team-a": map[string]any{"web": map[string]any{}}},
	}
	enforcedAt = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

// enforced is the default bundle under settings that are added to enforcedSettings.
func enforced(t *testing.T, added map[string]any) *Engine {
	t.Helper()
	embedded, err := bundle.Load("")
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]any{}
	for _, section := range []map[string]any{enforcedSettings, added} {
		for key, value := range section {
			settings[key] = value
		}
	}
	snapshot, err := NewSnapshot(t.Context(), embedded, settings)
	if err != nil {
		t.Fatal(err)
	}
	state, err := NewStaticState(enforcedState)
	if err != nil {
		t.Fatal(err)
	}
	return NewEngine(snapshot, state)
}

// verdict is what a decision tells of a rule.
type verdict struct {
	Action    Action
	Excepted  bool
	IsWarning bool // of a rule that never denies
}

// requests are those of the reviews in testdata, by what to call them.
func requests(t *testing.T) map[string]map[string]any {
	t.Helper()
	all := map[string]map[string]any{}
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("reviews: %v, %v", files, err)
	}
	for _, file := range files {
		var review struct{ Request map[string]any }
		readInto(t, file, &review)
		all[file] = review.Request
	}
	var more []map[string]any
	readInto(t, "testdata/rules.yaml", &more)
	for i, request := range more {
		request["uid"] = fmt.Sprint(i)
		all[fmt.Sprintf("rules.yaml[%d] %s", i, request["name"])] = request
	}
	return all
}

func readInto(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// judged is a decision on each review of testdata, in both phases, with the verdicts by rule.
func judged(t *testing.T, engine *Engine, dryRun bool, check func(file string, d Decision, found map[string]verdict)) {
	t.Helper()
	kinds := map[string]RuleKind{}
	for _, p := range engine.Snapshot().Policies() {
		for i := range p.Rules {
			kinds[p.Name+"/"+p.Rules[i].ID] = p.Rules[i].Kind
		}
	}
	for name, request := range requests(t) {
		request["dryRun"] = dryRun
		body, err := json.Marshal(map[string]any{
			"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
		if err != nil {
			t.Fatal(err)
		}
		for _, phase := range []Phase{Validate, Mutate} {
			r, err := ParseRequest(body)
			if err != nil {
				t.Fatal(err)
			}
			r.Phase, r.Time = phase, enforcedAt
			d := engine.Decide(t.Context(), r)
			if len(d.Faults) > 0 {
				t.Fatalf("%s: %v", name, d.Faults)
			}
			found := map[string]verdict{}
			for i := range d.Violations {
				v := &d.Violations[i]
				found[v.ID()] = verdict{Action: v.Action, Excepted: v.Exception != nil, IsWarning: kinds[v.ID()] == Warn}
			}
			for i := range d.Mutations {
				m := &d.Mutations[i]
				found[m.Policy+"/"+m.Rule] = verdict{Action: m.Action, Excepted: m.Exception != nil}
			}
			check(fmt.Sprintf("%s (%s)", name, phase), d, found)
		}
	}
}

// rulesOf are the ids of all rules, sorted.
func rulesOf(engine *Engine) (ids []string) {
	for _, p := range engine.Snapshot().Policies() {
		for i := range p.Rules {
			ids = append(ids, p.Name+"/"+p.Rules[i].ID)
		}
	}
	slices.Sort(ids)
	return ids
}

func TestEveryRuleObeysItsEnforcementAction(t *testing.T) {
	rules := rulesOf(enforced(t, nil))
	for _, row := range []struct {
		name string
		// action is what the settings say of the rule with that index.
		action func(index int) Action
	}{
		{"all deny", func(int) Action { return ActionDeny }},
		{"all warn", func(int) Action { return ActionWarn }},
		{"all are only counted", func(int) Action { return ActionDryrun }},
		{"every other one denies", func(i int) Action { return []Action{ActionDeny, ActionDryrun}[i%2] }},
		{"every other one is only counted", func(i int) Action { return []Action{ActionDryrun, ActionDeny}[i%2] }},
	} {
		t.Run(row.name, func(t *testing.T) {
			want, enforcement := map[string]Action{}, map[string]any{}
			for i, rule := range rules {
				want[rule] = row.action(i)
				enforcement[rule] = string(want[rule])
			}
			seen := map[string]bool{}
			judged(t, enforced(t, map[string]any{"enforcement": enforcement}), false, func(file string, d Decision, found map[string]verdict) {
				denied := false
				for rule, f := range found {
					seen[rule] = true
					action := want[rule]
					if f.IsWarning && action == ActionDeny {
						action = ActionWarn // it never denies
					}
					if f.Action != action || f.Excepted {
						t.Errorf("%s: %s: %+v, want action %q", file, rule, f, action)
					}
					denied = denied || f.Action == ActionDeny && len(d.Violations) > 0
				}
				if d.Allowed == denied {
					t.Errorf("%s: allowed %t with %+v", file, d.Allowed, found)
				}
				applies := slices.ContainsFunc(d.Mutations, func(m Mutation) bool { return m.Action == ActionDeny })
				if applies != (len(d.Patch) > 0) {
					t.Errorf("%s: the patch is %v with %+v", file, d.Patch, d.Mutations)
				}
			})
			for _, rule := range rules {
				if !seen[rule] {
					t.Errorf("no review in testdata makes rule %q find anything", rule)
				}
			}
		})
	}
}

func TestEveryRuleObeysExceptionsUntilTheyExpire(t *testing.T) {
	rules := rulesOf(enforced(t, nil))
	for _, row := range []struct {
		name, expires string
		excepted      bool
	}{
		{"an exception that holds", "2026-01-01", true},
		{"one that has expired", "2025-12-31", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			var exceptions []any
			for _, rule := range rules {
				policy, id, _ := strings.Cut(rule, "/")
				exceptions = append(exceptions, map[string]any{
					"policy": policy, "rule": id, "user": "*", "reason": "a test", "expires": row.expires})
			}
			judged(t, enforced(t, map[string]any{"exceptions": exceptions}), false, func(file string, d Decision, found map[string]verdict) {
				denies := false
				for rule, f := range found {
					if f.Excepted != row.excepted {
						t.Errorf("%s: %s: %+v", file, rule, f)
					}
					denies = denies || !f.IsWarning && len(d.Violations) > 0
				}
				if want := row.excepted || !denies; d.Allowed != want {
					t.Errorf("%s: allowed %t, want %t, with %+v", file, d.Allowed, want, found)
				}
				if row.excepted && len(d.Patch) > 0 {
					t.Errorf("%s: it is changed: %v", file, d.Patch)
				}
			})
		})
	}
}

func TestDryRunRequestsAreJudgedLikeAnyOther(t *testing.T) {
	engine := enforced(t, nil)
	decisions := func(dryRun bool) (all map[string]Decision) {
		all = map[string]Decision{}
		judged(t, engine, dryRun, func(file string, d Decision, _ map[string]verdict) { all[file] = d })
		return all
	}
	if diff := cmp.Diff(decisions(false), decisions(true), cmp.AllowUnexported(Exception{})); diff != "" {
		t.Errorf("a dry run is decided otherwise (-want +got):\n%s", diff)
	}
}
