package flux_test

import (
	"testing"

	"github.com/mozilla-iam/eksguard/test/local"
)

// What Flux deployed while it was within its reach is, once that has been tightened, neither pruned nor changed.
func TestPruneOutOfReachIsStopped(t *testing.T) {
	flux := startFlux(t)
	wide := cluster.Guard(t, local.EksguardOptions{})
	fleet := flux.Repository(t)
	apps := fleet.Kustomization(t)
	fleet.Commit(t, features(t), features(t, "webservice-01", "monitoring"))
	apps.Ready(t)

	stop(t, wide)
	tight := cluster.Guard(t, local.EksguardOptions{Settings: webservicesOnly})

	// What stays as it is turns nothing not ready.
	fleet.Commit(t, features(t, "red", "blue"), features(t, "webservice-01", "monitoring"))
	apps.Ready(t)
	colour(t, "webservice-01").Printed("blue")
	colour(t, "monitoring").Printed("red")

	fleet.Commit(t, features(t, "red", "blue"))
	apps.NotReady(t, "PruneFailed", pruneDenied)
	apps.Told(t, pruneDenied)
	colour(t, "monitoring").Printed("red")

	// Nor does it go with the Kustomization, which stays until it may be pruned.
	kubectl(t, "delete", "kustomization", "apps", "-n", "flux-system", "--wait=false")
	apps.Told(t, "pruning for deleted resource failed")
	colour(t, "webservice-01").Failed(noFeatures)
	colour(t, "monitoring").Printed("red")

	stop(t, tight)
	cluster.Guard(t, local.EksguardOptions{})
	kubectl(t, "wait", "--for=delete", "kustomization", "apps", "-n", "flux-system", "--timeout=1m")
	colour(t, "monitoring").Failed(noFeatures)
}

const pruneDenied = `delete failed, errors: ConfigMap/monitoring/features delete failed: ` +
	`admission webhook "flux.eksguard.io" denied the request: [flux/namespace] metadata.namespace: ` +
	`Flux, as "system:serviceaccount:flux-system:kustomize-controller", may not delete ConfigMap "monitoring/features": ` +
	`namespace "monitoring" is out of its reach, which is its own namespace flux-system, and namespaces webservice-*. ` +
	`Fix: do it by other means than Flux, or add {users: ["system:serviceaccount:flux-system:kustomize-controller"], ` +
	`namespaces: ["monitoring"], kinds: ["ConfigMap"]} to settings.flux.reach.;`

func stop(t testing.TB, guard interface{ Stop() error }) {
	t.Helper()
	if err := guard.Stop(); err != nil {
		t.Fatal(err)
	}
}
