// Package reference tells people what a bundle's policies are: all of it is read from the catalogue and its examples,
// nothing is written twice. It gives a document, and prints it as text, Markdown, JSON or YAML.
package reference

import (
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"github.com/mozilla-iam/eksguard/internal/examples"
	"github.com/mozilla-iam/eksguard/internal/policy"
)

// Reference is what there is to know of some policies. Its JSON is the output of eksguard policies -o json.
type Reference struct {
	// Revision is the snapshot's.
	Revision string `json:"revision"`
	// Settings are those that all policies share.
	Settings []Setting `json:"settings"`
	Policies []Policy  `json:"policies"`
	// Overlaid is whether the values of the settings are not those of the bundle alone.
	Overlaid bool `json:"-"`

	// oneRule is whether only a rule was asked for, and not its policy.
	oneRule bool
}

// Policy is one policy.
type Policy struct {
	Name            string                                       `json:"name"`
	Title           string                                       `json:"title"`
	Description     string                                       `json:"description,omitempty"`
	FailurePolicy   admissionregistrationv1.FailurePolicyType    `json:"failurePolicy"`
	Match           []admissionregistrationv1.RuleWithOperations `json:"match"`
	MatchConditions []admissionregistrationv1.MatchCondition     `json:"matchConditions,omitempty"`
	Needs           []policy.Need                                `json:"needs,omitempty"`
	Settings        []Setting                                    `json:"settings,omitempty"`
	Rules           []Rule                                       `json:"rules"`
}

// Rule is one rule of a policy.
type Rule struct {
	// ID is <policy>/<rule>.
	ID          string          `json:"id"`
	Kind        policy.RuleKind `json:"kind"`
	Title       string          `json:"title"`
	Description string          `json:"description,omitempty"`
	Severity    string          `json:"severity"`
	// Enforcement is what the settings make of what the rule finds.
	Enforcement policy.Action `json:"enforcement"`
	// Off is true where the settings turn the rule off.
	Off      bool      `json:"off,omitempty"`
	Fix      string    `json:"fix,omitempty"`
	Examples []Example `json:"examples,omitempty"`
}

// Example is an example of a rule and what the engine answers.
type Example struct {
	// Name is violates, mutates or passes.
	Name    string           `json:"name"`
	Request examples.Example `json:"request"`
	// Answer are the violations as a user sees them.
	Answer []string `json:"answer,omitempty"`
	// Patch are the operations that a mutate rule answers with.
	Patch []policy.PatchOperation `json:"patch,omitempty"`
	// HeldBack is the match condition because of which the API server does not ask; empty if it does.
	HeldBack string `json:"heldBack,omitempty"`
	// Error tells why the example is not what its name says; empty if it is.
	Error string `json:"error,omitempty"`
}

// New makes the reference of a snapshot's policies with what became of their examples; those that could not be read are
// left out.
func New(s *policy.Snapshot, outcomes []examples.Outcome) (*Reference, error) {
	settings, err := s.Settings()
	if err != nil {
		return nil, err
	}
	r := &Reference{Revision: s.Revision(), Settings: shared(settings)}
	for _, p := range s.Policies() {
		described := Policy{
			Name: p.Name, Title: p.Title, Description: p.Description, FailurePolicy: p.FailurePolicy,
			Match: p.Match, MatchConditions: p.MatchConditions, Needs: p.Needs,
			Settings: flatten(p.Package, p.Settings, settings[p.Package]),
		}
		for i := range p.Rules {
			described.Rules = append(described.Rules, describe(s, p, &p.Rules[i], outcomes))
		}
		r.Policies = append(r.Policies, described)
	}
	return r, nil
}

func describe(s *policy.Snapshot, p *policy.Policy, rule *policy.Rule, outcomes []examples.Outcome) Rule {
	described := Rule{
		ID: p.Name + "/" + rule.ID, Kind: rule.Kind, Title: rule.Title, Description: rule.Description,
		Severity: rule.Severity, Enforcement: s.Action(p, rule), Off: rule.Off, Fix: rule.Fix,
	}
	for i := range outcomes {
		o := &outcomes[i]
		if o.Policy.Name != p.Name || o.Rule.ID != rule.ID || o.Example == nil {
			continue
		}
		example := Example{Name: o.Name, Request: *o.Example, HeldBack: o.HeldBack}
		if o.Err != nil {
			example.Error = o.Err.Error()
		}
		for j := range o.Decision.Violations {
			example.Answer = append(example.Answer, o.Decision.Violations[j].String())
		}
		for j := range o.Decision.Mutations {
			example.Patch = append(example.Patch, o.Decision.Mutations[j].Patch...)
		}
		described.Examples = append(described.Examples, example)
	}
	return described
}

// Only leaves of the reference one policy, with the settings of its own, and one of its rules unless rule is empty.
func (r *Reference) Only(name, rule string) {
	r.Settings, r.oneRule = nil, rule != ""
	r.Policies = slices.DeleteFunc(r.Policies, func(p Policy) bool { return p.Name != name })
	for i := range r.Policies {
		p := &r.Policies[i]
		p.Rules = slices.DeleteFunc(p.Rules, func(described Rule) bool {
			return rule != "" && described.ID != name+"/"+rule
		})
	}
}
