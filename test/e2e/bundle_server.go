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
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	opabundle "github.com/open-policy-agent/opa/v1/bundle"
)

// BundleServer publishes bundles by HTTP, with ETags, or in an OCI registry.
type BundleServer struct {
	// Unsigned has it publish bundles without a signature, and Config ask for none. Otherwise they are signed by OPA's own
	// code.
	Unsigned bool
	// Services and Sections are lines in YAML that Config puts into the section services, indented, and after all sections.
	Services, Sections string

	t       testing.TB
	folder  string
	private string
	public  string
	oci     bool
	handler http.Handler
	address string
	server  *httptest.Server
	// unchanged counts the requests that were answered with 304.
	unchanged atomic.Int64

	mu      sync.Mutex
	bundles map[string][]byte
}

// NewBundleServer starts an HTTP server of bundles, of which that named "policies" is made of a folder. It stops when the
// test ends.
func NewBundleServer(t testing.TB, folder string) *BundleServer {
	t.Helper()
	s := &BundleServer{t: t, folder: folder, bundles: map[string][]byte{}}
	s.handler = s
	s.start()
	return s
}

// NewBundleRegistry is NewBundleServer for an OCI registry.
func NewBundleRegistry(t testing.TB, folder string) *BundleServer {
	t.Helper()
	s := &BundleServer{t: t, folder: folder, oci: true}
	s.handler = registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	s.start()
	return s
}

func (s *BundleServer) start() {
	s.t.Helper()
	s.private, s.public = newKey(s.t)
	s.address = "127.0.0.1:0"
	s.Up()
	s.address = s.server.Listener.Addr().String()
	s.t.Cleanup(func() { s.Down() })
}

func newKey(t testing.TB) (private, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	open, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: open}))
}

// Up starts it again after Down, where it was, with what was published.
func (s *BundleServer) Up() {
	s.t.Helper()
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.server = httptest.NewUnstartedServer(s.handler)
	_ = s.server.Listener.Close() // nobody knows of it
	s.server.Listener = listener
	s.server.Start()
}

// Down ends it: nobody listens where it was.
func (s *BundleServer) Down() { s.server.Close() }

// URL is where it is.
func (s *BundleServer) URL() string { return "http://" + s.address }

// OCI tells whether it is an OCI registry.
func (s *BundleServer) OCI() bool { return s.oci }

// Unchanged is how many requests were answered by HTTP with 304 Not Modified.
func (s *BundleServer) Unchanged() int64 { return s.unchanged.Load() }

// Publish makes what is in the folder the bundle "policies" from now on: with that sequence, after change has changed it.
func (s *BundleServer) Publish(sequence int, change func(*opabundle.Bundle)) {
	s.t.Helper()
	s.Put("policies", s.Pack(s.Bundle(sequence, change)))
}

// Bundle makes a bundle of what is in the folder.
func (s *BundleServer) Bundle(sequence int, change func(*opabundle.Bundle)) opabundle.Bundle {
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
	return b
}

// Pack makes a bundle file, signed unless bundles are unsigned.
func (s *BundleServer) Pack(b opabundle.Bundle) []byte {
	s.t.Helper()
	if s.Unsigned {
		return s.pack(b, "")
	}
	return s.pack(b, s.private)
}

// PackSignedByAnother makes a bundle file that is signed by a key which nobody trusts, under the name of the right one.
func (s *BundleServer) PackSignedByAnother(b opabundle.Bundle) []byte {
	s.t.Helper()
	private, _ := newKey(s.t)
	return s.pack(b, private)
}

func (s *BundleServer) pack(b opabundle.Bundle, private string) []byte {
	s.t.Helper()
	if private != "" {
		if err := b.GenerateSignature(opabundle.NewSigningConfig(private, "ES256", ""), "release", true); err != nil {
			s.t.Fatal(err)
		}
	}
	var raw bytes.Buffer
	if err := opabundle.NewWriter(&raw).UseModulePath(true).DisableFormat(true).Write(b); err != nil {
		s.t.Fatal(err)
	}
	return raw.Bytes()
}

// Put publishes a bundle file, whatever is in it.
func (s *BundleServer) Put(bundle string, raw []byte) {
	s.t.Helper()
	if !s.oci {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.bundles["/"+bundle+".tar.gz"] = raw
		return
	}
	tag, err := name.NewTag(s.resource(bundle), name.Insecure)
	if err != nil {
		s.t.Fatal(err)
	}
	image, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), static.NewLayer(raw, types.OCILayer))
	if err != nil {
		s.t.Fatal(err)
	}
	if err := remote.Write(tag, image); err != nil {
		s.t.Fatal(err)
	}
}

func (s *BundleServer) resource(bundle string) string {
	if s.oci {
		return s.address + "/" + bundle + ":stable"
	}
	return bundle + ".tar.gz"
}

// ServeHTTP implements http.Handler.
func (s *BundleServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	raw := s.bundles[r.URL.Path]
	s.mu.Unlock()
	if raw == nil {
		http.NotFound(w, r)
		return
	}
	etag := fmt.Sprintf("%q", fmt.Sprintf("%x", sha256.Sum256(raw)))
	if r.Header.Get("If-None-Match") == etag {
		s.unchanged.Add(1)
	}
	w.Header().Set("ETag", etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(raw)) // which answers with 304 where the ETag is the same
}

// Config writes a configuration that has eksguard ask the server every so many seconds at most, and keep copies in a
// folder, and gives its path. An empty folder keeps none. Without names of bundles there is one, "policies".
func (s *BundleServer) Config(seconds int, folder string, bundles ...string) string {
	s.t.Helper()
	if len(bundles) == 0 {
		bundles = []string{"policies"}
	}
	more := ""
	if s.oci {
		more = ", type: oci"
	}
	var text strings.Builder
	fmt.Fprintf(&text, "services:\n  bundles: {url: %q%s}\n%s", s.URL(), more, s.Services)
	if !s.Unsigned {
		fmt.Fprintf(&text, "keys: {release: {algorithm: ES256, key: %q}}\n", s.public)
	}
	if folder != "" {
		fmt.Fprintf(&text, "persistence_directory: %s\n", folder)
	}
	text.WriteString("bundles:\n")
	for _, bundle := range bundles {
		fmt.Fprintf(&text, "  %s:\n    service: bundles\n    resource: %q\n    persist: %v\n"+
			"    polling: {min_delay_seconds: %d, max_delay_seconds: %d}\n", bundle, s.resource(bundle), folder != "", seconds/2, seconds)
		if !s.Unsigned {
			text.WriteString("    signing: {keyid: release}\n")
		}
	}
	text.WriteString(s.Sections)
	path := filepath.Join(s.t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}
