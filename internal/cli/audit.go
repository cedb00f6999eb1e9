package cli

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/mozilla-iam/eksguard/internal/audit"
	"github.com/mozilla-iam/eksguard/internal/cluster"
	"github.com/mozilla-iam/eksguard/internal/policy"
)

// stateTimeout bounds how long the cluster state that policies read may take to be seen.
const stateTimeout = time.Minute

// auditOptions are the flags of eksguard audit.
type auditOptions struct {
	source
	kubeconfig
	author
	namespace string
	output    []string
}

func newAudit() *cobra.Command {
	var o auditOptions
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Judge what is in a cluster",
		Long: `Judge what is in a cluster: every object that a policy is asked about, as if it were created now, by the same
engine as in the webhook and with the same cluster state. It is how to find, before a policy denies, what it would deny.

It reads with your kubeconfig, page by page, and changes nothing. The settings are those of --settings, or else those
that eksguard's Deployment mounts, or else those of the bundle.

As everything counts as new, what a policy leaves alone because it was there before is told too: for aws-auth, every
administrator. Policies about who writes, such as that of Flux, say nothing of what is there.

The exit code is 0 if nothing would be denied, 1 if something would, and 2 if something could not be read.`,
		Example: `  eksguard audit
  eksguard audit --settings settings.yaml -o json |
    jq -r '.objects[] | . as $o | .violations[] | [.policy + "/" + .rule, $o.kind, $o.namespace, $o.name] | @tsv'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func (o *auditOptions) addFlags(flags *pflag.FlagSet) {
	o.source.addFlags(flags)
	o.kubeconfig.addFlags(flags)
	flags.StringVar(&o.namespace, "namespace", "eksguard-system", "`namespace` that eksguard runs in, with its settings")
	o.author.addFlags(flags, "is said to create")
	flags.StringArrayVarP(&o.output, "output", "o", []string{"text"},
		"`format`: text or json, or another of eksguard review; FORMAT=FILE writes a file; repeatable")
}

func (o *auditOptions) run(cmd *cobra.Command) error {
	outputs, err := parseOutputs(o.output)
	if err != nil {
		return err
	}
	if err := o.validateAuthor(); err != nil {
		return err
	}
	c, err := o.reach()
	if err != nil {
		return err
	}
	snapshot, err := o.loadFor(cmd, c.clients, o.namespace)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	state, err := watchedState(ctx, c.config, c.clients.Discovery(), snapshot.Needs())
	if err != nil {
		return err
	}
	report, err := audit.Audit(ctx, audit.Options{
		Dynamic:   c.objects,
		Discovery: c.clients.Discovery(),
		Snapshot:  snapshot,
		State:     state,
		User:      o.user(),
	})
	if err != nil {
		return err
	}
	return finish(cmd, outputs, report, snapshot)
}

// watchedState is the cluster state of the webhook, until ctx ends.
func watchedState(ctx context.Context, config *rest.Config, kinds discovery.DiscoveryInterface, needs []policy.Need) (
	*cluster.State, error) {
	// What its watches say when they are ended is of no use to a person.
	quiet := slog.New(slog.DiscardHandler)
	ctrl.SetLogger(logr.FromSlogHandler(quiet.Handler()))
	klog.SetSlogLogger(quiet)
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	mapper, err := apiutil.NewDynamicRESTMapper(config, httpClient)
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	reader, err := client.New(config, client.Options{Scheme: scheme, HTTPClient: httpClient, Mapper: mapper})
	if err != nil {
		return nil, err
	}
	var pruner cluster.Pruner
	watches, err := cache.New(config, cache.Options{
		Scheme: scheme, HTTPClient: httpClient, Mapper: mapper, DefaultTransform: pruner.Transform})
	if err != nil {
		return nil, err
	}
	state := cluster.NewState(cluster.Options{
		Cache: watches, Pruner: &pruner, Reader: reader, Mapper: mapper, Discovery: kinds, Logger: quiet})
	if err := state.Probe(ctx, needs); err != nil {
		return nil, fmt.Errorf("cluster state that policies read: %w", err)
	}
	go func() { _ = watches.Start(ctx) }() // it ends with ctx, and Watch tells what it could not see
	listed, cancel := context.WithTimeout(ctx, stateTimeout)
	defer cancel()
	if err := state.Watch(listed, needs); err != nil {
		return nil, fmt.Errorf("cluster state that policies read: %w", err)
	}
	return state, nil
}
