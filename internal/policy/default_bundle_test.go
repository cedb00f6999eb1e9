package policy

import (
	"os"
	"testing"

	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/loader"
	"sigs.k8s.io/yaml"

	"github.com/mozilla-iam/eksguard/policies"
)

// defaultBundle reads the default bundle, as package bundle does, which imports this one.
func defaultBundle() (*bundle.Bundle, error) {
	return loader.NewFileLoader().WithProcessAnnotation(true).WithFS(policies.FS).AsBundle(".")
}

// everyRule reads settings that turn every rule of the default bundle on.
func everyRule(t *testing.T) (settings map[string]any) {
	t.Helper()
	text, err := os.ReadFile("testdata/settings/every-rule.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &settings); err != nil {
		t.Fatal(err)
	}
	return settings
}
