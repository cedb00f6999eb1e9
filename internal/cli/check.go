package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	opabundle "github.com/open-policy-agent/opa/v1/bundle"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/check"
	"github.com/mozilla-iam/eksguard/internal/manifest"
	"github.com/mozilla-iam/eksguard/internal/openapi"
)

// checkOptions are the flags of eksguard check.
type checkOptions struct {
	settings string
	schemas  []string
	reviews  []string
	output   string
}

func newCheck() *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use:   "check [PATH…]",
		Short: "Find what is wrong with a bundle of policies",
		Long: `Find what is wrong with a bundle of policies, a folder (default: the current one) or a bundle file. Several are
checked together, as serve puts them together; "embedded" is the default bundle.

  contract    what serve asks for: it compiles strictly, without forbidden built-ins; METADATA and settings are as
              docs/authoring.md says
  roots       the bundle owns what is below data.eksguard, and nothing else
  types       what rules read of input is there in a kind that the policy matches, by Kubernetes' own OpenAPI schemas;
              what they read of the settings is in their schema, and of data.cluster in needs. Custom kinds are
              anything, unless --schemas has their CustomResourceDefinitions
  conditions  match conditions compile, as the API server compiles them
  examples    each rule has examples in its METADATA, and answers them as they say
  prefilter   match conditions hold back nothing that a rule objects to, tried with many variants of the examples, and
              of the AdmissionReviews that --reviews gives

The exit code is 0 if nothing is found, 1 if something is, and 2 if the check could not be made.`,
		Example: `  eksguard check policies/
  eksguard check policies/ --schemas crds/ --reviews reviews/ -o json
  eksguard check embedded mine/`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, pathsOf(args)) },
	}
	o.addInputFlags(cmd.Flags())
	cmd.Flags().StringVarP(&o.output, "output", "o", "text", "`format`: text or json")
	return cmd
}

// addInputFlags adds the flags that say what a bundle is checked with.
func (o *checkOptions) addInputFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.settings, "settings", "", "YAML `file` of settings, laid over those of the bundle")
	flags.StringArrayVar(&o.schemas, "schemas", nil, "`file` or folder with CustomResourceDefinitions; repeatable")
	flags.StringArrayVar(&o.reviews, "reviews", nil,
		"`file` or folder of AdmissionReviews (JSON) for prefilter; repeatable")
}

// pathsOf are the bundles that a command is about: its arguments, or the current folder.
func pathsOf(args []string) []string {
	if len(args) == 0 {
		return []string{"."}
	}
	return args
}

// findBundles fails where there is nothing at a path.
func findBundles(paths []string) error {
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil && path != bundle.Embedded {
			return fmt.Errorf("bundle: %w", err)
		}
	}
	return nil
}

func (o *checkOptions) run(cmd *cobra.Command, paths []string) error {
	if o.output != "text" && o.output != "json" {
		return fmt.Errorf("--output %q: want text or json", o.output)
	}
	options, err := o.options(cmd.InOrStdin())
	if err != nil {
		return err
	}
	_, report, err := checkBundle(cmd, paths, options)
	if err != nil {
		return err
	}
	if err := o.print(cmd.OutOrStdout(), strings.Join(paths, " "), report); err != nil {
		return err
	}
	if len(report.Findings) > 0 {
		return errFound
	}
	return nil
}

// options reads what the bundle is checked with.
func (o *checkOptions) options(stdin io.Reader) (options check.Options, err error) {
	if options.Settings, err = bundle.LoadSettings(o.settings); err != nil {
		return options, err
	}
	if options.Schemas, err = openapi.Kubernetes(); err != nil {
		return options, err
	}
	documents, faults := manifest.Read(o.schemas, stdin)
	for _, document := range documents {
		if err := options.Schemas.AddCustomKind(document.Object); err != nil {
			faults = append(faults, manifest.Error{File: document.File, Line: document.Line, Err: err})
		}
	}
	if len(faults) > 0 {
		return options, fmt.Errorf("--schemas: %w", faults[0])
	}
	options.Reviews, err = check.ReadReviews(o.reviews)
	return options, err
}

// checkBundle loads bundles and checks them as one. The bundle is nil where it cannot be loaded; the report then says why.
func checkBundle(cmd *cobra.Command, paths []string, o check.Options) (*opabundle.Bundle, *check.Report, error) {
	if err := findBundles(paths); err != nil {
		return nil, nil, err
	}
	b, err := bundle.LoadAll(paths)
	if err != nil {
		return nil, &check.Report{Findings: check.Broken(err)}, nil
	}
	report, err := check.Check(cmd.Context(), b, o)
	return b, report, err
}

func (o *checkOptions) print(w io.Writer, path string, report *check.Report) error {
	if o.output == "json" {
		return printJSON(w, report)
	}
	return errors.Join(printFindings(w, report), printSummary(w, path, report))
}

func printFindings(w io.Writer, report *check.Report) error {
	for _, f := range report.Findings {
		if _, err := fmt.Fprintln(w, f); err != nil {
			return err
		}
	}
	return nil
}

func printSummary(w io.Writer, path string, report *check.Report) error {
	verdict := "ok"
	if n := len(report.Findings); n > 0 {
		verdict = counted(n, "finding")
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	if report.Modules == 0 {
		_, err := fmt.Fprintf(w, "%s: %s\n", path, verdict)
		return err
	}
	_, err := fmt.Fprintf(w, "%s: %s in %s (%d KiB), match conditions tried with %s: %s\n", path,
		counted(report.Policies, "policy")+" with "+counted(report.Rules, "rule"), counted(report.Modules, "module"),
		(report.Bytes+1023)>>10, counted(report.Tried, "request"), verdict)
	return err
}

// counted is a number of things in words: 1 policy, 2 policies.
func counted(n int, thing string) string {
	switch {
	case n == 1:
		return "1 " + thing
	case thing[len(thing)-1] == 'y':
		return fmt.Sprintf("%d %sies", n, thing[:len(thing)-1])
	default:
		return fmt.Sprintf("%d %ss", n, thing)
	}
}
