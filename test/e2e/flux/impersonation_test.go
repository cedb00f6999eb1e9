package flux_test

import (
	"strings"
	"testing"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// With spec.serviceAccountName Flux writes under the name of the tenant's ServiceAccount, and that is who is held: here
// RBAC would let it write elsewhere.
func TestWhatFluxWritesUnderATenantsNameIsHeld(t *testing.T) {
	flux := startFlux(t)
	binding := e2e.Parse(t, "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: "+
		"tenant-a, namespace: webservice-01}, "+
		"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}, "+
		"subjects: [{kind: ServiceAccount, name: tenant-a, namespace: tenant-a}]}")
	cluster.As(t, admin).Create(binding).Admitted()
	t.Cleanup(func() { cluster.As(t, admin).Delete(binding).Admitted() })
	cluster.Guard(t, local.EksguardOptions{Settings: "testdata/settings/tenants.yaml"})
	fleet := flux.Repository(t, "flux-system", "tenant-a")
	apps := fleet.Kustomization(t, asTenant...)

	fleet.Commit(t, features(t, "webservice-01", "tenant-a"))
	apps.Ready(t)
	colour(t, "tenant-a").Printed("red")

	fleet.Commit(t, features(t, "webservice-01", "tenant-a"), features(t))
	apps.Denied(t, "ConfigMap/webservice-01/features", "flux/namespace")
	if message := apps.status(t).ready().Message; !strings.Contains(message,
		`Flux, as "system:serviceaccount:tenant-a:tenant-a", may not create`) {
		t.Errorf("the message is %q", message)
	}
	colour(t, "webservice-01").Failed(noFeatures)

	// What was deployed there before is not pruned by that name either.
	there := e2e.Parse(t, features(t))
	there.SetLabels(map[string]string{"kustomize.toolkit.fluxcd.io/name": "apps",
		"kustomize.toolkit.fluxcd.io/namespace": "tenant-a"})
	cluster.As(t, admin).Create(there).Admitted()
	t.Cleanup(func() { cluster.As(t, admin).Delete(there).Admitted() })
	cluster.As(t, "system:serviceaccount:tenant-a:tenant-a").Delete(there, e2e.DryRun).Denied("flux/namespace")
	cluster.As(t, "system:serviceaccount:tenant-a:tenant-a").DeleteCollection(there, "",
		e2e.DryRun).Denied("flux/namespace")
}
