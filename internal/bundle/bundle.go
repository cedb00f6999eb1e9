// Package bundle brings OPA bundles to the engine: the default bundle in the binary, a folder or file, an HTTP server, S3
// or an OCI registry. It fetches with OPA's own downloaders, bounds, verifies and parses what comes, puts several bundles
// together, and keeps the last good copy on disk. A bundle counts only once it was compiled and activated; a bad one
// never replaces a good one. Whether policies keep their contract is the business of package policy.
package bundle

import (
	"fmt"
	"os"

	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/loader"
	"sigs.k8s.io/yaml"

	"github.com/mozilla-iam/eksguard/policies"
)

// Load reads the bundle at path, a folder or a bundle file (.tar.gz). The empty path is the default bundle. Errors name
// the file, and the line where there is one.
func Load(path string) (*bundle.Bundle, error) {
	files := loader.NewFileLoader().
		// METADATA is the contract, not a comment.
		WithProcessAnnotation(true).
		WithSkipBundleVerification(true)
	if path == "" {
		b, err := files.WithFS(policies.FS).AsBundle(".")
		if err != nil {
			return nil, fmt.Errorf("default bundle: %w", err)
		}
		return b, nil
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	b, err := files.AsBundle(path)
	if err != nil {
		return nil, err // it names the bundle
	}
	return b, nil
}

// LoadSettings reads a YAML or JSON file whose top-level keys are the sections of the settings, to be laid over those of
// a bundle. The empty path is no settings. A key that stands twice is an error.
func LoadSettings(path string) (map[string]any, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	settings, err := ParseSettings(text)
	if err != nil {
		return nil, fmt.Errorf("settings %q: %w", path, err)
	}
	return settings, nil
}

// ParseSettings is LoadSettings for the content of such a file.
func ParseSettings(text []byte) (map[string]any, error) {
	settings := map[string]any{}
	if err := yaml.UnmarshalStrict(text, &settings); err != nil {
		return nil, err
	}
	return settings, nil
}
