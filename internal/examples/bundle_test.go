package examples_test

import (
	"testing"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/examples"
)

// TestExamplesOfTheDefaultBundle holds that each rule objects to what its METADATA says that it does, and to nothing
// that its METADATA says passes.
func TestExamplesOfTheDefaultBundle(t *testing.T) {
	embedded, err := bundle.Load("")
	if err != nil {
		t.Fatal(err)
	}
	outcomes, err := examples.Run(t.Context(), examples.Of(embedded))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range outcomes {
		t.Run(o.ID(), func(t *testing.T) {
			if o.Err != nil {
				t.Error(o.Err)
			}
		})
	}
}
