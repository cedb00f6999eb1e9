// Package examples runs the examples that the METADATA of a bundle's rules hold (custom.examples, docs/authoring.md)
// through the whole engine: match rules, match conditions, mutations, decision. It takes a bundle in the form of its
// snapshots and returns what became of each example; it reads no files and prints nothing.
package examples

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/bundle"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mozilla-iam/eksguard/internal/manifest"
	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/internal/prefilter"
	"github.com/mozilla-iam/eksguard/internal/review"
)

// Snapshots makes a snapshot of the bundle whose examples are run, with settings, nil for none, laid over the bundle's.
type Snapshots func(ctx context.Context, settings map[string]any) (*policy.Snapshot, error)

// Of makes snapshots of a bundle.
func Of(b *bundle.Bundle) Snapshots {
	return (&policy.Snapshots{Bundle: b}).New
}

// Outcome is what became of one example of a rule.
type Outcome struct {
	Policy *policy.Policy
	Rule   *policy.Rule
	// Name is Violates, Mutates or Passes; it is empty where the examples of the rule cannot be read.
	Name string
	// Example is nil where it cannot be read.
	Example *Example
	// Review is what the API server would send.
	Review *admissionv1.AdmissionReview
	// HeldBack is the name of the match condition that keeps the request in the API server, empty where none does.
	HeldBack string
	// Decision is the policy's on the request.
	Decision policy.Decision
	// Err tells why the example is not what its name says, or cannot be run, with file and line. It is nil if all is well.
	Err error
}

// ID names the example: <policy>/<rule>/<name>.
func (o *Outcome) ID() string {
	return strings.TrimSuffix(fmt.Sprintf("%s/%s/%s", o.Policy.Name, o.Rule.ID, o.Name), "/")
}

// Run runs all examples of the policies with these names, or of all policies where none is named, in the order of
// policies, rules and Names. A rule without an example is an outcome with an error. An error of Run itself means that the
// bundle is broken or that ctx ended.
func Run(ctx context.Context, snapshots Snapshots, policies ...string) ([]Outcome, error) {
	base, err := snapshots(ctx, nil)
	if err != nil {
		return nil, err
	}
	r := runner{snapshots: snapshots, compiler: prefilter.NewCompiler(), known: map[string]*world{}}
	var outcomes []Outcome
	for _, p := range base.Policies() {
		if len(policies) > 0 && !slices.Contains(policies, p.Name) {
			continue
		}
		for i := range p.Rules {
			outcomes = append(outcomes, r.rule(ctx, p, &p.Rules[i])...)
			if err := context.Cause(ctx); err != nil {
				return nil, err
			}
		}
	}
	return outcomes, nil
}

type runner struct {
	snapshots Snapshots
	compiler  *prefilter.Compiler
	// known is by the settings as JSON, for many examples have the same.
	known map[string]*world
	// states counts the cluster states that there have been.
	states uint64
}

// world is a snapshot with its compiled match conditions, by policy.
type world struct {
	*policy.Snapshot
	conditions map[string]*prefilter.Conditions
}

func (r *runner) rule(ctx context.Context, p *policy.Policy, rule *policy.Rule) (outcomes []Outcome) {
	examples, err := Read(rule)
	if err != nil {
		outcomes = append(outcomes, Outcome{Policy: p, Rule: rule, Err: err})
	}
	for _, name := range Names(rule.Kind) {
		if examples[name] == nil {
			continue
		}
		o := Outcome{Policy: p, Rule: rule, Name: name, Example: examples[name]}
		if err := r.run(ctx, &o); err != nil {
			o.Err = fmt.Errorf("%s: rule %q: metadata custom.examples.%s%w", rule.Location, rule.ID, name, err)
		}
		outcomes = append(outcomes, o)
	}
	return outcomes
}

// run asks about the example and judges the answer. Its error goes on where the example's own path ends.
func (r *runner) run(ctx context.Context, o *Outcome) error {
	world, err := r.world(ctx, o.Example.Settings)
	if err != nil {
		return fmt.Errorf(".settings: %w", err)
	}
	// The same bundle has the same policies whatever the settings, but they may match something else, and a rule be off.
	p := world.Policy(o.Policy.Name)
	if p.Rule(o.Rule.ID).Off {
		return errors.New(": the rule is off: turn it on in the example's settings")
	}
	kinds := review.NewKinds(o.Example.documents())
	document, err := o.Example.document(p, kinds)
	if err != nil {
		return err
	}
	static, err := policy.NewStaticState(document)
	if err != nil {
		return fmt.Errorf(".cluster: %w", err)
	}
	r.states++
	if o.Review, err = o.Example.review(kinds); err != nil {
		return fmt.Errorf(": %w", err)
	}
	request, err := policy.NewRequest(o.Review)
	if err != nil {
		return fmt.Errorf(": %w", err)
	}
	if !p.Matches(request) {
		return fmt.Errorf(": the policy's match does not cover a %s of %s", request.Operation, written(request))
	}
	if o.HeldBack, err = r.conditions(world, p.Name).Match(ctx, o.Review); err != nil {
		return fmt.Errorf(": the match conditions fail: %w", err)
	}
	engine := policy.NewEngine(world.Snapshot, state{static, r.states})
	if o.Decision, err = review.Decide(ctx, engine, o.Review.DeepCopy()); err != nil {
		return fmt.Errorf(": %w", err)
	}
	leaveOut(&o.Decision, p.Name)
	return o.judge()
}

