package reload

import (
	"context"
	"errors"
	"fmt"

	opabundle "github.com/open-policy-agent/opa/v1/bundle"

	"github.com/mozilla-iam/eksguard/internal/regotest"
)

// runTests runs the Rego tests of a bundle, as eksguard test does. It fails with every test that does, each with its file
// and line, and where there are none.
func runTests(ctx context.Context, b *opabundle.Bundle) error {
	report, err := regotest.Run(ctx, b, regotest.Options{RegoOnly: true})
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("the tests were not done in time: %w", cause)
	}
	if err != nil {
		return err
	}
	if len(report.Tests) == 0 {
		return errors.New("the bundle has no tests (test_… rules in packages or files that end in _test)")
	}
	var faults []error
	for i := range report.Tests {
		switch test := &report.Tests[i]; test.Outcome {
		case regotest.Broken:
			faults = append(faults, fmt.Errorf("%s:%d: test %s: %s", test.File, test.Line, test.Name, test.Error))
		case regotest.Failed:
			faults = append(faults, fmt.Errorf("%s:%d: test %s fails", test.File, test.Line, test.Name))
		case regotest.Passed, regotest.Skipped:
		}
	}
	return errors.Join(faults...)
}
