package operator_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

const (
	// before is the version that runs, after the one that it is to be upgraded to. Both come with the same CRDs.
	before, after = "0.39.0", "0.40.0"
	crdsFirst     = "operator-upgrade/crds-first"
	image         = "quay.io/prometheus-operator/prometheus-operator"
)

// kinds are those that version 0.39.0 comes with, by plural.
var kinds = map[string]string{
	"alertmanagers": "Alertmanager", "podmonitors": "PodMonitor", "prometheuses": "Prometheus",
	"prometheusrules": "PrometheusRule", "servicemonitors": "ServiceMonitor", "thanosrulers": "ThanosRuler",
}

func crd(t testing.TB, plural, version string) *unstructured.Unstructured {
	t.Helper()
	kind := kinds[plural]
	return e2e.Manifest(t, "crd.yaml", "somethings", plural, "Something", kind, "something", strings.ToLower(kind),
		"0.39.0", version)
}

// install applies the CRDs at a version, server-side, as one is told to.
func install(t testing.TB, version string) {
	t.Helper()
	for plural := range kinds {
		cluster.As(t, admin).Apply(crd(t, plural, version)).Admitted()
	}
}

// operator makes the Deployment at the version that runs anew.
func operator(t testing.TB) *unstructured.Unstructured {
	t.Helper()
	o, c := e2e.Manifest(t, "operator.yaml"), cluster.As(t, admin)
	if deleted := c.Delete(o); deleted.Err != nil && !apierrors.IsNotFound(deleted.Err) {
		t.Fatal(deleted.Err)
	}
	c.Create(o).Admitted()
	return o
}

// container patches the operator's container.
func container(fields string) string {
	return `{"spec": {"template": {"spec": {"containers": [{"name": "prometheus-operator", ` + fields + `}]}}}}`
}

// roll patches the operator's container, and stores nothing.
func roll(t testing.TB, o *unstructured.Unstructured, fields string) *e2e.Outcome {
	t.Helper()
	return cluster.As(t, admin).Patch(o, types.StrategicMergePatchType, container(fields), e2e.DryRun)
}

func TestAnOperatorRollsAfterItsCRDs(t *testing.T) {
	install(t, before)
	o := operator(t)
	cluster.Guard(t, local.EksguardOptions{})
	newer := fmt.Sprintf(`"image": %q`, image+":v"+after)
	digest := fmt.Sprintf(`"image": %q`, image+"@sha256:"+strings.Repeat("0", 64))

	for _, row := range []struct {
		name, fields string
		denied       bool
	}{
		{"another image", newer, true},
		{"a tag with a digest", strings.Replace(newer, after, after+"@sha256:"+strings.Repeat("0", 64), 1), true},
		{"a digest, beside a reloader that tells the version",
			digest + `, "args": ["--prometheus-config-reloader=` + image + `:v` + after + `"]`, true},
		{"a digest, beside an older reloader that is not the last",
			digest + `, "args": ["--prometheus-config-reloader=a:v` + before +
				`", "-prometheus-config-reloader", "a:v` + after + `"]`, true},
		{"a digest of the version that runs",
			digest + `, "args": ["--prometheus-config-reloader=a:v` + before + `"]`, false},
		{"other arguments", `"args": ["--log-level=debug"]`, false},
		{"another name of the registry", `"image": "mirror.example.com/quay/prometheus-operator:v` + after + `"`, true},
		{"an older image", `"image": "` + image + `:v0.38.0"`, false},
		{"other resources", `"resources": {"limits": {"memory": "1Gi"}}`, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			if outcome := roll(t, o, row.fields); row.denied {
				outcome.Denied(crdsFirst)
			} else {
				outcome.Admitted()
			}
		})
	}
	t.Run("a digest that tells no version", func(t *testing.T) {
		warnings := roll(t, o, digest).Admitted().Warnings
		if len(warnings) != 1 || !strings.HasPrefix(warnings[0], "[operator-upgrade/operator-version] ") {
			t.Errorf("warnings are %q", warnings)
		}
	})
	t.Run("as an init container", func(t *testing.T) {
		patch := `{"spec": {"template": {"spec": {"initContainers": [{"name": "b", ` + newer + `}]}}}}`
		cluster.As(t, admin).Patch(o, types.StrategicMergePatchType, patch, e2e.DryRun).Denied(crdsFirst)
	})
	t.Run("server-side applied", func(t *testing.T) {
		c, applied := cluster.As(t, admin), e2e.Manifest(t, "operator.yaml", before, after)
		c.Apply(applied, e2e.DryRun).Denied(crdsFirst)
		c.Apply(applied).Denied(crdsFirst)
	})
	t.Run("replaced by force, which deletes it first", func(t *testing.T) {
		k := cluster.Kubectl(t).Reading(e2e.Read(t, "operator.yaml", before, after))
		k.Run("replace", "--force", "-f", "-").Denied(crdsFirst)
		// The operator is gone, as its author asked; the version that ran comes back.
		cluster.As(t, admin).Create(o).Admitted()
	})
	t.Run("after its CRDs", func(t *testing.T) {
		install(t, after)
		e2e.Eventually(t, 10*time.Second, "the operator may roll", func() error { return roll(t, o, newer).Err })
		install(t, before) // nothing uses them
	})
}

