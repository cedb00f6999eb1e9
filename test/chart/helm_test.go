package chart_test

import (
	"testing"
	"time"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/kube"
	"k8s.io/cli-runtime/pkg/genericclioptions"
)

// helm is Helm 4 in somebody's hands.
type helm struct {
	t             testing.TB
	configuration *action.Configuration
	// chart is the folder or archive of the chart: the present one, unless it is told otherwise.
	chart string
}

// newHelm returns a Helm for a user, whom the administrator impersonates; "" is the administrator.
func newHelm(t testing.TB, user string) *helm {
	t.Helper()
	flags := genericclioptions.NewConfigFlags(true)
	cache := t.TempDir()
	flags.KubeConfig, flags.CacheDir = &cluster.Plane(t).Kubeconfig, &cache
	into := namespace
	flags.Namespace, flags.Impersonate = &into, &user
	configuration := action.NewConfiguration()
	if err := configuration.Init(flags, namespace, "secret"); err != nil {
		t.Fatal(err)
	}
	return &helm{t: t, configuration: configuration, chart: chartDir}
}

// Nothing is waited for: there is no node on which a Pod could get ready.
const (
	strategy = kube.HookOnlyStrategy
	timeout  = time.Minute
)

// Install is `helm install eksguard CHART -n eksguard-system -f VALUES`.
func (h *helm) Install(values map[string]any) {
	h.t.Helper()
	chart, err := loader.Load(h.chart)
	if err != nil {
		h.t.Fatal(err)
	}
	install := action.NewInstall(h.configuration)
	install.ReleaseName, install.Namespace = release, namespace
	install.WaitStrategy, install.Timeout = strategy, timeout
	if _, err := install.RunWithContext(h.t.Context(), chart, values); err != nil {
		h.t.Fatal(err)
	}
}

// Upgrade is `helm upgrade eksguard CHART -n eksguard-system -f VALUES`.
func (h *helm) Upgrade(values map[string]any) {
	h.t.Helper()
	chart, err := loader.Load(h.chart)
	if err != nil {
		h.t.Fatal(err)
	}
	upgrade := action.NewUpgrade(h.configuration)
	upgrade.Namespace, upgrade.ServerSideApply = namespace, "auto"
	upgrade.WaitStrategy, upgrade.Timeout = strategy, timeout
	if _, err := upgrade.RunWithContext(h.t.Context(), release, chart, values); err != nil {
		h.t.Fatal(err)
	}
}

// Uninstall is `helm uninstall eksguard -n eksguard-system`.
func (h *helm) Uninstall() {
	h.t.Helper()
	uninstall := action.NewUninstall(h.configuration)
	uninstall.WaitStrategy, uninstall.Timeout = strategy, timeout
	if _, err := uninstall.Run(release); err != nil {
		h.t.Fatal(err)
	}
}
