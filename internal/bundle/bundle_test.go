package bundle_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	opabundle "github.com/open-policy-agent/opa/v1/bundle"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/internal/reload"
)

// files are a bundle, by name.
type files map[string]string

// with gives the files with these put in or replaced; an empty text takes one out.
func (f files) with(more files) files {
	all := maps.Clone(f)
	for name, text := range more {
		if all[name] = text; text == "" {
			delete(all, name)
		}
	}
	return all
}

// colours is a bundle with one policy and one test.
var colours = files{
	".manifest": `{"revision": "r1", "roots": ["eksguard"], "metadata": {"eksguard": {"sequence": 1}}}`,
	"data.json": `{"eksguard": {"settings": {"cluster": {"account": "", "partition": "aws"}, "colours": {"bad": "red"}}}}`,
	"colours/colours.rego": `# METADATA
# title: Colours
# custom:
#   match: [{apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], operations: ["CREATE"]}]
#   settings: {type: object, additionalProperties: false, required: [bad], properties: {bad: {type: string}}}
package eksguard.colours

# METADATA
# title: No bad colour
# custom: {id: bad, severity: low}
deny contains {"rule": "bad", "message": "bad"} if input.request.name == data.eksguard.settings.colours.bad
`,
	"colours/colours_test.rego": `package eksguard.colours_test

import data.eksguard.colours

test_bad if count(colours.deny) == 1 with input.request.name as "red"
`,
}

// version is colours with another revision and sequence.
func version(revision string, sequence int) files {
	return colours.with(files{".manifest": fmt.Sprintf(
		`{"revision": %q, "roots": ["eksguard"], "metadata": {"eksguard": {"sequence": %d}}}`, revision, sequence)})
}

// pack makes a bundle file.
func pack(t *testing.T, f files) []byte {
	t.Helper()
	var packed bytes.Buffer
	zipped := gzip.NewWriter(&packed)
	archive := tar.NewWriter(zipped)
	for _, name := range slices.Sorted(maps.Keys(f)) {
		must(t, archive.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(f[name]))}))
		_, err := archive.Write([]byte(f[name]))
		must(t, err)
	}
	must(t, archive.Close())
	must(t, zipped.Close())
	return packed.Bytes()
}

// repack changes the files in a bundle file, and adds one more where its name and text are given.
func repack(t *testing.T, raw []byte, change func(name string, text []byte) []byte, more ...string) []byte {
	t.Helper()
	unzipped, err := gzip.NewReader(bytes.NewReader(raw))
	must(t, err)
	all := files{}
	for archive := tar.NewReader(unzipped); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		text, err := io.ReadAll(archive)
		must(t, err)
		if change != nil {
			text = change(header.Name, text)
		}
		all[header.Name] = string(text)
	}
	if len(more) > 0 {
		all[more[0]] = more[1]
	}
	return pack(t, all)
}

// key is a key to sign bundles with.
type key struct{ private, public string }

func newKey(t *testing.T) key {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	private, err := x509.MarshalECPrivateKey(k)
	must(t, err)
	public, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	must(t, err)
	return key{
		private: string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private})),
		public:  string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
	}
}

// sign makes a bundle file that is signed by OPA's own code, as `opa build --signing-key` does.
func sign(t *testing.T, f files, k key) []byte {
	t.Helper()
	b, err := opabundle.NewReader(bytes.NewReader(pack(t, f))).WithSkipBundleVerification(true).Read()
	must(t, err)
	must(t, b.GenerateSignature(opabundle.NewSigningConfig(k.private, "ES256", ""), "release", true))
	var signed bytes.Buffer
	must(t, opabundle.NewWriter(&signed).UseModulePath(true).DisableFormat(true).Write(b))
	return signed.Bytes()
}

