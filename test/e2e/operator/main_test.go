// Package operator_test shows an upgrade of Prometheus Operator on a real cluster that has its CRDs. It has a control
// plane of its own, because the API server takes minutes to end CRDs.
package operator_test

import (
	"os"
	"testing"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

var cluster = e2e.NewCluster(local.Options{}, "testdata/setup")

func TestMain(m *testing.M) { os.Exit(cluster.Run(m)) }

const admin = "" // the administrator of the control plane
