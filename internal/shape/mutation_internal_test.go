package shape

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/openapi"
	"github.com/mozilla-iam/eksguard/internal/policy"
)

// TestMisspeltNamesAreFound misspells every name that the default policies read of the input, one at a time, and holds
// the part that is found. What is not found belongs to kinds without a schema, or is a key of an open map.
func TestMisspeltNamesAreFound(t *testing.T) {
	policies, compiler, documents := defaultPolicies(t)
	all := NewFinder(compiler)
	for _, p := range policies {
		all.Policy(p.Package, documents[p.Package])
	}
	if misses := all.Misses(); len(misses) > 0 {
		t.Fatalf("the policies as they are: %+v", misses)
	}
	var begun, followed tally
	for at, v := range all.found {
		if !v.origins[Review] && !v.origins[Object] {
			continue
		}
		folder, _, _ := strings.Cut(at.file, "/")
		name := v.step.Value.(ast.String)
		v.step.Value = misspelt(name)
		f := NewFinder(compiler)
		for _, p := range policies {
			if folder == p.Package || folder == "lib" {
				f.Policy(p.Package, documents[p.Package])
			}
		}
		misses := f.Misses()
		v.step.Value = name
		found := slices.ContainsFunc(misses, func(m Miss) bool {
			return m.File == at.file && m.Line == at.row && m.Name == string(misspelt(name))
		})
		followed.count(found)
		if strings.HasPrefix(at.reference, "input.") {
			begun.count(found)
		}
		if !found {
			t.Logf("not found: %s:%d: %s", at.file, at.row, at.reference)
		}
	}
	t.Logf("found of what begins with input: %s; of all that comes from there: %s", begun, followed)
	if begun.percent() < 99 || followed.percent() < 78 || followed.all < 400 {
		t.Error("want 99 % and 78 % of 400 or more")
	}
}

// tally counts what was found.
type tally struct{ found, all int }

func (t *tally) count(found bool) {
	t.all++
	if found {
		t.found++
	}
}

func (t tally) percent() float64 { return 100 * float64(t.found) / float64(t.all) }

func (t tally) String() string { return fmt.Sprintf("%d of %d, %.0f %%", t.found, t.all, t.percent()) }

// misspelt is a name with another last letter.
func misspelt(name ast.String) ast.String {
	return name[:len(name)-1] + ast.String(rune(name[len(name)-1])+1)
}

func defaultPolicies(t *testing.T) ([]*policy.Policy, *ast.Compiler, map[string]Documents) {
	t.Helper()
	b, err := bundle.Load("")
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := policy.NewSnapshot(t.Context(), b, nil)
	if err != nil {
		t.Fatal(err)
	}
	schemas, err := openapi.Kubernetes()
	if err != nil {
		t.Fatal(err)
	}
	modules := map[string]*ast.Module{}
	for i := range b.Modules {
		if !policy.IsTest(&b.Modules[i]) {
			modules[b.Modules[i].Path] = b.Modules[i].Parsed
		}
	}
	compiler := ast.NewCompiler().WithCapabilities(policy.Capabilities())
	if compiler.Compile(modules); compiler.Failed() {
		t.Fatal(compiler.Errors)
	}
	documents := map[string]Documents{}
	for _, p := range snapshot.Policies() {
		documents[p.Package] = Documents{Input: schemas.Review(p.Match)}
	}
	return snapshot.Policies(), compiler, documents
}
