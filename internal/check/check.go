// Package check tells whether a bundle is fit to be served: more than loading it asks for, since an author has time for
// it and a webhook that starts has not. It takes a parsed bundle and returns what is wrong with it, each with its
// place; it changes nothing and reads nothing else.
package check

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"

	"github.com/mozilla-iam/eksguard/internal/examples"
	"github.com/mozilla-iam/eksguard/internal/openapi"
	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/internal/prefilter"
)

// The names of the checks, as findings bear them.
const (
	// Contract: the bundle compiles strictly, and keeps the contract of a policy and of its settings (docs/authoring.md).
	Contract = "contract"
	// Roots: the bundle owns what lies below eksguard, and nothing else.
	Roots = "roots"
	// Types: what rules read of input, settings and cluster state can be there.
	Types = "types"
	// Conditions: match conditions compile.
	Conditions = "conditions"
	// Examples: each rule has examples in its METADATA, and answers them as they say.
	Examples = "examples"
	// Prefilter: match conditions hold back nothing that a rule objects to.
	Prefilter = "prefilter"
)

// Options say what a bundle is checked with.
type Options struct {
	// Settings are laid over those of the bundle; nil is none.
	Settings map[string]any
	// Schemas are what is known of the kinds of objects.
	Schemas *openapi.Schemas
	// Reviews are serialized AdmissionReviews to try the match conditions with, besides the bundle's own examples.
	Reviews [][]byte
}

// Finding is one thing that is wrong.
type Finding struct {
	// File and Line are where it is; the line is 0 where it concerns the whole file, the file "" where it concerns the
	// bundle.
	File    string `json:"file"`
	Line    int    `json:"line"`
	Check   string `json:"check"`
	Message string `json:"message"`
}

// String is the finding on one line, or on several where its message has them: file:line: [check] message.
func (f Finding) String() string {
	switch {
	case f.File == "":
		return fmt.Sprintf("[%s] %s", f.Check, f.Message)
	case f.Line == 0:
		return fmt.Sprintf("%s: [%s] %s", f.File, f.Check, f.Message)
	default:
		return fmt.Sprintf("%s:%d: [%s] %s", f.File, f.Line, f.Check, f.Message)
	}
}

// Report is what was checked and what was found.
type Report struct {
	// Findings are sorted by file and line. None is never null.
	Findings []Finding `json:"findings"`
	// Policies, Rules, Modules and Bytes count what the bundle holds, tests aside. They are 0 where it cannot be loaded.
	Policies int `json:"policies"`
	Rules    int `json:"rules"`
	Modules  int `json:"modules"`
	Bytes    int `json:"bytes"`
	// Tried counts the requests that the match conditions were tried with.
	Tried int `json:"tried"`
}

// Check checks a bundle. It goes on after a finding as far as that makes sense. An error is one of the check itself.
func Check(ctx context.Context, b *bundle.Bundle, o Options) (*Report, error) {
	r := &Report{Findings: checkRoots(b)}
	snapshot, err := policy.NewSnapshot(ctx, b, o.Settings)
	if err != nil {
		r.Findings = append(r.Findings, Broken(err)...)
		r.sort()
		return r, nil
	}
	r.count(b, snapshot)
	r.Findings = append(r.Findings, types(b, snapshot.Policies(), o.Schemas)...)
	faults := conditions(b, snapshot.Policies())
	r.Findings = append(r.Findings, faults...)
	reviews, findings, err := tryExamples(ctx, b)
	if err != nil {
		return nil, err
	}
	r.Findings = append(r.Findings, findings...)
	if len(faults) > 0 {
		r.sort()
		return r, nil // what does not compile cannot be tried
	}
	reviews = slices.Concat(o.Reviews, reviews)
	broken, tried, err := prefilter.Property(ctx, snapshot, policy.StaticState{}, reviews, variants(len(reviews)))
	if err != nil {
		return nil, err
	}
	for _, n := range tried.HeldBack {
		r.Tried += n
	}
	for _, n := range tried.Sent {
		r.Tried += n
	}
	for i := range broken {
		r.Findings = append(r.Findings, prefilterFinding(b, snapshot, &broken[i]))
	}
	r.sort()
	return r, nil
}

func (r *Report) count(b *bundle.Bundle, snapshot *policy.Snapshot) {
	for i := range b.Modules {
		if !policy.IsTest(&b.Modules[i]) {
			r.Modules++
			r.Bytes += len(b.Modules[i].Raw)
		}
	}
	for _, p := range snapshot.Policies() {
		r.Policies++
		r.Rules += len(p.Rules)
	}
}

func (r *Report) sort() {
	slices.SortFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Check, b.Check),
			cmp.Compare(a.Message, b.Message))
	})
	r.Findings = slices.Compact(r.Findings)
	if r.Findings == nil {
		r.Findings = []Finding{}
	}
}

// ownRoots are what a bundle may own: docs/bundles.md.
var ownRoots = []string{"eksguard", "eksguard_settings", "system/log"}

