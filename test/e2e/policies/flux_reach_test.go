package policies_test

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

const (
	fluxV1 = "system:serviceaccount:flux:flux"
	portal = "system:serviceaccount:monitoring:prometheus" // a ServiceAccount that is nobody's
)

// What an author makes of an object does not take it into reach.
func TestFluxWhateverTheObject(t *testing.T) {
	cluster.Guard(t, local.EksguardOptions{Settings: standardSettings})
	for _, row := range []struct {
		name   string
		change func(o *unstructured.Unstructured)
	}{
		{"a generated name", func(o *unstructured.Unstructured) {
			o.SetName("")
			o.SetGenerateName("a-")
		}},
		{"as large as may be", func(o *unstructured.Unstructured) {
			o.Object["data"] = map[string]any{"key": strings.Repeat("x", 1<<20-1<<10)}
		}},
		{"letters that look like others, spaces and line ends", func(o *unstructured.Unstructured) {
			o.SetAnnotations(map[string]string{
				"kustomize.toolkit.fluxcd.io/namespace": "webservice-01", "a": " wеbservice-01\u200b\n\r\t\u202e\u00a0",
			})
			o.Object["data"] = map[string]any{"key": "\u2028namespace: webservice-01"}
		}},
		{"labels of what others deploy", func(o *unstructured.Unstructured) {
			o.SetLabels(map[string]string{"kustomize.toolkit.fluxcd.io/name": "apps",
				"app.kubernetes.io/managed-by": "Helm"})
		}},
		{"finalizers and an owner", func(o *unstructured.Unstructured) {
			o.SetFinalizers([]string{"eksguard.io/e2e"})
			o.Object["metadata"].(map[string]any)["ownerReferences"] = []any{map[string]any{
				"apiVersion": "v1", "kind": "Namespace", "name": "webservice-01",
				"uid": "00000000-0000-0000-0000-000000000000"}}
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			out, within := in("monitoring", "a")(t), in("webservice-01", "a")(t)
			row.change(out)
			row.change(within)
			c := cluster.As(t, kustomize)
			c.Create(out, e2e.DryRun).Denied("flux/namespace")
			c.Create(within, e2e.DryRun).Admitted()
			if out.GetName() != "" {
				c.Apply(out, e2e.DryRun).Denied("flux/namespace")
				c.Apply(within, e2e.DryRun).Admitted()
			}
		})
	}
	t.Run("one that is being deleted", func(t *testing.T) {
		ending := in("monitoring", "ending")(t)
		ending.SetFinalizers([]string{"eksguard.io/e2e"})
		administrator := cluster.As(t, admin)
		administrator.Create(ending).Admitted()
		administrator.Delete(ending).Admitted()
		t.Cleanup(func() {
			administrator.Patch(ending, types.MergePatchType, `{"metadata": {"finalizers": null}}`).Admitted()
		})
		c := cluster.As(t, kustomize)
		c.Patch(ending, types.MergePatchType, `{"data": {"key": "other"}}`).Denied("flux/namespace")
		c.Patch(ending, types.MergePatchType, `{"metadata": {"finalizers": null}}`).Denied("flux/namespace")
	})
}

// By default Flux v1, which is one identity and usually an administrator, is held like Flux v2.
func TestFluxV1(t *testing.T) {
	cluster.Guard(t, local.EksguardOptions{})
	c := cluster.As(t, fluxV1)
	for _, namespace := range []string{"kube-system", "kube-public", "eksguard-system"} {
		c.Create(in(namespace, "a")(t), e2e.DryRun).Denied("flux/namespace")
		c.Apply(in(namespace, "a")(t), e2e.DryRun).Denied("flux/namespace")
	}
	c.Create(in("webservice-01", "a")(t), e2e.DryRun).Admitted()
	c.Create(e2e.Manifest(t, "flux/crd.yaml"), e2e.DryRun).Admitted()
	cluster.Kubectl(t).Run("--as", fluxV1, "get", "--raw", "/api/v1/nodes/node-1/proxy/").Denied("flux/cluster-kind")
}

// Where labels of namespaces decide, the labels decide who may change them, too.
func TestFluxReachByLabels(t *testing.T) {
	administrator := cluster.As(t, admin)
	namespace := e2e.Parse(t, "{apiVersion: v1, kind: Namespace, metadata: {name: labelled, labels: "+
		"{e2e.eksguard.io/closed: ''}}}")
	administrator.Create(namespace).Admitted()
	cluster.Guard(t, local.EksguardOptions{Settings: "testdata/settings/labelled-reach.yaml"})
	write := in("labelled", "a")(t)
	const into, out = `{"metadata": {"labels": {"e2e.eksguard.io/tenant": "webservice-02"}}}`,
		`{"metadata": {"labels": {"e2e.eksguard.io/tenant": null}}}`
	label := func(c *e2e.Client, patch string, hows ...e2e.How) *e2e.Outcome {
		return c.Patch(namespace, types.MergePatchType, patch, hows...)
	}

	cluster.As(t, tenant).Create(write, e2e.DryRun).Denied("flux/namespace")
	for _, hows := range [][]e2e.How{{e2e.DryRun}, {e2e.DryRun, e2e.Subresource("status")}} {
		label(cluster.As(t, portal), into, hows...).Denied("flux/namespace-label")
		label(cluster.As(t, tenant), into, hows...).Denied("flux/namespace", "flux/namespace-label")
		// A label that opens by being absent.
		label(cluster.As(t, portal), `{"metadata": {"labels": {"e2e.eksguard.io/closed": null}}}`,
			hows...).Denied("flux/namespace-label")
		label(cluster.As(t, portal), `{"metadata": {"labels": {"other": "label"}}}`, hows...).Admitted()
		label(cluster.As(t, kustomize), into, hows...).Admitted()
		label(cluster.As(t, alice), into, hows...).Admitted()
	}
	finalized := administrator.Get(namespace)
	finalized.SetLabels(map[string]string{"e2e.eksguard.io/tenant": "webservice-02", "e2e.eksguard.io/closed": ""})
	cluster.As(t, portal).Update(finalized, e2e.DryRun, e2e.Subresource("finalize")).Denied("flux/namespace-label")

	label(administrator, into).Admitted()
	e2e.Eventually(t, 10*time.Second, "the namespace is within reach", func() error {
		return cluster.As(t,
			tenant).Create(write, e2e.DryRun).Err
	})
	label(cluster.As(t, portal), out, e2e.DryRun).Admitted()
	// Of a tenant's own namespace nothing depends on a label.
	cluster.As(t, tenant).Create(in("webservice-02", "a")(t), e2e.DryRun).Admitted()
}
