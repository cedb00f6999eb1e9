package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// What Prometheus Operator defines (prometheus-operator/prometheus-operator: example/prometheus-operator-crd).
const (
	operatorGroup      = "monitoring.coreos.com"
	operatorAnnotation = "operator.prometheus.io/version"
)

// lookAtPrometheusOperator finds its CRDs, and whether the settings recognise the operator that belongs to them.
func lookAtPrometheusOperator(ctx context.Context, e *examination) (string, error) {
	defined, unversioned := 0, []string(nil)
	err := pages(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return e.Dynamic.Resource(definitions).List(ctx, o)
	}).EachListItem(ctx, metav1.ListOptions{}, func(o runtime.Object) error {
		crd := o.(metav1.Object)
		if !strings.HasSuffix(crd.GetName(), "."+operatorGroup) {
			return nil
		}
		defined++
		if crd.GetAnnotations()[operatorAnnotation] == "" {
			unversioned = append(unversioned, crd.GetName())
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("list CustomResourceDefinitions: %w", err)
	}
	workloads, err := e.allWorkloads(ctx)
	if err != nil {
		return "", err
	}
	recognised, overlooked := e.operators(workloads)
	if len(overlooked) > 0 {
		e.find(Finding{
			Severity: Warning,
			What: "seems to be Prometheus Operator, but its image is not in settings.operator_upgrade.images: " + listed(
				overlooked,
			),
			Why: "a new version of it is not held back until its CRDs are there",
			Do:  `add a glob for its repository: operator_upgrade: {images: ["*/…"]}`,
		})
	}
	if defined > 0 && len(recognised)+len(overlooked) == 0 {
		e.find(Finding{
			Severity: Info,
			What:     fmt.Sprintf("there are %d CRDs of %s, and nothing that runs Prometheus Operator", defined, operatorGroup),
			Why:      "its image may have a name of your own, which policy operator-upgrade then does not know",
			Do:       "kubectl get deployments -A -o wide; name its image in settings.operator_upgrade.images",
		})
	}
	if len(unversioned) > 0 {
		e.find(Finding{
			Severity: Info,
			What:     "CRDs without a version: " + listed(unversioned),
			Why:      "they are older than 0.68, or were changed: an upgrade is judged by which CRDs there are",
			Do:       "replace the CRDs by those of the operator's version before the operator: kubectl replace -f",
		})
	}
	if defined == 0 && len(recognised) == 0 {
		return "not found", nil
	}
	return fmt.Sprintf("%d CRDs; %s", defined, listed(recognised)), nil
}

// operators are the Deployments that run Prometheus Operator: those that the settings recognise, and those that seem
// to.
func (e *examination) operators(workloads []workload) (recognised, overlooked []string) {
	images := texts(e.settings.list("operator_upgrade", "images"))
	for i := range workloads {
		w := &workloads[i]
		if w.kind != "Deployment" {
			continue
		}
		for _, c := range w.spec.Containers {
			repository, _ := splitImage(c.Image)
			switch {
			case slices.ContainsFunc(images, func(pattern string) bool { return starMatches(pattern, repository) }):
				recognised = append(recognised, w.String()+" "+c.Image)
			// A flag that the operator alone has (cmd/operator/main.go).
			case flags(&c)["prometheus-config-reloader"] != "":
				overlooked = append(overlooked, w.String()+" "+c.Image)
			}
		}
	}
	return recognised, overlooked
}
