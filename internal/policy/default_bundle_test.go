package policy

import (
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/loader"

	"github.com/mozilla-iam/eksguard/policies"
)

// defaultBundle reads the default bundle, as package bundle does, which imports this one.
func defaultBundle() (*bundle.Bundle, error) {
	return loader.NewFileLoader().WithProcessAnnotation(true).WithFS(policies.FS).AsBundle(".")
}
