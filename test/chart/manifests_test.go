package chart_test

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mozilla-iam/eksguard/test/e2e"
)

// deploy/flux/manifests/eksguard.yaml is what the chart makes of the values beside it, but the settings, which
// kustomize puts in their place.
func TestManifestsAreTheChart(t *testing.T) {
	rendered := objects(t, readValues(t, "../../deploy/flux/manifests/values.yaml"), namespace)
	rendered = slices.DeleteFunc(rendered, func(o *unstructured.Unstructured) bool { return o.GetKind() == "ConfigMap" })
	var text strings.Builder
	text.WriteString("# The chart in ../../chart with values.yaml, rendered by `make generate`.\n")
	for _, object := range rendered {
		unstructured.RemoveNestedField(object.Object, "spec", "template", "metadata", "annotations", "checksum/settings")
		labels := object.GetLabels()
		labels["app.kubernetes.io/managed-by"] = "kustomize"
		delete(labels, "helm.sh/chart")
		object.SetLabels(labels)
		text.WriteString("---\n" + manifest(t, object))
	}
	e2e.Golden(t, "../../../deploy/flux/manifests/eksguard.yaml", text.String())
}
