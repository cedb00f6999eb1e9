package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/doctor"
	"github.com/mozilla-iam/eksguard/internal/policy"
)

// The ConfigMap in which the Helm chart keeps the settings.
const (
	settingsConfigMap = "eksguard-settings"
	settingsKey       = "settings.yaml"
)

// errNotExamined ends a command that could not look at everything; what that was has been printed.
var errNotExamined = errors.New("not everything could be looked at")

// doctorOptions are the flags of eksguard doctor.
type doctorOptions struct {
	source
	kubeconfig string
	context    string
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
certificate and all replicas are as they should be, and whether kube2iam, kiam, Flux, Prometheus Operator and the settings
are such that the policies mean what they say.

It reads with your kubeconfig, and changes nothing: the one write that it tries, a Pod that is to be denied, is a dry run.

The settings are those of --settings, or else of ConfigMap eksguard-settings, where the Helm chart keeps them, or else
those of the bundle.

The exit code is 0 if there is no error among the findings, 1 if there is one, and 2 if something could not be looked at.`,
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
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig `file` (default: that of kubectl)")
	flags.StringVar(&o.context, "context", "", "`context` of the kubeconfig (default: its current one)")
	flags.StringVar(&o.namespace, "namespace", "eksguard-system", "`namespace` that eksguard runs in")
	flags.StringVar(&o.secretName, "secret-name", "eksguard-certificate", "`name` of the Secret that keeps the certificate")
	flags.StringArrayVar(&o.addresses, "address", nil,
		"`URL` of a replica's health address, to ask it directly; repeatable (default: the Pods, through the API server)")
	flags.StringVarP(&o.output, "output", "o", "text", "`format`: text or json")
}

func (o *doctorOptions) run(cmd *cobra.Command) error {
	if o.output != "text" && o.output != "json" {
		return fmt.Errorf("--output %q: want text or json", o.output)
	}
	config, err := o.restConfig()
	if err != nil {
		return err
	}
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	snapshot, err := o.snapshot(cmd, clients)
	if err != nil {
		return err
	}
	report, err := doctor.Examine(cmd.Context(), doctor.Options{
		Clients: clients, Dynamic: objects, Snapshot: snapshot,
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
		return errDenied
	default:
		return nil
	}
}

func (o *doctorOptions) restConfig() (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		rules, &clientcmd.ConfigOverrides{CurrentContext: o.context}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	// What eksguard would warn of is not for the one who runs this.
	config.WarningHandler = rest.NoWarnings{}
	return config, nil
}

// snapshot is what is to decide in the cluster.
func (o *doctorOptions) snapshot(cmd *cobra.Command, clients kubernetes.Interface) (*policy.Snapshot, error) {
	if o.settings != "" {
		return o.load(cmd)
	}
	settings, err := o.clusterSettings(cmd.Context(), clients)
	if err != nil {
		return nil, err
	}
	b, err := bundle.Load(o.bundle)
	if err != nil {
		return nil, err
	}
	snapshot, err := policy.NewSnapshot(cmd.Context(), b, settings)
	if err != nil {
		return nil, fmt.Errorf("%w\n(settings of ConfigMap %s/%s)", o.blame(err), o.namespace, settingsConfigMap)
	}
	return snapshot, nil
}

// clusterSettings are those in the ConfigMap of the Helm chart, nil where there is none.
func (o *doctorOptions) clusterSettings(ctx context.Context, clients kubernetes.Interface) (map[string]any, error) {
	name := fmt.Sprintf("ConfigMap %s/%s", o.namespace, settingsConfigMap)
	configMap, err := clients.CoreV1().ConfigMaps(o.namespace).Get(ctx, settingsConfigMap, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("settings: read %s, or give --settings: %w", name, err)
	}
	settings, err := bundle.ParseSettings([]byte(configMap.Data[settingsKey]))
	if err != nil {
		return nil, fmt.Errorf("settings: %s: %s: %w", name, settingsKey, err)
	}
	return settings, nil
}

func (o *doctorOptions) print(w io.Writer, report *doctor.Report) error {
	if o.output == "text" {
		return report.WriteText(w, isTerminal(w))
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(report)
}
