package process_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// A leader that loses its Lease, as one does that cannot reach its API server for a while, goes on answering reviews. It
// only puts back webhook configurations that are gone until it leads again, and then makes up for what it has missed.
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

	// What somebody alters is left to whoever leads.
	seven := int32(7)
	v, err := validating(t)
	if err != nil {
		t.Fatal(err)
	}
	for i := range v.Webhooks {
		v.Webhooks[i].TimeoutSeconds = &seven
	}
	if v, err = hooks.ValidatingWebhookConfigurations().Update(t.Context(), v, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	if now, err := validating(t); err != nil || now.ResourceVersion != v.ResourceVersion {
		t.Errorf("it repairs what it has to leave alone (%v)", err)
	}
	m, err := mutating(t)
	if err != nil {
		t.Fatal(err)
	}
	// What somebody deletes is put back as it was, since nobody may lead.
	if err := errors.Join(
		hooks.ValidatingWebhookConfigurations().Delete(t.Context(), "eksguard", metav1.DeleteOptions{}),
		hooks.MutatingWebhookConfigurations().Delete(t.Context(), "eksguard", metav1.DeleteOptions{}),
	); err != nil {
		t.Fatal(err)
	}
	e2e.Eventually(t, 10*time.Second, "both are as they were", func() error {
		restoredV, restoredM, err := both(t)
		if err != nil {
			return err
		}
		if diff := cmp.Diff(v, restoredV, asApplied) + cmp.Diff(m, restoredM, asApplied); diff != "" {
			return errors.New(diff)
		}
		return nil
	})
	e2e.Eventually(t, 10*time.Second, "the cluster is guarded", func() error {
		return isForbidden(cluster.As(t, admin).Create(pod, e2e.DryRun))
	})
	hold("")
	e2e.Eventually(t, 20*time.Second, "it leads again, and repairs", func() error {
		v, err := validating(t)
		if err != nil {
			return err
		}
		if *v.Webhooks[0].TimeoutSeconds == seven {
			return errors.New("it is as it was altered")
		}
		return nil
	})
}
