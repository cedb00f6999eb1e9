package cli

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/policy"
)

// source is where a command takes its policies and settings from.
type source struct{ bundle, settings string }

func (s *source) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&s.bundle, "bundle", "", "`folder` or bundle file of the policies (default: the bundle in the binary)")
	flags.StringVar(&s.settings, "settings", "", "YAML `file` of settings, laid over those of the bundle")
}

// load makes a snapshot of it.
func (s *source) load(cmd *cobra.Command) (*policy.Snapshot, error) {
	b, err := bundle.Load(s.bundle)
	if err != nil {
		return nil, err
	}
	settings, err := bundle.LoadSettings(s.settings)
	if err != nil {
		return nil, err
	}
	snapshot, err := policy.NewSnapshot(cmd.Context(), b, settings)
	if err != nil {
		return nil, s.blame(err)
	}
	return snapshot, nil
}

// blame names the files that an error is about.
func (s *source) blame(err error) error {
	name := "default bundle"
	if s.bundle != "" {
		name = fmt.Sprintf("bundle %q", s.bundle)
	}
	if s.settings != "" {
		name += fmt.Sprintf(" with settings %q", s.settings)
	}
	return fmt.Errorf("%s:\n%w", name, err)
}

func newPolicies() *cobra.Command {
	var from source
	cmd := &cobra.Command{
		Use:     "policies",
		Short:   "List the policies and their rules",
		Example: "  eksguard policies\n  eksguard policies --bundle policies/",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			snapshot, err := from.load(cmd)
			if err != nil {
				return err
			}
			return printPolicies(cmd.OutOrStdout(), snapshot)
		},
	}
	from.addFlags(cmd.Flags())
	return cmd
}

func printPolicies(w io.Writer, s *policy.Snapshot) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(table, "RULE\tKIND\tSEVERITY\tTITLE")
	for _, p := range s.Policies() {
		for _, r := range p.Rules {
			kind := string(r.Kind)
			if r.Off {
				kind += " (off)"
			}
			_, _ = fmt.Fprintf(table, "%s/%s\t%s\t%s\t%s\n", p.Name, r.ID, kind, r.Severity, r.Title)
		}
	}
	return table.Flush()
}