// leaveOut takes what other policies say out of a decision: they were told nothing of the cluster.
func leaveOut(d *policy.Decision, keep string) {
	d.Violations = slices.DeleteFunc(d.Violations, func(v policy.Violation) bool { return v.Policy != keep })
	d.Mutations = slices.DeleteFunc(d.Mutations, func(m policy.Mutation) bool { return m.Policy != keep })
	d.Faults = slices.DeleteFunc(d.Faults, func(f policy.Fault) bool { return f.Policy != keep })
}

// judge compares what the example promises with what came of it.
func (o *Outcome) judge() error {
	if len(o.Decision.Faults) > 0 {
		return fmt.Errorf(": %w", o.Decision.Faults[0].Err)
	}
	found := o.found()
	if len(found) > 0 && o.HeldBack != "" {
		return fmt.Errorf(": match condition %q is false, though the policy finds %s: a condition may hold back only what "+
			"no rule cares about", o.HeldBack, strings.Join(found, ", "))
	}
	switch {
	case o.Name == Passes && len(found) > 0:
		return fmt.Errorf(": it does not pass, but finds %s", strings.Join(found, ", "))
	case o.Name != Passes && o.HeldBack != "":
		return fmt.Errorf(": match condition %q is false, so that the policy is not asked", o.HeldBack)
	case o.Name != Passes && !slices.Equal(found, []string{o.Rule.ID}):
		return fmt.Errorf(": want rule %q and no other of the policy to answer, not %s", o.Rule.ID, orNone(found))
	default:
		return nil
	}
}

// found are the ids of the rules that have something to say, each once, sorted.
func (o *Outcome) found() (ids []string) {
	for i := range o.Decision.Violations {
		ids = append(ids, o.Decision.Violations[i].Rule)
	}
	for i := range o.Decision.Mutations {
		ids = append(ids, o.Decision.Mutations[i].Rule)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func orNone(ids []string) string {
	if len(ids) == 0 {
		return "none"
	}
	return strings.Join(ids, ", ")
}

// written is what the request is about, as match rules name it.
func written(r *policy.Request) string {
	resource := r.Resource.Resource
	if r.SubResource != "" {
		resource += "/" + r.SubResource
	}
	if r.Resource.Group == "" {
		return fmt.Sprintf("%s in %s", resource, r.Resource.Version)
	}
	return fmt.Sprintf("%s in %s/%s", resource, r.Resource.Group, r.Resource.Version)
}

func (r *runner) world(ctx context.Context, settings map[string]any) (*world, error) {
	key, err := json.Marshal(settings)
	if err != nil {
		return nil, err
	}
	if w := r.known[string(key)]; w != nil {
		return w, nil
	}
	snapshot, err := r.snapshots(ctx, settings)
	if err != nil {
		return nil, err
	}
	w := &world{snapshot, map[string]*prefilter.Conditions{}}
	r.known[string(key)] = w
	return w, nil
}

// conditions are those of a policy, with the settings of a world.
func (r *runner) conditions(w *world, name string) *prefilter.Conditions {
	if w.conditions[name] == nil {
		p := w.Policy(name)
		w.conditions[name] = r.compiler.Compile(name, p.MatchConditions, p.FailurePolicy)
	}
	return w.conditions[name]
}

// documents are all manifests of the example: a CustomResourceDefinition among them tells what its kind is called.
func (e *Example) documents() (documents []manifest.Document) {
	for _, object := range append([]map[string]any{e.Object, e.OldObject}, e.Cluster...) {
		if object != nil {
			documents = append(documents, manifest.Document{Object: &unstructured.Unstructured{Object: object}})
		}
	}
	return documents
}

// review is what the API server would send of the request.
func (e *Example) review(kinds *review.Kinds) (*admissionv1.AdmissionReview, error) {
	resource, err := e.resource()
	if err != nil {
		return nil, err
	}
	object := func(content map[string]any) *unstructured.Unstructured {
		if content == nil {
			return nil
		}
		return &unstructured.Unstructured{Object: content}
	}
	author := review.User(e.User, e.Groups)
	for key, values := range e.Extra {
		if author.Extra == nil {
			author.Extra = map[string]authenticationv1.ExtraValue{}
		}
		author.Extra[key] = values
	}
	return kinds.Review(review.Write{
		UID: "example", Operation: e.Operation, Object: object(e.Object), OldObject: object(e.OldObject),
		Resource: resource, SubResource: e.Subresource, Namespace: e.Namespace, Name: e.Name,
		User: author,
	})
}
