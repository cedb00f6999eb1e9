// Package doctor_test breaks a real cluster in one way after another, and compares what eksguard doctor finds.
package doctor_test

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
