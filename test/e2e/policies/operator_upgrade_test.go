package policies_test

import (
	"errors"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// startMonitoring makes the CRDs of testdata/operator, and an object of one of them, while nobody guards the cluster.
func startMonitoring(t *testing.T) {
	t.Helper()
	kubectl := cluster.Kubectl(t)
	kubectl.Run("apply", "-f", "operator/crds.yaml").Succeeded()
	kubectl.Run("wait", "--for=condition=Established", "--timeout=30s", "-f", "operator/crds.yaml").Succeeded()
	kubectl.Run("apply", "-f", "operator/servicemonitor.yaml").Succeeded()
	t.Cleanup(func() {
		kubectl.Run("delete", "-f", "operator/crds.yaml").Succeeded()
	})
}

func TestOperatorUpgrade(t *testing.T) {
	startMonitoring(t)
	cluster.Guard(t, local.EksguardOptions{Settings: standardSettings})
	crd := func(name string) *unstructured.Unstructured {
		return e2e.Parse(t, "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: "+name+"}}")
	}
	used, unused := crd("servicemonitors.monitoring.coreos.com"), crd("probes.monitoring.coreos.com")
	versioned := func(version string) func(c *e2e.Client) *e2e.Outcome {
		return func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(used, types.MergePatchType,
				mergePatch(t, []string{"metadata", "annotations", "operator.prometheus.io/version"}, version), e2e.DryRun)
		}
	}
	operator := func(image string) func(c *e2e.Client) *e2e.Outcome {
		return func(c *e2e.Client) *e2e.Outcome {
			return c.Create(e2e.Manifest(t, "operator/operator.yaml", "quay.io/prometheus-operator/prometheus-operator:v0.93.0", image), e2e.DryRun)
		}
	}
	// It is told of objects of a kind a moment after it is told of the kind.
	e2e.Eventually(t, 10*time.Second, "eksguard knows that there are no Probes", func() error {
		return cluster.As(t, admin).Delete(unused, e2e.DryRun).Err
	})
	for _, row := range []struct {
		name  string
		write func(c *e2e.Client) *e2e.Outcome
		rules []string // that deny it
	}{
		{"an operator without its CRDs", operator("quay.io/prometheus-operator/prometheus-operator:v0.93.0"), []string{"operator-upgrade/crds-first"}},
		{"an operator that brings its CRDs", operator("quay.io/coreos/prometheus-operator:v0.27.0"), nil},
		{"the deletion of a CRD in use", func(c *e2e.Client) *e2e.Outcome { return c.Delete(used, e2e.DryRun) }, []string{"operator-upgrade/crd-delete"}},
		{"the deletion of all CRDs", func(c *e2e.Client) *e2e.Outcome { return c.DeleteCollection(used, "", e2e.DryRun) },
			[]string{"operator-upgrade/crd-delete"}},
		{"the deletion of a CRD that is not used", func(c *e2e.Client) *e2e.Outcome { return c.Delete(unused, e2e.DryRun) }, nil},
		{"a CRD in use that goes back", versioned("0.79.0"), []string{"operator-upgrade/crd-downgrade"}},
		{"a CRD in use that is upgraded", versioned("0.93.0"), nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			if o := row.write(cluster.As(t, admin)); row.rules == nil {
				o.Admitted()
			} else {
				o.Denied(row.rules...)
			}
		})
	}
	t.Run("a CRD is used no more once its last object is gone", func(t *testing.T) {
		c := cluster.As(t, admin)
		c.Delete(e2e.Manifest(t, "operator/servicemonitor.yaml")).Admitted()
		e2e.Eventually(t, 10*time.Second, "it may be deleted", func() error { return c.Delete(used, e2e.DryRun).Err })
		c.Create(e2e.Manifest(t, "operator/servicemonitor.yaml")).Admitted()
		e2e.Eventually(t, 10*time.Second, "it may not be deleted", func() error {
			if c.Delete(used, e2e.DryRun).Err == nil {
				return errors.New("it may")
			}
			return nil
		})
		c.Delete(used, e2e.DryRun).Denied("operator-upgrade/crd-delete")
	})
}
