package reload

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"
	opabundle "github.com/open-policy-agent/opa/v1/bundle"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/policy"
)

var errBoom = errors.New("boom")

// journal is a State that notes what is asked of it, and whether the snapshot of the moment decides by then.
type journal struct {
	reloader *Reloader
	lines    []string
	probe    error
	watch    error
}

func (j *journal) note(what string, needs []policy.Need) {
	line := what
	for _, need := range needs {
		line += " " + need.Key()
	}
	if s := j.reloader.options.Engine.Snapshot(); s != nil {
		line += ", while " + s.Revision() + " decides"
	}
	j.lines = append(j.lines, line)
}

func (j *journal) Probe(_ context.Context, needs []policy.Need) error {
	j.note("probe", needs)
	return j.probe
}

func (j *journal) Watch(_ context.Context, needs []policy.Need) error {
	j.note("watch", needs)
	return j.watch
}

func (j *journal) Keep(_ context.Context, needs []policy.Need) error {
	j.note("keep", needs)
	return nil
}

func newReloader() (*Reloader, *journal) {
	j := &journal{}
	j.reloader = New(Options{
		Engine: policy.NewEngine(nil, policy.StaticState{}), State: j, Logger: slog.New(slog.DiscardHandler),
		Swapped: func(s *policy.Snapshot) { j.lines = append(j.lines, "swapped "+s.Revision()) },
	})
	return j.reloader, j
}

// snapshot is one with a policy of that name, which needs that resource.
func snapshot(t *testing.T, name, resource string) *policy.Snapshot {
	t.Helper()
	s, err := Compiler{}.Compile(t.Context(), newBundle(t, name, resource), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newBundle(t *testing.T, name, resource string) *opabundle.Bundle {
	t.Helper()
	text := strings.NewReplacer("NAME", name, "RESOURCE", resource).Replace(`# METADATA
# title: A policy
# custom:
#   match: [{apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], operations: ["CREATE"]}]
#   needs: [{apiVersion: v1, resource: RESOURCE}]
package eksguard.NAME

# METADATA
# title: A rule
# custom: {id: rule, severity: low}
deny contains {"rule": "rule", "message": "no"} if input.request.name == "no"
`)
	module, err := ast.ParseModuleWithOpts(name+".rego", text, ast.ParserOptions{ProcessAnnotation: true})
	if err != nil {
		t.Fatal(err)
	}
	return &opabundle.Bundle{
		Manifest: opabundle.Manifest{Revision: name},
		Modules:  []opabundle.ModuleFile{{Path: name + ".rego", Raw: []byte(text), Parsed: module}},
		Data: map[string]any{"eksguard": map[string]any{"settings": map[string]any{
			"cluster": map[string]any{"account": "", "partition": "aws"}}}},
	}
}

// What is to be known is known before a snapshot decides, and what it does not need is forgotten only afterwards.
func TestTheOrderOfThings(t *testing.T) {
	r, j := newReloader()
	one, two := snapshot(t, "one", "secrets"), snapshot(t, "two", "services")
	for _, s := range []*policy.Snapshot{one, two} {
		if err := r.Activate(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	r.retire(t.Context(), one) // another decides by now
	r.retire(t.Context(), two)
	want := []string{
		"watch v1/secrets", "swapped one",
		"probe v1/services, while one decides", "watch v1/services, while one decides", "swapped two",
		"keep v1/services, while two decides",
	}
	if diff := cmp.Diff(want, j.lines); diff != "" {
		t.Error(diff)
	}
}

func TestStateThatCannotBeWatchedChangesNothing(t *testing.T) {
	for name, row := range map[string]struct{ probe, watch error }{"what may not be listed": {probe: errBoom}, "what is not seen": {watch: errBoom}} {
		t.Run(name, func(t *testing.T) {
			r, j := newReloader()
			one := snapshot(t, "one", "secrets")
			if err := r.Activate(t.Context(), one); err != nil {
				t.Fatal(err)
			}
			j.probe, j.watch = row.probe, row.watch
			err := r.Activate(t.Context(), snapshot(t, "two", "services"))
			var fault *bundle.Fault
			if !errors.As(err, &fault) || fault.Reason != bundle.ReasonState || !errors.Is(err, errBoom) {
				t.Errorf("error is %v", err)
			}
			if r.options.Engine.Snapshot() != one {
				t.Error("another snapshot decides")
			}
		})
	}
}

// check is what happens when the sources are asked.
type check func() error

func (c check) Check(context.Context) error { return c() }

func TestWhetherThereIsAPolicy(t *testing.T) {
	r, _ := newReloader()
	never := check(func() error { t.Error("the sources were asked"); return nil })
	if known, err := r.Known(t.Context(), never, "one"); known || !errors.Is(err, policy.ErrNoSnapshot) {
		t.Errorf("before there is a bundle: %v, %v", known, err)
	}
	if err := r.Activate(t.Context(), snapshot(t, "one", "secrets")); err != nil {
		t.Fatal(err)
	}
	two := snapshot(t, "two", "secrets")
	for _, row := range []struct {
		name, policy string
		check        check
		known        bool
		err          error
	}{
		{"a policy that decides", "one", never, true, nil},
		{"one that the sources do not have", "two", func() error { return nil }, false, nil},
		{"sources that cannot be asked", "two", func() error { return errBoom }, false, errBoom},
		{"one that the sources have by now", "two", func() error { return r.Activate(t.Context(), two) }, true, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			if known, err := r.Known(t.Context(), row.check, row.policy); known != row.known || !errors.Is(err, row.err) {
				t.Errorf("%v, %v; want %v, %v", known, err, row.known, row.err)
			}
		})
	}
}
