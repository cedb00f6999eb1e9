package regotest

import (
	"context"
	"fmt"
	"regexp"

	"github.com/open-policy-agent/opa/v1/bundle"

	"github.com/mozilla-iam/eksguard/internal/examples"
)

// runExamples runs the examples in METADATA as tests of the package "examples", named <policy>/<rule>/<violates,
// mutates or passes>. Whether there are enough of them is for package check to say.
func runExamples(ctx context.Context, b *bundle.Bundle, run *regexp.Regexp) (tests []Test, err error) {
	outcomes, err := examples.Run(ctx, examples.Of(b))
	if err != nil {
		return nil, fmt.Errorf("run the examples: %w", err)
	}
	for i := range outcomes {
		o := &outcomes[i]
		t := Test{Package: "examples", Name: o.ID(), Outcome: Passed}
		if o.Name == "" || !run.MatchString(t.Package+"."+t.Name) {
			continue
		}
		t.File, t.Line = place(o.Rule.Location)
		if o.Err != nil {
			t.Outcome, t.FailedAt = Failed, o.Err.Error()
		}
		tests = append(tests, t)
	}
	return tests, nil
}
