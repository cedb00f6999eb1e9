package cli

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/pflag"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mozilla-iam/eksguard/internal/certs"
	"github.com/mozilla-iam/eksguard/webhook"
)

// Where the serving certificate comes from.
const (
	selfSigned  = "self-signed"
	certManager = "cert-manager"
	fromFiles   = "files"
)

// certificateOptions are the flags about certificates.
type certificateOptions struct {
	certificate string
	issuer      string
	dir         string
	propagation time.Duration
	clientCA    string
	clientNames []string
}

func (o *certificateOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.certificate, "certificate", selfSigned, "`source` of the certificate: self-signed, cert-manager or files")
	flags.StringVar(&o.issuer, "certificate-issuer", "",
		"`KIND/NAME` of the issuer of cert-manager: Issuer or ClusterIssuer (default: an own authority is made)")
	flags.StringVar(&o.dir, "certificate-dir", "", "`folder` with tls.crt, tls.key and ca.crt, for --certificate files")
	flags.DurationVar(&o.propagation, "certificate-propagation", certs.DefaultPropagation,
		"`time` for which a new authority is announced before a certificate of it is served")
	flags.StringVar(&o.clientCA, "client-ca", "",
		"PEM `file` of the authorities that must vouch for who sends reviews (default: nobody needs a certificate)")
	flags.StringSliceVar(&o.clientNames, "client-name", nil,
		"common `name` that a client's certificate may have, repeatable (default: any that --client-ca vouches for)")
}

func (o *certificateOptions) validateCertificate() error {
	switch o.certificate {
	case selfSigned, certManager, fromFiles:
	default:
		return fmt.Errorf("--certificate %q: want %s, %s or %s", o.certificate, selfSigned, certManager, fromFiles)
	}
	if o.issuer != "" {
		if o.certificate != certManager {
			return fmt.Errorf("--certificate-issuer %q: it needs --certificate %s", o.issuer, certManager)
		}
		if _, err := certs.ParseIssuerRef(o.issuer); err != nil {
			return fmt.Errorf("--certificate-issuer: %w", err)
		}
	}
	switch {
	case o.certificate == fromFiles && o.dir == "":
		return errors.New("--certificate files: --certificate-dir is missing, the folder with tls.crt, tls.key and ca.crt")
	case o.certificate != fromFiles && o.dir != "":
		return fmt.Errorf("--certificate-dir %q: it needs --certificate %s", o.dir, fromFiles)
	case o.propagation <= 0:
		return fmt.Errorf("--certificate-propagation %s: want more than 0s", o.propagation)
	case len(o.clientNames) > 0 && o.clientCA == "":
		return fmt.Errorf("--client-name %q: it needs --client-ca, the authorities that vouch for names", o.clientNames)
	}
	return nil
}

// clientCAs reads the authorities for clients; nil if none are asked for.
func (o *certificateOptions) clientCAs() (*x509.CertPool, error) {
	if o.clientCA == "" {
		return nil, nil
	}
	text, err := os.ReadFile(o.clientCA)
	if err != nil {
		return nil, fmt.Errorf("--client-ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("--client-ca %q: there is no certificate in it: want PEM", o.clientCA)
	}
	return pool, nil
}

// followCertificate makes the manager keep the serving certificate.
func (s *server) followCertificate(dnsName string) error {
	o := &s.options.certificateOptions
	live, err := client.New(s.manager.GetConfig(), client.Options{
		HTTPClient: s.manager.GetHTTPClient(), Scheme: s.manager.GetScheme(), Mapper: s.manager.GetRESTMapper()})
	if err != nil {
		return err
	}
	registered := webhook.Authorities{Client: live}
	switch o.certificate {
	case fromFiles:
		return s.manager.Add(&certs.Files{
			Serving: s.serving, Authorities: registered, Dir: o.dir, DNSName: dnsName, Propagation: o.propagation, Logger: s.logger})
	case certManager:
		certificate := &certs.CertManager{
			Client: s.manager.GetClient(), Reader: s.manager.GetAPIReader(), Serving: s.serving, Authorities: registered,
			Secret: s.secret(), DNSName: dnsName, Propagation: o.propagation, Logger: s.logger}
		if o.issuer != "" {
			issuer, err := certs.ParseIssuerRef(o.issuer)
			if err != nil {
				return err
			}
			certificate.Issuer = issuer
		}
		return certificate.SetupWithManager(s.manager)
	}
	certificate := &certs.SelfSigned{
		Client: s.manager.GetClient(), Serving: s.serving, Authorities: registered, Secret: s.secret(), DNSName: dnsName,
		Propagation: o.propagation, Logger: s.logger}
	return certificate.SetupWithManager(s.manager)
}
