package process_test

import (
	"bytes"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mozilla-iam/eksguard/test/e2e"
)

// Two replicas share the Secret of the certificate. Whatever becomes of it, and whenever one of them is restarted, no
// admission fails, and an API server that hears late of a new authority meets no certificate that it does not trust.
func TestRotationWithTwoReplicas(t *testing.T) {
	s := newService(t, "--certificate-propagation", "3s", "--secret-name", "shared", "--log-level", "warn")
	secrets := cluster.Clients(t).CoreV1().Secrets("eksguard-system")
	t.Cleanup(func() { cluster.Kubectl(t).Run("delete", "secret", "shared", "-n", "eksguard-system").Succeeded() })
	one, two := s.start(t), s.start(t)
	foreign := e2e.Manifest(t, "manifests/pod.yaml", ownRole, foreignRole)
	e2e.Eventually(t, 20*time.Second, "the cluster is guarded", func() error {
		return isForbidden(cluster.As(t, admin).Create(foreign, e2e.DryRun))
	})
	late, stopStraggler := newStraggler(t, 1500*time.Millisecond, one, two)
	stopLoad := load(t)

	authority := func(t *testing.T) []byte {
		secret, err := secrets.Get(t.Context(), "shared", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return secret.Data["ca.crt"]
	}
	without := func(key string) func(t *testing.T) error {
		return func(t *testing.T) error {
			secret, err := secrets.Get(t.Context(), "shared", metav1.GetOptions{})
			if err != nil {
				return err
			}
			delete(secret.Data, key)
			_, err = secrets.Update(t.Context(), secret, metav1.UpdateOptions{})
			return err
		}
	}
	life := t // what is started in a part of it outlives that part
	restart := func(r **replica) {
		next := s.start(life)
		late.exchange(*r, next)
		endAll(life, []*replica{*r})
		*r = next
	}
	for _, row := range []struct {
		name         string
		do           func(*testing.T) error
		newAuthority bool
		restarted    bool
	}{
		{"the certificate is renewed", without("tls.crt"), false, false},
		{"the authority is replaced", without("ca.key"), true, false},
		{"the Secret is deleted", func(t *testing.T) error {
			return secrets.Delete(t.Context(), "shared", metav1.DeleteOptions{})
		}, true, false},
		{"the Secret is deleted, and both replicas are restarted at once", func(t *testing.T) error {
			return secrets.Delete(t.Context(), "shared", metav1.DeleteOptions{})
		}, true, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			before, err := one.shown(t)
			if err != nil {
				t.Fatal(err)
			}
			formerAuthority := authority(t)
			if err := row.do(t); err != nil {
				t.Fatal(err)
			}
			if row.restarted {
				restart(&one)
				restart(&two)
			}
			e2e.Eventually(t, 30*time.Second, "both replicas show another certificate", func() error {
				return differs(t, before, one, two)
			})
			if bytes.Equal(formerAuthority, authority(t)) == row.newAuthority {
				t.Errorf("the authority is another: %t, want %t", !row.newAuthority, row.newAuthority)
			}
		})
	}
	answers, shakes := stopLoad(), stopStraggler()
	t.Logf("%d answers of the API server, %d connections of the straggler", answers, shakes)
	if answers == 0 || shakes == 0 {
		t.Error("nothing was asked in the meantime")
	}
	endAll(t, []*replica{one, two})
}
