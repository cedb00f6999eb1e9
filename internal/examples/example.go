package examples

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/mozilla-iam/eksguard/internal/manifest"
	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/internal/spelling"
)

// The names of a rule's examples. Violates is that of a deny or warn rule, and Mutates that of a mutate rule.
const (
	Violates = "violates"
	Mutates  = "mutates"
	Passes   = "passes"
)

// Example is a request, and what a decision on it depends on, as METADATA has it.
type Example struct {
	// Note tells a reader what to look at; empty if the example speaks for itself.
	Note string `json:"note,omitempty"`
	// Operation is by default what the objects say: CREATE with an object, UPDATE with both, DELETE with an oldObject.
	Operation admissionv1.Operation `json:"operation,omitempty"`
	// Resource is <apiVersion>/<resource>, by default what serves the object's kind; Subresource is the part of it that is
	// written to.
	Resource    string `json:"resource,omitempty"`
	Subresource string `json:"subresource,omitempty"`
	// Namespace and Name are the request's where the object, such as PodExecOptions, has no metadata.
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	// Object and OldObject are manifests.
	Object    map[string]any `json:"object,omitempty"`
	OldObject map[string]any `json:"oldObject,omitempty"`
	// User is by default an administrator, see review.User, which also says what groups it is in besides Groups.
	User   string   `json:"user,omitempty"`
	Groups []string `json:"groups,omitempty"`
	// Extra is what the authenticator tells besides, such as the ARN of the caller.
	Extra map[string][]string `json:"extra,omitempty"`
	// Cluster are the manifests of what is in the cluster, of the kinds that the policy needs. There is nothing else.
	Cluster []map[string]any `json:"cluster,omitempty"`
	// Unknown are the keys of data.cluster of which it is not known what there is.
	Unknown []string `json:"unknown,omitempty"`
	// Settings are laid over the bundle's.
	Settings map[string]any `json:"settings,omitempty"`
}

// Names are those of the examples that a rule of that kind must have, in the order in which they are told.
func Names(kind policy.RuleKind) []string {
	if kind == policy.MutateRule {
		return []string{Mutates, Passes}
	}
	return []string{Violates, Passes}
}

// Read gives the examples of a rule by their names. Its errors name the place of the rule and the path of the key.
func Read(r *policy.Rule) (map[string]*Example, error) {
	names := Names(r.Kind)
	fail := func(path string, err error) error {
		return fmt.Errorf("%s: rule %q: metadata custom.examples%s%w", r.Location, r.ID, path, err)
	}
	given, ok := r.Examples.(map[string]any)
	if !ok && r.Examples != nil {
		return nil, fail("", fmt.Errorf(": want an object with %s", strings.Join(names, " and ")))
	}
	var faults []error
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(names, key) {
			faults = append(faults, fail("."+key,
				fmt.Errorf(": unknown key of a %s rule%s", r.Kind, spelling.Suggest(key, names))))
		}
	}
	examples := map[string]*Example{}
	for _, name := range names {
		if given[name] == nil {
			faults = append(faults, fail("."+name, errors.New(" is missing: "+asked[name])))
			continue
		}
		example, err := read(given[name])
		if err != nil {
			faults = append(faults, fail("."+name, err))
			continue
		}
		examples[name] = example
	}
	return examples, errors.Join(faults...)
}

// asked says what each example is to be.
var asked = map[string]string{
	Violates: "want a request that the rule objects to",
	Mutates:  "want a request that the rule changes",
	Passes:   "want a request that the rule lets pass as it is",
}

