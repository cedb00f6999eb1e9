package flux_test

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// features is testdata/configmap.yaml with these replacements.
func features(t testing.TB, replacements ...string) string {
	t.Helper()
	return e2e.Read(t, "configmap.yaml", replacements...)
}

// colour returns a command that prints what is in the ConfigMap of testdata/configmap.yaml.
func colour(t testing.TB, namespace string) *e2e.Terminal {
	t.Helper()
	return cluster.Kubectl(t).Run("get", "configmap", "features", "-n", namespace, "-o=jsonpath={.data.colour}")
}

const noFeatures = `Error from server (NotFound): configmaps "features" not found` + "\n"

func TestWhatStaysInReachIsDeployed(t *testing.T) {
	flux := startFlux(t)
	guard := cluster.Guard(t, local.EksguardOptions{})
	fleet := flux.Repository(t)
	apps := fleet.Kustomization(t)

	fleet.Commit(t, features(t), features(t, "webservice-01", "webservice-02"))
	apps.Ready(t)
	colour(t, "webservice-01").Printed("red")

	fleet.Commit(t, features(t, "red", "blue"), features(t, "webservice-01", "webservice-02"))
	apps.Ready(t)
	colour(t, "webservice-01").Printed("blue")

	// Prune.
	fleet.Commit(t, features(t, "webservice-01", "webservice-02"))
	apps.Ready(t)
	colour(t, "webservice-01").Failed(noFeatures)
	apps.Told(t, "ConfigMap/webservice-01/features deleted")

	// The finalizer lets go of the Kustomization once all is pruned.
	kubectl(t, "delete", "kustomization", "apps", "-n", "flux-system", "--timeout=30s")
	colour(t, "webservice-02").Failed(noFeatures)

	judged(t, guard)
	nothingDenied(t, guard)
}

func TestWhatLeavesReachIsNotReady(t *testing.T) {
	flux := startFlux(t)
	guard := cluster.Guard(t, local.EksguardOptions{})
	fleet := flux.Repository(t)
	apps := fleet.Kustomization(t)
	const message = `ConfigMap/kube-system/features dry-run failed (Forbidden): admission webhook "flux.eksguard.io" ` +
		`denied the request: [flux/namespace] metadata.namespace: ` +
		`Flux, as "system:serviceaccount:flux-system:kustomize-controller", may not create ConfigMap ` +
		`"kube-system/features": namespace "kube-system" is out of its reach, which is its own namespace flux-system, and ` +
		`namespaces * except kube-system, kube-public, kube-node-lease, eksguard-system. ` +
		`Fix: move it to a namespace within reach, or add {users: ` +
		`["system:serviceaccount:flux-system:kustomize-controller"], namespaces: ["kube-system"], kinds: ["ConfigMap"]} ` +
		`to settings.flux.reach.`

	fleet.Commit(t, features(t), features(t, "webservice-01", "kube-system"))
	apps.NotReady(t, "ReconciliationFailed", message)
	apps.Told(t, message)
	colour(t, "kube-system").Failed(noFeatures)
	denied := guard.Metric(`eksguard_violations_total{outcome="deny",policy="flux",rule="namespace"}`)
	if denied == 0 {
		t.Error("the denial is not counted")
	}

	// The fix that the message names first.
	fleet.Commit(t, features(t), features(t, "webservice-01", "webservice-02"))
	apps.Ready(t)
	colour(t, "webservice-02").Printed("red")
}

