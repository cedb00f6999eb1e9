package e2e

import (
	"testing"

	"github.com/mozilla-iam/eksguard/test/local"
)

// NewBalancer starts a balancer, which stops when the test ends.
func NewBalancer(t testing.TB) *local.Balancer {
	t.Helper()
	balancer, err := local.StartBalancer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(balancer.Stop)
	return balancer
}
