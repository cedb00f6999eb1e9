package policies_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// Whoever may write a Namespace still does not grant it the roles of others, by whichever way its annotations change.
func TestIAMGrants(t *testing.T) {
	cluster.Guard(t, local.EksguardOptions{Settings: standardSettings})
	namespace := func() *unstructured.Unstructured {
		return e2e.Parse(t, "{apiVersion: v1, kind: Namespace, metadata: {name: webservice-01}}")
	}
	const (
		own     = `["eks-webservice-01-prod"]`
		foreign = `["eks-webservice-02-prod"]`
		open    = `["eks-*"]`
	)
	for _, way := range []struct {
		name  string
		write func(c *e2e.Client, allowed string) *e2e.Outcome
	}{
		{"create", func(c *e2e.Client, allowed string) *e2e.Outcome {
			o := namespace()
			o.SetName("webservice-09")
			if allowed == own {
				allowed = `["eks-webservice-09-prod"]`
			}
			o.SetAnnotations(map[string]string{allowedKey: allowed})
			return c.Create(o, e2e.DryRun)
		}},
		{"replace", func(c *e2e.Client, allowed string) *e2e.Outcome {
			o := c.Get(namespace())
			o.SetAnnotations(map[string]string{allowedKey: allowed})
			return c.Update(o, e2e.DryRun)
		}},
		{"patch", func(c *e2e.Client, allowed string) *e2e.Outcome {
			return c.Patch(namespace(), types.MergePatchType, mergePatch(t, []string{"metadata", "annotations", allowedKey}, allowed), e2e.DryRun)
		}},
		{"server-side apply", func(c *e2e.Client, allowed string) *e2e.Outcome {
			o := namespace()
			o.SetAnnotations(map[string]string{allowedKey: allowed})
			return c.Apply(o, e2e.DryRun)
		}},
		{"namespaces/status", func(c *e2e.Client, allowed string) *e2e.Outcome {
			return c.Patch(namespace(), types.MergePatchType, mergePatch(t, []string{"metadata", "annotations", allowedKey}, allowed),
				e2e.Subresource("status"), e2e.DryRun)
		}},
		{"namespaces/finalize", func(c *e2e.Client, allowed string) *e2e.Outcome {
			o := c.Get(namespace())
			o.SetAnnotations(map[string]string{allowedKey: allowed})
			return c.Update(o, e2e.Subresource("finalize"), e2e.DryRun)
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			field := `metadata.annotations["iam.amazonaws.com/allowed-roles"]`
			way.write(cluster.As(t, alice), own).Admitted()
			way.write(cluster.As(t, alice), foreign).Denied("iam-grants/administrator").At(field)
			way.write(cluster.As(t, admin), foreign).Admitted()
			way.write(cluster.As(t, admin), open).Denied("iam-grants/reach").At(field)
			way.write(cluster.As(t, admin), "eks-*").Denied("iam-grants/form").At(field)
		})
	}
	t.Run("a generated name is nobody's", func(t *testing.T) {
		o := namespace()
		o.SetName("")
		o.SetGenerateName("webservice-")
		o.SetAnnotations(map[string]string{allowedKey: own})
		cluster.As(t, alice).Create(o, e2e.DryRun).Denied("iam-grants/administrator")
		cluster.As(t, admin).Create(o, e2e.DryRun).Admitted()
	})
	t.Run("what is no list of roles", func(t *testing.T) {
		for _, text := range []string{"", "[", "eks-webservice-01-prod", `{"eks-webservice-01-prod": 1}`, `["eks-webservice-01-prod", 1]`} {
			cluster.As(t, admin).Patch(namespace(), types.MergePatchType,
				mergePatch(t, []string{"metadata", "annotations", allowedKey}, text), e2e.DryRun).Denied("iam-grants/form")
		}
	})
}

// A ServiceAccount names only roles of its namespace.
func TestIRSA(t *testing.T) {
	cluster.Guard(t, local.EksguardOptions{Settings: standardSettings})
	account := func(role string) *unstructured.Unstructured {
		o := e2e.Parse(t, "{apiVersion: v1, kind: ServiceAccount, metadata: {name: irsa, namespace: webservice-01}}")
		o.SetAnnotations(map[string]string{"eks.amazonaws.com/role-arn": role})
		return o
	}
	field := `metadata.annotations["eks.amazonaws.com/role-arn"]`
	cluster.As(t, admin).Create(account(ownRole), e2e.DryRun).Admitted()
	cluster.As(t, admin).Create(account(foreignRole), e2e.DryRun).Denied("irsa/ownership").At(field)
	cluster.As(t, admin).Apply(account("eks-webservice-01-prod"), e2e.DryRun).Denied("irsa/form").At(field)
	cluster.As(t, admin).Create(account(roles+"cluster-autoscaler-prod"), e2e.DryRun).Denied("irsa/ownership").At(field)

	c := cluster.As(t, admin)
	c.Create(account(ownRole)).Admitted()
	t.Cleanup(func() { c.Delete(account(ownRole)).Admitted() })
	for _, way := range []struct {
		name  string
		write func(c *e2e.Client, role string) *e2e.Outcome
	}{
		{"replace", func(c *e2e.Client, role string) *e2e.Outcome {
			o := c.Get(account(ownRole))
			o.SetAnnotations(account(role).GetAnnotations())
			return c.Update(o, e2e.DryRun)
		}},
		{"a merge patch", func(c *e2e.Client, role string) *e2e.Outcome {
			return c.Patch(account(ownRole), types.MergePatchType,
				mergePatch(t, []string{"metadata", "annotations", "eks.amazonaws.com/role-arn"}, role), e2e.DryRun)
		}},
		{"a JSON patch", func(c *e2e.Client, role string) *e2e.Outcome {
			return c.Patch(account(ownRole), types.JSONPatchType,
				`[{"op": "replace", "path": "/metadata/annotations/eks.amazonaws.com~1role-arn", "value": "`+role+`"}]`, e2e.DryRun)
		}},
		{"a strategic merge patch", func(c *e2e.Client, role string) *e2e.Outcome {
			return c.Patch(account(ownRole), types.StrategicMergePatchType,
				mergePatch(t, []string{"metadata", "annotations", "eks.amazonaws.com/role-arn"}, role), e2e.DryRun)
		}},
		{"server-side apply", func(c *e2e.Client, role string) *e2e.Outcome { return c.Apply(account(role), e2e.DryRun) }},
	} {
		t.Run(way.name, func(t *testing.T) {
			way.write(cluster.As(t, admin), ownStage).Admitted()
			way.write(cluster.As(t, admin), foreignRole).Denied("irsa/ownership").At(field)
		})
	}
	t.Run("a generated name", func(t *testing.T) {
		o := account(foreignRole)
		o.SetName("")
		o.SetGenerateName("irsa-")
		cluster.As(t, admin).Create(o, e2e.DryRun).Denied("irsa/ownership").At(field)
	})
}
