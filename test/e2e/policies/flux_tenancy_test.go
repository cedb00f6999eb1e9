package policies_test

import (
	"net/http"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// fluxObjects are objects of Flux in namespace webservice-02, and the rules that deny them to everyone there.
var fluxObjects = []struct {
	name, kind, spec string
	rules            []string
}{
	{"a Kustomization that runs as Flux", "Kustomization",
		"{interval: 1h, prune: true, sourceRef: {kind: GitRepository, name: a}}",
		[]string{"flux-tenancy/service-account"}},
	{"a Kustomization with an empty ServiceAccount", "Kustomization",
		"{interval: 1h, prune: true, serviceAccountName: '', sourceRef: {kind: GitRepository, name: a}}",
		[]string{"flux-tenancy/service-account"}},
	{"a Kustomization that runs as its ServiceAccount", "Kustomization",
		"{interval: 1h, prune: true, serviceAccountName: deployer, sourceRef: {kind: GitRepository, name: a}}", nil},
	{"a Kustomization that waits for what is elsewhere", "Kustomization",
		"{interval: 1h, prune: true, serviceAccountName: deployer, sourceRef: {kind: GitRepository, name: a}, " +
			"healthChecks: [{apiVersion: v1, kind: Secret, name: a, namespace: webservice-01}]}",
		[]string{"flux-tenancy/dependency"}},
	{"a HelmRelease that runs as Flux", "HelmRelease",
		"{interval: 1h, chart: {spec: {chart: a, sourceRef: {kind: HelmRepository, name: a}}}}",
		[]string{"flux-tenancy/service-account"}},
	{"a HelmRelease from a HelmRepository that is shared", "HelmRelease",
		"{interval: 1h, serviceAccountName: deployer, chart: {spec: {chart: a, sourceRef: {kind: HelmRepository, " +
			"name: a, namespace: flux-system}}}}", nil},
	{"a HelmRelease from a GitRepository of another", "HelmRelease",
		"{interval: 1h, serviceAccountName: deployer, chart: {spec: {chart: a, sourceRef: {kind: GitRepository, " +
			"name: a, namespace: flux-system}}}}",
		[]string{"flux-tenancy/source"}},
	{"a HelmRelease from a chart of another", "HelmRelease",
		"{interval: 1h, serviceAccountName: deployer, chartRef: {kind: OCIRepository, name: a, namespace: " +
			"webservice-01}}",
		[]string{"flux-tenancy/source"}},
	{"a HelmRelease into another namespace", "HelmRelease",
		"{interval: 1h, serviceAccountName: deployer, chartRef: {kind: OCIRepository, name: a}, targetNamespace: " +
			"webservice-01}",
		[]string{"flux-tenancy/target"}},
	{"a HelmRelease that is stored in another namespace", "HelmRelease",
		"{interval: 1h, serviceAccountName: deployer, chartRef: {kind: OCIRepository, name: a}, storageNamespace: " +
			"kube-system}",
		[]string{"flux-tenancy/target"}},
	{"a HelmRelease after one of another", "HelmRelease",
		"{interval: 1h, serviceAccountName: deployer, chartRef: {kind: OCIRepository, name: a}, dependsOn: [{name: " +
			"a, namespace: flux-system}]}",
		[]string{"flux-tenancy/dependency"}},
	{"all of it at once", "HelmRelease",
		"{interval: 1h, chartRef: {kind: OCIRepository, name: a, namespace: webservice-01}, targetNamespace: " +
			"webservice-01, " +
			"storageNamespace: kube-system, dependsOn: [{name: a, namespace: flux-system}]}",
		[]string{"flux-tenancy/dependency", "flux-tenancy/service-account", "flux-tenancy/source",
			"flux-tenancy/target", "flux-tenancy/target"}},
	{"an ImagePolicy over images of another", "ImagePolicy",
		"{imageRepositoryRef: {name: a, namespace: flux-system}, policy: {alphabetical: {}}}",
		[]string{"flux-tenancy/source"}},
	{"an ImagePolicy over its own images", "ImagePolicy", "{imageRepositoryRef: {name: a}, policy: {alphabetical: " +
		"{}}}", nil},
	{"image automation that pushes with Flux's key", "ImageUpdateAutomation",
		"{interval: 1h, sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}, " +
			"git: {commit: {author: {email: a@example.com}}}}", []string{"flux-tenancy/push"}},
	{"an Alert about another", "Alert",
		"{providerRef: {name: a}, eventSources: [{kind: Kustomization, name: '*', namespace: flux-system}]}",
		[]string{"flux-tenancy/notification"}},
	{"an Alert about its own", "Alert", "{providerRef: {name: a}, eventSources: [{kind: Kustomization, name: " +
		"'*'}]}", nil},
	{"a Receiver for another", "Receiver",
		"{type: generic, secretRef: {name: a}, resources: [{kind: GitRepository, name: fleet, namespace: " +
			"flux-system}]}",
		[]string{"flux-tenancy/notification"}},
	{"an ArtifactGenerator from another", "ArtifactGenerator",
		"{sources: [{alias: a, kind: GitRepository, name: a, namespace: flux-system}]}",
		[]string{"flux-tenancy/source"}},
	{"an ArtifactGenerator into another", "ArtifactGenerator",
		"{artifacts: [{name: a, namespace: flux-system}]}", []string{"flux-tenancy/target"}},
	{"an ArtifactGenerator that makes namespaces", "ArtifactGenerator",
		"{managedNamespaces: {}}", []string{"flux-tenancy/managed-namespaces"}},
	{"an ArtifactGenerator of another form", "ArtifactGenerator", "{sources: flux-system}",
		[]string{"flux-tenancy/form"}},
	{"a ResourceSet that runs as Flux Operator", "ResourceSet", "{resources: []}",
		[]string{"flux-tenancy/service-account"}},
	{"a ResourceSet that runs as its ServiceAccount", "ResourceSet", "{serviceAccountName: deployer, resources: " +
		"[]}", nil},
}

func TestFluxTenancy(t *testing.T) {
	installFlux(t)
	cluster.Guard(t, local.EksguardOptions{Settings: standardSettings})

	for _, row := range fluxObjects {
		t.Run(row.name, func(t *testing.T) {
			object := fluxObject(t, row.kind, "webservice-02", row.spec)
			for way, write := range map[string]func(t *testing.T) *e2e.Outcome{
				"by a person": func(t *testing.T) *e2e.Outcome {
					return cluster.As(t, alice).Create(object,
						e2e.DryRun)
				},
				"server-side applied": func(t *testing.T) *e2e.Outcome {
					return cluster.As(t, alice).Apply(object,
						e2e.DryRun)
				},
				"by an administrator": func(t *testing.T) *e2e.Outcome {
					return cluster.As(t, admin).Create(object,
						e2e.DryRun)
				},
				"by Flux": func(t *testing.T) *e2e.Outcome {
					return cluster.As(t,
						kustomize).Apply(object, e2e.DryRun)
				},
			} {
				t.Run(way, func(t *testing.T) {
					if o := write(t); row.rules == nil {
						o.Admitted()
					} else {
						o.Denied(row.rules...)
					}
				})
			}
			// Flux's own namespaces are the platform team's.
			object.SetNamespace("flux-system")
			cluster.As(t, admin).Create(object, e2e.DryRun).Admitted()
		})
	}
	t.Run("what has another form than its schema says does not come so far", func(t *testing.T) {
		object := fluxObject(t, "HelmRelease", "webservice-02",
			"{interval: 1h, serviceAccountName: deployer, chartRef: {kind: OCIRepository, name: a}, "+
				"targetNamespace: [webservice-01]}")
		cluster.As(t, alice).Create(object, e2e.DryRun).Refused(http.StatusUnprocessableEntity, "targetNamespace")
	})
}

func TestFluxTenancyUpdates(t *testing.T) {
	installFlux(t)
	release := fluxObject(t, "HelmRelease", "webservice-02",
		"{interval: 1h, serviceAccountName: deployer, chartRef: {kind: OCIRepository, name: a}}")
	release.SetFinalizers([]string{"finalizers.fluxcd.io"})
	old := release.DeepCopy()
	old.SetName("old")
	unstructured.RemoveNestedField(old.Object, "spec", "serviceAccountName")
	administrator := cluster.As(t, admin)
	for _, o := range []*unstructured.Unstructured{release, old} {
		administrator.Create(o).Admitted()
		t.Cleanup(func() {
			administrator.Patch(o, types.MergePatchType, `{"metadata": {"finalizers": null}}`).Admitted()
			administrator.Delete(o).Admitted()
		})
	}
	cluster.Guard(t, local.EksguardOptions{Settings: standardSettings})
	patched := func(o *unstructured.Unstructured, patch string, hows ...e2e.How) func(c *e2e.Client) *e2e.Outcome {
		return func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(o, types.MergePatchType, patch, append(hows, e2e.DryRun)...)
		}
	}
	for _, row := range []struct {
		name  string
		who   string
		write func(c *e2e.Client) *e2e.Outcome
		rules []string
	}{
		{"the ServiceAccount is removed", alice, patched(release, `{"spec": {"serviceAccountName": null}}`),
			[]string{"flux-tenancy/service-account"}},
		{"by a JSON patch", alice, func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(release, types.JSONPatchType, `[{"op": "remove", "path": "/spec/serviceAccountName"}]`,
				e2e.DryRun)
		}, []string{"flux-tenancy/service-account"}},
		{"by a replacement", alice, func(c *e2e.Client) *e2e.Outcome {
			o := c.Get(release)
			unstructured.RemoveNestedField(o.Object, "spec", "serviceAccountName")
			return c.Update(o, e2e.DryRun)
		}, []string{"flux-tenancy/service-account"}},
		{"what never had one is changed", alice, patched(old, `{"spec": {"interval": "2h"}}`), nil},
		{"and pointed elsewhere", alice, patched(old, `{"spec": {"targetNamespace": "kube-system"}}`),
			[]string{"flux-tenancy/target"}},
		{"its finalizer is removed", alice, patched(old, `{"metadata": {"finalizers": null}}`), nil},
		{"the chart of another in the status", alice,
			patched(release, `{"status": {"helmChart": "flux-system/apps"}}`, e2e.Subresource("status")),
			[]string{"flux-tenancy/chart"}},
		{"the chart of another in the status, by an administrator", admin,
			patched(release, `{"status": {"helmChart": "flux-system/apps"}}`, e2e.Subresource("status")),
			[]string{"flux-tenancy/chart"}},
		{"its own chart in the status", alice,
			patched(release, `{"status": {"helmChart": "webservice-02/apps"}}`, e2e.Subresource("status")), nil},
		{"the chart of another in the status, by helm-controller", helm,
			patched(release, `{"status": {"helmChart": "flux-system/apps"}}`, e2e.Subresource("status")), nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			if o := row.write(cluster.As(t, row.who)); row.rules == nil {
				o.Admitted()
			} else {
				o.Denied(row.rules...)
			}
		})
	}
	t.Run("one that ends is judged like any other", func(t *testing.T) {
		ending := release.DeepCopy()
		ending.SetName("ending")
		administrator.Create(ending).Admitted()
		administrator.Delete(ending).Admitted()
		if administrator.Get(ending).GetDeletionTimestamp() == nil {
			t.Fatal("it has no deletionTimestamp")
		}
		patched(ending, `{"spec": {"serviceAccountName": null}}`)(cluster.As(t,
			alice)).Denied("flux-tenancy/service-account")
		cluster.As(t, alice).Patch(ending, types.MergePatchType, `{"metadata": {"finalizers": null}}`).Admitted()
	})
}

