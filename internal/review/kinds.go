package review

import (
	"reflect"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"

	"github.com/mozilla-iam/eksguard/internal/manifest"
)

// Kinds knows what an API server knows of kinds: whether their objects live in a namespace, and what a custom resource
// is called in the plural.
type Kinds struct {
	namespaced map[schema.GroupKind]bool
	plural     map[schema.GroupKind]string
}

// NewKinds knows the kinds of Kubernetes and those of the CustomResourceDefinitions among the documents.
func NewKinds(documents ...[]manifest.Document) *Kinds {
	k := &Kinds{namespaced: builtInScopes(), plural: map[schema.GroupKind]string{}}
	for _, list := range documents {
		for _, document := range list {
			k.define(document.Object)
		}
	}
	return k
}

// builtInScopes reads the scopes off Kubernetes' own client: DeploymentsGetter makes a client of a namespace, and
// NodesGetter makes one without. No other library tells the scopes of as many versions of Kubernetes as it does.
func builtInScopes() map[schema.GroupKind]bool {
	scopes := map[schema.GroupKind]bool{}
	for group := range reflect.TypeFor[kubernetes.Interface]().Methods() {
		client := group.Type.Out(0)
		if client.Kind() != reflect.Interface {
			continue
		}
		for getter := range client.Methods() {
			resource := getter.Type.Out(0)
			if resource.Kind() != reflect.Interface {
				continue
			}
			create, ok := resource.MethodByName("Create")
			if !ok {
				continue
			}
			object, ok := reflect.New(create.Type.In(1).Elem()).Interface().(runtime.Object)
			if !ok {
				continue
			}
			gvks, _, err := clientgoscheme.Scheme.ObjectKinds(object)
			if err != nil {
				continue
			}
			for _, gvk := range gvks {
				scopes[gvk.GroupKind()] = getter.Type.NumIn() == 1
			}
		}
	}
	return scopes
}

var definitionKind = schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}

// define learns a custom resource from its definition.
func (k *Kinds) define(object *unstructured.Unstructured) {
	if object.GroupVersionKind().GroupKind() != definitionKind {
		return
	}
	field := func(path ...string) string {
		text, _, _ := unstructured.NestedString(object.Object, append([]string{"spec"}, path...)...)
		return text
	}
	defined := schema.GroupKind{Group: field("group"), Kind: field("names", "kind")}
	k.namespaced[defined] = field("scope") == "Namespaced"
	if plural := field("names", "plural"); plural != "" {
		k.plural[defined] = plural
	}
}

// Resource is the resource that serves the kind. That of a kind which is not known is guessed.
func (k *Kinds) Resource(gvk schema.GroupVersionKind) schema.GroupVersionResource {
	if plural, ok := k.plural[gvk.GroupKind()]; ok {
		return gvk.GroupVersion().WithResource(plural)
	}
	resource, _ := meta.UnsafeGuessKindToResource(gvk)
	return resource
}

// Namespace is the one that the object is created in: none where the kind is cluster-scoped, "default" where the object
// does not say. An object of a kind that is not known is taken at its word.
func (k *Kinds) Namespace(object *unstructured.Unstructured) string {
	namespaced, known := k.namespaced[object.GroupVersionKind().GroupKind()]
	switch given := object.GetNamespace(); {
	case known && !namespaced:
		return ""
	case known && given == "":
		return "default"
	default:
		return given
	}
}