// checkRoots wants what the bundle owns to be eksguard's. A manifest without roots is given them when the bundle is
// built.
func checkRoots(b *bundle.Bundle) (findings []Finding) {
	if b.Manifest.Roots == nil {
		return nil
	}
	for _, root := range *b.Manifest.Roots {
		isBelow := func(own string) bool { return root == own || strings.HasPrefix(root, own+"/") }
		if root != "" && !slices.ContainsFunc(ownRoots, isBelow) {
			findings = append(findings, Finding{File: ".manifest", Check: Roots,
				Message: fmt.Sprintf("roots: %q: want %q, or what is below it", root, "eksguard")})
		}
	}
	return findings
}

// Broken makes findings of an error of loading or compiling a bundle: one of each fault that it joins.
func Broken(err error) (findings []Finding) {
	var compile ast.Errors
	var joined interface{ Unwrap() []error }
	switch {
	case errors.As(err, &compile):
		for _, fault := range compile {
			findings = append(findings, compileFinding(fault))
		}
	case errors.As(err, &joined):
		for _, fault := range joined.Unwrap() {
			findings = append(findings, Broken(fault)...)
		}
	default:
		findings = append(findings, located(Contract, err.Error()))
	}
	return slices.Compact(findings)
}

func compileFinding(fault *ast.Error) Finding {
	f := Finding{Check: Contract, Message: fault.Message}
	if name, undefined := strings.CutPrefix(fault.Message, "undefined function "); undefined && ast.BuiltinMap[name] != nil {
		f.Message = fmt.Sprintf("%s: no rule may call it: its result is not a function of its arguments (network, environment, "+
			"clock, randomness); what of the cluster a rule needs comes by needs", name)
	}
	if fault.Location != nil {
		f.File, f.Line = fault.Location.File, fault.Location.Row
	}
	return f
}

var placed = regexp.MustCompile(`(?s)^([^:\n]+\.(?:rego|json|yaml)):(\d+): (.*)$`)

// located takes the place out of a message that begins with one.
func located(check, message string) Finding {
	f := Finding{Check: check, Message: message}
	if m := placed.FindStringSubmatch(message); m != nil {
		f.File, f.Message = m[1], m[3]
		f.Line, _ = strconv.Atoi(m[2])
	}
	return f
}

// variants is how often each of so many reviews is tried: often where there are few, so that the check takes seconds
// whatever the number.
func variants(reviews int) int {
	const all, least = 400, 20
	return max(least, all/max(1, reviews))
}

// tryExamples runs the examples in METADATA, and gives their AdmissionReviews.
func tryExamples(ctx context.Context, b *bundle.Bundle) (reviews [][]byte, findings []Finding, err error) {
	outcomes, err := examples.Run(ctx, examples.Of(b))
	if err != nil {
		return nil, nil, err
	}
	for i := range outcomes {
		if outcomes[i].Err != nil {
			for _, f := range Broken(outcomes[i].Err) {
				f.Check = Examples
				findings = append(findings, f)
			}
		}
		if outcomes[i].Review == nil {
			continue
		}
		review, err := json.Marshal(outcomes[i].Review)
		if err != nil {
			return nil, nil, err
		}
		reviews = append(reviews, review)
	}
	return reviews, findings, nil
}

// conditions finds the match conditions that do not compile.
func conditions(b *bundle.Bundle, policies []*policy.Policy) (findings []Finding) {
	compiler := prefilter.NewCompiler()
	for _, p := range policies {
		for _, fault := range compiler.Faults(p.MatchConditions) {
			name := p.MatchConditions[fault.Index].Name
			f := conditionFinding(b, p, name)
			f.Check = Conditions
			f.Message = fmt.Sprintf("policy %q: metadata custom.matchConditions[%d]: condition %q: %v",
				p.Name, fault.Index, name, fault.Err)
			findings = append(findings, f)
		}
	}
	return findings
}

// conditionFinding is placed where the condition of that name stands in METADATA.
func conditionFinding(b *bundle.Bundle, p *policy.Policy, name string) Finding {
	f := located("", p.Location+": ")
	for i := range b.Modules {
		if b.Modules[i].Path != f.File {
			continue
		}
		lines := strings.Split(string(b.Modules[i].Raw), "\n")
		for n := max(f.Line-1, 0); n < len(lines) && strings.HasPrefix(lines[n], "#"); n++ {
			if strings.Contains(lines[n], "name: "+name) || strings.Contains(lines[n], "name: \""+name) {
				f.Line = n + 1
				return f
			}
		}
	}
	return f
}

func prefilterFinding(b *bundle.Bundle, snapshot *policy.Snapshot, broken *prefilter.Broken) Finding {
	f := conditionFinding(b, snapshot.Policy(broken.Policy), broken.Condition)
	f.Check = Prefilter
	if broken.Condition == "" {
		f.Message = fmt.Sprintf("policy %q: a match condition cannot be evaluated: %s\nfor the AdmissionReview %s",
			broken.Policy, broken.Finding, broken.Review)
		return f
	}
	f.Message = fmt.Sprintf("policy %q: match condition %q is false, and would hold back a request that the policy objects "+
		"to: %s\nfor the AdmissionReview %s", broken.Policy, broken.Condition, broken.Finding, broken.Review)
	return f
}
