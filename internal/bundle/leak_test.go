package bundle_test

import (
	"testing"

	"go.uber.org/goleak"
)

// What a test has started ends with it, but for what OPA's plugin manager runs for itself: a process has one of them, for as
// long as it lives.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/open-policy-agent/opa/v1/plugins.(*Manager).pluginStatusLoop"))
}
