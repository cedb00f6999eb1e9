package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/mozilla-iam/eksguard/internal/policy"
)

func TestPrunerKeepsWhatTheWatchNeeds(t *testing.T) {
	kind := schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Colour"}
	object := func() map[string]any {
		return map[string]any{
			"apiVersion": "example.com/v1", "kind": "Colour",
			"metadata": map[string]any{"name": "red", "namespace": "paint", "uid": "1", "resourceVersion": "2",
				"labels": map[string]any{"a": "b"}, "managedFields": []any{map[string]any{"manager": "x"}}},
			"spec": map[string]any{"hue": "warm", "shade": "dark"},
		}
	}
	needed := func() map[string]any {
		return map[string]any{"name": "red", "namespace": "paint", "uid": "1", "resourceVersion": "2"}
	}
	transform := func(p *Pruner, content map[string]any) map[string]any {
		t.Helper()
		pruned, err := p.Transform(&unstructured.Unstructured{Object: content})
		if err != nil {
			t.Fatal(err)
		}
		return pruned.(*unstructured.Unstructured).Object
	}
	var p Pruner

	whole := object()
	delete(whole["metadata"].(map[string]any), "managedFields")
	if diff := cmp.Diff(whole, transform(&p, object())); diff != "" {
		t.Errorf("a kind of which all is kept: %s", diff)
	}

	p.set(kind, policy.Need{Fields: [][]string{{"spec", "hue"}}})
	want := map[string]any{"apiVersion": "example.com/v1", "kind": "Colour", "metadata": needed(),
		"spec": map[string]any{"hue": "warm"}}
	if diff := cmp.Diff(want, transform(&p, object())); diff != "" {
		t.Errorf("a kind of which some is kept: %s", diff)
	}

	p.set(kind, policy.Need{MetadataOnly: true, Fields: [][]string{{"metadata", "name"}}})
	partial := &metav1.PartialObjectMetadata{}
	partial.SetGroupVersionKind(kind)
	partial.Name, partial.Namespace, partial.Labels = "red", "paint", map[string]string{"a": "b"}
	pruned, err := p.Transform(partial)
	if err != nil {
		t.Fatal(err)
	}
	bare := &metav1.PartialObjectMetadata{}
	bare.SetGroupVersionKind(kind)
	bare.Name, bare.Namespace = "red", "paint"
	if diff := cmp.Diff(bare, pruned); diff != "" {
		t.Errorf("metadata: %s", diff)
	}
}
