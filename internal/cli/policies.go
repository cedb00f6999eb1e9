package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/examples"
	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/internal/reference"
)

// source is where a command takes its policies and settings from.
type source struct{ bundle, settings string }

func (s *source) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&s.bundle, "bundle", "", "`folder` or bundle file of the policies (default: the bundle in the binary)")
	flags.StringVar(&s.settings, "settings", "", "YAML `file` of settings, laid over those of the bundle")
}

// load makes a snapshot of it.
func (s *source) load(cmd *cobra.Command) (*policy.Snapshot, error) {
	settings, err := bundle.LoadSettings(s.settings)
	if err != nil {
		return nil, err
	}
	return s.snapshot(cmd, settings)
}

// snapshot makes one with settings laid over those of the bundle.
func (s *source) snapshot(cmd *cobra.Command, settings map[string]any) (*policy.Snapshot, error) {
	b, err := bundle.Load(s.bundle)
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

// policiesOptions are the flags of eksguard policies.
type policiesOptions struct {
	source
	output string
}

func newPolicies() *cobra.Command {
	var o policiesOptions
	cmd := &cobra.Command{
		Use:   "policies [POLICY[/RULE]]",
		Short: "List the policies and their rules, or tell all about one",
		Long: `List the policies and their rules, or tell all about one policy or rule: what it is asked about, its
settings, how to fix what it denies, and examples with what eksguard answers to them.

All of it is read from the METADATA of the bundle; the answers are the engine's, with the settings of the example laid
over those of the bundle. Enforcement and the values of settings are as --settings makes them.`,
		Example: `  eksguard policies
  eksguard policies iam-role
  eksguard policies iam-role/naming --settings settings.yaml
  eksguard policies --bundle policies/ -o markdown > policies.md
  eksguard policies -o json | jq -r '.policies[].rules[] | select(.severity == "critical") | .id'`,
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			snapshot, err := o.load(cmd)
			if err != nil {
				return nil, cobra.ShellCompDirectiveError
			}
			return targets(snapshot), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd, strings.Join(args, ""))
		},
	}
	cmd.Flags().StringVarP(&o.output, "output", "o", "text", "`format`: text, markdown, json or yaml")
	o.addFlags(cmd.Flags())
	return cmd
}

// targets are all that can be asked for.
func targets(s *policy.Snapshot) (names []string) {
	for _, p := range s.Policies() {
		names = append(names, p.Name)
		for _, r := range p.Rules {
			names = append(names, p.Name+"/"+r.ID)
		}
	}
	return names
}

func (o *policiesOptions) run(cmd *cobra.Command, target string) error {
	if !slices.Contains([]string{"text", "markdown", "json", "yaml"}, o.output) {
		return fmt.Errorf("--output %q: want text, markdown, json or yaml", o.output)
	}
	snapshot, err := o.load(cmd)
	if err != nil {
		return err
	}
	if target == "" && o.output == "text" {
		return listPolicies(cmd.OutOrStdout(), snapshot)
	}
	about, err := o.describe(cmd.Context(), snapshot, target)
	if err != nil {
		return err
	}
	return o.print(cmd.OutOrStdout(), about)
}

// describe makes the reference of one policy, one rule, or all of them where no target is given.
func (o *policiesOptions) describe(
	ctx context.Context, s *policy.Snapshot, target string) (*reference.Reference, error) {
	var names []string
	rule := ""
	if target != "" {
		p, r, err := s.Find(target)
		if err != nil {
			return nil, err
		}
		names = append(names, p.Name)
		if r != nil {
			rule = r.ID
		}
	}
	b, err := bundle.Load(o.bundle)
	if err != nil {
		return nil, err
	}
	outcomes, err := examples.Run(ctx, examples.Of(b), names...)
	if err != nil {
		return nil, err
	}
	about, err := reference.New(s, outcomes)
	if err != nil {
		return nil, err
	}
	about.Overlaid = o.settings != ""
	if target != "" {
		about.Only(names[0], rule)
	}
	return about, nil
}

func (o *policiesOptions) print(w io.Writer, about *reference.Reference) error {
	switch o.output {
	case "text":
		return about.Text(w)
	case "markdown":
		return about.Markdown(w)
	}
	var text bytes.Buffer
	if err := printJSON(&text, about); err != nil {
		return err
	}
	if o.output == "yaml" {
		converted, err := yaml.JSONToYAML(text.Bytes())
		if err != nil {
			return err
		}
		text = *bytes.NewBuffer(converted)
	}
	_, err := w.Write(text.Bytes())
	return err
}

func listPolicies(w io.Writer, s *policy.Snapshot) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(table, "NAME\tKIND\tSEVERITY\tENFORCEMENT\tTITLE")
	for _, p := range s.Policies() {
		_, _ = fmt.Fprintf(table, "%s\tpolicy\t\t\t%s\n", p.Name, p.Title)
		for i := range p.Rules {
			r := &p.Rules[i]
			enforcement := string(s.Action(p, r))
			if r.Off {
				enforcement = "off"
			}
			_, _ = fmt.Fprintf(table, "%s/%s\t%s\t%s\t%s\t%s\n", p.Name, r.ID, r.Kind, r.Severity, enforcement, r.Title)
		}
	}
	return table.Flush()
}
