package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mozilla-iam/eksguard/internal/doctor"
)

// errNotExamined ends a command that could not look at everything; what that was has been printed.
var errNotExamined = errors.New("not everything could be looked at")

// doctorOptions are the flags of eksguard doctor.
type doctorOptions struct {
	source
	kubeconfig
	namespace  string
	secretName string
	addresses  []string
	output     string
}

func newDoctor() *cobra.Command {
	var o doctorOptions
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Examine a cluster: whether eksguard guards it, and what gets around it",
		Long: `Examine a cluster: whether the API server asks eksguard and gets its answers, whether what is registered, the
certificate and all replicas are as they should be, and whether kube2iam, kiam, Flux, Prometheus Operator and the
settings are such that the policies mean what they say.

It reads with your kubeconfig, and changes nothing: the one write that it tries, a Pod that is to be denied, is a dry
run.

The settings are those of --settings, or else those that eksguard's Deployment mounts, or else those of the bundle.

The exit code is 0 if there is no error among the findings, 1 if there is one, and 2 if something could not be looked
at.`,
		Example: `  eksguard doctor
  eksguard doctor --context production -o json | jq -r '.findings[] | select(.severity == "error") | .what'

  # eksguard outside of the cluster
  eksguard doctor --address http://127.0.0.1:8081`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func (o *doctorOptions) addFlags(flags *pflag.FlagSet) {
	o.source.addFlags(flags)
	o.kubeconfig.addFlags(flags)
	flags.StringVar(&o.namespace, "namespace", "eksguard-system", "`namespace` that eksguard runs in")
	flags.StringVar(
		&o.secretName,
		"secret-name",
		"eksguard-certificate",
		"`name` of the Secret that keeps the certificate",
	)
	flags.StringArrayVar(&o.addresses, "address", nil,
		"`URL` of a replica's health address, to ask it directly; repeatable (default: the Pods, through the API server)")
	flags.StringVarP(&o.output, "output", "o", "text", "`format`: text or json")
}

func (o *doctorOptions) run(cmd *cobra.Command) error {
	if o.output != "text" && o.output != "json" {
		return fmt.Errorf("--output %q: want text or json", o.output)
	}
	c, err := o.reach()
	if err != nil {
		return err
	}
	snapshot, err := o.loadFor(cmd, c.clients, o.namespace)
	if err != nil {
		return err
	}
	report, err := doctor.Examine(cmd.Context(), doctor.Options{
		Clients: c.clients, Dynamic: c.objects, Snapshot: snapshot,
		Namespace: o.namespace, Secret: o.secretName, Addresses: o.addresses})
	if err != nil {
		return err
	}
	if err := o.print(cmd.OutOrStdout(), report); err != nil {
		return err
	}
	switch {
	case report.Summary.Unknown > 0:
		return errNotExamined
	case report.Summary.Errors > 0:
		return errFound
	default:
		return nil
	}
}

func (o *doctorOptions) print(w io.Writer, report *doctor.Report) error {
	if o.output == "text" {
		return report.WriteText(w, isTerminal(w))
	}
	return printJSON(w, report)
}
