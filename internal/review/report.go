package review

import (
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/mozilla-iam/eksguard/internal/manifest"
	"github.com/mozilla-iam/eksguard/internal/policy"
)

// Report is what a review found. Its JSON is the output of eksguard review -o json (docs/review.md): fields may be
// added to it, but none changes or goes, and no list is null.
type Report struct {
	// Revision is the snapshot's that judged.
	Revision string `json:"revision"`
	// Objects are all that were judged, in the order of the input.
	Objects []Object `json:"objects"`
	// Errors are the documents that could not be read, and were not judged.
	Errors []Unread `json:"errors"`
	// Notes say what was not judged, or was by cluster state that is not known.
	Notes   []string `json:"notes"`
	Summary Summary  `json:"summary"`
}

// Object is one object and what the policies say of it.
type Object struct {
	// File and Line are where the object is written; the line is 0 if it is not known.
	File string `json:"file"`
	Line int    `json:"line"`
	// Rendered is what was read, if the object was rendered from File: a place in a stream, or the folder of a
	// kustomization; empty otherwise.
	Rendered   string `json:"rendered"`
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Namespace is the one that the object goes to, empty for a cluster-scoped kind.
	Namespace string `json:"namespace"`
	// Name is the object's generateName where it has no name.
	Name      string                `json:"name"`
	Operation admissionv1.Operation `json:"operation"`
	Allowed   bool                  `json:"allowed"`
	// Violations are all that were found, whatever they lead to.
	Violations []Violation `json:"violations"`
	// Effects tell what the change does, once for each policy whose deny rules found something and that can tell it.
	Effects []policy.Effect `json:"effects"`
	// Mutations are what changed the object before it was judged, or would have.
	Mutations []policy.Mutation `json:"mutations"`
	// Errors are the policies that could not be evaluated.
	Errors []Fault `json:"errors"`
}

// Violation is what a rule has found, and where.
type Violation struct {
	policy.Violation
	// Location is that of the field, or of the nearest one that it would be in.
	Location manifest.Location `json:"location"`
}

// Fault is a policy that could not be evaluated.
type Fault struct {
	Policy string `json:"policy"`
	// Denies is whether the policy's failure policy makes a denial of it.
	Denies bool   `json:"denies"`
	Error  string `json:"error"`
}

// Unread is a document that could not be read. Line is 0 where the fault is the whole file's.
type Unread struct {
	File  string `json:"file"`
	Line  int    `json:"line"`
	Error string `json:"error"`
}

// Summary counts. Each object is one of Denied, Warned and OK.
type Summary struct {
	Objects int `json:"objects"`
	Denied  int `json:"denied"`
	Warned  int `json:"warned"`
	OK      int `json:"ok"`
	Unread  int `json:"unread"`
}

// NewReport is a report without anything in it.
func NewReport(revision string) *Report {
	return &Report{Revision: revision, Objects: []Object{}, Errors: []Unread{}, Notes: []string{}}
}

// Add takes the decision on a subject into the report.
func (r *Report) Add(s Subject, d policy.Decision) {
	request := s.Review.Request
	o := Object{
		File: s.Document.File, Line: s.Document.Line, Rendered: s.Document.Rendered,
		APIVersion: s.Document.Object.GetAPIVersion(), Kind: s.Document.Object.GetKind(),
		Namespace: request.Namespace, Name: request.Name, Operation: request.Operation,
		Allowed:    d.Allowed,
		Violations: []Violation{},
		Effects:    append([]policy.Effect{}, d.Effects...),
		Mutations:  append([]policy.Mutation{}, d.Mutations...),
		Errors:     []Fault{},
	}
	if IsNamespace(s.Document.Object) {
		o.Namespace = "" // the request's is the Namespace itself
	}
	if o.Name == "" {
		o.Name = s.Document.Object.GetGenerateName()
	}
	for _, v := range d.Violations {
		o.Violations = append(o.Violations, Violation{Violation: v, Location: s.Document.Locate(v.Field)})
	}
	for _, f := range d.Faults {
		o.Errors = append(o.Errors, Fault{Policy: f.Policy, Denies: f.Denies, Error: f.Err.Error()})
	}
	r.Objects = append(r.Objects, o)
	r.Summary.Objects++
	switch o.verdict() {
	case denied:
		r.Summary.Denied++
	case warned:
		r.Summary.Warned++
	default:
		r.Summary.OK++
	}
}

// AddFound is Add for one of very many: the object is counted, and kept only if something was found in it.
func (r *Report) AddFound(s Subject, d policy.Decision) {
	r.Add(s, d)
	last := len(r.Objects) - 1
	if o := &r.Objects[last]; len(o.Violations)+len(o.Mutations)+len(o.Errors) == 0 {
		r.Objects = r.Objects[:last]
	}
}

// AddErrors takes documents that could not be read into the report.
func (r *Report) AddErrors(errors []manifest.Error) {
	for _, e := range errors {
		r.Errors = append(r.Errors, Unread{File: e.File, Line: e.Line, Error: e.Err.Error()})
		r.Summary.Unread++
	}
}

// The verdicts on an object.
const (
	denied = "denied"
	warned = "warned"
	ok     = "ok"
)

// subject is the object as a person calls it.
func (o *Object) subject() string {
	if o.Namespace == "" {
		return o.Kind + " " + o.Name
	}
	return o.Kind + " " + o.Namespace + "/" + o.Name
}

// circumstances are what has to be said besides: what becomes of it, and what it was read from.
func (o *Object) circumstances() string {
	var parts []string
	if o.Operation != admissionv1.Create {
		parts = append(parts, strings.ToLower(string(o.Operation)))
	}
	if o.Rendered != "" {
		parts = append(parts, "from "+o.Rendered)
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

func (o *Object) location() manifest.Location { return manifest.Location{File: o.File, Line: o.Line} }

func (o *Object) verdict() string {
	switch {
	case !o.Allowed:
		return denied
	case len(o.Errors) > 0 || slices.ContainsFunc(o.Violations, func(v Violation) bool { return v.Warns() }):
		return warned
	default:
		return ok
	}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
