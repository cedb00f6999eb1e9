package bundle_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mozilla-iam/eksguard/internal/bundle"
)

// A bundle that is not good changes nothing, says why, and is forgotten once there is a good one again.
func TestABadBundleNeverReplacesAGoodOne(t *testing.T) {
	mine, other := newKey(t), newKey(t)
	for _, row := range []struct {
		name string
		// bad is served after the good one.
		bad func(t *testing.T) []byte
		// more is put into the bundle's section, and extra into the configuration.
		more   map[string]any
		extra  string
		reason bundle.Reason
		want   string
	}{
		{
			name: "Rego that does not parse",
			// OPA signs nothing that it cannot parse.
			bad:  packs(colours.with(files{"colours/colours.rego": "package eksguard.colours\n\ndeny contains"})),
			more: map[string]any{"signing": nil}, reason: bundle.ReasonPolicy,
			want: "colours/colours.rego:3: rego_parse_error",
		},
		{
			name: "a policy that breaks the contract",
			bad: signs(colours.with(files{"colours/more.rego": "package eksguard.colours\n\ndeny contains {\"rule\": \"x\", \"message\": \"x\"}"}),
				mine),
			reason: bundle.ReasonPolicy, want: `policies/colours/more.rego:3: rule "deny": METADATA is missing`,
		},
		{
			name:   "a built-in that reaches the network",
			bad:    signs(colours.with(files{"lib/net.rego": "package eksguard.lib.net\n\nx := http.send({})"}), mine),
			reason: bundle.ReasonPolicy, want: "policies/lib/net.rego:3: rego_type_error: undefined function http.send",
		},
		{
			name: "settings that do not keep their schema",
			bad: signs(colours.with(files{"data.json": `{"eksguard": {"settings": {"cluster": {"account": "", "partition": "aws"}, "colours": {"bda": "red"}}}}`}),
				mine),
			reason: bundle.ReasonSettings, want: `settings.colours.bda: unknown key (known: bad)`,
		},
		{
			name:   "not signed",
			bad:    packs(version("r2", 2)),
			reason: bundle.ReasonSignature, want: "signature: bundle missing .signatures.json file",
		},
		{
			name: "a signature that is empty",
			bad:  packs(version("r2", 2).with(files{".signatures.json": `{"signatures": []}`})), reason: bundle.ReasonSignature,
			want: "signature: ",
		},
		{
			name:   "signed by another key",
			bad:    signs(version("r2", 2), other),
			reason: bundle.ReasonSignature, want: "signature: failed to verify JWT signature",
		},
		{
			name: "changed after it was signed",
			bad: func(t *testing.T) []byte {
				return repack(t, sign(t, version("r2", 2), mine), func(_ string, text []byte) []byte {
					return bytes.ReplaceAll(text, []byte(`No bad colour`), []byte(`No red colour`))
				})
			},
			reason: bundle.ReasonSignature, want: "colours/colours.rego: digest mismatch",
		},
		{
			name: "a file that the signature does not name",
			bad: func(t *testing.T) []byte {
				return repack(t, sign(t, version("r2", 2), mine), nil, "colours/extra.rego", "package eksguard.colours\n")
			},
			reason: bundle.ReasonSignature, want: "colours/extra.rego not included in bundle signature",
		},
		{
			name:   "a delta bundle",
			bad:    packs(files{"patch.json": `{"data": [{"op": "upsert", "path": "/eksguard/settings/colours/bad", "value": "blue"}]}`}),
			reason: bundle.ReasonSignature, want: "delta bundles do not support signature verification",
		},
		{
			name: "a delta bundle, where nothing is verified",
			bad:  packs(files{"patch.json": `{"data": [{"op": "upsert", "path": "/eksguard/settings/colours/bad", "value": "blue"}]}`}),
			more: map[string]any{"signing": nil}, reason: bundle.ReasonFormat, want: "it is a delta bundle (it has a patch.json)",
		},
		{
			name: "older than what decides",
			bad:  signs(version("r0", 0), mine), reason: bundle.ReasonOlder,
			want: "its sequence 0 is older than 1, which was taken before: publish it with a higher one",
		},
		{
			name:   "from before there were sequences",
			bad:    signs(colours.with(files{".manifest": `{"revision": "r0", "roots": ["eksguard"]}`}), mine),
			reason: bundle.ReasonOlder, want: "its manifest has no metadata.eksguard.sequence, and the bundle that was taken before has 1",
		},
		{
			name: "a sequence that is none",
			bad: signs(colours.with(files{".manifest": `{"revision": "r2", "roots": ["eksguard"], "metadata": {"eksguard": {"sequence": "two"}}}`}),
				mine),
			reason: bundle.ReasonFormat, want: `metadata.eksguard.sequence is "two", want a whole number that is not negative`,
		},
		{
			name: "data that nobody reads",
			bad: signs(colours.with(files{".manifest": `{"revision": "r2", "roots": ["eksguard", "teams"], "metadata": {"eksguard": {"sequence": 2}}}`}),
				mine),
			reason: bundle.ReasonRoots, want: `root "teams" of its manifest: want "eksguard", "eksguard_settings", "system/log", or something below`,
		},
		{
			name: "tests that fail",
			bad: signs(version("r2", 2).with(files{"colours/colours_test.rego": `package eksguard.colours_test

test_bad if false
`}), mine),
			extra:  `, "eksguard": {"tests": "required"}`,
			reason: bundle.ReasonTests, want: "policies/colours/colours_test.rego:3: test test_bad fails",
		},
		{
			name:  "no tests",
			bad:   signs(version("r2", 2).with(files{"colours/colours_test.rego": ""}), mine),
			extra: `, "eksguard": {"tests": "required"}`, reason: bundle.ReasonTests, want: "the bundle has no tests",
		},
		{
			name:   "cut off",
			bad:    func(t *testing.T) []byte { raw := sign(t, version("r2", 2), mine); return raw[:len(raw)/2] },
			reason: bundle.ReasonFormat, want: "the .tar.gz file is damaged or cut off",
		},
		{
			name:   "no bundle at all",
			bad:    func(*testing.T) []byte { return []byte("<html>sign in</html>") },
			reason: bundle.ReasonFormat, want: "it is no .tar.gz file: gzip: invalid header",
		},
		{
			name:   "small, and huge once it is unpacked",
			bad:    packs(colours.with(files{"colours/data.json": strings.Repeat(" ", 2<<20)})),
			more:   map[string]any{"size_limit_bytes": 1 << 20},
			reason: bundle.ReasonSize, want: "it is larger than 1048576 bytes, packed or unpacked",
		},
		{
			name: "small files, and very many",
			bad: func(t *testing.T) []byte {
				many := files{}
				for i := range 10_001 {
					many[fmt.Sprint(i)] = ""
				}
				return pack(t, many)
			},
			reason: bundle.ReasonSize, want: "it has more than 10000 files",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			s.set("policies.tar.gz", sign(t, colours, mine))
			more := map[string]any{"signing": map[string]any{"keyid": "release"}}
			for key, value := range row.more {
				if more[key] = value; value == nil {
					delete(more, key)
				}
			}
			w, _ := start(t, setting{config: config(t, s.URL, mine, map[string]any{"policies": polled("policies.tar.gz", more)}, row.extra)})
			w.awaits("activated policies r1")
			s.set("policies.tar.gz", row.bad(t))
			event := w.awaits("failed policies ")
			if !strings.HasPrefix(event, "failed policies "+string(row.reason)+": ") || !strings.Contains(event, row.want) {
				t.Errorf("told %q, want reason %q and %q", event, row.reason, row.want)
			}
			if got := w.revision(); got != "r1" {
				t.Errorf("revision %q decides", got)
			}
			if status := w.loader.Status()["policies"]; status.ActiveRevision != "r1" || status.Reason != row.reason || status.Message == "" {
				t.Errorf("status is %+v", status)
			}
			s.set("policies.tar.gz", sign(t, version("r3", 3), mine))
			w.awaits("activated policies r3")
			if status := w.loader.Status()["policies"]; status.ActiveRevision != "r3" || status.Reason != "" || status.Message != "" {
				t.Errorf("status afterwards is %+v", status)
			}
		})
	}
}

