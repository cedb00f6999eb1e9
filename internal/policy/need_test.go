package policy

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNeedsOfSeveralPolicies(t *testing.T) {
	names, teams := [][]string{{"metadata", "name"}}, [][]string{{"metadata", "labels", "team"}}
	for _, row := range []struct {
		reason       string
		a, b, want   Need
		aDoes, bDoes bool // cover the other
	}{
		{"the same", Need{Optional: true, Fields: names}, Need{Optional: true, Fields: names},
			Need{Optional: true, Fields: names}, true, true},
		{"the whole object covers its metadata", Need{}, Need{MetadataOnly: true}, Need{}, true, false},
		{"a required kind covers an optional one", Need{Optional: true}, Need{}, Need{}, false, true},
		{"all fields cover some", Need{Fields: names}, Need{}, Need{}, false, true},
		{"fields add up", Need{Fields: names}, Need{Fields: teams}, Need{Fields: append(names[:1:1], teams...)}, false, false},
		{"fields count once", Need{Fields: append(names[:1:1], teams...)}, Need{Fields: teams},
			Need{Fields: append(names[:1:1], teams...)}, true, false},
	} {
		t.Run(row.reason, func(t *testing.T) {
			if diff := cmp.Diff(row.want, row.a.Merge(row.b)); diff != "" {
				t.Errorf("merged: %s", diff)
			}
			if row.a.Covers(row.b) != row.aDoes || row.b.Covers(row.a) != row.bDoes {
				t.Errorf("covers: %v and %v", row.a.Covers(row.b), row.b.Covers(row.a))
			}
			if merged := row.a.Merge(row.b); !merged.Covers(row.a) || !merged.Covers(row.b) {
				t.Error("what is merged does not cover what it was merged of")
			}
		})
	}
}

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

func TestKeptOfAWatchedObject(t *testing.T) {
	object := map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "a", "labels": map[string]any{"x": "y"}},
		"spec": map[string]any{"finalizers": []any{"z"}},
	}
	for _, row := range []struct {
		reason string
		need   Need
		want   map[string]any
	}{
		{"all of it", Need{}, object},
		{"its metadata", Need{MetadataOnly: true},
			map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": object["metadata"]}},
		{"some fields, and what it is called", Need{Fields: [][]string{{"spec"}}},
			map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "a"}, "spec": object["spec"]}},
		{"nothing of a field beyond the metadata", Need{MetadataOnly: true, Fields: [][]string{{"spec"}}},
			map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "a"}}},
	} {
		t.Run(row.reason, func(t *testing.T) {
			if diff := cmp.Diff(row.want, row.need.Keep(object)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	if object["spec"] == nil {
		t.Error("the object itself was changed")
	}
}
