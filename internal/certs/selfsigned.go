package certs

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"time"

	"github.com/open-policy-agent/cert-controller/pkg/rotator"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Keys of the Secret: those of kubernetes.io/tls and cert-controller, and the authority before the present one.
const (
	certKey       = "tls.crt"
	keyKey        = "tls.key"
	caCertKey     = "ca.crt"
	caKeyKey      = "ca.key"
	previousCAKey = "previous-ca.crt"
)

const (
	caValidity   = 10 * 365 * 24 * time.Hour
	certValidity = 365 * 24 * time.Hour
	// renewBefore is how long before its end a certificate or authority is renewed.
	renewBefore   = 90 * 24 * time.Hour
	checkInterval = time.Hour
	// clockSkew is how far the API server's clock may be behind when a certificate is fresh.
	clockSkew = time.Hour

	fieldManager = "eksguard"
)

// SelfSigned keeps a self-signed authority and a serving certificate in a Secret, with cert-controller's primitives, and
// renews both before they end. Every replica runs it: the Secret's resource version decides who of them renews.
//
// A new authority is announced before a certificate that it signed is served, so that at no moment the API server is shown a
// certificate that it does not trust. Meanwhile the Secret keeps the certificate of the former one, so that a process which
// starts in that time has one to serve.
type SelfSigned struct {
	Client      client.Client
	Serving     *Serving
	Authorities Authorities
	// Secret is where authority and certificate are kept. It is created if it is missing.
	Secret client.ObjectKey
	// DNSName is the name that the API server dials.
	DNSName string
	// Propagation is how long a new authority is announced before a certificate of it is served. Default: one minute.
	Propagation time.Duration
	Logger      *slog.Logger

	follower follower
	trouble  trouble
	// now is time.Now but in tests.
	now func() time.Time
}

// SetupWithManager makes mgr run it. The manager's cache must see the Secret.
func (s *SelfSigned) SetupWithManager(mgr ctrl.Manager) error {
	if s.now == nil {
		s.now = time.Now
	}
	if s.Propagation == 0 {
		s.Propagation = DefaultPropagation
	}
	s.follower = newFollower(s.Serving, s.Authorities, s.DNSName, s.Propagation, s.Logger)
	return watchSecret(mgr, s.Secret, s)
}

// Reconcile implements reconcile.Reconciler.
func (s *SelfSigned) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	secret := &corev1.Secret{}
	err := s.Client.Get(ctx, s.Secret, secret)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, s.create(ctx)
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("read the certificate's Secret: %w", err)
	}
	next, renewed, err := s.renew(secret)
	if err != nil {
		return reconcile.Result{}, err
	}
	if renewed {
		if err := s.Client.Update(ctx, secret); apierrors.IsConflict(err) {
			return reconcile.Result{}, nil // another replica was first
		} else if err != nil {
			return reconcile.Result{}, fmt.Errorf("write the certificate's Secret: %w", err)
		}
		s.Logger.Info("renewed the serving certificate or its authority")
	}
	wait, err := s.follower.adopt(ctx, material{secret.Data[certKey], secret.Data[keyKey], caBundle(secret)})
	switch {
	case err != nil:
		next = retryInterval
	case wait > 0:
		next = min(next, wait)
	}
	s.trouble.tell(s.Logger, "the certificate in the Secret is not taken; what is served stays, trying again", err)
	return reconcile.Result{RequeueAfter: next}, nil
}

// create makes the Secret, empty; the event about it goes on from there. It is an apply, and no create, because RBAC
// can bind an apply to the Secret's name. Where another replica was first, it changes nothing.
func (s *SelfSigned) create(ctx context.Context) error {
	secret := applycorev1.Secret(s.Secret.Name, s.Secret.Namespace)
	if err := s.Client.Apply(ctx, secret, client.FieldOwner(fieldManager)); err != nil {
		return fmt.Errorf("create the certificate's Secret: %w", err)
	}
	return nil
}

// renew makes in the Secret what is missing or about to end, and tells when to look again.
func (s *SelfSigned) renew(secret *corev1.Secret) (next time.Duration, renewed bool, err error) {
	now := s.now()
	issuer := &rotator.CertRotator{
		CAName: "eksguard-ca", CAOrganization: "eksguard", DNSName: s.DNSName,
		ExtKeyUsages: &[]x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	data := secret.Data
	if !valid(data[caCertKey], data[caCertKey], data[caKeyKey], issuer.CAName, nil, now.Add(renewBefore)) {
		ca, err := issuer.CreateCACert(now.Add(-clockSkew), now.Add(caValidity))
		if err != nil {
			return 0, false, fmt.Errorf("make a certificate authority: %w", err)
		}
		data[previousCAKey] = data[caCertKey]
		data[caCertKey], data[caKeyKey] = ca.CertPEM, ca.KeyPEM
		renewed = true
	}
	if valid(data[caCertKey], data[certKey], data[keyKey], s.DNSName, issuer.ExtKeyUsages, now.Add(renewBefore)) {
		return checkInterval, renewed, nil
	}
	announced := firstCertificate(data[caCertKey]).NotBefore.Add(clockSkew)
	wait := announced.Add(s.Propagation).Sub(now)
	if wait > 0 && valid(data[previousCAKey], data[certKey], data[keyKey], s.DNSName, issuer.ExtKeyUsages, now) {
		return wait, renewed, nil
	}
	ca := &rotator.KeyPairArtifacts{Cert: firstCertificate(data[caCertKey]), CertPEM: data[caCertKey], KeyPEM: data[caKeyKey]}
	block, _ := pem.Decode(data[caKeyKey])
	if ca.Key, err = x509.ParsePKCS1PrivateKey(block.Bytes); err != nil {
		return 0, false, fmt.Errorf("key of the certificate authority: %w", err)
	}
	data[certKey], data[keyKey], err = issuer.CreateCertPEM(ca, now.Add(-clockSkew), now.Add(certValidity))
	if err != nil {
		return 0, false, fmt.Errorf("make a serving certificate: %w", err)
	}
	return checkInterval, true, nil
}

func valid(ca, cert, key []byte, name string, usages *[]x509.ExtKeyUsage, at time.Time) bool {
	ok, err := rotator.ValidCert(ca, cert, key, name, usages, at)
	return ok && err == nil
}

// firstCertificate parses a certificate that valid has accepted or that was just made.
func firstCertificate(text []byte) *x509.Certificate {
	block, _ := pem.Decode(text)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		panic(fmt.Sprintf("certs: a certificate that was valid does not parse: %v", err))
	}
	return certificate
}

func caBundle(secret *corev1.Secret) []byte {
	return bytes.Join([][]byte{secret.Data[caCertKey], secret.Data[previousCAKey]}, nil)
}
