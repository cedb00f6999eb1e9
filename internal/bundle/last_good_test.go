package bundle_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var kept = map[string]any{"signing": map[string]any{"keyid": "release"}, "persist": true}

func persisted(folder string) string { return `, "persistence_directory": "` + folder + `"` }

// A start at which the server is down comes up on what was good last, unless it cannot be trusted any more.
func TestLastGoodCopy(t *testing.T) {
	mine, other := newKey(t), newKey(t)
	bundles := map[string]any{"policies": polled("policies.tar.gz", kept)}
	for _, row := range []struct {
		name string
		// change is what happens between the two processes.
		change func(t *testing.T, folder string)
		// key, bundles and extra are those of the second process.
		key      key
		bundles  map[string]any
		decides  string
		complain string
	}{
		{name: "it is used", key: mine, bundles: bundles, decides: "r1"},
		{
			name: "the key of today is another", key: other, bundles: bundles,
			complain: "failed policies signature: the last good copy is not used: signature: failed to verify JWT signature",
		},
		{
			name: "the copy was changed", key: mine, bundles: bundles,
			change: func(t *testing.T, folder string) {
				path := copyIn(t, folder)
				raw, err := os.ReadFile(path)
				must(t, err)
				must(t, os.WriteFile(path, repack(t, raw, func(_ string, text []byte) []byte {
					return bytes.ReplaceAll(text, []byte("red"), []byte("blue"))
				}), 0o600))
			},
			complain: "failed policies persist: the last good copy is not used: the copy ",
		},
		{
			name: "the record was damaged", key: mine, bundles: bundles,
			change: func(t *testing.T, folder string) {
				must(t, os.WriteFile(filepath.Join(folder, "eksguard", "last-good.json"), []byte("{"), 0o600))
			},
			complain: "last-good.json is damaged: unexpected end of JSON input",
		},
		{
			name: "it came from elsewhere", key: mine,
			bundles:  map[string]any{"policies": polled("other.tar.gz", kept)},
			complain: "failed policies download: ",
		},
		{
			name: "nothing is kept any more", key: mine,
			bundles:  map[string]any{"policies": polled("policies.tar.gz", signed)},
			complain: "failed policies download: ",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s, folder := newServer(t), t.TempDir()
			s.set("policies.tar.gz", sign(t, colours, mine))
			w, stop := start(t, setting{config: config(t, s.URL, mine, bundles, persisted(folder))})
			w.awaits("confirmed")
			stop()
			info, err := os.Stat(copyIn(t, folder))
			must(t, err)
			if info.Mode() != 0o600 {
				t.Errorf("mode of the copy is %v", info.Mode())
			}
			url := s.URL
			s.Close()
			if row.change != nil {
				row.change(t, folder)
			}
			w, _ = start(t, setting{config: config(t, url, row.key, row.bundles, persisted(folder))})
			if row.complain != "" {
				w.awaits(row.complain)
			} else {
				w.awaits("activated policies " + row.decides)
				w.awaits("failed policies download: ", "connection refused")
			}
			if got := w.revision(); got != row.decides {
				t.Errorf("revision %q decides, want %q", got, row.decides)
			}
			if w.loader.Confirmed() {
				t.Error("it is confirmed, and nobody was heard")
			}
		})
	}
}

// copyIn gives the path of the only copy.
func copyIn(t *testing.T, folder string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "eksguard", "*.tar.gz"))
	must(t, err)
	if len(paths) != 1 {
		t.Fatalf("copies are %q, want one", paths)
	}
	return paths[0]
}

// What was taken once is remembered: going back is refused also by the next process, unless it is allowed.
func TestAnOlderBundleIsRefusedAfterARestart(t *testing.T) {
	s, k, folder := newServer(t), newKey(t), t.TempDir()
	bundles := map[string]any{"policies": polled("policies.tar.gz", kept)}
	s.set("policies.tar.gz", sign(t, version("r7", 7), k))
	w, stop := start(t, setting{config: config(t, s.URL, k, bundles, persisted(folder))})
	w.awaits("activated policies r7")
	s.set("policies.tar.gz", sign(t, version("r8", 8), k))
	w.awaits("activated policies r8")
	stop()
	copyIn(t, folder)

	// The one that decided two versions ago, and is signed as well as ever.
	s.set("policies.tar.gz", sign(t, version("r7", 7), k))
	must(t, os.Remove(copyIn(t, folder)))
	w, stop = start(t, setting{config: config(t, s.URL, k, bundles, persisted(folder))})
	w.awaits("failed policies older: its sequence 7 is older than 8, which was taken before")
	if got := w.revision(); got != "" {
		t.Errorf("revision %q decides", got)
	}
	stop()

	allowed := persisted(folder) + `, "eksguard": {"allow_older": true}`
	w, stop = start(t, setting{config: config(t, s.URL, k, bundles, allowed)})
	w.awaits("activated policies r7")
	stop()
	// From then on, that is the one that others are compared with.
	w, _ = start(t, setting{config: config(t, s.URL, k, bundles, persisted(folder))})
	w.awaits("activated policies r7")
	w.awaits("current policies")
}

// Several bundles are kept together: what decided together is what comes back.
func TestTheLastGoodCopiesBelongTogether(t *testing.T) {
	s, k, folder := newServer(t), newKey(t), t.TempDir()
	section := maps.Clone(kept)
	bundles := map[string]any{
		"policies": polled("policies.tar.gz", section), "cluster": polled("cluster.tar.gz", map[string]any{"persist": true}),
	}
	s.set("policies.tar.gz", sign(t, colours, k))
	s.set("cluster.tar.gz", pack(t, clusterSettings))
	w, stop := start(t, setting{config: config(t, s.URL, k, bundles, persisted(folder))})
	w.awaits("confirmed")
	// It does not fit, and is not kept.
	s.set("cluster.tar.gz", pack(t, clusterSettings.with(files{"eksguard_settings/data.yaml": "colours: {worse: green}\n"})))
	w.awaits("failed cluster settings")
	stop()
	url := s.URL
	s.Close()
	w, _ = start(t, setting{config: config(t, url, k, bundles, persisted(folder))})
	w.awaits("activated policies r1")
	if got := w.revision(); !strings.HasPrefix(got, "cluster=c1,policies=r1") || !denies(t, w, "green") {
		t.Errorf("revision %q decides", got)
	}
}
