package bundle

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/bundle"

	"github.com/mozilla-iam/eksguard/internal/excerpt"
	"github.com/mozilla-iam/eksguard/internal/policy"
)

const (
	// root is where everything that eksguard reads stands, and settingsRoot what is laid over data.eksguard.settings: a
	// root of its own, since the roots of bundles may not overlap.
	root         = "eksguard"
	settingsRoot = "eksguard_settings"
	// logRoot is where the rules of the decision log stand, by OPA's own names.
	logRoot = "system/log"
)

// part is one of several bundles that are put together.
type part struct {
	name string
	*content
}

// compose puts bundles whose roots do not overlap together into one, and gives the settings to be laid over its own.
func compose(parts []part) (*bundle.Bundle, map[string]any, error) {
	var overlay map[string]any
	whole := &bundle.Bundle{Data: map[string]any{}}
	var revisions []string
	unnamed := false
	roots := map[string]string{}
	for _, p := range parts {
		if p.bundle == nil {
			overlay = policy.MergeSettings(overlay, p.settings)
			continue
		}
		if err := claim(roots, p); err != nil {
			return nil, nil, &Fault{ReasonRoots, err}
		}
		for _, file := range p.bundle.Modules {
			if p.name != "." && !strings.HasPrefix(file.Path, p.name+"/") {
				file.Path = p.name + "/" + strings.TrimPrefix(file.Path, "/")
			}
			whole.Modules = append(whole.Modules, file)
		}
		for key, value := range p.bundle.Data {
			switch key {
			case root:
				whole.Data = policy.MergeSettings(whole.Data, map[string]any{root: value})
			case settingsRoot:
				over, ok := value.(map[string]any)
				if !ok {
					return nil, nil, &Fault{ReasonSettings, fmt.Errorf("bundle %q: data.%s: want an object", p.name, settingsRoot)}
				}
				overlay = policy.MergeSettings(overlay, over)
			default:
				return nil, nil, &Fault{ReasonRoots, fmt.Errorf("bundle %q: data.%s is read by nobody: put it below data.%s.settings or data.%s",
					p.name, excerpt.Of(key, maxText), root, settingsRoot)}
			}
		}
		revision := p.bundle.Manifest.Revision
		unnamed = unnamed || revision == ""
		revisions = append(revisions, revision)
		if len(parts) > 1 {
			revisions[len(revisions)-1] = p.name + "=" + revision
		}
	}
	if len(whole.Modules) == 0 {
		return nil, nil, &Fault{ReasonPolicy, fmt.Errorf(
			"no bundle holds a policy: add one to bundles, or the default one as {resource: %s}", Embedded)}
	}
	if !unnamed {
		whole.Manifest.Revision = strings.Join(revisions, ",")
	}
	return whole, overlay, nil
}

// claim notes the roots of a bundle, and fails where another bundle has them.
func claim(taken map[string]string, p part) error {
	for _, mine := range rootsOf(p.bundle) {
		known := func(root string) bool { return bundle.RootPathsOverlap(mine, root) }
		if mine != "" && !slices.ContainsFunc([]string{root, settingsRoot, logRoot}, known) {
			return fmt.Errorf("bundle %q: root %q of its manifest: want %q, %q, %q, or something below",
				p.name, excerpt.Of(mine, maxText), root, settingsRoot, logRoot)
		}
		for _, theirs := range slices.Sorted(maps.Keys(taken)) {
			if taken[theirs] != p.name && bundle.RootPathsOverlap(mine, theirs) {
				return fmt.Errorf("bundles %q and %q: roots %q and %q of their manifests overlap", taken[theirs], p.name, theirs, mine)
			}
		}
		taken[mine] = p.name
	}
	return nil
}

// rootsOf are the roots of a bundle's manifest.
func rootsOf(b *bundle.Bundle) []string {
	if b.Manifest.Roots == nil {
		return []string{""}
	}
	return *b.Manifest.Roots
}

// narrow gives a bundle the roots of what it holds, so that other bundles can add policies beside it.
func narrow(b *bundle.Bundle) error {
	roots := map[string]bool{}
	for _, file := range b.Modules {
		path, err := file.Parsed.Package.Path.Ptr()
		if err != nil {
			return err
		}
		roots[path] = true
	}
	for key, value := range b.Data {
		members, _ := value.(map[string]any)
		for member := range members {
			roots[key+"/"+member] = true
		}
	}
	list := slices.Sorted(maps.Keys(roots))
	b.Manifest.Roots = &list
	return nil
}

// errNotYet says that a bundle has not come yet.
var errNotYet = errors.New("not loaded yet")
