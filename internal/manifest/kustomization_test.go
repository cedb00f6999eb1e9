package manifest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mozilla-iam/eksguard/internal/manifest"
)

// write makes the files, by their names, in the working directory, which is an empty one.
func write(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// whence gives what is read, a line each: where it is written, the kind and name, and what it was read from.
func whence(documents []manifest.Document, errs []manifest.Error) (got []string) {
	for _, d := range documents {
		line := fmt.Sprintf("%s %s/%s", d.Location(), d.Object.GetKind(), d.Object.GetName())
		if d.Rendered != "" {
			line += " from " + d.Rendered
		}
		got = append(got, line)
	}
	for _, e := range errs {
		got = append(got, e.Error())
	}
	return got
}

func named(name string) string { return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + "}\n" }

const component = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"

func TestFoldersWithKustomizations(t *testing.T) {
	for _, row := range []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{
			name: "bases and components are part of what is made of them",
			files: map[string]string{
				"base/kustomization.yaml": "resources: [pod.yaml]\n",
				"base/pod.yaml":           "# first\n---\n" + named("web"),
				"dev/kustomization.yaml":  "resources: [../base]\nnamePrefix: dev-\n",
				"part/kustomization.yaml": component + "resources: [more.yaml]\n",
				"part/more.yaml":          named("more"),
				"prod/kustomization.yml":  "resources: [../base]\ncomponents: [../part]\npatches: [{path: patch.yaml}]\n",
				"prod/patch.yaml":         named("web") + "spec: {nodeName: a}\n",
			},
			want: []string{"base/pod.yaml:3 Pod/dev-web from dev", "base/pod.yaml:3 Pod/web from prod",
				"part/more.yaml:1 Pod/more from prod"},
		},
		{
			name: "what no kustomization has read is judged as it stands",
			files: map[string]string{
				"a.yaml":               named("a"),
				"k/Kustomization":      "resources: [in.yaml]\n",
				"k/in.yaml":            named("in"),
				"k/forgotten.yaml":     named("forgotten"),
				"k/sub/forgotten.json": `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"sub"}}`,
			},
			want: []string{"a.yaml:1 Pod/a", "k/in.yaml:1 Pod/in from k", "k/forgotten.yaml:1 Pod/forgotten",
				"k/sub/forgotten.json:1 Pod/sub"},
		},
		{
			name: "the folder itself, and one in it that it does not use",
			files: map[string]string{
				"kustomization.yaml":     "resources: [in]\n",
				"in/kustomization.yaml":  "resources: [pod.yaml]\n",
				"in/pod.yaml":            named("in"),
				"own/kustomization.yaml": "resources: [pod.yaml]\n",
				"own/pod.yaml":           named("own"),
			},
			want: []string{"in/pod.yaml:1 Pod/in from .", "own/pod.yaml:1 Pod/own from own"},
		},
		{
			name: "generated objects are told by their generator",
			files: map[string]string{
				"kustomization.yaml": "configMapGenerator: [{name: a, literals: [b=c], options: {disableNameSuffixHash: true}}]\n",
			},
			want: []string{"kustomization.yaml ConfigMap/a from ."},
		},
		{
			name: "a Kustomization of Flux is an object like others",
			files: map[string]string{
				"apps/kustomization.yaml": "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n" +
					"metadata: {name: apps}\n",
				"apps/pod.yaml": named("a"),
			},
			want: []string{"apps/kustomization.yaml:1 Kustomization/apps", "apps/pod.yaml:1 Pod/a"},
		},
		{
			name: "one that cannot be built is an error, and its files are no manifests",
			files: map[string]string{
				"a.yaml":                   named("a"),
				"base/kustomization.yaml":  "resources: [pod.yaml]\n",
				"base/pod.yaml":            named("base"),
				"wrong/kustomization.yaml": "resources: [../base, gone.yaml]\n",
				"wrong/patch.yaml":         "spec: {}\n",
			},
			want: []string{"a.yaml:1 Pod/a", "wrong/kustomization.yaml: kustomize: …"},
		},
		{
			name: "those that are made of each other",
			files: map[string]string{
				"a/kustomization.yaml": "resources: [../b]\n",
				"b/kustomization.yaml": "resources: [../a]\n",
			},
			want: []string{"a/kustomization.yaml: kustomize: …"},
		},
		{
			name:  "a component that no one uses",
			files: map[string]string{"kustomization.yaml": component + "patches: [{path: p.yaml}]\n", "p.yaml": "spec: {}\n"},
			want:  []string{".: there is no manifest in it"},
		},
		{
			name:  "a kustomization that makes nothing",
			files: map[string]string{"kustomization.yaml": "namespace: a\n"},
			want:  nil,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			write(t, row.files)
			got := whence(manifest.Read([]string{"."}, nil))
			for i := range got {
				if before, _, ok := strings.Cut(got[i], "kustomize: "); ok {
					got[i] = before + "kustomize: …" // its words are not ours to test
				}
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestLocateInWhatAKustomizationMade(t *testing.T) {
	write(t, map[string]string{
		"base/kustomization.yaml": "resources: [pod.yaml]\n",
		"base/pod.yaml": "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  nodeName: a\n" +
			"  hostname: b\n  securityContext: {}\n",
		"prod/kustomization.yaml": "resources: [../base]\nnameSuffix: -prod\npatches: [{path: patch.yaml}]\n",
		"prod/patch.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n" +
			"spec: {nodeName: other, subdomain: c}\n",
	})
	documents, errs := manifest.Read([]string{"prod"}, nil)
	if len(documents) != 1 || len(errs) > 0 {
		t.Fatal(documents, errs)
	}
	for _, row := range []struct{ name, field, want string }{
		{"what is as it was written", "spec.hostname", "base/pod.yaml:7"},
		{"what is nowhere, in what is", "spec.securityContext.runAsUser", "base/pod.yaml:8"},
		{"what was changed", "spec.nodeName", "base/pod.yaml:1"},
		{"what was added", "spec.subdomain", "base/pod.yaml:1"},
		{"what the name became", "metadata.name", "base/pod.yaml:1"},
		{"no field", "", "base/pod.yaml:1"},
	} {
		if got := documents[0].Locate(row.field).String(); got != row.want {
			t.Errorf("%s: %s, want %s", row.name, got, row.want)
		}
	}
}

func TestRenderedStreams(t *testing.T) {
	const annotated = "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: p-web\n  annotations:\n    %s\n" +
		"spec: {nodeName: a}\n"
	annotation := func(key, value string) string { return fmt.Sprintf(annotated, key+": "+value) }
	files := map[string]string{
		"base/pod.yaml":             "# first\n---\n" + named("other") + "---\n" + named("web") + "spec: {nodeName: a}\n",
		"templates/pod.yaml":        "{{ if .Values.pod }}\n" + named("web") + "{{ end }}\n",
		"charts/web/templates/a.py": "",
		"kustomization.yaml":        "configMapGenerator: []\n",
	}
	for _, row := range []struct {
		name, stream string
		want         []string
		// field is located in the last document.
		field, place string
	}{
		{
			name: "a template of the chart that is the working directory",
			stream: "---\n# Source: web/templates/pod.yaml\n" + named("web") + "---\n" +
				"# Source: web/charts/db/templates/pod.yaml\n" + named("db") +
				"---\n# Source: web/templates/pod.yaml\n# a comment of the template\n" + named("two"),
			want: []string{"templates/pod.yaml Pod/web from stdin:3", "web/charts/db/templates/pod.yaml Pod/db from stdin:8",
				"templates/pod.yaml Pod/two from stdin:14"},
			field: "metadata.name", place: "stdin:16",
		},
		{
			name: "a list in a template",
			stream: "---\n# Source: a/templates/l.yaml\napiVersion: v1\nkind: List\nitems:\n- " + strings.ReplaceAll(named("a"),
				"\n", "\n  ") + "\n",
			want: []string{"a/templates/l.yaml Pod/a from stdin:6"}, field: "metadata.name", place: "stdin:8",
		},
		{
			name: "no template is outside",
			stream: "---\n# Source: ../../etc/passwd\n" + named("a") + "---\n# Source: /etc/passwd\n" + named("b") +
				"---\n" + named("c") + "# Source: a/b.yaml\n",
			want: []string{"stdin:3 Pod/a", "stdin:8 Pod/b", "stdin:12 Pod/c"}, field: "metadata.name", place: "stdin:14",
		},
		{
			name:   "an origin that kustomize tells",
			stream: annotation("config.kubernetes.io/origin", "\"path: base/pod.yaml\\n\""),
			want:   []string{"base/pod.yaml:7 Pod/p-web from stdin:2"}, field: "spec.nodeName", place: "base/pod.yaml:10",
		},
		{
			name:   "what is not as it was written is told by the stream",
			stream: annotation("config.kubernetes.io/origin", "\"path: base/pod.yaml\\n\""),
			want:   []string{"base/pod.yaml:7 Pod/p-web from stdin:2"}, field: "metadata.name", place: "stdin:5",
		},
		{
			name:   "an origin that is not here",
			stream: annotation("config.kubernetes.io/origin", "\"path: ../base/pod.yaml\\n\""),
			want:   []string{"stdin:2 Pod/p-web"}, field: "spec.nodeName", place: "stdin:8",
		},
		{
			name:   "an origin in a repository",
			stream: annotation("config.kubernetes.io/origin", "\"path: base/pod.yaml\\nrepo: https://example.com/a\\n\""),
			want:   []string{"stdin:2 Pod/p-web"}, field: "spec.nodeName", place: "stdin:8",
		},
		{
			name:   "a generator that kustomize tells",
			stream: annotation("config.kubernetes.io/origin", "\"configuredIn: kustomization.yaml\\n\""),
			want:   []string{"kustomization.yaml Pod/p-web from stdin:2"}, field: "spec.nodeName", place: "stdin:8",
		},
		{
			name:   "an origin that is no YAML",
			stream: annotation("config.kubernetes.io/origin", "'a: b: c'"),
			want:   []string{"stdin:2 Pod/p-web"}, field: "spec.nodeName", place: "stdin:8",
		},
		{
			name: "the path and index of functions",
			stream: annotation("internal.config.kubernetes.io/path",
				"base/pod.yaml\n    internal.config.kubernetes.io/index: '1'"),
			want: []string{"base/pod.yaml:7 Pod/p-web from stdin:2"}, field: "spec.nodeName", place: "base/pod.yaml:10",
		},
		{
			name:   "a path and the index of another object",
			stream: annotation("config.kubernetes.io/path", "base/pod.yaml\n    config.kubernetes.io/index: '0'"),
			want:   []string{"stdin:2 Pod/p-web"}, field: "spec.nodeName", place: "stdin:9",
		},
		{
			name:   "a path to a device",
			stream: annotation("config.kubernetes.io/path", "/dev/zero"),
			want:   []string{"stdin:2 Pod/p-web"}, field: "spec.nodeName", place: "stdin:8",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			write(t, files)
			documents, errs := manifest.Read([]string{"-"}, strings.NewReader(row.stream))
			if diff := cmp.Diff(row.want, whence(documents, errs)); diff != "" {
				t.Fatalf("-want +got:\n%s", diff)
			}
			if got := documents[len(documents)-1].Locate(row.field).String(); got != row.place {
				t.Errorf("%s is at %s, want %s", row.field, got, row.place)
			}
		})
	}
	t.Run("a file is what it is", func(t *testing.T) {
		write(t, map[string]string{"all.yaml": "---\n# Source: web/templates/pod.yaml\n" + named("web")})
		if diff := cmp.Diff([]string{"all.yaml:3 Pod/web"}, whence(manifest.Read([]string{"all.yaml"}, nil))); diff != "" {
			t.Error(diff)
		}
	})
}
