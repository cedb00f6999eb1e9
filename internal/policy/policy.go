// Package policy decides. A decision is a function of the request (an AdmissionReview), the snapshot (a compiled bundle
// with its settings), the cluster state and the time, and of nothing else: the package does no I/O of its own, keeps no
// record, and tells no one. It knows OPA; it knows neither HTTP nor a Kubernetes client.
package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sort"
	"sync/atomic"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// ErrNoSnapshot says that there is no bundle yet to decide by.
var ErrNoSnapshot = errors.New("there is no bundle yet")

// Engine answers requests by the snapshot that it holds at the moment. Its methods may be called by any number of
// goroutines.
type Engine struct {
	state    State
	snapshot atomic.Pointer[Snapshot]
}

// NewEngine makes an engine that decides by snapshot until Swap gives it another. Without one, which is nil, every decision
// is a denial.
func NewEngine(snapshot *Snapshot, state State) *Engine {
	e := &Engine{state: state}
	e.snapshot.Store(snapshot)
	return e
}

// Snapshot is the one that decides now, nil before there is any.
func (e *Engine) Snapshot() *Snapshot { return e.snapshot.Load() }

// Swap makes snapshot the one that decides from now on. Decisions under way end by the one that they began with.
func (e *Engine) Swap(snapshot *Snapshot) { e.snapshot.Store(snapshot) }

// Decide answers a request: it asks every policy that matches it (or the one that it names, if that matches), finds all
// violations, and applies enforcement actions and exceptions. It ends when ctx does, with a Fault for each policy that
// was not done.
func (e *Engine) Decide(ctx context.Context, r *Request) Decision {
	s := e.snapshot.Load()
	if s == nil {
		return Decision{Faults: []Fault{{Policy: r.Policy, Denies: true, Err: ErrNoSnapshot}}}
	}
	now := r.Time
	if now.IsZero() {
		now = time.Now()
	}
	d := Decision{Allowed: true, Revision: s.revision}
	for _, p := range s.policies {
		query := p.query(r.Phase)
		if query == nil || (r.Policy != "" && r.Policy != p.Name) || !p.Matches(r) {
			continue
		}
		d.Policies = append(d.Policies, p.Name)
		a, err := e.find(ctx, p, query, r)
		if err != nil {
			d.Faults = append(d.Faults, Fault{
				Policy: p.Name,
				Denies: p.FailurePolicy != admissionregistrationv1.Ignore,
				Err:    err,
			})
		}
		for i := range a.findings {
			d.add(r, p.Policy, &a.findings[i], s.settings, now)
		}
		if len(a.effect) > 0 && a.objects() {
			d.Effects = append(d.Effects, Effect{Policy: p.Name, Lines: a.effect})
		}
	}
	d.settle()
	return d
}

// finding is what one rule found: a violation, or a patch.
type finding struct {
	rule      *Rule
	violation Violation
	patch     []PatchOperation
}

// answer is what a policy says of a request.
type answer struct {
	findings []finding
	effect   []string
}

// objects tells whether a deny rule found something, whatever the settings make of it.
func (a *answer) objects() bool {
	return slices.ContainsFunc(a.findings, func(f finding) bool { return f.rule.Kind == Deny })
}

// find gives what the policy finds in the request, evaluated now or, for the same input and state, before.
func (e *Engine) find(ctx context.Context, p *policyQueries, query *rego.PreparedEvalQuery, r *Request) (answer, error) {
	view, err := newView(ctx, e.state, p.Policy, r)
	if err != nil {
		return answer{}, err
	}
	projection, err := p.projections.project(r.review)
	if err != nil {
		return answer{}, err
	}
	defer p.projections.release(projection)
	key, keep := p.memo.key(r.Phase, projection, view)
	if keep {
		if found, ok := p.memo.answers.Get(key); ok {
			return found, nil
		}
	}
	results, err := evaluate(ctx, query, projection, view)
	if err != nil {
		return answer{}, err
	}
	var found answer
	if found.findings, err = readFindings(p.Policy, results); err != nil {
		return found, err
	}
	found.effect, err = readEffect(results)
	if err == nil && keep && !view.asked {
		p.memo.answers.Add(key, found)
	}
	return found, err
}

func evaluate(ctx context.Context, query *rego.PreparedEvalQuery, p *projection, v *view) (rego.Vars, error) {
	input, err := p.input()
	if err != nil {
		return nil, err
	}
	growStack()
	cancel := topdown.NewCancel()
	stop := context.AfterFunc(ctx, cancel.Cancel)
	defer stop()
	results, err := query.Eval(ctx,
		rego.EvalParsedInput(input),
		rego.EvalTransaction(transaction{view: v}),
		rego.EvalExternalCancel(cancel),
		rego.EvalSortSets(true),
		// The index skips a rule whose startswith or the like is given a value of a wrong type, where evaluation would
		// fail: a fault would pass for a clean object.
		rego.EvalRuleIndexing(false),
	)
	if cause := context.Cause(ctx); cause != nil && (err != nil || len(results) == 0) {
		return nil, fmt.Errorf("evaluation was not done in time: %w", cause)
	}
	if err != nil {
		return nil, err
	}
	// Sets are defined even when they are empty, so that no result means a broken policy and not a clean object.
	if len(results) != 1 {
		return nil, errors.New("the result is undefined")
	}
	return results[0].Bindings, nil
}

// growStack makes the goroutine's stack as large as an evaluation needs, which recurses deeply: grown step by step, the
// stack would be copied again and again while it is deepest.
//
//go:noinline
func growStack() byte {
	var frame [96 << 10]byte
	return frame[len(os.Args)%len(frame)]
}