// What is written under a ServiceAccount's name is what a Kustomization that runs as it would make: the API server does
// not tell an impersonated one from one that a Pod runs as.
func TestFluxTenancyNesting(t *testing.T) {
	installFlux(t)
	cluster.Guard(t, local.EksguardOptions{Settings: standardSettings})
	const asItself = "{interval: 1h, prune: true, serviceAccountName: deployer, sourceRef: {kind: GitRepository, " +
		"name: a}}"
	for _, row := range []struct {
		name, kind, namespace, spec string
		rules                       []string
	}{
		{"as itself", "Kustomization", "webservice-02", asItself, nil},
		{"as another ServiceAccount", "Kustomization", "webservice-02",
			"{interval: 1h, prune: true, serviceAccountName: default, sourceRef: {kind: GitRepository, name: a}}",
			[]string{"flux-tenancy/nested"}},
		{"as another, which differs by nothing that is seen", "Kustomization", "webservice-02",
			"{interval: 1h, prune: true, serviceAccountName: 'deployer ', sourceRef: {kind: GitRepository, name: " +
				"a}}", []string{"flux-tenancy/nested"}},
		{"as Flux", "HelmRelease", "webservice-02", "{interval: 1h, chartRef: {kind: OCIRepository, name: a}}",
			[]string{"flux-tenancy/nested", "flux-tenancy/service-account"}},
		{"in another namespace", "Kustomization", "webservice-01", asItself, []string{"flux-tenancy/nested"}},
		{"a source in another namespace", "GitRepository", "webservice-01",
			"{interval: 1h, url: 'https://git.example.com/a'}",
			[]string{"flux-tenancy/nested"}},
		{"a source in its own", "GitRepository", "webservice-02",
			"{interval: 1h, url: 'https://git.example.com/a'}", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			object := fluxObject(t, row.kind, row.namespace, row.spec)
			generated := object.DeepCopy()
			generated.SetName("")
			generated.SetGenerateName("mine-")
			for _, outcome := range []*e2e.Outcome{
				cluster.As(t, tenant).Create(object, e2e.DryRun),
				cluster.As(t, tenant).Apply(object, e2e.DryRun),
				cluster.As(t, tenant).Create(generated, e2e.DryRun),
			} {
				if row.rules == nil {
					outcome.Admitted()
				} else {
					outcome.Denied(row.rules...)
				}
			}
		})
	}
}

