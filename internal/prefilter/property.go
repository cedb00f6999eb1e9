package prefilter

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/internal/variation"
)

// Broken is a policy whose match conditions hold back something that its rules object to, or cannot evaluate what they
// are meant for.
type Broken struct {
	Policy, Condition string
	// Review is the AdmissionReview that shows it, Finding what the policy makes of it.
	Review  []byte
	Finding string
}

// Tried counts, by policy, the variants of the reviews that its conditions held back and those that they let through.
type Tried struct{ HeldBack, Sent map[string]int }

// Property tries the reviews, each as it is and in that many variants less one, on the policies that match them:
// wherever a condition is false, the policy must yield nothing, and no condition may fail on a review as it was given.
// It gives the first failure of each policy, in the order of the policies; the same reviews give the same result.
func Property(ctx context.Context, snapshot *policy.Snapshot, state policy.State, reviews [][]byte,
	rounds int) ([]Broken, Tried, error) {
	engine := policy.NewEngine(snapshot, state)
	tried := Tried{HeldBack: map[string]int{}, Sent: map[string]int{}}
	var broken []Broken
	compiler := NewCompiler()
	for _, p := range snapshot.Policies() {
		filter := compiler.Compile(p.Name, p.MatchConditions, p.FailurePolicy)
		random := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // the variants are to be the same each time
		b, err := tryPolicy(ctx, engine, p, filter, reviews, rounds, random, &tried)
		if err != nil {
			return nil, tried, err
		}
		if b != nil {
			broken = append(broken, *b)
		}
	}
	return broken, tried, nil
}

func tryPolicy(ctx context.Context, engine *policy.Engine, p *policy.Policy, filter *Conditions, reviews [][]byte,
	rounds int, random *rand.Rand, tried *Tried) (*Broken, error) {
	for _, review := range reviews {
		request, err := policy.ParseRequest(review)
		if err != nil {
			return nil, err
		}
		if !p.Matches(request) {
			continue
		}
		for round := range rounds {
			body, err := variant(random, review, round)
			if err != nil {
				return nil, err
			}
			b, err := try(ctx, engine, p, filter, body, round == 0, tried)
			if b != nil || err != nil {
				return b, err
			}
		}
	}
	return nil, nil
}

// variant gives the review as it is in the first round, and with up to three changes later.
func variant(random *rand.Rand, text []byte, round int) ([]byte, error) {
	var review map[string]any
	if err := json.Unmarshal(text, &review); err != nil {
		return nil, err
	}
	request, _ := review["request"].(map[string]any)
	for range min(round, random.IntN(4)) {
		variation.Change(random, request["object"])
		variation.Change(random, request["oldObject"])
	}
	return json.Marshal(review)
}

func try(ctx context.Context, engine *policy.Engine, p *policy.Policy, filter *Conditions, body []byte, asGiven bool,
	tried *Tried) (*Broken, error) {
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(body, &review); err != nil {
		return nil, fmt.Errorf("AdmissionReview: %w", err)
	}
	condition, fault := filter.Match(ctx, &review)
	switch {
	case fault != nil && asGiven:
		return &Broken{Policy: p.Name, Review: body, Finding: fault.Error()}, nil
	case condition == "" || fault != nil: // then the failurePolicy decides
		tried.Sent[p.Name]++
		return nil, nil //nolint:nilerr // a condition that fails holds nothing back
	}
	tried.HeldBack[p.Name]++
	request, err := policy.ParseRequest(body)
	if err != nil {
		return nil, err
	}
	request.Policy = p.Name
	for _, request.Phase = range []policy.Phase{policy.Validate, policy.Mutate} {
		if d := engine.Decide(ctx, request); !d.Clean() {
			return &Broken{Policy: p.Name, Condition: condition, Review: body, Finding: describe(&d)}, nil
		}
	}
	return nil, nil
}

// describe tells the first thing that a decision found.
func describe(d *policy.Decision) string {
	switch {
	case len(d.Violations) > 0:
		v := &d.Violations[0]
		return fmt.Sprintf("rule %q finds %s: %s", v.Rule, v.Field, v.Message)
	case len(d.Mutations) > 0:
		return fmt.Sprintf("rule %q mutates", d.Mutations[0].Rule)
	default:
		return fmt.Sprintf("it cannot be evaluated: %v", d.Faults[0].Err)
	}
}
