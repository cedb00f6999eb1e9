package kustomization_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/mozilla-iam/eksguard/internal/kustomization"
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

// build builds the kustomization in the file.
func build(t *testing.T, file string) (kustomization.Result, error) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	folder, ok := kustomization.Parse(file, text)
	if !ok {
		t.Fatalf("%s is no kustomization", file)
	}
	return kustomization.Build(folder)
}

const (
	pod       = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\n"
	component = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
)

// layers is a base, a component and an overlay of them, which use much of what kustomize can do.
var layers = map[string]string{
	"base/kustomization.yaml": "resources: [pod.yaml, deep]\ncommonLabels: {of: base}\n",
	"base/pod.yaml":           pod,
	"base/deep/Kustomization": "resources: [two.yaml]\n",
	"base/deep/two.yaml":      strings.ReplaceAll(pod, "web", "cache") + "---\n" + strings.ReplaceAll(pod, "web", "db"),
	"base/deep/kept.txt":      "",
	"part/kustomization.yml": component + "resources: [role.yaml]\n" +
		"patches: [{path: patch.yaml, target: {kind: Pod, name: web}}]\n",
	"part/role.yaml":  "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web}\n",
	"part/patch.yaml": "- {op: add, path: /metadata/labels/patched, value: a}\n",
	"prod/kustomization.yaml": "namespace: prod\nnamePrefix: p-\nresources: [../base]\ncomponents: [../part]\n" +
		"configMapGenerator: [{name: settings, files: [key=settings.txt], envs: [some.env]}]\n" +
		"secretGenerator: [{name: key, literals: [url=https://example.com]}]\n" +
		"transformers: [labels.yaml]\ncommonAnnotations: {home: 'https://example.com'}\n",
	"prod/settings.txt": "x",
	"prod/some.env":     "A=b\n",
	"prod/labels.yaml": "apiVersion: builtin\nkind: LabelTransformer\nmetadata: {name: l}\nlabels: {url: 'x'}\n" +
		"fieldSpecs: [{path: metadata/labels, create: true}]\n",
}

func TestABuildIsThatOfKustomize(t *testing.T) {
	write(t, layers)
	for _, metadata := range []string{"", "buildMetadata: [managedByLabel]\n", "buildMetadata: [originAnnotations]\n"} {
		text := layers["prod/kustomization.yaml"] + metadata
		if err := os.WriteFile("prod/kustomization.yaml", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		result, err := build(t, "prod/kustomization.yaml")
		if err != nil {
			t.Fatal(err)
		}
		made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), "prod")
		if err != nil {
			t.Fatal(err)
		}
		var want, got []any
		for _, r := range made.Resources() {
			object, err := r.Map()
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, object)
		}
		for _, o := range result.Objects {
			var object any
			if err := json.Unmarshal(o.JSON, &object); err != nil {
				t.Fatal(err)
			}
			got = append(got, object)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: -want +got:\n%s", metadata, diff)
		}
	}
}

func TestABuildTellsTheFiles(t *testing.T) {
	write(t, layers)
	result, err := build(t, "prod/kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range result.Objects {
		line := o.File
		if o.Generated {
			line += " (generated)"
		}
		got = append(got, line)
	}
	want := []string{"base/pod.yaml", "base/deep/two.yaml", "base/deep/two.yaml", "prod/kustomization.yaml (generated)",
		"prod/kustomization.yaml (generated)", "part/role.yaml"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("objects: -want +got:\n%s", diff)
	}
	read := map[string]bool{}
	for _, path := range result.Read {
		read[path] = true
	}
	for name := range layers {
		if want := name != "base/deep/kept.txt"; read[kustomization.Real(name)] != want {
			t.Errorf("%s: read is %v, want %v", name, !want, want)
		}
	}
}

