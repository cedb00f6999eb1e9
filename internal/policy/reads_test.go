package policy

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/mozilla-iam/eksguard/internal/variation"
)

// paths lists what is read whole.
func (r *reads) paths(prefix string) (paths []string) {
	if r.whole {
		return []string{prefix}
	}
	for _, name := range slices.Sorted(maps.Keys(r.fields)) {
		paths = append(paths, r.fields[name].paths(prefix+"."+name)...)
	}
	return paths
}

func TestReads(t *testing.T) {
	const library = `package eksguard.lib.names
import data.eksguard.lib.other
name := input.request.name
`
	for _, row := range []struct {
		reason, rule string
		want         []string
	}{
		{"a path of names", `_x := input.request.object.metadata.labels`, []string{"input.request.object.metadata.labels"}},
		{"two paths", `_x := [input.request.uid, input.request.name]`, []string{"input.request.name", "input.request.uid"}},
		{"a path ends at what is no name", `_x := input.request.object.spec.containers[_].image`,
			[]string{"input.request.object.spec.containers"}},
		{"an index in brackets is read too", `_x := input.request.object[input.request.name]`,
			[]string{"input.request.name", "input.request.object"}},
		{"a name in brackets", `_x := input.request["object"]["a/b"]`, []string{"input.request.object.a/b"}},
		{"what is above is read whole", `_x := [input.request.object.kind, input.request.object]`,
			[]string{"input.request.object"}},
		{"the order does not matter", `_x := [input.request.object, input.request.object.kind]`,
			[]string{"input.request.object"}},
		{"an argument is read whole", `_x := count(input.request.object)`, []string{"input.request.object"}},
		{"object.get with a key", `_x := object.get(input.request, "name", "")`, []string{"input.request.name"}},
		{"object.get with a path", `_x := object.get(input.request.object, ["metadata", "name"], input.request.uid)`,
			[]string{"input.request.object.metadata.name", "input.request.uid"}},
		{"object.get with a key that is not constant", `_x := object.get(input.request, input.request.name, "")`,
			[]string{"input.request"}},
		{"object.get below what is not constant", `_x := object.get(input.request.items[i], "a", "") if some i in [1]`,
			[]string{"input.request.items"}},
		{"object.get as a statement", `_x if object.get(input.request, "a", false)`, []string{"input.request.a"}},
		{"the whole input", `_x := input`, []string{"input"}},
		{"the whole input as an argument", `_x := count(input)`, []string{"input"}},
		{"another name for the input", "import input.request as r\n_x := r.name", []string{"input.request"}},
		{"a variable for a part", `_x := y if { r := input.request; y := r.name }`, []string{"input.request"}},
		{"a comprehension", `_x := [c | some c in input.request.a]`, []string{"input.request.a"}},
		{"every", `_x if every c in input.request.a { c == input.request.b }`, []string{"input.request.a", "input.request.b"}},
		{"else", `_x := 1 if input.request.a else := input.request.b`, []string{"input.request.a", "input.request.b"}},
		{"not", `_x if not input.request.a`, []string{"input.request.a"}},
		{"a default of a function", `_f(x) := input.request.a if x`, []string{"input.request.a"}},
		{"the key of a rule", `_x[input.request.a] := input.request.b`, []string{"input.request.a", "input.request.b"}},
		{"a member of a set", `_x contains input.request.a`, []string{"input.request.a"}},
		{"a template string", `_x := $"{input.request.a}"`, []string{"input.request.a"}},
		{"with", `_x if _y with input as {}` + "\n_y := 1", []string{"input"}},
		{"with a part", `_x if _y with input.request as {"a": input.b}` + "\n_y := 1", []string{"input.b", "input.request"}},
		{"a package that is imported", "import data.eksguard.lib.names\n_x := names.name", []string{"input.request.name"}},
		{"a package by its full name", `_x := data.eksguard.lib.names.name`, []string{"input.request.name"}},
		{"a package that is looked up", `_x := data.eksguard.lib[input.request.a]`, []string{"input.request.a", "input.request.name"}},
		{"all packages", `_x := data[input.request.a]`, []string{"input.request.a", "input.request.name"}},
		{"a key from the settings", `_x := input.request.labels[data.eksguard.settings.p.key]`, []string{"input.request.labels.a/b"}},
		{"and with object.get", `_x := object.get(input.request, ["labels", data.eksguard.settings.p.key], "")`,
			[]string{"input.request.labels.a/b"}},
		{"settings that are no string", `_x := input.request.labels[data.eksguard.settings.p.keys]`, []string{"input.request.labels"}},
		{"settings that are not there", `_x := input.request.labels[data.eksguard.settings.p.none]`, []string{"input.request.labels"}},
		{"settings at a place that is not constant", `_x := input.request.labels[data.eksguard.settings.p.keys[_]]`,
			[]string{"input.request.labels"}},
		{"settings that a rule puts something in place of", `_x if _y with data.eksguard.settings.p.key as "c"` +
			"\n_y := input.request.labels[data.eksguard.settings.p.key]", []string{"input"}},
		{"object.get with a path from the settings", `_x := object.get(input.request, data.eksguard.settings.p.paths.one[0], "")`,
			[]string{"input.request.a.b", "input.request.c"}},
		{"a path that the settings have at a place which is not constant",
			`_x := object.get(input.request, data.eksguard.settings.p.paths[input.request.uid][i], "") if some i in [0]`,
			[]string{"input.request.a.b", "input.request.c", "input.request.d", "input.request.uid"}},
		{"paths that are put together",
			`_x := object.get(input, array.concat(array.concat(["request"], data.eksguard.settings.p.paths.two[_]), ["e"]), "")`,
			[]string{"input.request.d.e"}},
		{"paths that are put together of more than constants",
			`_x := object.get(input.request, array.concat(["a"], input.request.b), "")`, []string{"input.request"}},
		{"a place in the settings that holds no paths", `_x := object.get(input.request, data.eksguard.settings.p[_], "")`,
			[]string{"input.request"}},
		{"a place in the settings that is not there", `_x := object.get(input.request, data.eksguard.settings.p.paths.three[_], "")`, nil},
		{"an empty path", `_x := object.get(input.request, data.eksguard.settings.p.nowhere[_], "")`, []string{"input.request"}},
		{"nothing", `_x := data.eksguard.settings.a`, nil},
	} {
		t.Run(row.reason, func(t *testing.T) {
			modules := map[string]*ast.Module{}
			for name, text := range map[string]string{"p.rego": "package eksguard.p\n" + row.rule, "names.rego": library} {
				module, err := ast.ParseModule(name, text)
				if err != nil {
					t.Fatal(err)
				}
				modules[name] = module
			}
			found := findReads(&Policy{Package: "p"}, modules, map[string]any{"p": map[string]any{"key": "a/b",
				"keys": []any{"a"}, "nowhere": []any{[]any{}}, "paths": map[string]any{
					"one": []any{[]any{"a", "b"}, "c"}, "two": []any{[]any{"d"}}}}})
			if diff := cmp.Diff(row.want, found.paths("input")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReadsAreThoseOfAllFilesOfAPackage(t *testing.T) {
	modules := map[string]*ast.Module{}
	for name, text := range map[string]string{"a.rego": "_x := input.request.a", "b.rego": "_y := input.request.b"} {
		module, err := ast.ParseModule(name, "package eksguard.p\n"+text)
		if err != nil {
			t.Fatal(err)
		}
		modules[name] = module
	}
	want := []string{"input.request.a", "input.request.b"}
	if diff := cmp.Diff(want, findReads(&Policy{Package: "p"}, modules, nil).paths("input")); diff != "" {
		t.Error(diff)
	}
}

// TestReadsOfAPodAreFew holds that the kinds which settings name do not make more of a Pod read.
func TestReadsOfAPodAreFew(t *testing.T) {
	embedded, err := defaultBundle()
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := NewSnapshot(t.Context(), embedded, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range snapshot.policies {
		if p.Name != "iam-role" {
			continue
		}
		// A Pod has no such members, and what is read of metadata is two annotations.
		elsewhere := regexp.MustCompile(`^input[.]request[.](object|oldObject)[.](template|spec[.](template|jobTemplate|podMetadata|driver|executor))[.]`)
		var got []string
		for _, path := range p.projections.reads.paths("input") {
			if !elsewhere.MatchString(path) {
				got = append(got, path)
			}
		}
		want := []string{
			"input.request.namespace",
			"input.request.object.metadata.annotations.iam.amazonaws.com/external-id",
			"input.request.object.metadata.annotations.iam.amazonaws.com/role",
			"input.request.oldObject.metadata.annotations.iam.amazonaws.com/external-id",
			"input.request.oldObject.metadata.annotations.iam.amazonaws.com/role",
			"input.request.operation", "input.request.resource", "input.request.subResource",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

// TestReadsAreAllThatDecides holds for every policy of the default bundle that what is not read changes nothing: over
// reviews changed at random, the decision on what is read is that on the whole review.
func TestReadsAreAllThatDecides(t *testing.T) {
	embedded, err := defaultBundle()
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]any{
		"cluster": map[string]any{"account": "555555555555"},
		"iam_role": map[string]any{
			"complete_bare_names": true,
			"grants":              map[string]any{"webservice-01": []any{"old-*"}},
		},
	}
	snapshot, err := NewSnapshot(t.Context(), embedded, settings)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := NewSnapshot(t.Context(), embedded, settings)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range whole.policies {
		p.projections = newProjections(&reads{whole: true})
	}
	state, err := NewStaticState(map[string]any{"v1/namespaces": map[string]any{
		"webservice-01": map[string]any{"metadata": map[string]any{"annotations": map[string]any{
			"iam.amazonaws.com/allowed-roles": `["shared-*"]`}}},
		"kube-system": map[string]any{"metadata": map[string]any{}},
	}, "apiextensions.k8s.io/v1/customresourcedefinitions": map[string]any{}})
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 4 {
		t.Fatalf("reviews: %v, %v", files, err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	asked, found := map[string]int{}, map[string]int{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for range 60 {
			var review map[string]any
			if err := json.Unmarshal(text, &review); err != nil {
				t.Fatal(err)
			}
			request := review["request"].(map[string]any)
			for range random.IntN(4) {
				variation.Change(random, request["object"])
				variation.Change(random, request["oldObject"])
			}
			body, err := json.Marshal(review)
			if err != nil {
				t.Fatal(err)
			}
			for _, phase := range []Phase{Validate, Mutate} {
				want, got := decideOn(t, whole, state, body, phase), decideOn(t, snapshot, state, body, phase)
				if diff := cmp.Diff(want, got, cmpopts.EquateErrors()); diff != "" {
					t.Fatalf("%s: on what is read (+) and on the whole (-):\n%s\n%s", file, diff, body)
				}
				for _, p := range got.Policies {
					asked[p]++
				}
				for _, v := range got.Violations {
					found[v.Policy]++
				}
			}
		}
	}
	for _, p := range snapshot.policies {
		if asked[p.Name] == 0 || found[p.Name] == 0 {
			t.Errorf("policy %q was asked %d times and found %d violations: the reviews do not exercise it",
				p.Name, asked[p.Name], found[p.Name])
		}
	}
}

func decideOn(t *testing.T, s *Snapshot, state State, body []byte, phase Phase) Decision {
	t.Helper()
	r, err := ParseRequest(body)
	if err != nil {
		t.Fatal(err)
	}
	r.Phase = phase
	d := NewEngine(s, state).Decide(t.Context(), r)
	for i := range d.Faults {
		d.Faults[i].Err = fmt.Errorf("%w", errFault) // where it fails may hang on what is there
	}
	return d
}

var errFault = fmt.Errorf("fault")
