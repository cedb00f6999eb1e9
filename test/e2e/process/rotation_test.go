package process_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	cmv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/cert-controller/pkg/rotator"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

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

// The API server has cert-manager's own CRDs; what its controllers would write, the test writes.
func TestCertManager(t *testing.T) {
	plane := cluster.Plane(t)
	args := []string{"--certificate", "cert-manager", "--secret-name", "from-cert-manager", "--certificate-propagation", "3s"}
	folder, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/cert-manager/cert-manager").Output()
	if err != nil {
		t.Fatal(err)
	}
	crds := envtest.CRDInstallOptions{Paths: []string{filepath.Join(strings.TrimSpace(string(folder)), "deploy/crds")}}
	secrets := cluster.Clients(t).CoreV1().Secrets("eksguard-system")
	scheme := runtime.NewScheme()
	if err := cmv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	objects, err := client.New(plane.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	put := func(data map[string][]byte) {
		_, err := secrets.Update(t.Context(), &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "from-cert-manager"}, Type: corev1.SecretTypeTLS, Data: data}, metav1.UpdateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := plane.CreateNamespace(t.Context(), "eksguard-system"); err != nil {
		t.Fatal(err)
	}
	t.Run("without its CRDs, it is told what to install", func(t *testing.T) {
		process := e2e.Start(t, append([]string{"serve", "--kubeconfig", plane.Kubeconfig, "--leader-elect=false",
			"--webhook-url", "https://localhost:1", "--webhook-host", "127.0.0.1", "--webhook-port", "0",
			"--health-address", "127.0.0.1:0", "--metrics-address", "0"}, args...)...)
		e2e.Eventually(t, 30*time.Second, "it says so and goes on", func() error {
			if !strings.Contains(process.Output(), "install cert-manager and its CRDs, or take another --certificate") {
				return errors.New(process.Output())
			}
			return nil
		})
	})
	if _, err := envtest.InstallCRDs(plane.Config, crds); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := envtest.UninstallCRDs(plane.Config, crds); err != nil {
			t.Error(err)
		}
	})
	// Issued before it starts, as the start waits for a guard.
	_, err = secrets.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "from-cert-manager"},
		Type: corev1.SecretTypeTLS, Data: newIssuer(t).issue(t)}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	guard := cluster.Guard(t, local.EksguardOptions{Settings: standardSettings, ExtraArgs: args})
	t.Run("the CRDs take what it applies", func(t *testing.T) {
		certificates, issuers := &cmv1.CertificateList{}, &cmv1.IssuerList{}
		if err := errors.Join(objects.List(t.Context(), certificates), objects.List(t.Context(), issuers)); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range certificates.Items {
			got = append(got, fmt.Sprintf("Certificate %s by %s/%s, CA %t, for %v in %s", c.Name, c.Spec.IssuerRef.Kind,
				c.Spec.IssuerRef.Name, c.Spec.IsCA, c.Spec.DNSNames, c.Spec.SecretName))
		}
		for _, i := range issuers.Items {
			got = append(got, fmt.Sprintf("Issuer %s, self-signed %t, CA %t", i.Name, i.Spec.SelfSigned != nil, i.Spec.CA != nil))
		}
		if diff := cmp.Diff([]string{
			"Certificate from-cert-manager by Issuer/from-cert-manager-ca, CA false, for [localhost] in from-cert-manager",
			"Certificate from-cert-manager-ca by Issuer/from-cert-manager-selfsigned, CA true, for [] in from-cert-manager-ca",
			"Issuer from-cert-manager-ca, self-signed false, CA true",
			"Issuer from-cert-manager-selfsigned, self-signed true, CA false",
		}, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a Secret that does not fit together changes nothing", func(t *testing.T) {
		broken := newIssuer(t).issue(t)
		broken["tls.key"] = newIssuer(t).issue(t)["tls.key"]
		put(broken)
		e2e.Eventually(t, 10*time.Second, "it is told", func() error {
			if !strings.Contains(guard.Log(), "tls.crt and tls.key are no pair") {
				return errors.New(guard.Log())
			}
			return nil
		})
		if err := guard.Ready(); err != nil {
			t.Error(err)
		}
	})
	t.Run("no admission fails while certificates and authorities change", func(t *testing.T) { rotate(t, guard, put) })
}

func encode(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}
