// Package operations_test shows what an operator of a cluster gets of eksguard: it breaks a real cluster in one way
// after another and compares what eksguard doctor finds, and has eksguard audit judge what is in it.
package operations_test

import (
	"os"
	"testing"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

var cluster = e2e.NewCluster(local.Options{}, "testdata/setup")

func TestMain(m *testing.M) { os.Exit(cluster.Run(m)) }

const (
	good   = "testdata/settings/good.yaml"
	smells = "testdata/settings/smells.yaml"
)
