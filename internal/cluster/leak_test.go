package cluster

import (
	"testing"

	"go.uber.org/goleak"
)

// What a test has started ends with it. An event that comes while a watch of metadata alone is stopped is sent to nobody for
// ever, by the filter that controller-runtime lays over such watches (kubernetes/apimachinery: pkg/watch/filter.go).
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("k8s.io/apimachinery/pkg/watch.(*filteredWatch).loop"))
}
