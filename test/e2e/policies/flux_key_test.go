package policies_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// Whoever may do everything else in Flux's namespace still does not come to its deploy key.
func TestFluxKey(t *testing.T) {
	cluster.Guard(t, local.EksguardOptions{Settings: standardSettings})
	object := func(text string) func() *unstructured.Unstructured {
		return func() *unstructured.Unstructured { return e2e.Parse(t, text) }
	}
	created := func(o func() *unstructured.Unstructured) func(c *e2e.Client) *e2e.Outcome {
		return func(c *e2e.Client) *e2e.Outcome { return c.Create(o(), e2e.DryRun) }
	}
	key := object("{apiVersion: v1, kind: Secret, metadata: {name: flux-system, namespace: flux-system}}") // made by setup/flux.yaml
	pod := func(spec string) func(c *e2e.Client) *e2e.Outcome {
		return created(object("{apiVersion: v1, kind: Pod, metadata: {name: mine, namespace: flux-system}, spec: {" + spec +
			"containers: [{name: a, image: a}]}}"))
	}
	for _, row := range []struct {
		name  string
		write func(c *e2e.Client) *e2e.Outcome
		rule  string // that denies it to alice
	}{
		{"another key", func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(key(), types.MergePatchType, `{"stringData": {"identity": "mine"}}`, e2e.DryRun)
		}, "flux-key/secret"},
		{"deletion of the key", func(c *e2e.Client) *e2e.Outcome { return c.Delete(key(), e2e.DryRun) }, "flux-key/secret"},
		{"deletion of all Secrets", func(c *e2e.Client) *e2e.Outcome { return c.DeleteCollection(key(), "", e2e.DryRun) }, "flux-key/secret"},
		{"a Pod with the key", pod("volumes: [{name: key, secret: {secretName: flux-system}}], "), "flux-key/pod"},
		{"a Pod as Flux", pod("serviceAccountName: kustomize-controller, "), "flux-key/pod"},
		{"a Pod without either", pod(""), ""},
		{"a token of Flux", func(c *e2e.Client) *e2e.Outcome {
			account := e2e.Parse(t, "{apiVersion: v1, kind: ServiceAccount, metadata: {name: kustomize-controller, namespace: flux-system}}")
			request := e2e.Parse(t, "{apiVersion: authentication.k8s.io/v1, kind: TokenRequest, metadata: {name: kustomize-controller}, spec: {audiences: [a]}}")
			return c.CreateIn(account, request, e2e.Subresource("token"), e2e.DryRun)
		}, "flux-key/token"},
		{"a right to read the key", created(object("{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: reader, namespace: flux-system}, " +
			`rules: [{apiGroups: [""], resources: [secrets], verbs: [get]}]}`)), "flux-key/rbac"},
		{"a right to read something else", created(object("{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: reader, namespace: flux-system}, " +
			`rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]}`)), ""},
		{"a Secret elsewhere", created(object("{apiVersion: v1, kind: Secret, metadata: {name: flux-system, namespace: webservice-01}}")), ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			if o := row.write(cluster.As(t, alice)); row.rule == "" {
				o.Admitted()
			} else {
				o.Denied(row.rule)
			}
			// The administrator of the control plane, in group system:masters, keeps the key.
			row.write(cluster.As(t, admin)).Admitted()
		})
	}
	t.Run("exec into a Pod of Flux", func(t *testing.T) {
		const exec = "exec -n flux-system source-controller -- cat /var/run/key"
		k := cluster.Kubectl(t)
		k.Run(append([]string{"--as", alice}, strings.Fields(exec)...)...).Denied("flux-key/connect")
		if seen := k.Run(strings.Fields(exec)...); !strings.Contains(seen.Stderr, "does not have a host assigned") {
			t.Errorf("kubectl %s printed %q", exec, seen.Output())
		}
	})
}
