package examples_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/examples"
	"github.com/mozilla-iam/eksguard/internal/policy"
)

// TestEveryRuleObeysEnforcementAndExceptions holds for each rule of the default bundle, by the request that it objects
// to in its METADATA.
func TestEveryRuleObeysEnforcementAndExceptions(t *testing.T) {
	embedded, err := bundle.Load("")
	if err != nil {
		t.Fatal(err)
	}
	base, err := policy.NewSnapshot(t.Context(), embedded, nil)
	if err != nil {
		t.Fatal(err)
	}
	var rules []string
	for _, p := range base.Policies() {
		for i := range p.Rules {
			rules = append(rules, p.Name+"/"+p.Rules[i].ID)
		}
	}
	excepted := func(expires string) map[string]any {
		var exceptions []any
		for _, rule := range rules {
			name, id, _ := strings.Cut(rule, "/")
			exceptions = append(exceptions, map[string]any{"policy": name, "rule": id, "user": "*",
				"reason": "a test", "expires": expires})
		}
		return map[string]any{"exceptions": exceptions}
	}
	// enforced sets the action of every rule by its index.
	enforced := func(actions ...policy.Action) map[string]any {
		enforcement := map[string]any{}
		for i, rule := range rules {
			enforcement[rule] = string(actions[i%len(actions)])
		}
		return map[string]any{"enforcement": enforcement}
	}
	for _, row := range []struct {
		name     string
		settings map[string]any
		want     []policy.Action // by the rule's index
		excepted bool
	}{
		{"every other one denies", enforced(policy.ActionDeny, policy.ActionDryrun),
			[]policy.Action{policy.ActionDeny, policy.ActionDryrun}, false},
		{"the others deny", enforced(policy.ActionWarn, policy.ActionDeny), []policy.Action{policy.ActionWarn,
			policy.ActionDeny}, false},
		{"an exception that holds", excepted("2999-12-31"), []policy.Action{policy.ActionDeny}, true},
		{"one that has expired", excepted("2020-01-31"), []policy.Action{policy.ActionDeny}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			outcomes, err := examples.Run(t.Context(), func(ctx context.Context,
				settings map[string]any) (*policy.Snapshot, error) {
				all := maps.Clone(row.settings)
				maps.Copy(all, settings)
				return policy.NewSnapshot(ctx, embedded, all)
			})
			if err != nil {
				t.Fatal(err)
			}
			judged := map[string]bool{}
			for _, o := range outcomes {
				if o.Name == examples.Passes {
					continue
				}
				rule := o.Policy.Name + "/" + o.Rule.ID
				want := row.want[slices.Index(rules, rule)%len(row.want)]
				judged[rule] = check(t, o, want, row.excepted)
			}
			for _, rule := range rules {
				if !judged[rule] {
					t.Errorf("rule %q has found nothing", rule)
				}
			}
		})
	}
}

// check compares what a rule did with what the settings want of it, and returns whether it did anything. Other rules
// may find something too, where a mutation is not applied.
func check(t *testing.T, o examples.Outcome, want policy.Action, excepted bool) (found bool) {
	t.Helper()
	for i := range o.Decision.Violations {
		v := &o.Decision.Violations[i]
		if v.Rule != o.Rule.ID {
			continue
		}
		found = true
		action := want
		if o.Rule.Kind == policy.Warn && action == policy.ActionDeny {
			action = policy.ActionWarn // it never denies
		}
		denies := action == policy.ActionDeny && !excepted
		if v.Action != action || (v.Exception != nil) != excepted || v.Denies() != denies {
			t.Errorf("%s: %+v, want action %q, excepted %t", o.ID(), v, action, excepted)
		}
		if v.Denies() && o.Decision.Allowed {
			t.Errorf("%s: it is allowed with %+v", o.ID(), v)
		}
	}
	for i := range o.Decision.Mutations {
		m := &o.Decision.Mutations[i]
		found = true
		applies := want == policy.ActionDeny && !excepted
		if m.Action != want || (m.Exception != nil) != excepted || m.Applies() != applies {
			t.Errorf("%s: %+v, want action %q, excepted %t", o.ID(), m, want, excepted)
		}
	}
	return found
}
