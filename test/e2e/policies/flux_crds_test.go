package policies_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mozilla-iam/eksguard/test/e2e"
)

var fluxInstalled sync.Once

// installFlux installs the CRDs of Flux's API, for all tests: it takes the API server minutes to end as many. None of
// Flux's controllers runs; what they are told to do is judged when it is written.
func installFlux(t *testing.T) {
	t.Helper()
	fluxInstalled.Do(func() {
		made := filepath.Join(cluster.Plane(t).BinDir, "flux-crds")
		if _, err := os.Stat(made); err != nil {
			t.Fatalf("%v (test/fluxcrds/build.sh makes it)", err)
		}
		for _, crds := range []string{made, "crds"} {
			cluster.Kubectl(t).Run("apply", "--server-side", "-f", crds).Succeeded()
			cluster.Kubectl(t).Run("wait", "--for=condition=Established", "--timeout=30s", "-f", crds).Succeeded()
		}
	})
}

// fluxVersions are the API versions of Flux's kinds.
var fluxVersions = map[string]string{
	"Kustomization":         "kustomize.toolkit.fluxcd.io/v1",
	"HelmRelease":           "helm.toolkit.fluxcd.io/v2",
	"GitRepository":         "source.toolkit.fluxcd.io/v1",
	"Bucket":                "source.toolkit.fluxcd.io/v1",
	"HelmRepository":        "source.toolkit.fluxcd.io/v1",
	"OCIRepository":         "source.toolkit.fluxcd.io/v1",
	"HelmChart":             "source.toolkit.fluxcd.io/v1",
	"ExternalArtifact":      "source.toolkit.fluxcd.io/v1",
	"ImageRepository":       "image.toolkit.fluxcd.io/v1",
	"ImagePolicy":           "image.toolkit.fluxcd.io/v1",
	"ImageUpdateAutomation": "image.toolkit.fluxcd.io/v1",
	"Receiver":              "notification.toolkit.fluxcd.io/v1",
	"Alert":                 "notification.toolkit.fluxcd.io/v1beta3",
	"Provider":              "notification.toolkit.fluxcd.io/v1beta3",
	"ArtifactGenerator":     "source.extensions.fluxcd.io/v1beta1",
	"ResourceSet":           "fluxcd.controlplane.io/v1",
}

// fluxObject is an object of Flux called mine, with this YAML as its spec.
func fluxObject(t testing.TB, kind, namespace, spec string) *unstructured.Unstructured {
	t.Helper()
	return e2e.Parse(t, fmt.Sprintf("{apiVersion: %s, kind: %s, metadata: {name: mine, namespace: %s}, spec: %s}",
		fluxVersions[kind], kind, namespace, spec))
}
