package certs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	cmv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	v1 "github.com/cert-manager/cert-manager/pkg/client/applyconfigurations/certmanager/v1"
	metaapply "github.com/cert-manager/cert-manager/pkg/client/applyconfigurations/meta/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// IssuerRef names an issuer of cert-manager.
type IssuerRef struct{ Kind, Name string }

// String is KIND/NAME.
func (i IssuerRef) String() string { return i.Kind + "/" + i.Name }

// ParseIssuerRef reads KIND/NAME.
func ParseIssuerRef(text string) (IssuerRef, error) {
	kind, name, ok := strings.Cut(text, "/")
	if !ok || name == "" || kind != cmv1.IssuerKind && kind != cmv1.ClusterIssuerKind {
		return IssuerRef{}, fmt.Errorf("%.100q: want Issuer/NAME or ClusterIssuer/NAME", text)
	}
	return IssuerRef{kind, name}, nil
}

// retryInterval is how soon is looked again after cert-manager was not there or not done.
const retryInterval = 5 * time.Second

// CertManager has cert-manager issue and renew the serving certificate, and serves what stands in its Secret. Every
// replica applies the same objects. A Secret that is good is served even while cert-manager is away.
type CertManager struct {
	Client client.Client
	// Reader reads around the cache, which would not start without cert-manager's kinds.
	Reader      client.Reader
	Serving     *Serving
	Authorities Authorities
	// Secret is where cert-manager keeps the certificate; the Certificate has the same name.
	Secret client.ObjectKey
	// DNSName is the name that the API server dials.
	DNSName string
	// Issuer is who issues. Default: an own authority, which is made with cert-manager too: a self-signed Issuer, a
	// Certificate of an authority, and an Issuer of that.
	Issuer IssuerRef
	// Propagation is how long a new authority is announced before a certificate of it is served. Default: one minute.
	Propagation time.Duration
	Logger      *slog.Logger

	follower follower
	trouble  trouble
}

// AddCertManagerToScheme adds the kinds that a CertManager's clients need.
func AddCertManagerToScheme(scheme *runtime.Scheme) error { return cmv1.AddToScheme(scheme) }

// SetupWithManager makes mgr run it. The manager's cache must see the Secret.
func (c *CertManager) SetupWithManager(mgr ctrl.Manager) error {
	c.follower = newFollower(c.Serving, c.Authorities, c.DNSName, c.Propagation, c.Logger)
	return watchSecret(mgr, c.Secret, c)
}

// Reconcile implements reconcile.Reconciler.
func (c *CertManager) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	again := checkInterval
	applied := c.apply(ctx)
	if applied != nil {
		again = retryInterval
	}
	wait, err := c.adopt(ctx)
	switch {
	case err != nil:
		again = retryInterval
	case wait > 0:
		again = min(again, wait)
	}
	c.trouble.tell(c.Logger, "the certificate of cert-manager is not in order; what is served stays, trying again",
		errors.Join(applied, err))
	return reconcile.Result{RequeueAfter: again}, nil
}

// adopt serves what stands in the Secret.
func (c *CertManager) adopt(ctx context.Context) (time.Duration, error) {
	secret := &corev1.Secret{}
	err := c.Client.Get(ctx, c.Secret, secret)
	if apierrors.IsNotFound(err) {
		return 0, fmt.Errorf("there is no Secret %q yet: %w", c.Secret, c.progress(ctx))
	}
	if err != nil {
		return 0, fmt.Errorf("read Secret %q: %w", c.Secret, err)
	}
	if len(secret.Data[certKey]) > 0 && len(secret.Data[caCertKey]) == 0 {
		//nolint:staticcheck // a Kubernetes kind
		return 0, fmt.Errorf("Secret %q: %s is missing: issuer %q has not written it, and without it the API server cannot be "+
			"told whom to trust. Fix: take an issuer of kind ca or selfSigned, or leave --certificate-issuer out", c.Secret,
			caCertKey, c.Issuer)
	}
	again, err := c.follower.adopt(ctx, material{secret.Data[certKey], secret.Data[keyKey], secret.Data[caCertKey]})
	if err != nil {
		return 0, fmt.Errorf("Secret %q: %w (%w)", c.Secret, err, c.progress(ctx)) //nolint:staticcheck // a Kubernetes kind
	}
	return again, nil
}