// TestNothingIsFetchedAndNothingRun lets kustomize ask for all that it would fetch or run. A server and a git of this
// test would tell.
func TestNothingIsFetchedAndNothingRun(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write([]byte(pod))
	}))
	defer server.Close()
	url := server.URL + "/pod.yaml"
	programs := t.TempDir()
	mark := filepath.Join(programs, "ran")
	for _, name := range []string{"git", "helm", "sh", "docker"} {
		script := "#!/bin/bash\necho " + name + " \"$@\" >> " + mark + "\nexit 1\n"
		if err := os.WriteFile(filepath.Join(programs, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", programs+string(os.PathListSeparator)+os.Getenv("PATH"))
	remote := func(field, value string) string {
		return field + `: "` + value + `" is remote, and a review fetches nothing`
	}
	const render = ": review what kustomize build prints (kustomize build . | eksguard review -f -)"
	for _, row := range []struct {
		name, text string
		files      map[string]string
		want       string
	}{
		{name: "a resource", text: "resources: ['" + url + "']", want: remote("resources[0]", url)},
		{name: "a resource, in the other case", text: "Resources: ['" + url + "']", want: remote("resources[0]", url)},
		{name: "a repository", text: "resources: [pod.yaml, 'https://example.com/a/b?ref=c']", want: remote("resources[1]",
			"https://example.com/a/b?ref=c")},
		{name: "a repository by ssh", text: "resources: ['git@example.com:a/b.git']", want: remote("resources[0]",
			"git@example.com:a/b.git")},
		{name: "a repository with a user of its own", text: "resources: ['org-1@example.com:a/b']",
			want: remote("resources[0]", "org-1@example.com:a/b")},
		{name: "a repository in small and capital letters", text: "resources: ['GIT::HTTPS://example.com/a/b']",
			want: remote("resources[0]", "GIT::HTTPS://example.com/a/b")},
		{name: "a repository without a scheme, for which there is a folder", text: "resources: [github.com/a/b]",
			files: map[string]string{"github.com/a/b/kustomization.yaml": "resources: []"}, want: remote("resources[0]",
				"github.com/a/b")},
		{name: "a repository on this machine", text: "resources: ['file:///a/b']", want: remote("resources[0]",
			"file:///a/b")},
		{name: "a base, as it was called", text: "bases: ['https://example.com/a/b']", want: remote("resources[0]",
			"https://example.com/a/b")},
		{name: "a component", text: "components: ['https://example.com/a/b']", want: remote("components[0]",
			"https://example.com/a/b")},
		{name: "a CRD", text: "crds: ['" + url + "']", want: remote("crds[0]", url)},
		{name: "a configuration", text: "configurations: ['" + url + "']", want: remote("configurations[0]", url)},
		{name: "a schema", text: "openapi: {path: '" + url + "'}\nresources: [pod.yaml]", want: remote("openapi.path", url)},
		{name: "a patch", text: "resources: [pod.yaml]\npatches: [{path: '" + url + "'}]", want: remote("patches[0].path",
			url)},
		{name: "a strategic patch", text: "resources: [pod.yaml]\npatchesStrategicMerge: ['" + url + "']",
			want: remote("patchesStrategicMerge[0]", url)},
		{name: "a JSON patch",
			text: "resources: [pod.yaml]\npatchesJson6902: [{path: '" + url + "', target: {kind: Pod, name: web}}]",
			want: remote("patchesJson6902[0].path", url)},
		{name: "a replacement", text: "resources: [pod.yaml]\nreplacements: [{path: '" + url + "'}]",
			want: remote("replacements[0].path", url)},
		{name: "a file of a ConfigMap", text: "configMapGenerator: [{name: a, files: ['" + url + "']}]",
			want: remote("configMapGenerator[0].files[0]", url)},
		{name: "a file of a ConfigMap by another name", text: "configMapGenerator: [{name: a, files: ['k=" + url + "']}]",
			want: remote("configMapGenerator[0].files[0]", "k="+url)},
		{name: "an environment of a Secret", text: "secretGenerator: [{name: a, envs: ['" + url + "']}]",
			want: remote("secretGenerator[0].envs[0]", url)},
		{name: "a generator", text: "generators: ['" + url + "']", want: remote("generators[0]", url)},
		{name: "a generator's file", text: "generators: [g.yaml]", files: map[string]string{
			"g.yaml": "apiVersion: \"built\\u0069n\"\nkind: ConfigMapGenerator\nmetadata: {name: a}\nFILES: ['" + url + "']"},
			want: "generators[0]: " + remote("FILES[0]", url)},
		{name: "a transformer that stands in the kustomization",
			text: "resources: [pod.yaml]\ntransformers:\n- |\n  apiVersion: builtin\n" +
				"  kind: PatchTransformer\n  metadata: {name: a}\n  path: " + url, want: "transformers[0]: " + remote("path", url)},
		{name: "transformers from another kustomization", text: "resources: [pod.yaml]\ntransformers: [t]",
			files: map[string]string{
				"t/kustomization.yaml": "resources: [t.yaml]\npatches: [{patch: " +
					"'[{op: replace, path: /path, value: \"" + url + "\"}]', target: {name: a}}]",
				"t/t.yaml": "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: a}\npath: x"},
			want: `transformers[0]: "t" is a folder: a review takes the configuration of a plugin from a file, or where it stands`},
		{name: "in a base", text: "resources: [b]",
			files: map[string]string{"b/kustomization.yaml": "resources: ['" + url + "']"},
			want:  "b/" + remote("kustomization.yaml: resources[0]", url)},
		{name: "in a file that a link leads to", text: "resources: [b]", files: map[string]string{
			"b/real.txt": "resources: ['" + url + "']", "b/kustomization.yaml": "-> real.txt"},
			want: "b/" + remote("kustomization.yaml: resources[0]", url)},

		{name: "a chart", text: "helmCharts: [{name: a, repo: '" + server.URL + "'}]",
			want: "helmCharts: a review runs no helm" + render},
		{name: "a chart by a generator", text: "generators: [g.yaml]", files: map[string]string{
			"g.yaml": "apiVersion: builtin\nkind: HelmChartInflationGenerator\nmetadata: {name: a}\nname: a\n" +
				"repo: " + server.URL},
			want: "generators[0]: a review runs no helm" + render},
		{name: "a function in a container", text: "resources: [pod.yaml]\ntransformers: [f.yaml]", files: map[string]string{
			"f.yaml": "apiVersion: a/v1\nkind: F\nmetadata: {name: a, " +
				"annotations: {config.kubernetes.io/function: 'container: {image: a}'}}"},
			want: "transformers[0]: F of a/v1 is no built-in plugin, and a review runs no others" + render},
		{name: "a function that is a program", text: "resources: [pod.yaml]\nvalidators: [f.yaml]", files: map[string]string{
			"f.yaml": "apiVersion: a/v1\nkind: F\nmetadata: {name: a, " +
				"annotations: {config.kubernetes.io/function: 'exec: {path: ./sh}'}}"},
			want: "validators[0]: F of a/v1 is no built-in plugin, and a review runs no others" + render},
		{name: "a plugin that is nothing", text: "generators: [nowhere.yaml]",
			want: `generators[0]: "nowhere.yaml": want a file or the configuration of a plugin`},
	} {
		t.Run(row.name, func(t *testing.T) {
			write(t, map[string]string{"kustomization.yaml": row.text, "pod.yaml": pod})
			for name, text := range row.files {
				if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
					t.Fatal(err)
				}
				if target, isLink := strings.CutPrefix(text, "-> "); isLink {
					if err := os.Symlink(target, name); err != nil {
						t.Fatal(err)
					}
				} else if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			result, err := build(t, "kustomization.yaml")
			want := row.want
			if !strings.HasPrefix(want, "b/") {
				want = "kustomization.yaml: " + want
			}
			if err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("error %v\n want %s", err, want)
			}
			if len(result.Objects) > 0 {
				t.Errorf("made %d objects", len(result.Objects))
			}
		})
	}
	if ran, err := os.ReadFile(mark); err == nil || asked.Load() > 0 {
		t.Errorf("%d requests; ran: %s", asked.Load(), ran)
	}
}

func TestWhatCannotBeBuilt(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"a component by itself", component,
			"a Component is a part of kustomizations, and not built by itself: review a kustomization that uses it"},
		{"a file outside", "resources: [../outside.yaml]",
			"kustomize: accumulating resources: accumulation err='accumulating resources from '../outside.yaml': security;"},
		{"a file that is not there", "resources: [gone.yaml]",
			"kustomize: accumulating resources: accumulation err='accumulating resources from 'gone.yaml': "},
		{"a field that does not exist", "resource: [pod.yaml]",
			`kustomize: invalid Kustomization: json: unknown field "resource"`},
		{"no YAML", "resources: a: b",
			"kustomize: invalid Kustomization: yaml: mapping values are not allowed in this context"},
		{"nothing", "", "kustomize: kustomization.yaml is empty"},
	} {
		t.Run(row.name, func(t *testing.T) {
			write(t, map[string]string{"k/kustomization.yaml": row.text, "k/pod.yaml": pod, "outside.yaml": pod})
			_, err := build(t, "k/kustomization.yaml")
			if err == nil || !strings.HasPrefix(err.Error(), row.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v\n want %s", err, row.want)
			}
		})
	}
}

func TestParse(t *testing.T) {
	write(t, map[string]string{"a/base/kustomization.yaml": "", "a/over/x.yaml": ""})
	for _, row := range []struct {
		name, text string
		want       kustomization.Folder
		is         bool
	}{
		{"a kustomization", "resources: [x.yaml, ../base, gone]\n",
			kustomization.Folder{Uses: []string{kustomization.Real("a/base")}}, true},
		{"one that tells what it is", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n",
			kustomization.Folder{}, true},
		{"a component", component + "components: [../base]\n", kustomization.Folder{Component: true,
			Uses: []string{kustomization.Real("a/base")}}, true},
		{"what kustomize does not understand", "resource: [../base]\n", kustomization.Folder{}, true},
		{"a Kustomization of Flux", "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a}\n",
			kustomization.Folder{}, false},
		{"another object", pod, kustomization.Folder{}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.is {
				row.want.Path, row.want.File = "a/over", "a/over/kustomization.yaml"
			}
			got, is := kustomization.Parse("a/over/kustomization.yaml", []byte(row.text))
			if diff := cmp.Diff(row.want, got); diff != "" || is != row.is {
				t.Errorf("%v, -want +got:\n%s", is, diff)
			}
		})
	}
}
