package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ErrMalformed is wrapped by every error that says that bytes are no AdmissionReview which can be decided on.
var ErrMalformed = errors.New("malformed AdmissionReview")

// Phase says which of a policy's rules a request asks for.
type Phase int

const (
	// Validate asks the deny and warn rules.
	Validate Phase = iota
	// Mutate asks the mutate rules.
	Mutate
)

// String is the phase as it stands in the paths of the webhook and in metric labels.
func (p Phase) String() string {
	if p == Mutate {
		return "mutate"
	}
	return "validate"
}

// Request is one AdmissionReview, decoded once. Its fields are what dispatch, exceptions and telemetry need; the policies
// see the whole review. It is immutable after it was parsed but for Phase, Policy and Time, which the caller sets before
// it asks for a decision.
type Request struct {
	// Phase selects the rules; Validate is the zero value.
	Phase Phase
	// Policy, if it is not empty, asks that policy alone; otherwise every policy that matches is asked.
	Policy string
	// Time is when the request is judged: what the expiry of exceptions is compared with. Zero means now.
	Time time.Time

	UID         string
	Operation   admissionv1.Operation
	Kind        metav1.GroupVersionKind
	Resource    metav1.GroupVersionResource
	SubResource string
	Namespace   string
	// Name is the object's name; where the API server has yet to make one up, its generateName.
	Name string
	User string
	// DryRun is true where nothing will be persisted.
	DryRun bool

	input ast.Value
}

// ParseRequest decodes a serialized admission.k8s.io/v1 AdmissionReview. Its errors wrap ErrMalformed and say what is
// wrong with the bytes; they never quote the object, which may be a Secret.
func ParseRequest(body []byte) (*Request, error) {
	input, err := decodeJSON(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	review, ok := input.(ast.Object)
	if !ok {
		return nil, fmt.Errorf("%w: it is no JSON object", ErrMalformed)
	}
	if kind := stringAt(review, "kind"); kind != "AdmissionReview" {
		return nil, fmt.Errorf("%w: kind is %q, want %q", ErrMalformed, bounded(kind), "AdmissionReview")
	}
	if version := stringAt(review, "apiVersion"); version != admissionv1.SchemeGroupVersion.String() {
		return nil, fmt.Errorf("%w: apiVersion is %q, want %q", ErrMalformed, bounded(version), admissionv1.SchemeGroupVersion)
	}
	request, ok := valueAt(review, "request").(ast.Object)
	if !ok {
		return nil, fmt.Errorf("%w: request is missing", ErrMalformed)
	}
	r := &Request{
		input:       input,
		UID:         stringAt(request, "uid"),
		Operation:   admissionv1.Operation(stringAt(request, "operation")),
		SubResource: stringAt(request, "subResource"),
		Namespace:   stringAt(request, "namespace"),
		Name:        stringAt(request, "name"),
	}
	if r.UID == "" {
		return nil, fmt.Errorf("%w: request.uid is missing", ErrMalformed)
	}
	if kind, ok := valueAt(request, "kind").(ast.Object); ok {
		r.Kind = metav1.GroupVersionKind{
			Group: stringAt(kind, "group"), Version: stringAt(kind, "version"), Kind: stringAt(kind, "kind")}
	}
	if resource, ok := valueAt(request, "resource").(ast.Object); ok {
		r.Resource = metav1.GroupVersionResource{
			Group: stringAt(resource, "group"), Version: stringAt(resource, "version"), Resource: stringAt(resource, "resource")}
	}
	if r.Resource.Resource == "" {
		return nil, fmt.Errorf("%w: request.resource is missing", ErrMalformed)
	}
	if user, ok := valueAt(request, "userInfo").(ast.Object); ok {
		r.User = stringAt(user, "username")
	}
	if dryRun, ok := valueAt(request, "dryRun").(ast.Boolean); ok {
		r.DryRun = bool(dryRun)
	}
	return r, r.checkObjects(request)
}

// checkObjects makes sure that the objects which the operation promises are there, so that no policy takes a missing
// object for one with nothing in it.
func (r *Request) checkObjects(request ast.Object) error {
	object, hasObject := valueAt(request, "object").(ast.Object)
	oldObject, hasOld := valueAt(request, "oldObject").(ast.Object)
	switch r.Operation {
	case admissionv1.Create, admissionv1.Connect:
		if !hasObject && r.Operation == admissionv1.Create {
			return fmt.Errorf("%w: request.object is null in a CREATE", ErrMalformed)
		}
	case admissionv1.Update:
		if !hasObject || !hasOld {
			return fmt.Errorf("%w: request.object or request.oldObject is null in an UPDATE", ErrMalformed)
		}
	case admissionv1.Delete:
		if !hasOld {
			return fmt.Errorf("%w: request.oldObject is null in a DELETE", ErrMalformed)
		}
		object, hasObject = oldObject, true
	default:
		return fmt.Errorf("%w: request.operation is %q, want CREATE, UPDATE, DELETE or CONNECT",
			ErrMalformed, bounded(string(r.Operation)))
	}
	if r.Name == "" && hasObject {
		if metadata, ok := valueAt(object, "metadata").(ast.Object); ok {
			if r.Name = stringAt(metadata, "name"); r.Name == "" {
				r.Name = stringAt(metadata, "generateName")
			}
		}
	}
	return nil
}

// NewRequest makes a Request of a review that did not come over the wire.
func NewRequest(review *admissionv1.AdmissionReview) (*Request, error) {
	body, err := json.Marshal(review)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return ParseRequest(body)
}

func valueAt(object ast.Object, key string) ast.Value {
	if term := object.Get(ast.InternedTerm(key)); term != nil {
		return term.Value
	}
	return nil
}

func stringAt(object ast.Object, key string) string {
	s, _ := valueAt(object, key).(ast.String)
	return string(s)
}

// bounded cuts what a stranger wrote to a length that fits into a message.
func bounded(s string) string {
	const most = 100
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