// readFindings takes the results of the entry rules. What the rules found before a broken one stays: a violation is one.
func readFindings(p *Policy, results rego.Vars) (found []finding, err error) {
	for _, kind := range ruleKinds {
		list, _ := results[string(kind)].([]any)
		for _, result := range list {
			f := finding{}
			if f.rule, err = ruleOf(p, kind, result); err != nil {
				return found, err
			}
			if kind == MutateRule {
				f.patch, err = readPatch(result)
			} else {
				f.violation, err = readViolation(result)
			}
			if err != nil {
				return found, fmt.Errorf("%s: rule %q: %w", f.rule.Location, f.rule.ID, err)
			}
			if !f.rule.Off {
				found = append(found, f)
			}
		}
	}
	return found, nil
}

// add makes of a finding what enforcement actions and exceptions make of it.
func (d *Decision) add(r *Request, p *Policy, f *finding, s *settings, now time.Time) {
	action, exception := s.action(p, f.rule), s.exception(r, p, f.rule, now)
	if f.rule.Kind == MutateRule {
		d.Mutations = append(d.Mutations, Mutation{
			Policy: p.Name, Rule: f.rule.ID, Action: action, Patch: f.patch, Exception: exception})
		return
	}
	v := f.violation
	v.Policy, v.Rule, v.Severity, v.Action, v.Exception = p.Name, f.rule.ID, f.rule.Severity, action, exception
	if v.Fix == "" {
		v.Fix = f.rule.Fix
	}
	d.Violations = append(d.Violations, v)
}

// exception gives the first exception that covers a finding of the rule, nil if none does.
func (s *settings) exception(r *Request, p *Policy, rule *Rule, now time.Time) *Exception {
	for _, e := range s.exceptions {
		if e.covers(r, p.Name, rule.ID, now) {
			return e
		}
	}
	return nil
}

// settle sorts the findings and draws the conclusion.
func (d *Decision) settle() {
	sort.SliceStable(d.Violations, func(i, j int) bool {
		a, b := &d.Violations[i], &d.Violations[j]
		return slices.Compare([]string{a.Policy, a.Rule, a.Field, a.Message}, []string{b.Policy, b.Rule, b.Field, b.Message}) < 0
	})
	sort.SliceStable(d.Mutations, func(i, j int) bool {
		a, b := &d.Mutations[i], &d.Mutations[j]
		return slices.Compare([]string{a.Policy, a.Rule}, []string{b.Policy, b.Rule}) < 0
	})
	for i := range d.Violations {
		if d.Violations[i].Denies() {
			d.Allowed = false
		}
	}
	for i := range d.Faults {
		if d.Faults[i].Denies {
			d.Allowed = false
		}
	}
	for i := range d.Mutations {
		if d.Mutations[i].Applies() {
			d.Patch = append(d.Patch, d.Mutations[i].Patch...)
		}
	}
}

// ruleOf finds the rule that a result names.
func ruleOf(p *Policy, kind RuleKind, result any) (*Rule, error) {
	object, isObject := result.(map[string]any)
	if !isObject {
		want := `{"rule": …, "field": …, "message": …}`
		if kind == MutateRule {
			want = `{"rule": …, "patch": […]}`
		}
		return nil, fmt.Errorf("a %s rule yielded what is no object, want %s", kind, want)
	}
	id, _ := object["rule"].(string)
	if rule := p.Rule(id); rule != nil && rule.Kind == kind {
		return rule, nil
	}
	return nil, fmt.Errorf("a %s rule yielded something whose rule is %q, which is the custom.id of none of them", kind, id)
}

func readViolation(result any) (Violation, error) {
	var v Violation
	for key, value := range result.(map[string]any) {
		text, ok := value.(string)
		if !ok {
			return v, fmt.Errorf("%s of a violation is no string", key)
		}
		switch key {
		case "rule":
		case "field":
			v.Field = text
		case "message":
			v.Message = text
		case "fix":
			v.Fix = text
		default:
			return v, fmt.Errorf("a violation has rule, field, message and fix, but no %q", key)
		}
	}
	if v.Message == "" {
		return v, errors.New("a violation has no message")
	}
	return v, nil
}

// readEffect takes the lines of the rule effect, none where there is no such rule or it is undefined.
func readEffect(results rego.Vars) ([]string, error) {
	list, _ := results[effectRule].([]any)
	var lines []string
	for _, element := range list {
		line, ok := element.(string)
		if !ok {
			return nil, fmt.Errorf("rule %q yielded a line that is no string", effectRule)
		}
		lines = append(lines, line)
	}
	return lines, nil
}

func readPatch(result any) ([]PatchOperation, error) {
	object := result.(map[string]any)
	for key := range object {
		if key != "rule" && key != "patch" {
			return nil, fmt.Errorf("a mutation has rule and patch, but no %q", key)
		}
	}
	text, err := json.Marshal(object["patch"])
	if err != nil {
		return nil, err
	}
	var patch []PatchOperation
	if err := json.Unmarshal(text, &patch); err != nil {
		return nil, fmt.Errorf("patch is no JSON Patch: %w", err)
	}
	for i, operation := range patch {
		if !slices.Contains([]string{"add", "remove", "replace", "move", "copy", "test"}, operation.Op) {
			return nil, fmt.Errorf("patch[%d].op is %q", i, operation.Op)
		}
	}
	return patch, nil
}
