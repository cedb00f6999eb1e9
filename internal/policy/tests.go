package policy

import (
	"context"
	"errors"
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
)

// RunTests runs the tests of a bundle, on its own data and with the built-ins that its policies have. It fails with every
// test that does, each with its file and line, and where there are none.
func RunTests(ctx context.Context, b *bundle.Bundle) error {
	modules := map[string]*ast.Module{}
	for _, file := range b.Modules {
		modules[file.Path] = file.Parsed.Copy()
	}
	store := inmem.NewFromObject(b.Data)
	txn, err := store.NewTransaction(ctx, storage.WriteParams)
	if err != nil {
		return err
	}
	defer store.Abort(ctx, txn)
	results, err := tester.NewRunner().
		SetStore(store).
		SetModules(modules).
		SetCompiler(ast.NewCompiler().WithCapabilities(capabilities())).
		RunTests(ctx, txn)
	if err != nil {
		return err
	}
	var faults []error
	ran := 0
	for result := range results {
		ran++
		switch {
		case result.Error != nil:
			faults = append(faults, fmt.Errorf("%s: test %s: %w", result.Location, result.Name, result.Error))
		case result.Fail:
			faults = append(faults, fmt.Errorf("%s: test %s fails", result.Location, result.Name))
		}
	}
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("the tests were not done in time: %w", err)
	}
	if ran == 0 {
		return errors.New("the bundle has no tests (test_… rules in packages or files that end in _test)")
	}
	return joinSorted(faults)
}
