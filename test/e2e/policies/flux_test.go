package policies_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// Who writes. All of them may do everything as far as RBAC is concerned, and standardSettings name the first two.
const (
	kustomize = "system:serviceaccount:flux-system:kustomize-controller"
	helm      = "system:serviceaccount:flux-system:helm-controller"
	tenant    = "system:serviceaccount:webservice-02:deployer" // whom Flux impersonates
	alice     = "alice"
)

// fluxWrite is one write and the rules that deny it.
type fluxWrite struct {
	name  string
	write func(t *testing.T, c *e2e.Client) *e2e.Outcome
	rules []string
}

var (
	namespaceOut = []string{"flux/namespace"}
	kindOut      = []string{"flux/cluster-kind"}
)

// in makes a write of testdata/flux/configmap.yaml, or of an object that exists there, in a namespace.
func in(namespace, name string) func(t *testing.T) *unstructured.Unstructured {
	return func(t *testing.T) *unstructured.Unstructured {
		return e2e.Manifest(t, "flux/configmap.yaml", "webservice-01", namespace, "from-flux", name)
	}
}

func existing(text string) func(t *testing.T) *unstructured.Unstructured {
	return func(t *testing.T) *unstructured.Unstructured { return e2e.Parse(t, text) }
}

var (
	dashboards = in("monitoring", "dashboards") // made by setup/flux.yaml, like the next three
	prometheus = existing("{apiVersion: v1, kind: Pod, metadata: {name: prometheus, namespace: monitoring}}")
	account    = existing("{apiVersion: v1, kind: ServiceAccount, metadata: {name: prometheus, namespace: monitoring}}")
	grafana    = existing("{apiVersion: apps/v1, kind: Deployment, metadata: {name: grafana, namespace: monitoring}}")
)

