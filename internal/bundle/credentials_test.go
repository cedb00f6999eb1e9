package bundle_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// guarded serves one bundle to those whom allow lets pass, and 403 to all others.
type guarded struct {
	mu    sync.Mutex
	raw   []byte
	allow func(*http.Request) error
	// refused is why somebody was refused last.
	refused error
}

func (g *guarded) set(raw []byte, allow func(*http.Request) error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.raw, g.allow = raw, allow
}

// ServeHTTP implements http.Handler.
func (g *guarded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.refused = g.allow(r); g.refused != nil {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	w.Header().Set("ETag", etag(g.raw))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(g.raw))
}

func (g *guarded) why() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refused
}

// from is a configuration with one service that authenticates; more is put into its section.
func from(t *testing.T, url, more string) setting {
	t.Helper()
	return setting{config: write(t, "config.yaml", `
services: {server: {url: "`+url+`", headers: {X-Team: iam}, `+more+`}}
bundles: {policies: {resource: "eksguard/policies 1.tar.gz", polling: {min_delay_seconds: 0, max_delay_seconds: 1}}}
`)}
}

// A token in a file, such as Kubernetes mounts and renews, is read again for every request.
func TestATokenThatIsRenewed(t *testing.T) {
	bearer := func(token string) func(*http.Request) error {
		return func(r *http.Request) error {
			if got := r.Header.Get("Authorization"); got != "Bearer "+token || r.Header.Get("X-Team") != "iam" {
				return fmt.Errorf("authorization is %q, team %q", got, r.Header.Get("X-Team"))
			}
			return nil
		}
	}
	g, path := &guarded{}, write(t, "token", "first\n")
	g.set(pack(t, version("r1", 1)), bearer("first"))
	s := httptest.NewServer(g)
	t.Cleanup(s.Close)
	w, _ := start(t, from(t, s.URL, `credentials: {bearer: {token_path: "`+path+`"}}`))
	w.awaits("activated policies r1")
	g.set(pack(t, version("r2", 2)), bearer("second"))
	w.awaits("failed policies download: server replied with Forbidden")
	replace(t, path, "second\n")
	w.awaits("activated policies r2")
}

// A server that demands a client's certificate is shown the one on disk, also after it was renewed.
func TestAClientCertificateThatIsRenewed(t *testing.T) {
	a, folder := newAuthority(t), t.TempDir()
	holds := func(serial int64) func(*http.Request) error {
		return func(r *http.Request) error {
			if got := r.TLS.PeerCertificates[0].SerialNumber.Int64(); got != serial {
				return fmt.Errorf("the certificate has serial %d, want %d", got, serial)
			}
			return nil
		}
	}
	g := &guarded{}
	g.set(pack(t, version("r1", 1)), holds(1))
	s := httptest.NewUnstartedServer(g)
	s.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.pool,
		Certificates: []tls.Certificate{a.keyPair(t, 100, "127.0.0.1")}}
	s.StartTLS()
	t.Cleanup(s.Close)
	put := func(serial int64) {
		cert, key := a.issue(t, serial, "eksguard")
		replace(t, filepath.Join(folder, "tls.crt"), cert)
		replace(t, filepath.Join(folder, "tls.key"), key)
	}
	put(1)
	w, _ := start(t, from(t, s.URL, `tls: {ca_cert: "`+a.path+`"}, credentials: {client_tls: {cert: "`+folder+`/tls.crt", private_key: "`+folder+`/tls.key"}}`))
	w.awaits("activated policies r1")
	g.set(pack(t, version("r2", 2)), holds(2))
	w.awaits("failed policies download: server replied with Forbidden")
	put(2)
	s.CloseClientConnections() // a certificate is shown once a connection
	w.awaits("activated policies r2")

	t.Run("and who has none gets nothing", func(t *testing.T) {
		w, _ := start(t, from(t, s.URL, `tls: {ca_cert: "`+a.path+`"}`))
		w.awaits("failed policies download: ", "tls: certificate required")
	})
}

// S3 is asked with signatures that AWS's own SDK would have made.
func TestS3WithAKeyOfTheEnvironment(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "id")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_REGION", "eu-west-1")
	g := &guarded{}
	g.set(pack(t, colours), signedBy("s3", aws.Credentials{AccessKeyID: "id", SecretAccessKey: "secret"}))
	s := httptest.NewServer(g)
	t.Cleanup(s.Close)
	w, _ := start(t, from(t, s.URL, "credentials: {s3_signing: {environment_credentials: {}}}"))
	w.awaits("activated policies r1")
	if err := g.why(); err != nil {
		t.Error(err)
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "another")
	w.awaits("failed policies download: server replied with Forbidden")
}

// replace replaces a file in one step, as Kubernetes does.
func replace(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path+".new", []byte(text), 0o600))
	must(t, os.Rename(path+".new", path))
}

// authority issues certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pool        *x509.CertPool
	// path is the file with its certificate.
	path string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{pool: x509.NewCertPool()}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	must(t, err)
	a.certificate, err = x509.ParseCertificate(der)
	must(t, err)
	a.pool.AddCert(a.certificate)
	a.path = write(t, "ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return a
}

// issue gives a certificate for a name or address, and its key.
func (a *authority) issue(t *testing.T, serial int64, names ...string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: names[0]},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	for _, name := range names {
		if address := net.ParseIP(name); address != nil {
			template.IPAddresses = append(template.IPAddresses, address)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, private.Public(), a.key)
	must(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
}

func (a *authority) keyPair(t *testing.T, serial int64, names ...string) tls.Certificate {
	t.Helper()
	cert, key := a.issue(t, serial, names...)
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	must(t, err)
	return pair
}
