package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mozilla-iam/eksguard/internal/excerpt"
)

// maxText bounds what is quoted of what a stranger wrote.
const maxText = 100

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

	// review is the whole AdmissionReview; object and oldObject are parts of it.
	review, object, oldObject []byte
}

// ParseRequest reads a serialized admission.k8s.io/v1 AdmissionReview. It makes sure that all of it is valid JSON, but
// takes in only what Request shows; the rest stays as it is in review, which must not be changed while the Request is in
// use. Its errors wrap ErrMalformed and say what is wrong; they never quote the object, which may be a Secret.
func ParseRequest(review []byte) (*Request, error) {
	r := &Request{review: review}
	if err := r.scan(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return r, nil
}

func (r *Request) scan() error {
	d := newDecoder(r.review)
	defer d.release()
	if kind := d.text.PeekKind(); kind != jsontext.KindBeginObject && kind != jsontext.KindInvalid {
		return errors.New("it is no JSON object")
	}
	var version, kind string
	hasRequest := false
	err := d.members(func(name string) (err error) {
		switch name {
		case "apiVersion":
			version, err = d.str()
		case "kind":
			kind, err = d.str()
		case "request":
			if hasRequest = d.text.PeekKind() == jsontext.KindBeginObject; hasRequest {
				return d.members(func(name string) error { return r.scanMember(d, name) })
			}
			err = d.text.SkipValue()
		default:
			err = d.text.SkipValue()
		}
		return err
	})
	if err != nil {
		return jsonError(err)
	}
	if err := d.end(); err != nil {
		return err
	}
	switch {
	case kind != "AdmissionReview":
		return fmt.Errorf("kind is %q, want %q", excerpt.Of(kind, maxText), "AdmissionReview")
	case version != admissionv1.SchemeGroupVersion.String():
		return fmt.Errorf("apiVersion is %q, want %q", excerpt.Of(version, maxText), admissionv1.SchemeGroupVersion)
	case !hasRequest:
		return errors.New("request is missing")
	}
	return r.check()
}

func (r *Request) scanMember(d *decoder, name string) (err error) {
	switch name {
	case "uid":
		r.UID, err = d.str()
	case "operation":
		var operation string
		operation, err = d.str()
		r.Operation = admissionv1.Operation(operation)
	case "subResource":
		r.SubResource, err = d.str()
	case "namespace":
		r.Namespace, err = d.str()
	case "name":
		r.Name, err = d.str()
	case "dryRun":
		r.DryRun = d.text.PeekKind() == jsontext.KindTrue
		err = d.text.SkipValue()
	case "kind":
		err = d.strings(map[string]*string{"group": &r.Kind.Group, "version": &r.Kind.Version, "kind": &r.Kind.Kind})
	case "resource":
		err = d.strings(map[string]*string{
			"group": &r.Resource.Group, "version": &r.Resource.Version, "resource": &r.Resource.Resource})
	case "userInfo":
		err = d.strings(map[string]*string{"username": &r.User})
	case "object":
		r.object, err = d.objectOrNothing(r.review)
	case "oldObject":
		r.oldObject, err = d.objectOrNothing(r.review)
	default:
		err = d.text.SkipValue()
	}
	return err
}

// check makes sure that the request is whole. The objects that the operation promises must be there, so that no policy
// takes a missing object for one with nothing in it.
func (r *Request) check() error {
	switch {
	case r.UID == "":
		return errors.New("request.uid is missing")
	case r.Resource.Resource == "":
		return errors.New("request.resource is missing")
	}
	named := r.object
	switch r.Operation {
	case admissionv1.Create:
		if r.object == nil {
			return errors.New("request.object is null in a CREATE")
		}
	case admissionv1.Update:
		if r.object == nil || r.oldObject == nil {
			return errors.New("request.object or request.oldObject is null in an UPDATE")
		}
	case admissionv1.Delete:
		if r.oldObject == nil {
			return errors.New("request.oldObject is null in a DELETE")
		}
		named = r.oldObject
	case admissionv1.Connect:
	default:
		return fmt.Errorf("request.operation is %q, want CREATE, UPDATE, DELETE or CONNECT", excerpt.Of(string(r.Operation), maxText))
	}
	if r.Name == "" && named != nil {
		r.Name = objectName(named)
	}
	return nil
}

// objectName gives an object's name, or its generateName where it has none yet.
func objectName(object []byte) string {
	d := newRereader(object)
	defer d.release()
	var name, generateName string
	// The object was found valid before.
	_ = d.members(func(member string) error {
		if member != "metadata" || d.text.PeekKind() != jsontext.KindBeginObject {
			return d.text.SkipValue()
		}
		return d.strings(map[string]*string{"name": &name, "generateName": &generateName})
	})
	if name == "" {
		return generateName
	}
	return name
}

// Review is the whole AdmissionReview as it was given to ParseRequest. It must neither be changed, nor be kept for longer
// than the Request may be used.
func (r *Request) Review() []byte { return r.review }

// NewRequest makes a Request of a review that did not come over the wire.
func NewRequest(review *admissionv1.AdmissionReview) (*Request, error) {
	body, err := json.Marshal(review)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return ParseRequest(body)
}
