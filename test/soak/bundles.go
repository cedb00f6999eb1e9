package soak

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	opabundle "github.com/open-policy-agent/opa/v1/bundle"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/bundlefile"
)

// bundleServer serves the default policies by HTTP, as they are and spoiled in every way.
type bundleServer struct {
	*httptest.Server
	private, stranger bundlefile.Key
	public            string

	mu       sync.Mutex
	sequence int
	raw      []byte
	status   int // if it is not 0, it answers with it
}

func startBundleServer() (*bundleServer, error) {
	s := &bundleServer{}
	var err error
	if s.private, s.public, err = newKey(); err != nil {
		return nil, err
	}
	if s.stranger, _, err = newKey(); err != nil {
		return nil, err
	}
	s.Server = httptest.NewServer(s)
	return s, nil
}

func (s *bundleServer) stop() { s.Close() }

func newKey() (private bundlefile.Key, public string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return private, "", err
	}
	text, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return private, "", err
	}
	private = bundlefile.Key{ID: "release", Algorithm: "ES256",
		Text: string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: text}))}
	if text, err = x509.MarshalPKIXPublicKey(&key.PublicKey); err != nil {
		return private, "", err
	}
	return private, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: text})), nil
}

// version says how what is published differs from the default policies; the zero value is another revision of them.
type version struct {
	// change changes it before it is packed.
	change func(*opabundle.Bundle)
	// unsigned leaves the signature out, and stranger signs it with another key.
	unsigned, stranger bool
	// cut leaves the end of the file out.
	cut bool
	// older gives it a sequence that was there before.
	older bool
	// status is an answer instead of the file.
	status int
	// reason is why it is not taken; empty if it is.
	reason string
}

var (
	good     = version{}
	extended = version{change: func(b *opabundle.Bundle) { addModule(b, comingAndGoing) }}
	bad      = []version{
		{reason: "policy", change: func(b *opabundle.Bundle) { addModule(b, reachingOut) }},
		{reason: "settings", change: func(b *opabundle.Bundle) {
			b.Data["eksguard"].(map[string]any)["settings"].(map[string]any)["iam_role"] = "none"
		}},
		{reason: "older", older: true},
		{reason: "signature", unsigned: true},
		{reason: "signature", stranger: true},
		{reason: "format", cut: true},
		{reason: "download", status: http.StatusInternalServerError},
	}
)

// reachingOut is a policy that asks the network.
const reachingOut = `package eksguard.soak

deny contains violation if violation := http.send({"method": "GET", "url": "https://example.com"}).body
`

// comingAndGoing is a policy that not every bundle has.
const comingAndGoing = `# METADATA
# title: Coming and going
# custom:
#   match:
#     - apiGroups: [""]
#       apiVersions: ["v1"]
#       resources: ["configmaps"]
#       operations: ["CREATE"]
#   matchConditions:
#     - name: for-the-soak
#       expression: '"soak" in object.?metadata.?labels.orValue({})'
#   failurePolicy: Fail
package eksguard.soak

# METADATA
# title: Forbidden
# custom: {id: forbidden, severity: high, fix: take another colour}
deny contains violation if {
	input.request.object.metadata.labels.soak == "red"
	violation := {"rule": "forbidden", "field": "metadata.labels.soak", "message": "is red"}
}
`

func addModule(b *opabundle.Bundle, text string) {
	const name = "/soak/soak.rego"
	parsed := ast.MustParseModuleWithOpts(text, ast.ParserOptions{ProcessAnnotation: true})
	b.Modules = append(b.Modules, opabundle.ModuleFile{URL: name, Path: name, RelativePath: name, Raw: []byte(text), Parsed: parsed})
}

// publish serves a version from now on.
func (s *bundleServer) publish(v version) error {
	b, err := bundle.Load("")
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sequence++
	sequence := s.sequence
	if v.older {
		sequence = 0
	}
	if v.change != nil {
		v.change(b)
	}
	b.Manifest.Metadata = map[string]any{"eksguard": map[string]any{"sequence": sequence}}
	raw, _, err := bundlefile.Build(b, bundlefile.BuildOptions{Revision: s.revision()})
	if err != nil {
		return fmt.Errorf("build a bundle: %w", err)
	}
	if !v.unsigned {
		key := s.private
		if v.stranger {
			key = s.stranger
		}
		if raw, err = bundlefile.Sign(raw, key); err != nil {
			return err
		}
	}
	if v.cut {
		raw = raw[:len(raw)/2]
	}
	s.raw, s.status = raw, v.status
	return nil
}

// revision is that of what was published last.
func (s *bundleServer) revision() string { return fmt.Sprintf("r%d", s.sequence) }

// ServeHTTP implements http.Handler.
func (s *bundleServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	raw, status := s.raw, s.status
	s.mu.Unlock()
	if status != 0 {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("ETag", fmt.Sprintf("%q", fmt.Sprintf("%x", sha256.Sum256(raw))))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(raw))
}

// config writes a configuration that follows the server and keeps copies in a folder, and gives its path.
func (s *bundleServer) config(folder string) (string, error) {
	path := filepath.Join(folder, "config.yaml")
	text := fmt.Sprintf(`
services: {bundles: {url: %q}}
keys: {release: {algorithm: ES256, key: %q}}
persistence_directory: %q
bundles:
  policies:
    service: bundles
    resource: policies.tar.gz
    persist: true
    signing: {keyid: release}
    polling: {min_delay_seconds: 1, max_delay_seconds: 1}
`, s.URL, s.public, filepath.Join(folder, "bundles"))
	return path, os.WriteFile(path, []byte(text), 0o600)
}
