// Package chart_test shows that the Helm chart installs an eksguard that works, that it is granted what it uses and no
// more, and that nothing of it stays in the way. Helm is its own libraries, of versions 3 and 4, and the API server and
// the controllers are real. There are no nodes: where a Pod would run, the test runs the eksguard binary with the
// arguments and the token that the Pod has.
package chart_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

var (
	auditLog string
	cluster  *e2e.Cluster
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "eksguard-chart-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }() // what is left of it is in the folder for temporary files
	auditLog = filepath.Join(dir, "audit.log")
	cluster = e2e.NewCluster(local.Options{ControllerManager: true, AuditLog: auditLog}, "testdata/setup")
	return cluster.Run(m)
}

const (
	chartDir  = "../../deploy/chart"
	namespace = "eksguard-system"
	release   = "eksguard"

	admin = "" // the administrator of the control plane
	self  = "system:serviceaccount:eksguard-system:eksguard"
)