func TestWhatFluxMayNotWriteIsNotReady(t *testing.T) {
	flux := startFlux(t)
	cluster.Guard(t, local.EksguardOptions{Settings: webservicesOnly})
	fleet := flux.Repository(t)
	apps := fleet.Kustomization(t)
	existing := e2e.Parse(t, features(t, "webservice-01", "monitoring", "red", "theirs"))
	cluster.As(t, admin).Create(existing).Admitted()
	t.Cleanup(func() { cluster.As(t, admin).Delete(existing).Admitted() })

	for _, row := range []struct {
		name, manifest, object, offence, fix string
	}{
		{
			"an object that others made", features(t, "webservice-01", "monitoring"),
			`ConfigMap/monitoring/features`, `[flux/namespace] metadata.namespace: ` +
				`Flux, as "system:serviceaccount:flux-system:kustomize-controller", may not update ConfigMap ` +
				`"monitoring/features": namespace "monitoring" is out of its reach, which is its own namespace flux-system, ` +
				`and namespaces webservice-*`,
			`move it to a namespace within reach, or add {users: ["system:serviceaccount:flux-system:kustomize-controller"], ` +
				`namespaces: ["monitoring"], kinds: ["ConfigMap"]} to settings.flux.reach.`,
		},
		{
			"a namespace", "{apiVersion: v1, kind: Namespace, metadata: {name: tenant-b}}",
			`Namespace/tenant-b`, `[flux/namespace] metadata.name: ` +
				`Flux, as "system:serviceaccount:flux-system:kustomize-controller", may not create Namespace "tenant-b": ` +
				`namespace "tenant-b" is out of its reach, which is its own namespace flux-system, and namespaces webservice-*`,
			`do it by other means than Flux, or add {users: ["system:serviceaccount:flux-system:kustomize-controller"], ` +
				`namespaces: ["tenant-b"], kinds: ["Namespace"]} to settings.flux.reach.`,
		},
		{
			"a kind without namespaces",
			"{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: first}, value: 1}",
			`PriorityClass/first`, `[flux/cluster-kind] kind: ` +
				`Flux, as "system:serviceaccount:flux-system:kustomize-controller", may not create ` +
				`scheduling.k8s.io/PriorityClass "first": cluster-scoped kind "scheduling.k8s.io/PriorityClass" is out of its ` +
				`reach, which is empty`,
			`do it by other means than Flux, or add {users: ["system:serviceaccount:flux-system:kustomize-controller"], ` +
				`cluster_kinds: ["scheduling.k8s.io/PriorityClass"]} to settings.flux.reach.`,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			fleet.Commit(t, features(t), row.manifest)
			apps.NotReady(t, "ReconciliationFailed", row.object+` dry-run failed (Forbidden): `+
				`admission webhook "flux.eksguard.io" denied the request: `+row.offence+`. Fix: `+row.fix)
		})
	}
	colour(t, "monitoring").Printed("theirs")
}

// A tenant's Kustomization lives where kustomize-controller may not write, and is deployed as the tenant.
func TestFluxKeepsItsOwnObjectsUpOutsideItsReach(t *testing.T) {
	flux := startFlux(t)
	guard := cluster.Guard(t, local.EksguardOptions{Settings: webservicesOnly})
	fleet := flux.Repository(t, "flux-system", "tenant-a")
	apps := fleet.Kustomization(t, asTenant...)

	fleet.Commit(t, features(t, "webservice-01", "tenant-a"))
	apps.Ready(t)
	colour(t, "tenant-a").Printed("red")
	apps.Told(t, "ConfigMap/tenant-a/features created")

	kubectl(t, "delete", "kustomization", "apps", "-n", "tenant-a", "--timeout=30s")
	colour(t, "tenant-a").Failed(noFeatures)

	judged(t, guard)
	nothingDenied(t, guard)
}

// judged means that eksguard was asked about what Flux wrote.
func judged(t testing.TB, guard *e2e.Guard) {
	t.Helper()
	if guard.Metric(`eksguard_reviews_total{phase="validate",policy="flux",verdict="allowed"}`) == 0 {
		t.Error("eksguard was not asked about a single write of Flux")
	}
}

var objection = regexp.MustCompile(`(?m)^eksguard_(violations|evaluation_errors|rejected_requests)_total\b.* [^0].*$`)

// nothingDenied means that no rule of any policy found anything in what anybody wrote.
func nothingDenied(t testing.TB, guard *e2e.Guard) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, guard.MetricsURL, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if objections := objection.FindAllString(string(page), -1); objections != nil {
		t.Errorf("eksguard objected:\n%s", strings.Join(objections, "\n"))
	}
}
