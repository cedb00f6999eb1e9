package process_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/open-policy-agent/cert-controller/pkg/rotator"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// issuer is an authority that issues for localhost, which is what the API server dials here.
type issuer struct {
	rotator *rotator.CertRotator
	ca      *rotator.KeyPairArtifacts
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{rotator: &rotator.CertRotator{CAName: "ca", CAOrganization: "test", DNSName: "localhost",
		ExtKeyUsages: &[]x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}}
	var err error
	if i.ca, err = i.rotator.CreateCACert(time.Now().Add(-time.Hour), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	return i
}

func (i *issuer) issue(t *testing.T) map[string][]byte {
	t.Helper()
	cert, key, err := i.rotator.CreateCertPEM(i.ca, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"tls.crt": cert, "tls.key": key, "ca.crt": i.ca.CertPEM}
}

// sign signs a request, PEM, as it is.
func (i *issuer) sign(t *testing.T, request []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(request)
	wish, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: wish.DNSNames, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
	}, i.ca.Cert, wish.PublicKey, i.ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})
}

// load sends a Pod that is to be denied and one that is to be allowed, over and over, until it is stopped. Every answer
// that is not right is a fault.
func load(t *testing.T) (stop func() (answers int)) {
	t.Helper()
	bad := e2e.Manifest(t, "manifests/pod.yaml", ownRole, foreignRole)
	good := e2e.Manifest(t, "manifests/pod.yaml")
	var running sync.WaitGroup
	var mu sync.Mutex
	answers, done := 0, make(chan struct{})
	for range 2 {
		running.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				denied := isForbidden(cluster.As(t, admin).Create(bad, e2e.DryRun))
				allowed := cluster.As(t, admin).Create(good, e2e.DryRun).Err
				if denied != nil || allowed != nil {
					t.Errorf("what is to be denied: %v; what is to be allowed: %v", denied, allowed)
				}
				mu.Lock()
				answers += 2
				mu.Unlock()
			}
		})
	}
	return func() int {
		close(done)
		running.Wait()
		return answers
	}
}

// rotate renews certificates and authorities under load, and waits each time until a new connection is shown the new one.
func rotate(t *testing.T, guard *e2e.Guard, put func(map[string][]byte)) {
	t.Helper()
	stop := load(t)
	authority := newIssuer(t)
	for round := range 6 {
		if round%2 == 0 {
			authority = newIssuer(t)
		}
		next := authority.issue(t)
		put(next)
		e2e.Eventually(t, 60*time.Second, fmt.Sprintf("certificate %d is served", round), func() error {
			connection, err := cluster.WebhookConnection(t, guard, nil)
			if err != nil {
				return err
			}
			defer func() { _ = connection.Close() }()
			if !bytes.Contains(next["tls.crt"], encode(connection.ConnectionState().PeerCertificates[0])) {
				return errors.New("it is the former one")
			}
			return nil
		})
	}
	answers := stop()
	t.Logf("%d answers while the certificate was renewed 6 times, and its authority 3 times", answers)
	if answers == 0 {
		t.Error("nothing was asked in the meantime")
	}
}

func TestRotationOfFilesUnderLoad(t *testing.T) {
	dir, version := t.TempDir(), 0
	put := func(files map[string][]byte) {
		version++
		folder := fmt.Sprint(version)
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, folder, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
			_ = os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)) // there from the first time
		}
		next := filepath.Join(dir, "..data_tmp")
		if err := errors.Join(os.Symlink(folder, next), os.Rename(next, filepath.Join(dir, "..data"))); err != nil {
			t.Fatal(err)
		}
	}
	put(newIssuer(t).issue(t))
	guard := cluster.Guard(t, local.EksguardOptions{Settings: standardSettings, ExtraArgs: []string{
		"--certificate", "files", "--certificate-dir", dir, "--certificate-propagation", "3s"}})
	rotate(t, guard, put)
}

func encode(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}
