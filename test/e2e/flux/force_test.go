package flux_test

import (
	"testing"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// With spec.force, Flux deletes and recreates what it takes to be impossible to change. A denial must not look like that:
// a service would be gone, and what is denied would not take its place.
func TestFluxDoesNotRecreateByForceWhatIsDenied(t *testing.T) {
	flux := startFlux(t)
	cluster.Guard(t, local.EksguardOptions{})
	fleet := flux.Repository(t)
	apps := fleet.Kustomization(t, "spec:", "spec:\n  force: true")
	deployment := e2e.Manifest(t, "deployment.yaml")
	uid := func() any { return cluster.As(t, admin).Get(deployment).GetUID() }

	fleet.Commit(t, e2e.Read(t, "deployment.yaml"))
	apps.Ready(t)
	before := uid()

	fleet.Commit(t, e2e.Read(t, "deployment.yaml", "role/eks-webservice-01-prod", "role/eks-webservice-02-prod"))
	apps.Denied(t, "Deployment/webservice-01/aws-cli", "iam-role/ownership")
	if uid() != before {
		t.Error("Flux has recreated the Deployment")
	}

	// What it is like if Flux does take it so.
	fleet.Commit(t, e2e.Read(t, "deployment.yaml", "app: aws-cli", "app: other"))
	apps.Ready(t)
	if uid() == before {
		t.Error("spec.force does nothing")
	}
}
