package doctor

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/url"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mozilla-iam/eksguard/internal/excerpt"
)

// late is how long before its end a certificate should long have been renewed: eksguard does it 90 days before.
const late = 60 * 24 * time.Hour

// lookAtCertificate holds the serving certificate against the authorities that the API server is told to trust. Of the
// Secret it reads the certificate and not the key.
func lookAtCertificate(ctx context.Context, e *examination) (string, error) {
	validating, mutating, err := e.registered(ctx)
	if err != nil {
		return "", err
	}
	hooks := slices.Concat(validating, mutating)
	if len(hooks) == 0 {
		return "not registered", nil
	}
	secret, err := e.Clients.CoreV1().Secrets(e.Namespace).Get(ctx, e.Secret, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		e.find(Finding{
			Severity: Error,
			What:     fmt.Sprintf("there is no Secret %s/%s, which keeps the certificate", e.Namespace, e.Secret),
			Why:      "without it eksguard makes another certificate when it starts next, and replicas do not share one",
			Do: fmt.Sprintf(
				"kubectl -n %s rollout restart deployment/eksguard; if it has another name, give --secret-name",
				e.Namespace,
			),
		})
		return "no certificate", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the certificate: %w", err)
	}
	certificate := firstCertificate(secret.Data[corev1.TLSCertKey])
	if certificate == nil {
		e.find(Finding{
			Severity: Error,
			What:     fmt.Sprintf("Secret %s/%s: %s holds no certificate", e.Namespace, e.Secret, corev1.TLSCertKey),
			Why:      "eksguard has nothing to serve with, and does not become ready",
			Do:       fmt.Sprintf("kubectl -n %s delete secret %s; eksguard makes another one", e.Namespace, e.Secret),
		})
		return "no certificate", nil
	}
	e.lookAtExpiry(certificate)
	// One finding tells it all: all webhooks have the same authorities, unless somebody changed one.
	for _, h := range hooks {
		if err := e.trusts(h, certificate); err != nil {
			e.find(Finding{
				Severity: Error,
				What: fmt.Sprintf(
					"webhook %q: the API server does not trust the serving certificate: %s",
					h.name,
					excerpt.Of(err.Error(), maxText),
				),
				Why: "its calls fail: what the policy asks about is refused (failurePolicy Fail) or not checked (Ignore)",
				Do:  e.repair(),
			})
			break
		}
	}
	return "valid until " + certificate.NotAfter.UTC().Format(time.DateOnly), nil
}

func (e *examination) lookAtExpiry(certificate *x509.Certificate) {
	left, until := certificate.NotAfter.Sub(e.Now), certificate.NotAfter.UTC().Format(time.RFC3339)
	f := Finding{
		Why: "eksguard renews it 90 days before its end, so that renewal does not work: once it has expired no call of " +
			"the API server succeeds",
		Do: fmt.Sprintf("%s | grep -i -e certificate -e secret; then kubectl -n %s delete secret %s, which makes eksguard "+
			"issue another one", e.logs(), e.Namespace, e.Secret),
	}
	switch {
	case left <= 0:
		f.Severity, f.What = Error, "the serving certificate expired at "+until
	case left <= late:
		f.Severity, f.What = Warning, "the serving certificate expires at "+until
	default:
		return
	}
	e.find(f)
}

// trusts tells why the API server would not trust the certificate when it calls the webhook (k8s.io/apiserver:
// pkg/util/webhook/client.go: the name is the Service's, or the URL's host).
func (e *examination) trusts(h hook, certificate *x509.Certificate) error {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(h.client.CABundle) {
		return fmt.Errorf("clientConfig.caBundle holds no certificate")
	}
	name := ""
	switch {
	case h.client.Service != nil:
		name = h.client.Service.Name + "." + h.client.Service.Namespace + ".svc"
	case h.client.URL != nil:
		address, err := url.Parse(*h.client.URL)
		if err != nil {
			return err
		}
		name = address.Hostname()
	}
	// Its end is told by another finding.
	at := e.Now
	if at.After(certificate.NotAfter) {
		at = certificate.NotAfter
	}
	_, err := certificate.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: at})
	return err
}

// firstCertificate is the first certificate in a PEM file, nil if there is none.
func firstCertificate(text []byte) *x509.Certificate {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}
	return certificate
}
