package e2e

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
	"testing"
	"time"

	opabundle "github.com/open-policy-agent/opa/v1/bundle"
)

// BundleServer serves one bundle by HTTP, signed by OPA's own code.
type BundleServer struct {
	*httptest.Server
	t       testing.TB
	folder  string
	private string
	public  string

	mu  sync.Mutex
	raw []byte
}

// NewBundleServer starts a server of what is made of the bundle in a folder. It stops when the test ends.
func NewBundleServer(t testing.TB, folder string) *BundleServer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	s := &BundleServer{
		t: t, folder: folder,
		private: string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private})),
		public:  string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
	}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// Publish serves the bundle from now on: with that sequence, after change has changed it.
func (s *BundleServer) Publish(sequence int, change func(*opabundle.Bundle)) {
	s.t.Helper()
	b, err := opabundle.NewCustomReader(opabundle.NewDirectoryLoader(s.folder)).Read()
	if err != nil {
		s.t.Fatal(err)
	}
	roots := []string{"eksguard"}
	b.Manifest = opabundle.Manifest{
		Revision: fmt.Sprintf("r%d", sequence), Roots: &roots,
		Metadata: map[string]any{"eksguard": map[string]any{"sequence": sequence}},
	}
	if change != nil {
		change(&b)
	}
	if err := b.GenerateSignature(opabundle.NewSigningConfig(s.private, "ES256", ""), "release", true); err != nil {
		s.t.Fatal(err)
	}
	var raw bytes.Buffer
	if err := opabundle.NewWriter(&raw).UseModulePath(true).DisableFormat(true).Write(b); err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.raw = raw.Bytes()
}

// ServeHTTP implements http.Handler.
func (s *BundleServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	raw := s.raw
	s.mu.Unlock()
	if raw == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", fmt.Sprintf("%q", fmt.Sprintf("%x", sha256.Sum256(raw))))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(raw))
}

// Config writes a configuration that has eksguard ask the server every so many seconds at most, and keep copies in a
// folder, and gives its path. An empty folder keeps none.
func (s *BundleServer) Config(seconds int, folder string) string {
	s.t.Helper()
	persist := ""
	if folder != "" {
		persist = "persistence_directory: " + folder + "\n"
	}
	path := filepath.Join(s.t.TempDir(), "config.yaml")
	text := fmt.Sprintf(`
services: {bundles: {url: %q}}
keys: {release: {algorithm: ES256, key: %q}}
%sbundles:
  policies:
    service: bundles
    resource: policies.tar.gz
    persist: %v
    signing: {keyid: release}
    polling: {min_delay_seconds: %d, max_delay_seconds: %d}
`, s.URL, s.public, persist, folder != "", seconds/2, seconds)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}