// fluxWrites are as kustomize-controller, whose reach is namespaces webservice-* and kinds of rbac.authorization.k8s.io.
var fluxWrites = []fluxWrite{
	{"create in a namespace of its reach", create(in("webservice-01", "a")), nil},
	{"create in its own namespace", create(in("flux-system", "a")), nil},
	{"create elsewhere", create(in("kube-system", "a")), namespaceOut},
	{"create in another namespace", create(in("monitoring", "a")), namespaceOut},
	{"create in eksguard's namespace", create(in("eksguard-system", "a")), namespaceOut},
	{"apply of what is new", apply(in("monitoring", "a")), namespaceOut},
	{"apply of what is new within reach", apply(in("webservice-02", "a")), nil},
	{"apply of what exists", apply(dashboards), namespaceOut},
	{"merge patch", patch(dashboards, `{"data": {"key": "other"}}`), namespaceOut},
	{"update", func(t *testing.T, c *e2e.Client) *e2e.Outcome {
		o := c.Get(dashboards(t))
		o.Object["data"] = map[string]any{"key": "other"}
		return c.Update(o, e2e.DryRun)
	}, namespaceOut},
	{"update that changes nothing", func(t *testing.T, c *e2e.Client) *e2e.Outcome {
		return c.Update(c.Get(dashboards(t)), e2e.DryRun)
	}, nil},
	{"delete", func(t *testing.T, c *e2e.Client) *e2e.Outcome { return c.Delete(dashboards(t), e2e.DryRun) }, namespaceOut},
	{"deletecollection", func(t *testing.T, c *e2e.Client) *e2e.Outcome {
		return c.DeleteCollection(dashboards(t), "", e2e.DryRun)
	}, namespaceOut},
	{"deletecollection within reach", func(t *testing.T, c *e2e.Client) *e2e.Outcome {
		return c.DeleteCollection(in("webservice-01", "a")(t), "", e2e.DryRun)
	}, nil},
	{"scale", patch(grafana, `{"spec": {"replicas": 0}}`, e2e.Subresource("scale")), namespaceOut},
	{"status of a kind that it controls", patch(grafana, `{"status": {"observedGeneration": 1}}`, e2e.Subresource("status")), nil},
	{"finalizer on a kind that it controls", patch(grafana, `{"metadata": {"finalizers": ["eksguard.io/e2e"]}}`), nil},
	{"spec of a kind that it controls", patch(grafana, `{"spec": {"replicas": 0}}`), namespaceOut},
	{"status of another kind", patch(prometheus, `{"status": {"message": "a"}}`, e2e.Subresource("status")), namespaceOut},
	{"object of a kind that it manages", create(existing(
		"{apiVersion: v1, kind: Secret, metadata: {name: managed, namespace: monitoring}}")), nil},
	{"token of a ServiceAccount", func(t *testing.T, c *e2e.Client) *e2e.Outcome {
		request := e2e.Parse(t, "{apiVersion: authentication.k8s.io/v1, kind: TokenRequest, metadata: {name: prometheus}, spec: {audiences: [a]}}")
		return c.CreateIn(account(t), request, e2e.Subresource("token"), e2e.DryRun)
	}, namespaceOut},
	{"eviction of a Pod", func(t *testing.T, c *e2e.Client) *e2e.Outcome {
		eviction := e2e.Parse(t, "{apiVersion: policy/v1, kind: Eviction, metadata: {name: prometheus, namespace: monitoring}}")
		return c.CreateIn(prometheus(t), eviction, e2e.Subresource("eviction"), e2e.DryRun)
	}, namespaceOut},
	{"event", create(func(t *testing.T) *unstructured.Unstructured { return e2e.Manifest(t, "flux/event.yaml") }), nil},
	{"cluster-scoped kind of its reach", create(func(t *testing.T) *unstructured.Unstructured {
		return e2e.Manifest(t, "flux/clusterrole.yaml")
	}), nil},
	{"another cluster-scoped kind", create(func(t *testing.T) *unstructured.Unstructured {
		return e2e.Manifest(t, "flux/crd.yaml")
	}), kindOut},
	{"apply of another cluster-scoped kind", apply(func(t *testing.T) *unstructured.Unstructured {
		return e2e.Manifest(t, "flux/crd.yaml")
	}), kindOut},
	{"delete of a cluster-scoped object of its reach", func(t *testing.T, c *e2e.Client) *e2e.Outcome {
		return c.Delete(existing("{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: view}}")(t), e2e.DryRun)
	}, nil},
	{"creation of a namespace of its reach", create(func(t *testing.T) *unstructured.Unstructured {
		return e2e.Manifest(t, "flux/namespace.yaml")
	}), nil},
	{"creation of another namespace", create(func(t *testing.T) *unstructured.Unstructured {
		return e2e.Manifest(t, "flux/namespace.yaml", "webservice-03", "kube-flux")
	}), namespaceOut},
	{"label on another namespace", patch(existing("{apiVersion: v1, kind: Namespace, metadata: {name: monitoring}}"),
		`{"metadata": {"labels": {"a": "b"}}}`), namespaceOut},
	{"grant to another namespace", patch(existing("{apiVersion: v1, kind: Namespace, metadata: {name: kube-system}}"),
		`{"metadata": {"annotations": {"iam.amazonaws.com/allowed-roles": "[\"eks-kube-system-prod\"]"}}}`), namespaceOut},
	{"deletion of another namespace", func(t *testing.T, c *e2e.Client) *e2e.Outcome {
		return c.Delete(existing("{apiVersion: v1, kind: Namespace, metadata: {name: monitoring}}")(t), e2e.DryRun)
	}, namespaceOut},
}

func create(o func(*testing.T) *unstructured.Unstructured) func(*testing.T, *e2e.Client) *e2e.Outcome {
	return func(t *testing.T, c *e2e.Client) *e2e.Outcome { return c.Create(o(t), e2e.DryRun) }
}

