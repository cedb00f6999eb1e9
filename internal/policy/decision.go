package policy

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Decision is the answer to a Request. It is a value: an error of the evaluator is in it as a Fault, and whether that
// denies has been decided by the policy's failure policy.
type Decision struct {
	// Allowed is false if a violation with the action deny, that no exception covers, was found, or a policy whose
	// failure policy is Fail could not be evaluated.
	Allowed bool
	// Revision is the snapshot's that decided.
	Revision string
	// Policies are the names of the policies that were asked.
	Policies []string
	// Violations are all that were found, whatever they lead to, sorted by policy, rule, field and message.
	Violations []Violation
	// Effects tell, once for each policy whose deny rules found something and that can tell it, what the change does.
	Effects []Effect
	// Mutations are the rules that changed the object or would have, sorted by policy and rule.
	Mutations []Mutation
	// Patch is the JSON Patch (RFC 6902) of the mutations that apply.
	Patch []PatchOperation
	// Faults are the policies that could not be evaluated.
	Faults []Fault
}

// Clean tells whether nothing was found, and every policy could be evaluated.
func (d *Decision) Clean() bool {
	return d.Allowed && len(d.Violations) == 0 && len(d.Faults) == 0 && len(d.Mutations) == 0
}

// Violation is one finding of a deny or warn rule.
type Violation struct {
	Policy   string `json:"policy"`
	Rule     string `json:"rule"`
	Severity string `json:"severity"`
	// Action is what the settings make of it.
	Action Action `json:"action"`
	// Field is the path of the offending field, as kubectl would print it.
	Field   string `json:"field"`
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
	// Exception is the one that covers it, nil if it counts.
	Exception *Exception `json:"exception,omitempty"`
}

// Effect is what a change does in the terms of those whom it concerns, as a policy tells it.
type Effect struct {
	Policy string `json:"policy"`
	// Lines are short and few, like those of a diff.
	Lines []string `json:"lines"`
}

// String is the effect as a person reads it, below the violations.
func (e *Effect) String() string { return "Effect:\n" + strings.Join(e.Lines, "\n") }

// ID is the stable id of the rule: <policy>/<rule>.
func (v *Violation) ID() string { return v.Policy + "/" + v.Rule }

// Denies tells whether the violation by itself makes the decision a denial.
func (v *Violation) Denies() bool { return v.Action == ActionDeny && v.Exception == nil }

// Warns tells whether the user is to be warned of the violation, which does not deny.
func (v *Violation) Warns() bool { return v.Action == ActionWarn && v.Exception == nil }

// String is the violation as a person reads it: `[iam-role/naming] metadata.annotations[…]: … Fix: ….`
func (v *Violation) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "[%s] ", v.ID())
	if v.Field != "" {
		fmt.Fprintf(&text, "%s: ", v.Field)
	}
	text.WriteString(sentence(v.Message))
	if v.Fix != "" {
		text.WriteString(" Fix: " + sentence(v.Fix))
	}
	return text.String()
}

func sentence(s string) string {
	s = strings.TrimSpace(s)
	if s == "" || strings.HasSuffix(s, ".") || strings.HasSuffix(s, "?") {
		return s
	}
	return s + "."
}

// Mutation is one finding of a mutate rule.
type Mutation struct {
	Policy string `json:"policy"`
	Rule   string `json:"rule"`
	// Action is what the settings make of it: deny, the default, applies the patch; warn and dryrun do not.
	Action    Action           `json:"action"`
	Patch     []PatchOperation `json:"patch"`
	Exception *Exception       `json:"exception,omitempty"`
}

// Applies tells whether the patch is part of the decision.
func (m *Mutation) Applies() bool { return m.Action == ActionDeny && m.Exception == nil }

// PatchOperation is one operation of a JSON Patch (RFC 6902).
type PatchOperation struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	From  string          `json:"from,omitempty"`
	Value json.RawMessage `json:"value,omitempty"`
}

// Fault says that a policy could not be evaluated.
type Fault struct {
	Policy string
	// Denies is whether the policy's failure policy makes a denial of it.
	Denies bool
	Err    error
}

func (f *Fault) Error() string { return fmt.Sprintf("policy %q: %v", f.Policy, f.Err) }

// Unwrap gives the cause.
func (f *Fault) Unwrap() error { return f.Err }
