package cluster

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/mozilla-iam/eksguard/internal/policy"
)

func TestPrune(t *testing.T) {
	for _, row := range []struct {
		reason, value, want string
		paths               [][]string
	}{
		{"a value at the end of a path is kept whole", `{"a":{"b":[1,{"c":2}]},"d":1}`, `{"a":{"b":[1,{"c":2}]}}`, [][]string{{"a"}}},
		{"names may hold dots", `{"a":{"x.y/z":"1","x":"2"}}`, `{"a":{"x.y/z":"1"}}`, [][]string{{"a", "x.y/z"}}},
		{"a star is every member", `{"a":{"b":{"type":"x","more":1},"c":{"more":1}}}`, `{"a":{"b":{"type":"x"},"c":{}}}`,
			[][]string{{"a", "*", "type"}}},
		{"a star is every element", `{"a":[{"b":1,"c":2},{"c":3}]}`, `{"a":[{"b":1},{}]}`, [][]string{{"a", "*", "b"}}},
		{"several paths add up", `{"a":{"b":1,"c":2,"d":3}}`, `{"a":{"b":1,"c":2}}`, [][]string{{"a", "b"}, {"a", "c"}}},
		{"the shorter path wins", `{"a":{"b":1,"c":2}}`, `{"a":{"b":1,"c":2}}`, [][]string{{"a", "b"}, {"a"}}},
		{"a path that ends early keeps nothing of a scalar", `{"a":"x"}`, `{"a":null}`, [][]string{{"a", "b"}}},
		{"what is not there is not made", `{"a":{}}`, `{"a":{}}`, [][]string{{"a", "b"}, {"c"}}},
	} {
		t.Run(row.reason, func(t *testing.T) {
			var value, want any
			if err := errors.Join(json.Unmarshal([]byte(row.value), &value), json.Unmarshal([]byte(row.want), &want)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, prune(value, row.paths)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

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
