// Package policy decides. A decision is a function of the request (an AdmissionReview), the snapshot (a compiled bundle
// with its settings), the cluster state and the time, and of nothing else: the package does no I/O of its own, keeps no
// record, and tells no one. It knows OPA; it knows neither HTTP nor a Kubernetes client.
package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync/atomic"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Engine answers requests by the snapshot that it holds at the moment. Its methods may be called by any number of
// goroutines.
type Engine struct {
	state    State
	snapshot atomic.Pointer[Snapshot]
}

// NewEngine makes an engine that decides by snapshot until Swap gives it another.
func NewEngine(snapshot *Snapshot, state State) *Engine {
	e := &Engine{state: state}
	e.snapshot.Store(snapshot)
	return e
}

// Snapshot is the one that decides now.
func (e *Engine) Snapshot() *Snapshot { return e.snapshot.Load() }

// Swap makes snapshot the one that decides from now on. Decisions under way end by the one that they began with.
func (e *Engine) Swap(snapshot *Snapshot) { e.snapshot.Store(snapshot) }

// Decide answers a request: it asks every policy that matches it (or the one that it names, if that matches), finds all
// violations, and applies enforcement actions and exceptions. It ends when ctx does, with a Fault for each policy that
// was not done.
func (e *Engine) Decide(ctx context.Context, r *Request) Decision {
	s := e.snapshot.Load()
	now := r.Time
	if now.IsZero() {
		now = time.Now()
	}
	d := Decision{Allowed: true, Revision: s.revision}
	for _, p := range s.policies {
		query := p.query(r.Phase)
		if query == nil || (r.Policy != "" && r.Policy != p.Name) || !p.matches(r) {
			continue
		}
		d.Policies = append(d.Policies, p.Name)
		if err := e.ask(ctx, s, p.Policy, query, r, now, &d); err != nil {
			d.Faults = append(d.Faults, Fault{
				Policy: p.Name,
				Denies: p.FailurePolicy != admissionregistrationv1.Ignore,
				Err:    err,
			})
		}
	}
	d.settle()
	return d
}

// ask adds what one policy finds. What it adds before it fails stays: a violation that was found is one.
func (e *Engine) ask(ctx context.Context, s *Snapshot, p *Policy, query *rego.PreparedEvalQuery, r *Request,
	now time.Time, d *Decision) error {
	found, err := e.evaluate(ctx, p, query, r)
	if err != nil {
		return err
	}
	for _, kind := range ruleKinds {
		results, _ := found[string(kind)].([]any)
		for _, result := range results {
			rule, err := ruleOf(p, kind, result)
			if err != nil {
				return err
			}
			action, exception := s.settings.action(p, rule), s.settings.exception(r, p, rule, now)
			if kind == MutateRule {
				patch, err := readPatch(result)
				if err != nil {
					return fmt.Errorf("%s: rule %q: %w", rule.Location, rule.ID, err)
				}
				d.Mutations = append(d.Mutations, Mutation{
					Policy: p.Name, Rule: rule.ID, Action: action, Patch: patch, Exception: exception})
				continue
			}
			violation, err := readViolation(result)
			if err != nil {
				return fmt.Errorf("%s: rule %q: %w", rule.Location, rule.ID, err)
			}
			violation.Policy, violation.Rule, violation.Severity = p.Name, rule.ID, rule.Severity
			violation.Action, violation.Exception = action, exception
			if violation.Fix == "" {
				violation.Fix = rule.Fix
			}
			d.Violations = append(d.Violations, violation)
		}
	}
	return nil
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

func (e *Engine) evaluate(ctx context.Context, p *Policy, query *rego.PreparedEvalQuery, r *Request) (rego.Vars, error) {
	view, err := newView(ctx, e.state, p, r)
	if err != nil {
		return nil, err
	}
	cancel := topdown.NewCancel()
	stop := context.AfterFunc(ctx, cancel.Cancel)
	defer stop()
	results, err := query.Eval(ctx,
		rego.EvalParsedInput(r.input),
		rego.EvalTransaction(transaction{view: view}),
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
	object, _ := result.(map[string]any)
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
