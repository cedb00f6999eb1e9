package flux_test

import (
	"testing"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// nested is testdata/nested.yaml with these replacements.
func nested(t testing.TB, replacements ...string) string {
	t.Helper()
	return e2e.Read(t, "nested.yaml", replacements...)
}

// Replacements.
var (
	// asTenant lets testdata/kustomization.yaml be in namespace tenant-a and run as ServiceAccount tenant-a.
	asTenant = []string{"flux-system", "tenant-a", "spec:", "spec:\n  serviceAccountName: tenant-a"}
	// asFlux lets testdata/nested.yaml run with Flux's own rights.
	asFlux = []string{"  serviceAccountName: tenant-a\n", ""}
)

const noNested = `Error from server (NotFound): kustomizations.kustomize.toolkit.fluxcd.io "nested" not found` + "\n"

func kustomizationNested(t testing.TB) *e2e.Terminal {
	t.Helper()
	return cluster.Kubectl(t).Run("get", "kustomization", "nested", "-n", "tenant-a", "-o=name")
}

// tenant starts what a tenant has: a repository, deployed as ServiceAccount tenant-a, and one that a nested Kustomization
// deploys.
func tenant(t testing.TB, flux *flux) (repository *repository, apps *kustomization, escape *repository) {
	t.Helper()
	repository = flux.Repository(t, "flux-system", "tenant-a")
	escape = flux.Repository(t, "flux-system", "tenant-a", "name: fleet", "name: nested")
	return repository, repository.Kustomization(t, asTenant...), escape
}

// Whoever may make a Kustomization makes kustomize-controller apply what they like: fluxcd/flux2#1829. This is what
// eksguard is there for, and shows that nothing else stops it.
func TestWithoutEksguardTenantsEscapeByNesting(t *testing.T) {
	repository, apps, escape := tenant(t, startFlux(t))
	// Where the tenant may do nothing.
	escape.Commit(t, features(t, "red", "escaped"))
	repository.Commit(t, nested(t, asFlux...))
	apps.Ready(t)
	escape.Nested(t).Ready(t)
	colour(t, "webservice-01").Printed("escaped")
}

func TestTenantsDoNotEscapeByNesting(t *testing.T) {
	flux := startFlux(t)
	cluster.Guard(t, local.EksguardOptions{})
	repository, apps, escape := tenant(t, flux)
	escape.Commit(t, features(t, "red", "escaped"))

	for _, row := range []struct {
		name         string
		replacements []string
		rules        []string
	}{
		{"with Flux's own rights", asFlux, []string{"flux-tenancy/nested", "flux-tenancy/service-account"}},
		{"as another ServiceAccount", []string{"serviceAccountName: tenant-a", "serviceAccountName: deployer"}, []string{"flux-tenancy/nested"}},
		{"into another namespace", []string{"path: ./", "targetNamespace: webservice-01"}, []string{"flux-tenancy/target"}},
		{
			"from Flux's own sources",
			[]string{"name: nested}", "name: fleet, namespace: flux-system}"},
			[]string{"flux-tenancy/source"},
		},
		{
			"after what is in another namespace",
			[]string{"path: ./", "dependsOn: [{name: apps, namespace: webservice-01}]"},
			[]string{"flux-tenancy/dependency"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			repository.Commit(t, nested(t, row.replacements...))
			apps.Denied(t, "Kustomization/tenant-a/nested", row.rules...)
			for _, rule := range row.rules {
				apps.Told(t, "["+rule+"] ")
			}
			kustomizationNested(t).Failed(noNested)
		})
	}
	colour(t, "webservice-01").Failed(noFeatures)

	t.Run("what reaches no further than its maker", func(t *testing.T) {
		escape.Commit(t, features(t, "webservice-01", "tenant-a"))
		repository.Commit(t, nested(t))
		apps.Ready(t)
		escape.Nested(t).Ready(t)
		colour(t, "tenant-a").Printed("red")
	})
	t.Run("a change of what was admitted", func(t *testing.T) {
		repository.Commit(t, nested(t, "path: ./", "targetNamespace: webservice-01"))
		apps.Denied(t, "Kustomization/tenant-a/nested", "flux-tenancy/target")
		colour(t, "webservice-01").Failed(noFeatures)
	})
}

// The platform team deploys a tenant's Kustomization from Flux's own namespace.
func TestTenantsKustomizationNeedsAServiceAccount(t *testing.T) {
	flux := startFlux(t)
	cluster.Guard(t, local.EksguardOptions{})
	fleet := flux.Repository(t)
	apps := fleet.Kustomization(t)

	fleet.Commit(t, nested(t, asFlux...))
	apps.Denied(t, "Kustomization/tenant-a/nested", "flux-tenancy/service-account")

	fleet.Commit(t, nested(t))
	apps.Ready(t)
	kustomizationNested(t).Printed("kustomization.kustomize.toolkit.fluxcd.io/nested\n")
}
