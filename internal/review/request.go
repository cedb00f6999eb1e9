package review

import (
	"encoding/json"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mozilla-iam/eksguard/internal/manifest"
)

var namespaceKind = schema.GroupKind{Kind: "Namespace"}

// Subject is one document with the review that the API server would send of it.
type Subject struct {
	Document manifest.Document
	Review   *admissionv1.AdmissionReview
}

// Subjects makes the reviews of what in asks for: a CREATE of each object, an UPDATE where there is an old one of the same
// kind, namespace and name, and a DELETE of each old object that is gone, unless in is Partial.
func Subjects(in Input) ([]Subject, error) {
	b := builder{kinds: newKinds(in.Old, in.Objects), user: in.User}
	old := map[key]manifest.Document{}
	for _, document := range in.Old {
		old[b.key(document.Object)] = document
	}
	var subjects []Subject
	add := func(document manifest.Document, operation admissionv1.Operation,
		object, oldObject *unstructured.Unstructured) error {
		review, err := b.review(document, operation, object, oldObject)
		if err != nil {
			return fmt.Errorf("%s:%d: %w", document.File, document.Line, err)
		}
		subjects = append(subjects, Subject{Document: document, Review: review})
		return nil
	}
	kept := map[key]bool{}
	for _, document := range in.Objects {
		k := b.key(document.Object)
		kept[k] = true
		operation, oldObject := admissionv1.Create, (*unstructured.Unstructured)(nil)
		// Nothing that has yet to be given a name is there already.
		if before, ok := old[k]; ok && k.name != "" {
			operation, oldObject = admissionv1.Update, before.Object
		}
		if err := add(document, operation, document.Object, oldObject); err != nil {
			return nil, err
		}
	}
	for _, document := range in.Old {
		k := b.key(document.Object)
		if in.Partial || kept[k] || k.name == "" {
			continue
		}
		kept[k] = true // it may be there twice
		if err := add(document, admissionv1.Delete, nil, old[k].Object); err != nil {
			return nil, err
		}
	}
	return subjects, nil
}

// key is what makes an object the same in two manifests. The version does not: it is only a way to see it.
type key struct {
	kind            schema.GroupKind
	namespace, name string
}

type builder struct {
	kinds *kinds
	user  authenticationv1.UserInfo
}

func (b *builder) key(object *unstructured.Unstructured) key {
	return key{object.GroupVersionKind().GroupKind(), b.kinds.namespace(object), object.GetName()}
}

// review is an AdmissionReview as the create, update and delete handlers of k8s.io/apiserver make it.
func (b *builder) review(document manifest.Document, operation admissionv1.Operation,
	object, oldObject *unstructured.Unstructured) (*admissionv1.AdmissionReview, error) {
	subject := document.Object
	gvk := subject.GroupVersionKind()
	kind := metav1.GroupVersionKind(gvk)
	resource := metav1.GroupVersionResource(b.kinds.resource(gvk))
	dryRun := true
	request := &admissionv1.AdmissionRequest{
		UID:             types.UID(fmt.Sprintf("%s:%d", document.File, document.Line)),
		Kind:            kind,
		Resource:        resource,
		RequestKind:     &kind,
		RequestResource: &resource,
		Name:            subject.GetName(),
		Namespace:       b.kinds.namespace(subject),
		Operation:       operation,
		UserInfo:        b.user,
		DryRun:          &dryRun,
	}
	if gvk.GroupKind() == namespaceKind {
		request.Namespace = subject.GetName()
	}
	var err error
	if request.Object, err = b.raw(object); err != nil {
		return nil, err
	}
	if request.OldObject, err = b.raw(oldObject); err != nil {
		return nil, err
	}
	if request.Options, err = options(operation); err != nil {
		return nil, err
	}
	return &admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"},
		Request:  request,
	}, nil
}

// raw is the object in the namespace that it goes to, which the API server writes into it first.
func (b *builder) raw(object *unstructured.Unstructured) (runtime.RawExtension, error) {
	if object == nil {
		return runtime.RawExtension{}, nil
	}
	if namespace := b.kinds.namespace(object); namespace != object.GetNamespace() {
		object = object.DeepCopy()
		object.SetNamespace(namespace)
	}
	text, err := json.Marshal(object.Object)
	return runtime.RawExtension{Raw: text}, err
}

func options(operation admissionv1.Operation) (runtime.RawExtension, error) {
	kind := map[admissionv1.Operation]string{
		admissionv1.Create: "CreateOptions", admissionv1.Update: "UpdateOptions", admissionv1.Delete: "DeleteOptions",
	}[operation]
	text, err := json.Marshal(map[string]any{
		"apiVersion": "meta.k8s.io/v1", "kind": kind, "dryRun": []string{metav1.DryRunAll}})
	return runtime.RawExtension{Raw: text}, err
}