// server serves bundles by HTTP, with ETags.
type server struct {
	*httptest.Server
	mu      sync.Mutex
	bundles map[string][]byte
	status  int
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{bundles: map[string][]byte{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) set(name string, raw []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bundles["/"+name], s.status = raw, 0
}

func (s *server) fail(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	raw, found := s.bundles[r.URL.Path]
	status := s.status
	s.mu.Unlock()
	switch {
	case status != 0:
		w.WriteHeader(status)
	case !found:
		w.WriteHeader(http.StatusNotFound)
	default:
		w.Header().Set("ETag", etag(raw))
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(raw))
	}
}

func etag(raw []byte) string { return fmt.Sprintf(`"%x"`, sha256.Sum256(raw)) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is a Loader at work, and what it tells.
type world struct {
	t      *testing.T
	loader *bundle.Loader
	// out gets what is told, if it is not nil.
	out io.Writer

	mu     sync.Mutex
	events []string
	active *policy.Snapshot
	refuse error
}

// Failed implements bundle.Observer.
func (w *world) Failed(name string, fault *bundle.Fault) {
	w.tell("failed %s %s: %v", name, fault.Reason, fault)
}

// Activated implements bundle.Observer.
func (w *world) Activated(name, revision string) { w.tell("activated %s %s", name, revision) }

// Current implements bundle.Observer.
func (w *world) Current(name string, _ time.Time) { w.tell("current %s", name) }

func (w *world) tell(format string, a ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, fmt.Sprintf(format, a...))
	if w.out != nil {
		_, _ = fmt.Fprintln(w.out, w.events[len(w.events)-1]) // nobody reads it any more
	}
}

// Activate implements bundle.Activator.
func (w *world) Activate(_ context.Context, s *policy.Snapshot) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuse != nil {
		return w.refuse
	}
	w.active = s
	return nil
}

func (w *world) revision() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.active == nil {
		return ""
	}
	return w.active.Revision()
}

// denies tells whether the policies that decide deny a Pod of that name.
func denies(t *testing.T, w *world, name string) bool {
	t.Helper()
	r, err := policy.ParseRequest([]byte(`{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "1", "operation": "CREATE",
		"kind": {"version": "v1", "kind": "Pod"}, "resource": {"version": "v1", "resource": "pods"}, "namespace": "here", "name": "` + name + `",
		"object": {"metadata": {"name": "` + name + `"}}}}`))
	must(t, err)
	w.mu.Lock()
	defer w.mu.Unlock()
	r.Policy = "colours"
	d := policy.NewEngine(w.active, policy.StaticState{}).Decide(t.Context(), r)
	return !d.Allowed
}

// awaits waits for an event that has all these words in it, told after the last one that was awaited, and returns it.
func (w *world) awaits(words ...string) string {
	w.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		w.mu.Lock()
		for i, event := range w.events {
			if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(event, word) }) {
				w.events = w.events[i+1:]
				w.mu.Unlock()
				return event
			}
		}
		events := strings.Join(w.events, "\n")
		w.mu.Unlock()
		if time.Now().After(deadline) {
			w.t.Fatalf("nothing with %q was told, but:\n%s", words, events)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// setting makes a Loader.
type setting struct {
	config, path, settings string
}

// load makes a Loader of a setting and prepares it.
func load(t *testing.T, s setting) (*world, error) {
	t.Helper()
	w, err := newWorld(t.Context(), s)
	if w != nil {
		w.t = t
	}
	return w, err
}

func newWorld(ctx context.Context, s setting) (*world, error) {
	logger := slog.New(slog.DiscardHandler)
	w := &world{}
	var config *bundle.Config
	if s.config != "" {
		var err error
		if config, err = bundle.ReadConfig(s.config, bundle.OPALogger(logger)); err != nil {
			return nil, err
		}
	}
	var err error
	w.loader, err = bundle.NewLoader(bundle.Options{
		Config: config, Path: s.path, Settings: s.settings, Observer: w, Logger: logger,
		Confirmed: func() { w.tell("confirmed") },
		Compiler:  reload.Compiler{TestsRequired: config != nil && config.TestsRequired},
	})
	if err != nil {
		return nil, err
	}
	return w, w.loader.Prepare(ctx)
}

// start makes a Loader and runs it until the test ends, or stop is called.
func start(t *testing.T, s setting) (w *world, stop func()) {
	t.Helper()
	w, err := load(t, s)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.loader.Start(ctx, w) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return w, stop
}

// write writes a file into a folder that is made for the test, and gives its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	must(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// config is a configuration with one HTTP service, one key and these bundles; more is put at its end.
func config(t *testing.T, url string, k key, bundles map[string]any, more string) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{
		"services": map[string]any{"server": map[string]any{"url": url}},
		"keys":     map[string]any{"release": map[string]any{"key": k.public, "algorithm": "ES256"}},
		"bundles":  bundles,
	})
	must(t, err)
	return write(t, "config.yaml", string(text[:len(text)-1])+more+"}")
}

// polled is the section of a bundle that is polled as often as can be, with more keys.
func polled(resource string, more map[string]any) map[string]any {
	section := map[string]any{"service": "server", "resource": resource,
		"polling": map[string]any{"min_delay_seconds": 0, "max_delay_seconds": 1}}
	maps.Copy(section, more)
	return section
}

var signed = map[string]any{"signing": map[string]any{"keyid": "release"}}
