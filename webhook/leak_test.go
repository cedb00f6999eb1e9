package webhook_test

import (
	"testing"

	"go.uber.org/goleak"
)

// What a test has started ends with it.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
