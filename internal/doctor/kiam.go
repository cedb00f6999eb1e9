package doctor

import (
	"context"
	"fmt"

	"github.com/mozilla-iam/eksguard/internal/excerpt"
)

// kiamAnnotation is the Namespace annotation that kiam reads (uswitch/kiam: pkg/k8s/namespace_cache.go); no flag
// changes it.
const kiamAnnotation = "iam.amazonaws.com/permitted"

// lookAtKiam finds kiam and whether eksguard judges what kiam reads.
func lookAtKiam(ctx context.Context, e *examination) (string, error) {
	workloads, err := e.allWorkloads(ctx)
	if err != nil {
		return "", err
	}
	var saw []string
	for i := range workloads {
		if w := &workloads[i]; w.container("kiam") != nil {
			saw = append(saw, w.String())
		}
	}
	if len(saw) == 0 {
		return "not found", nil
	}
	if annotation := e.settings.text("iam_grants", "permitted_annotation"); annotation != kiamAnnotation {
		e.find(Finding{
			Severity: Error,
			What:     fmt.Sprintf("kiam runs, and settings.iam_grants.permitted_annotation is %q", excerpt.Of(annotation, maxText)),
			Why:      fmt.Sprintf("kiam reads %q, of which eksguard then says nothing", kiamAnnotation),
			Do:       fmt.Sprintf("set iam_grants: {permitted_annotation: %q} in the settings", kiamAnnotation),
		})
	}
	return listed(saw), nil
}