// What was there before eksguard, or was let pass, can be kept up.
func TestAnOperatorInViolationCanBeKeptUp(t *testing.T) {
	install(t, before)
	o := operator(t)
	c := cluster.As(t, admin)
	c.Patch(o, types.StrategicMergePatchType, container(fmt.Sprintf(`"image": %q`, image+":v"+after))).Admitted()
	cluster.Guard(t, local.EksguardOptions{})
	c.Patch(o, types.MergePatchType, `{"spec": {"replicas": 0}}`, e2e.DryRun).Admitted()
	c.Patch(o, types.MergePatchType, `{"spec": {"replicas": 2}}`, e2e.DryRun, e2e.Subresource("scale")).Admitted()
	c.Patch(o, types.MergePatchType, `{"metadata": {"labels": {"a": "b"}}}`, e2e.DryRun).Admitted()
	roll(t, o, `"resources": {"limits": {"memory": "1Gi"}}`).Admitted()
	roll(t, o, fmt.Sprintf(`"image": %q`, image+":v"+before)).Admitted()
	roll(t, o, `"args": ["--log-level=debug"]`).Denied(crdsFirst)
	roll(t, o, fmt.Sprintf(`"image": %q`, image+":v0.41.0")).Denied(crdsFirst)
}

func TestACRDThatIsBeingDeletedIsNoneToRollOn(t *testing.T) {
	install(t, after)
	o := operator(t)
	administrator := cluster.As(t, admin)
	cluster.Guard(t, local.EksguardOptions{})
	newer := fmt.Sprintf(`"image": %q`, image+":v"+after)
	e2e.Eventually(t, 10*time.Second, "the operator may roll", func() error { return roll(t, o, newer).Err })

	// In use: somebody else's finalizer does not make it less so.
	monitor := e2e.Parse(t, "{apiVersion: monitoring.coreos.com/v1, kind: PodMonitor, metadata: {name: a, "+
		"namespace: monitoring}}")
	administrator.Create(monitor).Admitted()
	used := crd(t, "podmonitors", after)
	e2e.Eventually(t, 10*time.Second, "its deletion is denied", func() error {
		if administrator.Delete(used, e2e.DryRun).Err == nil {
			return errors.New("it is admitted")
		}
		return nil
	})
	administrator.Delete(used).Denied("operator-upgrade/crd-delete")
	administrator.DeleteCollection(used, "", e2e.DryRun).Denied("operator-upgrade/crd-delete")
	cluster.Kubectl(t).Reading(e2e.Read(t, "crd.yaml", "somethings", "podmonitors", "Something", "PodMonitor",
		"something", "podmonitor")).
		Run("replace", "--force", "-f", "-").Denied("operator-upgrade/crd-delete")

	administrator.Delete(monitor).Admitted()
	administrator.Patch(used, types.MergePatchType, `{"metadata": {"finalizers": ["eksguard.io/e2e"]}}`).Admitted()
	e2e.Eventually(t, 10*time.Second, "it may be deleted", func() error { return administrator.Delete(used).Err })
	t.Cleanup(func() {
		administrator.Patch(used, types.MergePatchType, `{"metadata": {"finalizers": null}}`).Admitted()
	})
	e2e.Eventually(t, 10*time.Second, "the operator may not roll", func() error {
		if roll(t, o, newer).Err == nil {
			return errors.New("it may")
		}
		return nil
	})
	if causes := roll(t, o, newer).Denied(crdsFirst).Causes(); !strings.Contains(causes[0].Message,
		"podmonitors.monitoring.coreos.com is being deleted") {
		t.Errorf("the message is %q", causes[0].Message)
	}
}

// What eksguard is told of late counts late: an upgrade in the right order is denied until then, and one whose CRDs
// have just gone back is admitted.
func TestWhatIsNotToldYetDoesNotCount(t *testing.T) {
	install(t, before)
	o := operator(t)
	watch := cluster.SlowWatch(t, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
	cluster.Guard(t, local.EksguardOptions{Kubeconfig: watch.Kubeconfig})
	newer := fmt.Sprintf(`"image": %q`, image+":v"+after)
	roll(t, o, newer).Denied(crdsFirst)

	watch.Hold()
	install(t, after)
	roll(t, o, newer).Denied(crdsFirst)
	watch.Release()
	e2e.Eventually(t, 10*time.Second, "the operator may roll", func() error { return roll(t, o, newer).Err })

	watch.Hold()
	install(t, before)
	roll(t, o, newer).Admitted()
	watch.Release()
	e2e.Eventually(t, 10*time.Second, "the operator may not roll", func() error {
		if roll(t, o, newer).Err == nil {
			return errors.New("it may")
		}
		return nil
	})
}
