package process_test

import (
	"context"
	"errors"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// A leader that loses its Lease, as one does that cannot reach its API server for a while, goes on answering reviews. It
// leaves the registration alone until it leads again, and then makes up for what it has missed.
func TestALeaderThatLosesItsLeaseGoesOnAnswering(t *testing.T) {
	guard := cluster.Guard(t, local.EksguardOptions{Settings: standardSettings, ExtraArgs: []string{"--leader-elect"}})
	leases, hooks := cluster.Clients(t).CoordinationV1().Leases("eksguard-system"), cluster.Clients(t).AdmissionregistrationV1()
	hold := func(holder string) {
		t.Helper()
		e2e.Eventually(t, 5*time.Second, "the Lease is written", func() error { // it may be renewed meanwhile
			lease, err := leases.Get(t.Context(), "eksguard", metav1.GetOptions{})
			if err != nil {
				return err
			}
			anHour := int32(3600)
			lease.Spec = coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &anHour,
				AcquireTime: &metav1.MicroTime{Time: time.Now()}, RenewTime: &metav1.MicroTime{Time: time.Now()}}
			_, err = leases.Update(t.Context(), lease, metav1.UpdateOptions{})
			return err
		})
	}
	leads := func(want float64) func() error {
		return func() error {
			if guard.Metric(`leader_election_master_status{name="eksguard"}`) != want {
				return errors.New("it is not so")
			}
			return nil
		}
	}
	e2e.Eventually(t, 20*time.Second, "it leads", leads(1))
	t.Cleanup(func() { // for the tests to come
		if err := leases.Delete(context.WithoutCancel(t.Context()), "eksguard", metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			t.Error(err)
		}
	})
	hold("another")
	e2e.Eventually(t, 30*time.Second, "it does not lead any more", leads(0))
	pod := e2e.Manifest(t, "manifests/pod.yaml", ownRole, foreignRole)
	cluster.As(t, admin).Create(pod, e2e.DryRun).Denied("iam-role/ownership")
	if err := guard.Ready(); err != nil {
		t.Error(err)
	}

	if err := hooks.ValidatingWebhookConfigurations().Delete(t.Context(), "eksguard", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	e2e.Eventually(t, 10*time.Second, "nobody guards", func() error { return cluster.As(t, admin).Create(pod, e2e.DryRun).Err })
	hold("")
	e2e.Eventually(t, 20*time.Second, "it leads again, and guards", func() error {
		return isForbidden(cluster.As(t, admin).Create(pod, e2e.DryRun))
	})
}
