// Package flux_test shows what a person sees of eksguard who deploys with Flux: the real kustomize-controller applies
// artifacts to the real API server, and tells by the condition of a Kustomization what came of it.
package flux_test

import (
	"os"
	"testing"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

var cluster = e2e.NewCluster(local.Options{}, "testdata/setup")

func TestMain(m *testing.M) { os.Exit(cluster.Run(m)) }

const (
	// webservicesOnly takes what is not namespaces webservice-* out of Flux's reach. By default it is but Kubernetes' own
	// namespaces and eksguard's.
	webservicesOnly = "testdata/settings/webservices.yaml"

	admin = "" // the administrator of the control plane
)
