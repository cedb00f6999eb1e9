package bundle

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/open-policy-agent/opa/v1/bundle"

	"github.com/mozilla-iam/eksguard/internal/policy"
)

// LoadAll reads the bundles at several paths and puts them together as serve does those of a configuration. A path is a
// folder or a bundle file, or Embedded for the default bundle. A folder without a .manifest claims what it holds. Errors
// name the bundle or the file.
func LoadAll(paths []string) (*bundle.Bundle, error) {
	if len(paths) == 1 && paths[0] != Embedded {
		b, err := Load(paths[0])
		if err != nil || b.Data[settingsRoot] == nil {
			return b, err
		}
	}
	parts := make([]part, len(paths))
	for i, path := range paths {
		b, err := loadPart(path)
		if err != nil {
			return nil, err
		}
		parts[i] = part{name: filepath.Clean(path), content: &content{bundle: b}}
		if slices.ContainsFunc(parts[:i], func(p part) bool { return p.name == parts[i].name }) {
			return nil, fmt.Errorf("bundle %q is given twice", parts[i].name)
		}
	}
	whole, overlay, err := compose(parts)
	var fault *Fault
	switch {
	case errors.As(err, &fault) && fault.Reason == ReasonRoots:
		return nil, fmt.Errorf("%w: let the roots in the .manifest of each say what it holds, such as %q, and lay settings "+
			"over those of another below %q", err, root+"/my_policy", settingsRoot)
	case err != nil:
		return nil, err
	}
	whole.Data = policy.MergeSettings(whole.Data, map[string]any{root: map[string]any{"settings": overlay}})
	return whole, nil
}

func loadPart(path string) (*bundle.Bundle, error) {
	if path == Embedded {
		c, err := embeddedContent()
		if err != nil {
			return nil, err
		}
		return c.bundle, nil
	}
	b, err := Load(path)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(path, bundle.ManifestExt)); errors.Is(err, os.ErrNotExist) {
		return b, narrow(b)
	}
	return b, nil
}
