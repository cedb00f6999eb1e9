package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/check"
	"github.com/mozilla-iam/eksguard/internal/regotest"
)

// testOptions are the flags of eksguard test.
type testOptions struct {
	regotest.Options
	threshold float64
	verbose   bool
	output    string
}

func newTest() *cobra.Command {
	var o testOptions
	cmd := &cobra.Command{
		Use:   "test [PATH…]",
		Short: "Run the Rego tests and the examples of a bundle",
		Long: `Run the tests of a bundle, a folder (default: the current one) or a bundle file: every rule whose name
begins with test_, and the examples in METADATA, as examples.<policy>/<rule>/<violates, mutates or passes>. They run
as the policies do in the webhook: with the built-ins that policies may use, and a built-in that fails, as it does
for a value of a wrong type, is a fault. Several bundles are tested together, as serve puts them together; "embedded"
is the default bundle.

The exit code is 0 if all tests pass, 1 if one does not or the coverage is too low, and 2 if they could not be run.`,
		Example: `  eksguard test policies/
  eksguard test policies/ --run 'iam_role.*' --verbose
  eksguard test policies/ --threshold 100
  eksguard test policies/ -o junit > report.xml
  eksguard test embedded mine/ --run '\.image_tags_test\.'`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, pathsOf(args)) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Run, "run", "", "run only tests whose full name matches this `regexp`: data.eksguard.x_test.test_y")
	flags.BoolVar(&o.Coverage, "coverage", false, "tell the lines of the policies that no test evaluates")
	flags.Float64Var(&o.threshold, "threshold", 0, "want at least this `percent`age of lines covered; includes --coverage")
	flags.DurationVar(&o.Timeout, "timeout", 0, "`time` for each test (default 30s)")
	flags.BoolVarP(&o.verbose, "verbose", "v", false, "print every test, and not only those that fail")
	flags.StringVarP(&o.output, "output", "o", "text", "`format`: text, json or junit")
	return cmd
}

func (o *testOptions) run(cmd *cobra.Command, paths []string) error {
	switch {
	case o.output != "text" && o.output != "json" && o.output != "junit":
		return fmt.Errorf("--output %q: want text, json or junit", o.output)
	case o.threshold < 0 || o.threshold > 100:
		return fmt.Errorf("--threshold %v: want 0 to 100", o.threshold)
	}
	o.Coverage = o.Coverage || o.threshold > 0
	if err := findBundles(paths); err != nil {
		return err
	}
	b, err := bundle.LoadAll(paths)
	if err != nil {
		return broken(err)
	}
	report, err := regotest.Run(cmd.Context(), b, o.Options)
	if err != nil {
		return broken(err)
	}
	if len(report.Tests) == 0 {
		return fmt.Errorf("%s: there is no test: want rules whose names begin with %q", strings.Join(paths, " "), "test_")
	}
	if err := o.print(cmd.OutOrStdout(), report); err != nil {
		return err
	}
	if report.Coverage != nil && *report.Coverage < o.threshold {
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "eksguard: %.1f %% of the lines are covered, want %v %%\n",
			*report.Coverage, o.threshold)
		return errFound
	}
	if report.Count(regotest.Failed)+report.Count(regotest.Broken) > 0 {
		return errFound
	}
	return nil
}

func (o *testOptions) print(w io.Writer, report *regotest.Report) error {
	switch o.output {
	case "junit":
		return report.WriteJUnit(w)
	case "json":
		return printJSON(w, report)
	default:
		return report.WriteText(w, o.verbose)
	}
}

// broken tells why a bundle cannot be loaded or compiled, one fault a line.
func broken(err error) error {
	var faults []error
	for _, f := range check.Broken(err) {
		switch {
		case f.Line > 0:
			faults = append(faults, fmt.Errorf("%s:%d: %s", f.File, f.Line, f.Message))
		case f.File != "":
			faults = append(faults, fmt.Errorf("%s: %s", f.File, f.Message))
		default:
			faults = append(faults, errors.New(f.Message))
		}
	}
	return errors.Join(faults...)
}