func TestFluxTenantLabel(t *testing.T) {
	cluster.Guard(t, local.EksguardOptions{Settings: standardSettings})
	namespace := e2e.Parse(t, "{apiVersion: v1, kind: Namespace, metadata: {name: webservice-01}}")
	const label = `{"metadata": {"labels": {"toolkit.fluxcd.io/tenant": "webservice-02"}}}`
	ways := map[string]func(c *e2e.Client) *e2e.Outcome{
		"patch": func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(namespace, types.MergePatchType, label,
				e2e.DryRun)
		},
		"status": func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(namespace, types.MergePatchType, label, e2e.DryRun, e2e.Subresource("status"))
		},
		"finalize": func(c *e2e.Client) *e2e.Outcome {
			o := c.Get(namespace)
			o.SetLabels(map[string]string{"toolkit.fluxcd.io/tenant": "webservice-02",
				"kubernetes.io/metadata.name": "webservice-01"})
			return c.Update(o, e2e.DryRun, e2e.Subresource("finalize"))
		},
		"apply": func(c *e2e.Client) *e2e.Outcome {
			o := namespace.DeepCopy()
			o.SetLabels(map[string]string{"toolkit.fluxcd.io/tenant": "webservice-02"})
			return c.Apply(o, e2e.DryRun)
		},
		"creation": func(c *e2e.Client) *e2e.Outcome {
			o := e2e.Parse(t, "{apiVersion: v1, kind: Namespace, metadata: {name: webservice-02-more}}")
			o.SetLabels(map[string]string{"toolkit.fluxcd.io/tenant": "webservice-02"})
			return c.Create(o, e2e.DryRun)
		},
	}
	for way, write := range ways {
		t.Run(way, func(t *testing.T) {
			write(cluster.As(t, tenant)).Denied("flux-tenancy/tenant-label")
			write(cluster.As(t, alice)).Admitted()
			write(cluster.As(t, kustomize)).Admitted()
		})
	}
}
