package review

import (
	"cmp"
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

// Subjects makes the reviews of what in asks for: a CREATE of each object, an UPDATE where there is an old one of the
// same kind, namespace and name, and a DELETE of each old object that is gone, unless in is Partial.
func Subjects(in Input) ([]Subject, error) {
	b := builder{kinds: NewKinds(in.Old, in.Objects), user: in.User}
	old := map[key]manifest.Document{}
	for _, document := range in.Old {
		old[b.key(document.Object)] = document
	}
	var subjects []Subject
	add := func(document manifest.Document, operation admissionv1.Operation,
		object, oldObject *unstructured.Unstructured) error {
		review, err := b.review(document, operation, object, oldObject)
		if err != nil {
			return fmt.Errorf("%s: %w", document.Location(), err)
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
	kinds *Kinds
	user  authenticationv1.UserInfo
}

func (b *builder) key(object *unstructured.Unstructured) key {
	return key{object.GroupVersionKind().GroupKind(), b.kinds.Namespace(object), object.GetName()}
}

func (b *builder) review(document manifest.Document, operation admissionv1.Operation,
	object, oldObject *unstructured.Unstructured) (*admissionv1.AdmissionReview, error) {
	return b.kinds.Review(Write{
		UID:       types.UID(document.Location().String()),
		Operation: operation, Object: object, OldObject: oldObject, User: b.user})
}

// Write is what somebody asks of the API server, in the terms of manifests.
type Write struct {
	UID       types.UID
	Operation admissionv1.Operation
	// Object is nil in a DELETE, and OldObject in a CREATE and a CONNECT.
	Object, OldObject *unstructured.Unstructured
	// Resource is what is written to; if it is empty, what serves the object's kind. SubResource is the part of it.
	Resource    schema.GroupVersionResource
	SubResource string
	// Namespace and Name are the request's; where they are empty, those of the object.
	Namespace, Name string
	User            authenticationv1.UserInfo
}

// Review is an AdmissionReview of the write as the create, update, delete and connect handlers of k8s.io/apiserver make
// it.
func (k *Kinds) Review(w Write) (*admissionv1.AdmissionReview, error) {
	subject := w.Object
	if subject == nil {
		subject = w.OldObject
	}
	gvk := subject.GroupVersionKind()
	if w.Resource.Empty() {
		w.Resource = k.Resource(gvk)
	}
	kind, resource := metav1.GroupVersionKind(gvk), metav1.GroupVersionResource(w.Resource)
	dryRun := w.Operation != admissionv1.Connect // which cannot be tried out
	request := &admissionv1.AdmissionRequest{
		UID:                w.UID,
		Kind:               kind,
		Resource:           resource,
		SubResource:        w.SubResource,
		RequestKind:        &kind,
		RequestResource:    &resource,
		RequestSubResource: w.SubResource,
		Name:               cmp.Or(w.Name, subject.GetName()),
		Namespace:          cmp.Or(w.Namespace, k.Namespace(subject)),
		Operation:          w.Operation,
		UserInfo:           w.User,
		DryRun:             &dryRun,
	}
	if gvk.GroupKind() == namespaceKind {
		request.Namespace = subject.GetName()
	}
	var err error
	if request.Object, err = k.raw(w.Object); err != nil {
		return nil, err
	}
	if request.OldObject, err = k.raw(w.OldObject); err != nil {
		return nil, err
	}
	if request.Options, err = options(w.Operation); err != nil {
		return nil, err
	}
	return &admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"},
		Request:  request,
	}, nil
}

// raw is the object in the namespace that it goes to, which the API server writes into it first.
func (k *Kinds) raw(object *unstructured.Unstructured) (runtime.RawExtension, error) {
	if object == nil {
		return runtime.RawExtension{}, nil
	}
	if namespace := k.Namespace(object); namespace != object.GetNamespace() {
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
	if kind == "" {
		return runtime.RawExtension{}, nil
	}
	text, err := json.Marshal(map[string]any{
		"apiVersion": "meta.k8s.io/v1", "kind": kind, "dryRun": []string{metav1.DryRunAll}})
	return runtime.RawExtension{Raw: text}, err
}
