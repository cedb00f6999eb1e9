package bundle_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// clusterSettings is a bundle that says how one cluster differs.
var clusterSettings = files{
	".manifest":                   `{"revision": "c1", "roots": ["eksguard_settings"]}`,
	"eksguard_settings/data.yaml": "colours: {bad: green}\n",
}

// Policies for all clusters and the settings of one come from two bundles.
func TestTwoBundlesAreOne(t *testing.T) {
	s, k := newServer(t), newKey(t)
	s.set("policies.tar.gz", sign(t, colours, k))
	w, _ := start(t, setting{config: config(t, s.URL, k, map[string]any{
		"policies": polled("policies.tar.gz", signed), "cluster": polled("cluster.tar.gz", nil),
	}, "")})
	w.awaits("failed cluster download: server replied with Not Found")
	if w.revision() != "" {
		t.Error("one of them decides without the other")
	}
	s.set("cluster.tar.gz", pack(t, clusterSettings))
	w.awaits("activated policies r1")
	decides := func(red, green bool) {
		t.Helper()
		for name, want := range map[string]bool{"red": red, "green": green} {
			if got := denies(t, w, name); got != want {
				t.Errorf("%s is denied: %v, want %v", name, got, want)
			}
		}
	}
	decides(false, true)

	t.Run("what does not fit is not taken", func(t *testing.T) {
		s.set("cluster.tar.gz", pack(t, clusterSettings.with(files{"eksguard_settings/data.yaml": "colours: {good: green}\n"})))
		w.awaits("failed cluster settings: ", `settings.colours.good: unknown key`)
		decides(false, true)
	})
	t.Run("until what it goes with has come", func(t *testing.T) {
		s.set("policies.tar.gz", sign(t, version("r2", 2).with(files{
			"data.json":            `{"eksguard": {"settings": {"cluster": {"account": "", "partition": "aws"}, "colours": {"bad": "red", "good": ""}}}}`,
			"colours/colours.rego": strings.Replace(colours["colours/colours.rego"], "properties: {", "properties: {good: {type: string}, ", 1),
		}), k))
		w.awaits("activated policies r2")
		decides(true, false) // the cluster's bundle says nothing of bad any more
	})
}

// Settings and the default bundle beside one from a service, which has to come first, are known to be the newest once it
// has come: only then is a policy unregistered that was taken away.
func TestWhatIsOnThisMachineIsConfirmedWithTheRest(t *testing.T) {
	for name, row := range map[string]struct {
		bundles  map[string]any
		settings string
	}{
		"settings": {map[string]any{"policies": polled("policies.tar.gz", nil)}, write(t, "settings.yaml", "colours: {bad: green}\n")},
		"the default bundle": {map[string]any{
			"policies": map[string]any{"resource": "embedded"}, "cluster": polled("cluster.tar.gz", nil)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			w, _ := start(t, setting{config: config(t, s.URL, newKey(t), row.bundles, ""), settings: row.settings})
			w.awaits(": server replied with Not Found")
			s.set("policies.tar.gz", pack(t, colours))
			s.set("cluster.tar.gz", pack(t, files{
				".manifest":                   `{"roots": ["eksguard_settings"]}`,
				"eksguard_settings/data.yaml": "cluster: {account: \"555555555555\"}\n",
			}))
			w.awaits("confirmed")
			if !w.loader.Confirmed() {
				t.Error("it is not confirmed")
			}
		})
	}
}

func TestRootsThatOverlap(t *testing.T) {
	s, k := newServer(t), newKey(t)
	s.set("policies.tar.gz", sign(t, colours, k))
	s.set("more.tar.gz", pack(t, colours.with(files{".manifest": `{"roots": ["eksguard/colours", "eksguard/settings"]}`, "colours/colours_test.rego": ""})))
	w, _ := start(t, setting{config: config(t, s.URL, k, map[string]any{
		"policies": polled("policies.tar.gz", signed), "more": polled("more.tar.gz", nil),
	}, "")})
	w.awaits(" roots: ", `bundles "more" and "policies": roots "eksguard/colours" and "eksguard" of their manifests overlap`)
}

// The default bundle takes other policies and settings beside it.
func TestTheDefaultBundleWithOthers(t *testing.T) {
	folder := t.TempDir()
	writeAll(t, folder, files{
		".manifest":                   `{"roots": ["eksguard/colours", "eksguard_settings"]}`,
		"colours/colours.rego":        colours["colours/colours.rego"],
		"eksguard_settings/data.yaml": "colours: {bad: green}\nenforcement: {iam-role: warn}\n",
	})
	path := write(t, "config.yaml", `{bundles: {default: {resource: embedded}, mine: {resource: "file://`+folder+`"}}}`)
	w, _ := start(t, setting{config: path})
	w.awaits("activated mine")
	if !denies(t, w, "green") {
		t.Error("the policy beside the default ones does not decide")
	}
	for _, name := range []string{"colours", "iam-role", "aws-auth"} {
		if w.active.Policy(name) == nil {
			t.Errorf("there is no policy %q", name)
		}
	}
}

func writeAll(t *testing.T, folder string, f files) {
	t.Helper()
	for name, text := range maps.All(f) {
		path := filepath.Join(folder, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, []byte(text), 0o600))
	}
}
