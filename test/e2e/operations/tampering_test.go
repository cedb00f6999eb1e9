package operations_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

var (
	revision = regexp.MustCompile(`\bsha256:[0-9a-f]+|[0-9a-f]{12,}|\bdev\b`)
	number   = regexp.MustCompile(`(:|and|,) \d+ (validating|mutating|policies)`)
	date     = regexp.MustCompile(`\b20\d\d-\d\d-\d\d\b`)
)

// kubeconfigOf is a kubeconfig of a user who may do what RBAC grants to that name.
func kubeconfigOf(t *testing.T, name string) string {
	t.Helper()
	config, err := cluster.Plane(t).AddUser(name)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := local.WriteKubeconfig(config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// remove deletes what a file holds. eksguard denies the deletion of a CRD until it knows whether there are objects of it.
func remove(t *testing.T, file string) {
	t.Helper()
	e2e.Eventually(t, 30*time.Second, "eksguard lets what is in "+file+" go", func() error {
		if deleted := cluster.Kubectl(t).Run("delete", "--ignore-not-found", "-f", file); deleted.ExitCode != 0 {
			return errors.New(deleted.Output())
		}
		return nil
	})
}

// restore makes the registration what it was.
func restore(t *testing.T, as *admissionregistrationv1.ValidatingWebhookConfiguration) {
	t.Helper()
	ctx, hooks := context.WithoutCancel(
		t.Context(),
	), cluster.Clients(t).
		AdmissionregistrationV1().
		ValidatingWebhookConfigurations()
	live, err := hooks.Get(ctx, as.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	live.Webhooks = as.Webhooks
	if _, err := hooks.Update(ctx, live, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// certificate makes a certificate for localhost, signed by parent or, without one, by itself.
func certificate(t *testing.T, ends time.Time, parent *x509.Certificate, signer any) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "localhost"},
		DNSNames:              []string{"localhost"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              ends,
		IsCA:                  parent == nil,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// otherAuthority is a certificate authority of nobody's, as a patch has it.
func otherAuthority(t *testing.T) string {
	t.Helper()
	return base64.StdEncoding.EncodeToString(certificate(t, time.Now().AddDate(1, 0, 0), nil, nil))
}

// shorten puts a certificate of eksguard's own authority into the Secret that ends in ten days.
func shorten(t *testing.T) {
	t.Helper()
	secrets := cluster.Clients(t).CoreV1().Secrets("eksguard-system")
	secret, err := secrets.Get(t.Context(), "eksguard-certificate", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(secret.Data["ca.crt"])
	authority, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	block, _ = pem.Decode(secret.Data["ca.key"])
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	secret.Data["tls.crt"] = certificate(t, time.Now().AddDate(0, 0, 10), authority, key)
	if _, err := secrets.Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}