// progress says how far cert-manager is with the Certificate.
func (c *CertManager) progress(ctx context.Context) error {
	certificate := &cmv1.Certificate{}
	if err := c.Reader.Get(ctx, c.Secret, certificate); err != nil {
		return explain(fmt.Errorf("read Certificate %q: %w", c.Secret, err))
	}
	for _, condition := range certificate.Status.Conditions {
		if condition.Type == cmv1.CertificateConditionReady {
			return fmt.Errorf("Certificate %q has condition Ready %s, %s: %.300s", //nolint:staticcheck // a Kubernetes kind
				c.Secret, condition.Status, condition.Reason, condition.Message)
		}
	}
	return fmt.Errorf("Certificate %q has no condition Ready: is cert-manager running?", c.Secret) //nolint:staticcheck // likewise
}

// apply makes the objects, or puts them right.
func (c *CertManager) apply(ctx context.Context) error {
	for _, object := range c.objects() {
		err := c.Client.Apply(ctx, object, client.FieldOwner(fieldManager), client.ForceOwnership)
		if err != nil {
			return explain(fmt.Errorf("apply cert-manager's objects: %w", err))
		}
	}
	return nil
}

// explain adds what to do where cert-manager is not installed.
func explain(err error) error {
	if meta.IsNoMatchError(err) {
		return fmt.Errorf("%w: install cert-manager and its CRDs, or take another --certificate", err)
	}
	return err
}

func (c *CertManager) objects() []runtime.ApplyConfiguration {
	namespace, name := c.Secret.Namespace, c.Secret.Name
	const day = 24 * time.Hour
	certificate := func(name, dnsName string, issuer IssuerRef, valid, before time.Duration) *v1.CertificateApplyConfiguration {
		spec := v1.CertificateSpec().
			WithSecretName(name).
			WithDuration(metav1.Duration{Duration: valid}).WithRenewBefore(metav1.Duration{Duration: before}).
			WithPrivateKey(v1.CertificatePrivateKey().WithAlgorithm(cmv1.ECDSAKeyAlgorithm).WithSize(256).
				WithRotationPolicy(cmv1.RotationPolicyAlways)).
			WithIssuerRef(metaapply.IssuerReference().WithGroup("cert-manager.io").WithKind(issuer.Kind).WithName(issuer.Name))
		if dnsName == "" {
			spec.WithIsCA(true).WithCommonName(name).WithUsages(cmv1.UsageCertSign, cmv1.UsageCRLSign)
		} else {
			spec.WithDNSNames(dnsName).WithUsages(cmv1.UsageDigitalSignature, cmv1.UsageServerAuth)
		}
		return v1.Certificate(name, namespace).WithSpec(spec)
	}
	issuer := c.Issuer
	var objects []runtime.ApplyConfiguration
	if issuer == (IssuerRef{}) {
		authority, root := name+"-ca", name+"-selfsigned"
		issuer = IssuerRef{cmv1.IssuerKind, authority}
		objects = append(objects,
			v1.Issuer(root, namespace).WithSpec(v1.IssuerSpec().WithSelfSigned(v1.SelfSignedIssuer())),
			certificate(authority, "", IssuerRef{cmv1.IssuerKind, root}, 5*365*day, 365*day),
			v1.Issuer(authority, namespace).WithSpec(v1.IssuerSpec().WithCA(v1.CAIssuer().WithSecretName(authority))))
	}
	return append(objects, certificate(name, c.DNSName, issuer, 90*day, 30*day))
}
