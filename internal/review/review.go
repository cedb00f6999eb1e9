// Package review judges manifests by the same engine as the webhook, without a cluster: it makes of each object the
// AdmissionReview that the API server would send, asks the mutating rules and then the others, as the API server does,
// and reports. It reads no files and writes nothing but the report.
package review

import (
	"context"
	"encoding/json"
	"fmt"

	jsonpatch "gopkg.in/evanphx/json-patch.v4" // the API server's own
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/mozilla-iam/eksguard/internal/manifest"
	"github.com/mozilla-iam/eksguard/internal/policy"
)

// Input is what is judged.
type Input struct {
	// Objects are what is to be applied.
	Objects []manifest.Document
	// Partial says that not all of Objects could be read, so that nothing can be said to be gone.
	Partial bool
	// Old is what is there before, as far as it is to be updated or deleted.
	Old []manifest.Document
	// Namespaces are the cluster's. Those among Objects and Old are known besides; what is in Objects counts most, for
	// kubectl and Flux apply Namespaces before what is in them.
	Namespaces []manifest.Document
	// User is who applies; see User.
	User authenticationv1.UserInfo
}

// Review judges all of it by one snapshot, in the order of the input and then of what is deleted. An error means that
// ctx ended; that an object is denied or a policy could not be evaluated is part of the report.
func Review(ctx context.Context, snapshot *policy.Snapshot, in Input) (*Report, error) {
	subjects, err := Subjects(in)
	if err != nil {
		return nil, err
	}
	state, err := newState(snapshot, in.Old, in.Namespaces, in.Objects)
	if err != nil {
		return nil, err
	}
	engine := policy.NewEngine(snapshot, state)
	report := NewReport(snapshot.Revision())
	for _, subject := range subjects {
		decision, err := Decide(ctx, engine, subject.Review)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", subject.Document.Location(), err)
		}
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		report.Add(subject, decision)
	}
	report.Notes = append(report.Notes, state.notes()...)
	if in.Partial && len(in.Old) > 0 {
		report.Notes = append(report.Notes, "deletions not judged, as not all that is new could be read")
	}
	return report, nil
}

// Decide asks as the API server asks: one mutating policy after the other, each about what the one before it left, and
// then all for their verdict on the outcome, which is left in review.
func Decide(ctx context.Context, engine *policy.Engine, review *admissionv1.AdmissionReview) (policy.Decision, error) {
	var mutations []policy.Mutation
	var faults []policy.Fault
	request, err := policy.NewRequest(review)
	if err != nil {
		return policy.Decision{}, err
	}
	for _, p := range engine.Snapshot().Policies() {
		if !p.Has(policy.MutateRule) || request.Operation == admissionv1.Delete {
			continue
		}
		request.Phase, request.Policy = policy.Mutate, p.Name
		d := engine.Decide(ctx, request)
		mutations, faults = append(mutations, d.Mutations...), append(faults, d.Faults...)
		if len(d.Patch) == 0 {
			continue
		}
		mutated, err := apply(d.Patch, review.Request.Object.Raw)
		if err != nil {
			faults = append(faults, policy.Fault{
				Policy: p.Name, Denies: p.FailurePolicy != admissionregistrationv1.Ignore, Err: err})
			continue
		}
		review.Request.Object.Raw = mutated
		if request, err = policy.NewRequest(review); err != nil {
			return policy.Decision{}, err
		}
	}
	request.Phase, request.Policy = policy.Validate, ""
	d := engine.Decide(ctx, request)
	d.Mutations, d.Faults = mutations, append(faults, d.Faults...)
	for i := range d.Faults {
		d.Allowed = d.Allowed && !d.Faults[i].Denies
	}
	return d, nil
}

func apply(operations []policy.PatchOperation, object []byte) ([]byte, error) {
	text, err := json.Marshal(operations)
	if err != nil {
		return nil, fmt.Errorf("encode patch: %w", err)
	}
	patch, err := jsonpatch.DecodePatch(text)
	if err != nil {
		return nil, fmt.Errorf("decode patch: %w", err)
	}
	mutated, err := patch.Apply(object)
	if err != nil {
		return nil, fmt.Errorf("apply patch: %w", err)
	}
	return mutated, nil
}
