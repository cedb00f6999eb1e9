package process_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

func TestCertificate(t *testing.T) {
	options := local.EksguardOptions{Settings: standardSettings, ExtraArgs: []string{"--certificate-propagation", "3s"}}
	guard := cluster.Guard(t, options)
	awaitMutating(t, guard)
	secrets := cluster.Clients(t).CoreV1().Secrets("eksguard-system")
	const name = "eksguard-certificate"

	t.Run("is for the name that the API server dials, and for no other", func(t *testing.T) {
		connection, err := cluster.WebhookConnection(t, guard, nil)
		if err != nil {
			t.Fatal(err)
		}
		if certificate := connection.ConnectionState().PeerCertificates[0]; certificate.IsCA ||
			time.Until(certificate.NotAfter) < 300*24*time.Hour {
			t.Errorf("an authority: %t, and valid until %s", certificate.IsCA, certificate.NotAfter)
		}
		var wrongName *tls.CertificateVerificationError
		_, err = cluster.WebhookConnection(t, guard, func(c *tls.Config) { c.ServerName = "eksguard.example.com" })
		if !errors.As(err, &wrongName) {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("is served by TLS 1.3 only", func(t *testing.T) {
		_, err := cluster.WebhookConnection(t, guard, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 })
		var remote *net.OpError
		if !errors.As(err, &remote) || remote.Op != "remote error" {
			t.Errorf("error is %v, want a refusal", err)
		}
	})
	for _, row := range []struct {
		name    string
		destroy func(t *testing.T) error
	}{
		{"is made anew when its Secret is deleted", func(t *testing.T) error {
			return secrets.Delete(t.Context(), name, metav1.DeleteOptions{})
		}},
		{"is made anew when its Secret is emptied", func(t *testing.T) error {
			secret, err := secrets.Get(t.Context(), name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			secret.Data = nil
			_, err = secrets.Update(t.Context(), secret, metav1.UpdateOptions{})
			return err
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			v, err := validating(t)
			if err != nil {
				t.Fatal(err)
			}
			former := v.Webhooks[0].ClientConfig.CABundle
			if err := row.destroy(t); err != nil {
				t.Fatal(err)
			}
			e2e.Eventually(t, 10*time.Second, "a new authority is registered everywhere", func() error {
				secret, err := secrets.Get(t.Context(), name, metav1.GetOptions{})
				if err != nil {
					return err
				}
				v, m, err := both(t)
				if err != nil {
					return err
				}
				authority := secret.Data["ca.crt"]
				if len(authority) == 0 || bytes.Contains(former, authority) {
					return errors.New("the authority is the former one")
				}
				for _, webhook := range v.Webhooks {
					if !bytes.Contains(webhook.ClientConfig.CABundle, authority) {
						return errors.New(webhook.Name + " does not trust it")
					}
				}
				for _, webhook := range m.Webhooks {
					if !bytes.Contains(webhook.ClientConfig.CABundle, authority) {
						return errors.New(webhook.Name + " does not trust it")
					}
				}
				return nil
			})
			pod := e2e.Manifest(t, "manifests/pod.yaml", ownRole, foreignRole)
			e2e.Eventually(t, 5*time.Second, "admission works again", func() error {
				// Connections that are open go on with the certificate that they began with; this one is new.
				connection, err := cluster.WebhookConnection(t, guard, nil)
				if err != nil {
					return err
				}
				_ = connection.Close()
				return isForbidden(cluster.As(t, admin).Create(pod, e2e.DryRun))
			})
			cluster.As(t, admin).Create(pod, e2e.DryRun).Denied("iam-role/ownership")
		})
	}
	t.Run("survives a restart", func(t *testing.T) {
		before, err := secrets.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := guard.Stop(); err != nil {
			t.Fatal(err)
		}
		cluster.Guard(t, options)
		after, err := secrets.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if before.ResourceVersion != after.ResourceVersion {
			t.Error("the Secret was written again")
		}
	})
}