func apply(o func(*testing.T) *unstructured.Unstructured) func(*testing.T, *e2e.Client) *e2e.Outcome {
	return func(t *testing.T, c *e2e.Client) *e2e.Outcome {
		changed := o(t)
		if changed.GetKind() == "ConfigMap" {
			changed.Object["data"] = map[string]any{"key": "other"}
		}
		return c.Apply(changed, e2e.DryRun)
	}
}

func patch(o func(*testing.T) *unstructured.Unstructured, text string, hows ...e2e.How) func(*testing.T, *e2e.Client) *e2e.Outcome {
	return func(t *testing.T, c *e2e.Client) *e2e.Outcome {
		return c.Patch(o(t), types.MergePatchType, text, append(hows, e2e.DryRun)...)
	}
}

func TestFlux(t *testing.T) {
	guard := cluster.Guard(t, local.EksguardOptions{Settings: standardSettings})

	t.Run(kustomize, func(t *testing.T) {
		for _, row := range fluxWrites {
			t.Run(row.name, func(t *testing.T) {
				if o := row.write(t, cluster.As(t, kustomize)); row.rules == nil {
					o.Admitted()
				} else {
					o.Denied(row.rules...)
				}
			})
		}
	})
	for _, user := range []string{admin, alice, tenant} {
		t.Run("not limited: "+user, func(t *testing.T) {
			// eksguard is not even asked.
			unasked := guard.Counts(t, `eksguard_reviews_total{phase="validate",policy="flux",verdict="allowed"}`, 0)
			for _, row := range fluxWrites {
				row.write(t, cluster.As(t, user)).Admitted()
			}
			unasked()
		})
	}
	t.Run("what another entry gives to one user only", func(t *testing.T) {
		change := patch(grafana, `{"spec": {"replicas": 0}}`)
		change(t, cluster.As(t, helm)).Admitted()
		change(t, cluster.As(t, kustomize)).Denied("flux/namespace")
		// Of that kind only.
		patch(dashboards, `{"data": {"key": "other"}}`)(t, cluster.As(t, helm)).Denied("flux/namespace")
	})
	t.Run("connections to Pods", func(t *testing.T) {
		for _, row := range []struct {
			command string
			rule    string
			// otherwise is what the command comes to if nobody objects: there are no nodes here.
			otherwise string
		}{
			{"exec -n monitoring prometheus -- id", "flux/namespace", "pod prometheus does not have a host assigned"},
			{"attach -n monitoring prometheus", "flux/namespace", "pod prometheus does not have a host assigned"},
			{"get --raw /api/v1/namespaces/monitoring/pods/prometheus/proxy/", "flux/namespace", "address not allowed"},
			{"get --raw /api/v1/namespaces/monitoring/services/prometheus/proxy/", "flux/namespace", `no endpoints available for service "prometheus"`},
			{"get --raw /api/v1/nodes/node-1/proxy/", "flux/cluster-kind", `nodes "node-1" not found`},
		} {
			k := cluster.Kubectl(t)
			k.Run(append([]string{"--as", kustomize}, strings.Fields(row.command)...)...).Denied(row.rule)
			seen := k.Run(append([]string{"--as", alice}, strings.Fields(row.command)...)...)
			if seen.ExitCode == 0 || !strings.Contains(seen.Stderr, row.otherwise) {
				t.Errorf("kubectl %s as alice printed %q, want %q", row.command, seen.Output(), row.otherwise)
			}
		}
	})
	t.Run("kubectl apply --server-side --dry-run=server, as Flux does first", func(t *testing.T) {
		cluster.Kubectl(t).Run("--as", kustomize, "apply", "--server-side", "--dry-run=server", "-f", "flux/configmap.yaml").
			Printed("configmap/from-flux serverside-applied (server dry run)\n")
		cluster.Kubectl(t).Reading(e2e.Read(t, "flux/configmap.yaml", "webservice-01", "kube-system")).
			Run("--as", kustomize, "apply", "--server-side", "--dry-run=server", "-f", "-").Denied("flux/namespace")
	})
}
