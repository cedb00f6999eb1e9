package manifest_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/mozilla-iam/eksguard/internal/manifest"
)

// read gives what is read, a line each: file:line kind namespace/name, and then the errors.
func read(paths []string, stdin string) (got []string) {
	documents, errs := manifest.Read(paths, strings.NewReader(stdin))
	for _, d := range documents {
		got = append(got, fmt.Sprintf("%s:%d %s %s/%s", d.File, d.Line, d.Object.GetKind(), d.Object.GetNamespace(),
			d.Object.GetName()+d.Object.GetGenerateName()))
	}
	for _, e := range errs {
		got = append(got, e.Error())
	}
	return got
}

func TestRead(t *testing.T) {
	pod := func(name string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata:\n  name: " + name + "\n"
	}
	for _, row := range []struct {
		name, text string
		want       []string
	}{
		{"one document", pod("a"), []string{"stdin:1 Pod /a"}},
		{"a stream", pod("a") + "---\n" + pod("b") + "--- # the last\n# comment\n\n" + pod("c"),
			[]string{"stdin:1 Pod /a", "stdin:6 Pod /b", "stdin:13 Pod /c"}},
		{"documents without content", "---\n# comment\n---\n\n---\n" + pod("a") + "---\nnull\n---\n",
			[]string{"stdin:6 Pod /a"}},
		{"a byte order mark and Windows' line ends", "\ufeff" + strings.ReplaceAll("# a\n---\n"+pod("a")+"---\n"+pod("b"),
			"\n", "\r\n"),
			[]string{"stdin:3 Pod /a", "stdin:8 Pod /b"}},
		{"content beside the separator", "--- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n",
			[]string{"stdin:1 Pod /a"}},
		{"directives and ends of documents", "%YAML 1.1\n---\n" + pod("a") + "...\n" + pod("b"),
			[]string{"stdin:3 Pod /a", "stdin:8 Pod /b"}},
		{"separators in a string", pod("a") + "data: |\n  ---\n  ...\n---\n" + pod("b"), []string{"stdin:1 Pod /a",
			"stdin:9 Pod /b"}},
		{"a generated name", "apiVersion: v1\nkind: Pod\nmetadata: {generateName: a-}\n", []string{"stdin:1 Pod /a-"}},
		{"a List", "# all\napiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: a}\n" +
			"# next\n- metadata: {name: b}\n  kind: Pod\n  apiVersion: v1\n", []string{"stdin:5 Pod /a", "stdin:9 Pod /b"}},
		{"a PodList, whose items have no kind", "apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: a}\n",
			[]string{"stdin:4 Pod /a"}},
		{"a List in a List",
			"apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: List\n  items:\n  - apiVersion: v1\n" +
				"    kind: Pod\n    metadata: {name: a}\n", []string{"stdin:4 Pod /a"}},
		{"an empty List", "apiVersion: v1\nkind: List\nitems: []\n", nil},
		{"an object of a kind like AllowList", "apiVersion: a/v1\nkind: AllowList\nmetadata: {name: a}\nitems: [b]\n",
			[]string{"stdin:1 AllowList /a"}},
		{"JSON values", "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\n\t\"metadata\":{\"name\":\"a\"}}\n" +
			`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"b"}} {"apiVersion":"v1","kind":"Pod","metadata":{"name":"c"}}`,
			[]string{"stdin:1 Pod /a", "stdin:3 Pod /b", "stdin:3 Pod /c"}},
		{"a List in JSON",
			"{\n\"apiVersion\": \"v1\",\n\"items\": [\n{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\"}},\n" +
				"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"b\"}}],\n\"kind\": \"List\"}",
			[]string{"stdin:4 Pod /a", "stdin:5 Pod /b"}},
		{"JSON between YAML",
			pod("a") + "---\n{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"b\"}}\n---\n" + pod("c"),
			[]string{"stdin:1 Pod /a", "stdin:6 Pod /b", "stdin:8 Pod /c"}},

		{"nothing", "", []string{"stdin: there is no manifest in it"}},
		{"only comments", "# a\n---\n# b\n", []string{"stdin: there is no manifest in it"}},
		{"a syntax error between good documents", pod("a") + "---\nkind: Pod\nmetadata: a: b\n---\n" + pod("b"),
			[]string{"stdin:1 Pod /a", "stdin:9 Pod /b", "stdin:7: mapping values are not allowed in this context"}},
		{"a string without an end", pod("a") + "---\nkind: 'Pod\n---\n" + pod("b"),
			[]string{"stdin:1 Pod /a", "stdin:8 Pod /b", "stdin:6: found unexpected end of stream"}},
		{"a tab", "kind: Pod\nmetadata:\n\tname: a\n", []string{"stdin:3: found character that cannot start any token"}},
		{"keys that stand twice", "# a\n---\n" + pod("a") + "  name: b\nkind: Pod\n",
			[]string{`stdin:7: key "name" already set in map; line 8: key "kind" already set in map`}},
		{"an alias without an anchor", pod("a") + "spec: *b\n", []string{"stdin:1: unknown anchor 'b' referenced"}},
		{"text", "hello\n", []string{"stdin:1: want an object with apiVersion and kind, not a string"}},
		{"a list", "- a\n", []string{"stdin:1: want an object with apiVersion and kind, not a list"}},
		{"nothing that is required", "# a\na: 1\n", []string{"stdin:2: apiVersion, kind and metadata.name are missing"}},
		{"no kind and an empty name", "apiVersion: v1\nmetadata: {name: \"\"}\n",
			[]string{"stdin:1: kind and metadata.name are missing"}},
		{"a name that is a number", "apiVersion: v1\nkind: Pod\nmetadata: {name: 1}\n",
			[]string{"stdin:1: metadata.name: want a string, not a number"}},
		{"a namespace that is a boolean in YAML 1.1", "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: yes}\n",
			[]string{"stdin:1: metadata.namespace: want a string, not a boolean"}},
		{"metadata that is none", "apiVersion: v1\nkind: Pod\nmetadata: a\n",
			[]string{"stdin:1: metadata: want an object, not a string"}},
		{"an apiVersion that is none", "apiVersion: a/b/c\nkind: Pod\nmetadata: {name: a}\n",
			[]string{`stdin:1: apiVersion: "a/b/c" is neither VERSION nor GROUP/VERSION`}},
		{"bad items between good ones",
			"apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: a}\n- b\n-\n" +
				"- {}\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: c}\n", []string{"stdin:4 Pod /a", "stdin:10 Pod /c",
				"stdin:7: want an object with apiVersion and kind, not a string",
				"stdin:8: want an object with apiVersion and kind, not null",
				"stdin:9: apiVersion, kind and metadata.name are missing"}},
		{"JSON that is cut off", "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\"}}\n{\"apiVersion\":\n",
			[]string{"stdin:1 Pod /a", "stdin:3: the JSON ends too early"}},
		{"a key that stands twice in JSON",
			"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\"}}\n{\"kind\":\n1,\n\"kind\":2}",
			[]string{"stdin:1 Pod /a", `stdin:4: duplicate key "kind"`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if diff := cmp.Diff(row.want, read([]string{"-"}, row.text)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestReadBoundsWhatADocumentGrowsTo(t *testing.T) {
	const head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
	long := strings.Repeat("x", 1<<20)
	var laughs strings.Builder
	laughs.WriteString("a0: &a0 [lol]\n")
	for i := range 30 {
		fmt.Fprintf(&laughs, "a%d: &a%d [*a%d, *a%d]\n", i+1, i+1, i, i)
	}
	for _, row := range []struct{ name, text, want string }{
		{"an object that is too large", head + "data:\n  a: " + strings.Repeat(long, 3) + "\n",
			"stdin:1: the object is larger than 3 MiB, which no API server takes"},
		{"an item that is too large",
			"apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: a}\n" +
				"  data: {a: " + strings.Repeat(long, 3) + "}\n",
			"stdin:4: the object is larger than 3 MiB, which no API server takes"},
		{"aliases of aliases", head + laughs.String(), "stdin:1: its aliases stand for more than 3 MiB"},
		{"a long string many times", head + "a: &a " + long + "\nb: [" + strings.Repeat("*a,", 1000) + "]\n",
			"stdin:1: its aliases stand for more than 3 MiB"},
		{"an alias in its own value", head + "a: &a [*a]\n", `stdin:1: the value of anchor "a" contains itself`},
		{"aliases as people use them", head + "a: &a {b: c}\nd: *a\n", "stdin:1 ConfigMap /a"},
		{"a large list of small objects",
			"apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: a}\n" +
				"  data: {a: " + long + long + "}\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: b}\n  data: {a: " + long + long + "}\n",
			"stdin:4 Secret /a\nstdin:8 Secret /b"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if diff := cmp.Diff(row.want, strings.Join(read([]string{"-"}, row.text), "\n")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestReadPaths(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"all/b.yaml":             "apiVersion: v1\nkind: Pod\nmetadata: {name: b}",
		"all/a/z.yml":            "apiVersion: v1\nkind: Pod\nmetadata: {name: z}",
		"all/c.json":             `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"c"}}`,
		"all/empty.yaml":         "# nothing yet",
		"all/README.md":          "not: read",
		"all/kustomization.yaml": "resources: [b.yaml]",
		"all/.github/ci.yaml":    "on: push",
		"all/.hidden.yaml":       "a: b",
		"broken.json":            "{\n'a': 1}",
		"none/README.md":         "no manifest",
		"manifest":               "apiVersion: v1\nkind: Pod\nmetadata: {name: m}",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{"link": "all", "all/circle.yaml": "../all", "all/gone.yaml": "nowhere"} {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		name  string
		paths []string
		want  []string
	}{
		{"a folder", []string{"all"}, []string{
			"all/a/z.yml:1 Pod /z", "all/c.json:1 Pod /c", "all/b.yaml:1 Pod /b", "all/gone.yaml: no such file or directory"}},
		{"a link to a folder", []string{"link"}, []string{
			"link/a/z.yml:1 Pod /z", "link/c.json:1 Pod /c", "link/b.yaml:1 Pod /b",
			"link/gone.yaml: no such file or directory"}},
		{"files whatever their names, in their order", []string{"manifest", "all/b.yaml"},
			[]string{"manifest:1 Pod /m", "all/b.yaml:1 Pod /b"}},
		{"a kustomization that is given by its name", []string{"all/kustomization.yaml"}, []string{"all/b.yaml:1 Pod /b"}},
		{"JSON that is none", []string{"broken.json"}, []string{
			"broken.json:2: invalid character '\\'' at start of string (expecting '\"')"}},
		{"a folder without manifests", []string{"none", "manifest"}, []string{"manifest:1 Pod /m",
			"none: there is no manifest in it"}},
		{"a file that is not there", []string{"missing.yaml", "manifest"},
			[]string{"manifest:1 Pod /m", "missing.yaml: no such file or directory"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if diff := cmp.Diff(row.want, read(row.paths, "")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestReadOfStdinThatFails(t *testing.T) {
	errBoom := errors.New("boom")
	documents, errs := manifest.Read([]string{"-"}, iotest.ErrReader(errBoom))
	if len(documents) != 0 || len(errs) != 1 || !errors.Is(errs[0], errBoom) || errs[0].Error() != "stdin: boom" {
		t.Errorf("%v, %v", documents, errs)
	}
}
