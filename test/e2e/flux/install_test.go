package flux_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

const (
	deploy    = "../../../deploy/flux"
	guardRoot = "eksguard-system"
)

// overlay is what a platform team has in eksguard's own repository.
const overlay = `
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: eksguard-system
resources: [manifests]
images: [{name: eksguard, newName: registry.example.com/eksguard, newTag: 0.1.0}]
configMapGenerator:
  - {name: eksguard-settings, behavior: replace, files: [settings.yaml]}
`

// Flux installs eksguard from a repository of its own and goes on keeping it, also while eksguard is down. Flux's other
// repositories, whoever holds their key, do not reach it.
func TestFluxInstallsEksguard(t *testing.T) {
	fluxcd := startFlux(t)
	cluster.Kubectl(t).Run("apply", "-k", "../"+deploy+"/kustomize").Succeeded()
	t.Cleanup(func() {
		// In this order: Flux removes what it has installed as long as the installer may.
		kubectl(t, "delete", "kustomization", "eksguard", "-n", guardRoot, "--timeout=30s")
		kubectl(t, "delete", "clusterrole,clusterrolebinding", "eksguard-installer")
	})
	own := fluxcd.existing(t, guardRoot, "eksguard")
	install := own.existing(t, guardRoot, "eksguard")

	files := manifests(t)
	files["kustomization.yaml"], files["settings.yaml"] = overlay, "cluster: {account: \"555555555555\"}\n"
	own.CommitFiles(t, files)
	podsGetReady(t, 2)
	install.Ready(t)
	deployment := kubectl(t, "get", "deployment", "eksguard", "-n", guardRoot,
		"-o=jsonpath={.spec.template.spec.containers[0].image} {.spec.template.spec.volumes[0].configMap.name}")
	if !strings.HasPrefix(deployment, "registry.example.com/eksguard:0.1.0 eksguard-settings-") {
		t.Errorf("image and settings of the Deployment are %q", deployment)
	}

	guard := cluster.Guard(t, local.EksguardOptions{
		Kubeconfig: tokenKubeconfig(t, cluster.Plane(t), guardRoot, "eksguard"),
		ExtraArgs:  []string{"--owner-clusterrole=eksguard"},
	})

	t.Run("upgrades pass", func(t *testing.T) {
		own.CommitFiles(t, changed(files, "  replicas: 2", "  replicas: 3", "  - clusterroles\n  verbs:\n  - get\n",
			"  - clusterroles\n  verbs:\n  - get\n- apiGroups: [\"\"]\n  resources: [pods]\n  verbs: [list, watch]\n"))
		podsGetReady(t, 3)
		install.Ready(t)
	})

	t.Run("the other repositories do not reach it", func(t *testing.T) {
		fleet := fluxcd.Repository(t)
		apps := fleet.Kustomization(t)
		scaledDown := strings.ReplaceAll(files["manifests/eksguard.yaml"], "  replicas: 2", "  replicas: 0")
		_, scaledDown, _ = strings.Cut(scaledDown, "apiVersion: apps/v1")
		scaledDown, _, _ = strings.Cut("apiVersion: apps/v1"+scaledDown, "---")
		fleet.Commit(t, scaledDown)
		apps.Denied(t, "Deployment/eksguard-system/eksguard", "flux/namespace")
		source := e2e.Parse(t, read(t, filepath.Join(deploy, "kustomize", "source.yaml")))
		source.Object["spec"].(map[string]any)["url"] = "https://git.example.com/somebody-else"
		fleet.Commit(t, sprintJSON(t, source.Object))
		apps.Denied(t, "GitRepository/eksguard-system/eksguard", "flux/namespace")
	})

	t.Run("it is repaired while it is down", func(t *testing.T) {
		if err := guard.Stop(); err != nil {
			t.Fatal(err)
		}
		own.CommitFiles(t, changed(files, "  replicas: 2", "  replicas: 4", "  - clusterroles\n  verbs:\n  - get\n",
			"  - clusterroles\n  verbs:\n  - get\n- apiGroups: [\"\"]\n  resources: [pods]\n  verbs: [list, watch]\n"))
		podsGetReady(t, 4)
		install.Ready(t)
	})
}

