package soak

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/open-policy-agent/cert-controller/pkg/rotator"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// propagation is how long a new authority is announced here before a certificate of it is served.
	propagation = 5 * time.Second
	// renewBefore is how long before their end eksguard renews certificates and authorities.
	renewBefore = 90 * 24 * time.Hour
	// soon is when an authority that is put into the Secret is to be renewed: after it has come into use.
	soon = 10 * time.Second
)

// certificateRenewed takes the certificate out of the Secret; the authority stays.
func (s *soak) certificateRenewed(ctx context.Context, _ *window) error {
	return s.changeCertificate(ctx, func(secret *corev1.Secret) error {
		delete(secret.Data, "tls.crt")
		delete(secret.Data, "tls.key")
		return nil
	})
}

// authorityReplaced puts an authority into the Secret that is new, and soon to be renewed, and keeps the former one beside
// it, as eksguard does itself.
func (s *soak) authorityReplaced(ctx context.Context) error {
	return s.changeCertificate(ctx, func(secret *corev1.Secret) error {
		authority, err := newAuthority(renewBefore + soon)
		if err != nil {
			return err
		}
		secret.Data["previous-ca.crt"] = secret.Data["ca.crt"]
		secret.Data["ca.crt"], secret.Data["ca.key"] = authority.CertPEM, authority.KeyPEM
		return nil
	})
}

// newAuthority makes an authority of eksguard's form that is valid for so long.
func newAuthority(valid time.Duration) (*rotator.KeyPairArtifacts, error) {
	issuer := &rotator.CertRotator{CAName: "eksguard-ca", CAOrganization: "eksguard", DNSName: "localhost"}
	return issuer.CreateCACert(time.Now().Add(-time.Hour), time.Now().Add(valid))
}

// authorityReplacedAndEnding has eksguard look at an authority once it nears its end, which it does every hour by itself.
func (s *soak) authorityReplacedAndEnding(ctx context.Context, _ *window) error {
	// A new authority is announced by the leader.
	if _, _, err := s.leader(ctx); err != nil {
		return err
	}
	if err := s.authorityReplaced(ctx); err != nil {
		return err
	}
	if err := sleep(ctx, soon); err != nil {
		return err
	}
	return s.changeCertificate(ctx, func(secret *corev1.Secret) error {
		metav1.SetMetaDataAnnotation(&secret.ObjectMeta, "eksguard.io/soak", time.Now().String())
		return nil
	})
}

// secretDeleted has eksguard make everything anew; until the API server has heard of it, it trusts nobody.
func (s *soak) secretDeleted(ctx context.Context, _ *window) error {
	secrets := s.plane.Client().CoreV1().Secrets(ownNamespace)
	before, err := secrets.Get(ctx, certificate, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if err := secrets.Delete(ctx, certificate, metav1.DeleteOptions{}); err != nil {
		return err
	}
	return s.served(ctx, before.Data["tls.crt"])
}

// changeCertificate changes the Secret, and returns once both replicas serve another certificate than before.
func (s *soak) changeCertificate(ctx context.Context, change func(*corev1.Secret) error) error {
	secrets := s.plane.Client().CoreV1().Secrets(ownNamespace)
	secret, err := secrets.Get(ctx, certificate, metav1.GetOptions{})
	if err != nil {
		return err
	}
	before := bytes.Clone(secret.Data["tls.crt"])
	if err := change(secret); err != nil {
		return err
	}
	if _, err := secrets.Update(ctx, secret, metav1.UpdateOptions{}); err != nil {
		return err
	}
	return s.served(ctx, before)
}

// served returns once both replicas serve the certificate in the Secret, which is not the one before.
func (s *soak) served(ctx context.Context, before []byte) error {
	return eventually(ctx, "both replicas serve the new certificate", func() error {
		secret, err := s.plane.Client().CoreV1().Secrets(ownNamespace).Get(ctx, certificate, metav1.GetOptions{})
		if err != nil {
			return err
		}
		now := secret.Data["tls.crt"]
		block, _ := pem.Decode(now)
		if block == nil || bytes.Equal(now, before) {
			return errors.New("there is no new one")
		}
		for _, r := range s.replicas {
			served, err := r.serves(ctx)
			if err != nil {
				return err
			}
			if !bytes.Equal(served, block.Bytes) {
				return fmt.Errorf("replica %s serves another one", r.name)
			}
		}
		return nil
	})
}