func TestAServerThatFails(t *testing.T) {
	s, k := newServer(t), newKey(t)
	s.fail(http.StatusServiceUnavailable)
	w, _ := start(t, setting{config: config(t, s.URL, k, map[string]any{"policies": polled("policies.tar.gz", signed)}, "")})
	w.awaits("failed policies download: server replied with Service Unavailable")
	if err := w.loader.Missing(); err == nil || err.Error() !=
		`bundle "policies": not loaded yet: server replied with Service Unavailable` {
		t.Errorf("missing: %v", err)
	}
	if w.loader.Confirmed() || w.loader.Check(t.Context()) == nil {
		t.Error("it is certain of what it has not heard")
	}
	s.set("policies.tar.gz", sign(t, colours, k))
	w.awaits("activated policies r1")
	w.awaits("confirmed")
	if err := w.loader.Missing(); err != nil || !w.loader.Confirmed() {
		t.Errorf("missing: %v; confirmed: %v", err, w.loader.Confirmed())
	}
	// The server has nothing new, and says so.
	w.awaits("current policies")
	w.awaits("current policies")
}

// A bundle that was not taken is asked for again sooner than at the next poll, after delays that grow.
func TestABadBundleIsAskedForAgainWithGrowingDelays(t *testing.T) {
	k := newKey(t)
	var mu sync.Mutex
	var asked []time.Time
	raw := sign(t, colours.with(files{"colours/more.rego": "package eksguard.colours\n\ndeny contains {\"rule\": \"x\", \"message\": \"x\"}"}), k)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, time.Now())
		_, _ = w.Write(raw) // who asked may have ended
	}))
	t.Cleanup(s.Close)
	patient := polled("policies.tar.gz", signed)
	patient["polling"] = map[string]any{"min_delay_seconds": 3600, "max_delay_seconds": 7200}
	w, _ := start(t, setting{config: config(t, s.URL, k, map[string]any{"policies": patient}, "")})
	for range 7 {
		w.awaits("failed policies policy: ", "METADATA is missing")
	}
	mu.Lock()
	defer mu.Unlock()
	var delays []time.Duration
	for i := range asked[1:] {
		delays = append(delays, asked[i+1].Sub(asked[i]))
	}
	// A busy machine adds to some of them.
	if first := min(delays[0], delays[1], delays[2]); delays[5] < 2*first {
		t.Errorf("delays are %s", delays)
	}
}

// Check brings what the server has, without waiting for the next poll.
func TestCheckDoesNotWaitForThePoll(t *testing.T) {
	s, k := newServer(t), newKey(t)
	s.set("policies.tar.gz", sign(t, colours, k))
	slow := polled("policies.tar.gz", signed)
	slow["polling"] = map[string]any{"min_delay_seconds": 3600, "max_delay_seconds": 7200}
	w, _ := start(t, setting{config: config(t, s.URL, k, map[string]any{"policies": slow}, "")})
	w.awaits("activated policies r1")
	s.set("policies.tar.gz", sign(t, version("r2", 2), k))
	must(t, w.loader.Check(t.Context()))
	if got := w.revision(); got != "r2" {
		t.Errorf("revision %q decides", got)
	}
}

func signs(f files, k key) func(*testing.T) []byte {
	return func(t *testing.T) []byte { return sign(t, f, k) }
}

func packs(f files) func(*testing.T) []byte {
	return func(t *testing.T) []byte { return pack(t, f) }
}
