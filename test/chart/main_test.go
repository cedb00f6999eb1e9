// Package chart_test shows that the Helm chart installs an eksguard that works, that it is granted what it uses and no
// more, and that nothing of it stays in the way. Helm is its own libraries, of versions 3 and 4, and the API server and
// the controllers are real, and the API server calls the Service. There are no nodes: where a Pod would run, the test runs the
// eksguard binary with the arguments and the token that the Pod has, and does what kubelet does about its status.
package chart_test

import (
	"os"
	"testing"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

var cluster = e2e.NewCluster(local.Options{ControllerManager: true, Network: true, AuditPolicy: "testdata/audit-policy.yaml"},
	"testdata/setup")

func TestMain(m *testing.M) { os.Exit(cluster.Run(m)) }

const (
	chartDir  = "../../deploy/chart"
	namespace = "eksguard-system"
	release   = "eksguard"

	admin = "" // the administrator of the control plane
	self  = "system:serviceaccount:eksguard-system:eksguard"
)
