// Package policies_test shows what eksguard's own policies admit and deny on a real cluster.
package policies_test

import (
	"os"
	"testing"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// There are no controllers here, so that nothing is written but by the tests.
var cluster = e2e.NewCluster(local.Options{AuditPolicy: "testdata/audit-policy.yaml"}, "testdata/setup")

func TestMain(m *testing.M) { os.Exit(cluster.Run(m)) }

const (
	standardSettings = "testdata/settings/standard.yaml"

	admin = "" // the administrator of the control plane
)