// read decodes one example. Its error goes on where the example's own path ends.
func read(value any) (*Example, error) {
	given, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New(": want an object, such as {object: {apiVersion: …}}")
	}
	e := &Example{}
	fields := map[string]struct {
		into any
		want string
	}{
		"note":        {&e.Note, "a string"},
		"operation":   {&e.Operation, "CREATE, UPDATE, DELETE or CONNECT"},
		"resource":    {&e.Resource, "<apiVersion>/<resource>, such as apps/v1/deployments"},
		"subresource": {&e.Subresource, "a string"},
		"namespace":   {&e.Namespace, "a string"},
		"name":        {&e.Name, "a string"},
		"object":      {&e.Object, "a manifest"},
		"oldObject":   {&e.OldObject, "a manifest"},
		"user":        {&e.User, "a username"},
		"groups":      {&e.Groups, "a list of groups"},
		"extra":       {&e.Extra, "an object of lists, userInfo.extra"},
		"cluster":     {&e.Cluster, "a list of manifests"},
		"unknown":     {&e.Unknown, "a list of keys of data.cluster"},
		"settings":    {&e.Settings, "an object, settings as in a file of them"},
	}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		field, ok := fields[key]
		if !ok {
			return nil, fmt.Errorf(".%s: unknown key%s", key, spelling.Suggest(key, slices.Sorted(maps.Keys(fields))))
		}
		text, err := json.Marshal(given[key])
		if err != nil {
			return nil, fmt.Errorf(".%s: %w", key, err)
		}
		if err := json.Unmarshal(text, field.into); err != nil || given[key] == nil {
			return nil, fmt.Errorf(".%s: want %s", key, field.want)
		}
	}
	return e, e.complete()
}

// complete fills in what is left out, and checks that the parts go together.
func (e *Example) complete() error {
	for key, object := range map[string]*map[string]any{"object": &e.Object, "oldObject": &e.OldObject} {
		if *object == nil {
			continue
		}
		if err := withIntegers(object); err != nil {
			return fmt.Errorf(".%s: %w", key, err)
		}
		if err := e.checkObject(*object); err != nil {
			return fmt.Errorf(".%s: %w", key, err)
		}
	}
	for i := range e.Cluster {
		if err := withIntegers(&e.Cluster[i]); err != nil {
			return fmt.Errorf(".cluster[%d]: %w", i, err)
		}
		if err := manifest.Check(e.Cluster[i]); err != nil {
			return fmt.Errorf(".cluster[%d]: %w", i, err)
		}
	}
	if _, err := e.resource(); err != nil {
		return err
	}
	return e.checkOperation()
}

// checkObject lets an object without metadata pass where the example says what it is about.
func (e *Example) checkObject(object map[string]any) error {
	name := (&unstructured.Unstructured{Object: object}).GetName()
	switch {
	case e.Name == "":
		return manifest.Check(object)
	case name != "":
		return fmt.Errorf("it has metadata.name %q: leave out name, which is for objects without metadata", name)
	default:
		named := maps.Clone(object)
		named["metadata"] = map[string]any{"name": e.Name}
		return manifest.Check(named)
	}
}

func (e *Example) checkOperation() error {
	has := [2]bool{e.Object != nil, e.OldObject != nil}
	if e.Operation == "" {
		e.Operation = map[[2]bool]admissionv1.Operation{
			{true, false}: admissionv1.Create, {true, true}: admissionv1.Update, {false, true}: admissionv1.Delete,
		}[has]
	}
	if e.Operation == "" {
		return errors.New(": want an object, an oldObject, or both")
	}
	want, ok := map[admissionv1.Operation][2]bool{
		admissionv1.Create: {true, false}, admissionv1.Update: {true, true}, admissionv1.Delete: {false, true},
		admissionv1.Connect: {true, false},
	}[e.Operation]
	switch {
	case !ok:
		return fmt.Errorf(".operation: %q is none: want CREATE, UPDATE, DELETE or CONNECT", e.Operation)
	case want != has:
		return fmt.Errorf(".operation: %s has %s", e.Operation, map[[2]bool]string{
			{true, false}: "an object and no oldObject", {true, true}: "both object and oldObject",
			{false, true}: "an oldObject and no object"}[want])
	default:
		return nil
	}
}

// resource parses Resource, which may be empty.
func (e *Example) resource() (schema.GroupVersionResource, error) {
	if e.Resource == "" {
		return schema.GroupVersionResource{}, nil
	}
	i := strings.LastIndex(e.Resource, "/")
	gv, err := schema.ParseGroupVersion(e.Resource[:max(i, 0)])
	if err != nil || gv.Version == "" || e.Resource[i+1:] == "" {
		return schema.GroupVersionResource{}, fmt.Errorf(
			".resource: %q: want <apiVersion>/<resource>, such as apps/v1/deployments", e.Resource)
	}
	return gv.WithResource(e.Resource[i+1:]), nil
}

// withIntegers decodes an object as Kubernetes does.
func withIntegers(object *map[string]any) error {
	text, err := json.Marshal(*object)
	if err != nil {
		return err
	}
	*object = nil
	return utiljson.Unmarshal(text, object)
}