// The objects with which Helm installs eksguard are such as Flux takes.
func TestTheHelmReleaseIsValid(t *testing.T) {
	installCRDs(t)
	version := strings.TrimSpace(read(t, "../../fluxcontroller/helm-controller.version"))
	crds := filepath.Join(folder(t, "github.com/fluxcd/helm-controller@"+version), "config", "crd", "bases")
	kubectl(t, "apply", "--server-side", "-f", crds)
	kubectl(t, "wait", "--for=condition=Established", "--timeout=30s", "-f", crds)
	kubectl(t, "apply", "-k", "../"+deploy+"/installer")
	kubectl(t, "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict",
		"-k", "../"+deploy+"/helm")
	kubectl(t, "delete", "clusterrole,clusterrolebinding", "eksguard-installer")
}

// existing is a GitRepository that is there.
func (f *flux) existing(t testing.TB, namespace, name string) *repository {
	t.Helper()
	return &repository{source: f.source, object: get(t, "source.toolkit.fluxcd.io/v1", "GitRepository", namespace, name)}
}

// existing is a Kustomization that is there.
func (r *repository) existing(t testing.TB, namespace, name string) *kustomization {
	t.Helper()
	return &kustomization{repository: r, object: get(t, "kustomize.toolkit.fluxcd.io/v1", "Kustomization", namespace, name)}
}

func get(t testing.TB, apiVersion, kind, namespace, name string) *unstructured.Unstructured {
	t.Helper()
	return cluster.As(t, admin).Get(e2e.Parse(t, fmt.Sprintf("{apiVersion: %s, kind: %s, metadata: {namespace: %s, name: %s}}",
		apiVersion, kind, namespace, name)))
}

// manifests are the files of deploy/flux/manifests, in a folder of that name.
func manifests(t testing.TB) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, name := range []string{"kustomization.yaml", "eksguard.yaml", "settings.yaml"} {
		files["manifests/"+name] = read(t, filepath.Join(deploy, "manifests", name))
	}
	return files
}

func changed(files map[string]string, replacements ...string) map[string]string {
	next := maps.Clone(files)
	next["manifests/eksguard.yaml"] = strings.NewReplacer(replacements...).Replace(files["manifests/eksguard.yaml"])
	return next
}

func read(t testing.TB, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// podsGetReady waits until Flux has applied the Deployment with so many replicas, and tells the API server what the
// controllers would, of which there are none here: that all of them are up.
func podsGetReady(t testing.TB, replicas int64) {
	t.Helper()
	e2e.Eventually(t, 30*time.Second, "the Deployment is applied", func() error { return hasReplicas(t, replicas) })
	setStatus(t, "apps/v1", "Deployment", map[string]any{
		"replicas": replicas, "updatedReplicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas,
		"conditions": []any{
			map[string]any{"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "message": ""},
			map[string]any{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable", "message": ""},
		},
	})
	setStatus(t, "policy/v1", "PodDisruptionBudget", map[string]any{
		"currentHealthy": replicas, "desiredHealthy": replicas - 1, "expectedPods": replicas, "disruptionsAllowed": 1,
	})
}

// setStatus sets the status of eksguard's object of this kind, as a controller does that has seen the object as it is.
func setStatus(t testing.TB, apiVersion, kind string, status map[string]any) {
	t.Helper()
	object := get(t, apiVersion, kind, guardRoot, "eksguard")
	status["observedGeneration"] = object.GetGeneration()
	patch := sprintJSON(t, map[string]any{"status": status})
	cluster.As(t, admin).Patch(object, types.MergePatchType, patch, e2e.Subresource("status")).Admitted()
}

func hasReplicas(t testing.TB, want int64) error {
	t.Helper()
	got := kubectl(t, "get", "deployment", "eksguard", "-n", guardRoot, "--ignore-not-found",
		"-o=jsonpath={.spec.replicas}")
	if got != fmt.Sprint(want) {
		return fmt.Errorf("%q replicas, want %d", got, want)
	}
	return nil
}

func sprintJSON(t testing.TB, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
