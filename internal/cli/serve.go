package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/bundlestatus"
	"github.com/mozilla-iam/eksguard/internal/certs"
	"github.com/mozilla-iam/eksguard/internal/cluster"
	"github.com/mozilla-iam/eksguard/internal/decisionlog"
	"github.com/mozilla-iam/eksguard/internal/events"
	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/internal/reload"
	"github.com/mozilla-iam/eksguard/internal/telemetry"
	"github.com/mozilla-iam/eksguard/webhook"
)

// maxMetricsNamespaces is where what Prometheus keeps of one metric would become too much.
const maxMetricsNamespaces = 10_000

// serveOptions are the flags of eksguard serve.
type serveOptions struct {
	source
	certificateOptions
	config           string
	kubeconfig       string
	namespace        string
	webhookHost      string
	webhookPort      int
	webhookURL       string
	serviceName      string
	servicePort      int32
	secretName       string
	ownerClusterRole string
	healthAddress    string
	metricsAddress   string
	pprofAddress     string
	leaderElect      bool
	drainDelay       time.Duration
	logLevel         string
	logFormat        string

	metricsNamespaces int
	denialEvents      bool
}

func newServe() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the admission webhook",
		Long: `Run the admission webhook. It needs no configuration in a cluster: it makes its own certificate, registers itself with
the API server once it can answer, and repairs that registration. With --kubeconfig and --webhook-url it runs outside a
cluster, where the API server reaches it by URL.

--config names bundles in OPA's configuration format: from an HTTP server, S3 or an OCI registry, signed, several put
together. Bundles, also at --bundle, and --settings are followed: what changes decides from then on, and what is wrong with
it changes nothing.

SIGTERM makes it not ready, lets the load balancer notice for --drain-delay, and then answers what is under way.`,
		Example: `  eksguard serve --settings settings.yaml
  eksguard serve --kubeconfig bin/kubeconfig --webhook-host 127.0.0.1 --webhook-url https://localhost:9443`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func (o *serveOptions) addFlags(flags *pflag.FlagSet) {
	o.source.addFlags(flags)
	flags.StringVar(&o.config, "config", "", "`file` in OPA's configuration format, which names bundles to fetch and follow")
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig `file`; without it, the service account of the Pod")
	flags.StringVar(&o.namespace, "namespace", "eksguard-system", "`namespace` that eksguard runs in; always repairable")
	flags.StringVar(&o.webhookHost, "webhook-host", "", "`address` to listen on for reviews (default: all)")
	flags.IntVar(&o.webhookPort, "webhook-port", 9443, "`port` to listen on for reviews")
	flags.StringVar(&o.webhookURL, "webhook-url", "", "register by this https `URL` and not by Service; its host is a DNS name")
	flags.StringVar(&o.serviceName, "service-name", "eksguard", "`name` of the Service to register")
	flags.Int32Var(&o.servicePort, "service-port", 443, "`port` of the Service to register")
	flags.StringVar(&o.secretName, "secret-name", "eksguard-certificate", "`name` of the Secret that keeps the certificate")
	o.certificateOptions.addFlags(flags)
	flags.StringVar(&o.ownerClusterRole, "owner-clusterrole", "",
		"`name` of the ClusterRole with which the webhook configurations are garbage-collected (default: none)")
	flags.StringVar(&o.healthAddress, "health-address", ":8081", "`address` of /healthz and /readyz")
	flags.StringVar(&o.metricsAddress, "metrics-address", ":8080", "`address` of /metrics; 0 turns it off")
	flags.IntVar(&o.metricsNamespaces, "metrics-namespaces", 100,
		"`number` of namespaces that eksguard_namespace_violations_total tells apart; 0 turns it off")
	flags.BoolVar(&o.denialEvents, "denial-events", true,
		"tell denials by Kubernetes Events of what manages the object, such as the Deployment whose Pods are refused")
	flags.StringVar(&o.pprofAddress, "pprof-address", "", "`address` of Go's profiler, for diagnosis (default: off)")
	flags.BoolVar(&o.leaderElect, "leader-elect", true, "let one of several replicas do the registration")
	flags.DurationVar(&o.drainDelay, "drain-delay", 5*time.Second, "`time` between SIGTERM and the end of listening")
	flags.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error; debug logs every decision")
	flags.StringVar(&o.logFormat, "log-format", "json", "json or text")
}

// endpoint is where the API server is to reach this process, and the DNS name that it dials.
func (o *serveOptions) endpoint() (webhook.Endpoint, string, error) {
	if o.webhookURL == "" {
		return webhook.Endpoint{Namespace: o.namespace, Name: o.serviceName, Port: o.servicePort},
			o.serviceName + "." + o.namespace + ".svc", nil
	}
	address, err := url.Parse(o.webhookURL)
	if err != nil {
		return webhook.Endpoint{}, "", fmt.Errorf("--webhook-url: %w", err)
	}
	if address.Scheme != "https" || address.Hostname() == "" || address.RawQuery != "" {
		return webhook.Endpoint{}, "", fmt.Errorf("--webhook-url %q: want https://HOST[:PORT]", o.webhookURL)
	}
	return webhook.Endpoint{URL: address}, address.Hostname(), nil
}

// logger makes eksguard's logger, and gives the libraries theirs, which is less talkative by one level.
func (o *serveOptions) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return nil, fmt.Errorf("--log-level %q: want debug, info, warn or error", o.logLevel)
	}
	at := func(level slog.Level) slog.Handler { return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}) }
	switch o.logFormat {
	case "json":
	case "text":
		at = func(level slog.Level) slog.Handler { return slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}) }
	default:
		return nil, fmt.Errorf("--log-format %q: want json or text", o.logFormat)
	}
	libraries := at(level + slog.LevelWarn - slog.LevelInfo)
	ctrl.SetLogger(logr.FromSlogHandler(libraries))
	klog.SetSlogLogger(slog.New(libraries))
	return slog.New(at(level)), nil
}

func (o *serveOptions) restConfig() (config *rest.Config, err error) {
	if o.kubeconfig == "" {
		if config, err = rest.InClusterConfig(); err != nil {
			return nil, fmt.Errorf("not in a cluster, and no --kubeconfig: %w", err)
		}
	} else if config, err = clientcmd.BuildConfigFromFlags("", o.kubeconfig); err != nil {
		return nil, fmt.Errorf("--kubeconfig %q: %w", o.kubeconfig, err)
	}
	// A decision may wait for a namespace to be read. The API server's own fairness bounds these reads.
	config.QPS = -1
	return config, nil
}

func (o *serveOptions) run(cmd *cobra.Command) error {
	logger, err := o.logger(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	endpoint, dnsName, err := o.endpoint()
	if err != nil {
		return err
	}
	if err := o.validateCertificate(); err != nil {
		return err
	}
	if o.metricsNamespaces < 0 || o.metricsNamespaces > maxMetricsNamespaces {
		return fmt.Errorf("--metrics-namespaces %d: want 0 to %d", o.metricsNamespaces, maxMetricsNamespaces)
	}
	s := &server{options: o, logger: logger, console: cmd.OutOrStdout(), changed: make(chan event.GenericEvent, 1)}
	if err := s.prepareBundles(cmd.Context()); err != nil {
		return err
	}
	config, err := o.restConfig()
	if err != nil {
		return err
	}
	if err := s.assemble(config, endpoint, dnsName); err != nil {
		return err
	}
	return s.serve(cmd.Context())
}

// server is one running eksguard.
type server struct {
	options *serveOptions
	logger  *slog.Logger
	// console gets the decision log with console: true.
	console io.Writer

	manager  ctrl.Manager
	listener *webhook.Server
	serving  *certs.Serving
	pruner   cluster.Pruner
	state    *cluster.State
	engine   *policy.Engine
	metrics  *telemetry.Metrics
	bundles  *bundle.Loader
	reloader *reload.Reloader
	// decisions is the decision log, nil if there is none.
	decisions *decisionlog.Log
	// statuses reports the status of bundles, nil if nobody wants to know.
	statuses *bundlestatus.Reporter
	// reporting is what both send by, nil if there is neither.
	reporting interface {
		Start(ctx context.Context) error
		Stop(ctx context.Context)
	}
	// observers are told of bundles.
	observers telemetry.BundleObservers
	// changed wakes the registrar.
	changed    chan event.GenericEvent
	leadership *leadership
	draining   atomic.Bool
}

func (s *server) assemble(config *rest.Config, endpoint webhook.Endpoint, dnsName string) error {
	clientCAs, err := s.options.clientCAs()
	if err != nil {
		return err
	}
	s.listener = webhook.NewServer(webhook.ServerOptions{
		ClientCAs: clientCAs, ClientNames: s.options.clientNames,
		Address:        net.JoinHostPort(s.options.webhookHost, strconv.Itoa(s.options.webhookPort)),
		GetCertificate: s.serving.GetCertificate,
		Draining:       s.draining.Load,
		Logger:         s.logger,
	})
	if err := s.newManager(config); err != nil {
		return err
	}
	// Asking for it is what makes the manager run it.
	_ = s.manager.GetWebhookServer()
	kinds, err := discovery.NewDiscoveryClientForConfigAndClient(config, s.manager.GetHTTPClient())
	if err != nil {
		return err
	}
	s.state = cluster.NewState(cluster.Options{
		Cache: s.manager.GetCache(), Pruner: &s.pruner, Reader: s.manager.GetAPIReader(), Mapper: s.manager.GetRESTMapper(),
		Discovery: kinds, Logger: s.logger})
	s.engine = policy.NewEngine(nil, s.state)
	s.reloader = reload.New(reload.Options{Engine: s.engine, State: s.state, Swapped: s.swapped, Logger: s.logger})
	recorder, err := s.newRecorder(config)
	if err != nil {
		return err
	}
	s.observers = append(s.observers, events.Bundles{Recorder: recorder, Regarding: s.self()})
	observers := telemetry.Observers{s.metrics, telemetry.Log{Logger: s.logger}}
	if s.options.denialEvents {
		observers = append(observers, events.Denials{Recorder: recorder})
	}
	if s.decisions != nil {
		observers = append(observers, s.decisions)
	}
	webhook.NewHandler(webhook.Options{
		Decider: s.engine,
		Known: func(ctx context.Context, name string) (bool, error) {
			return s.reloader.Known(ctx, s.bundles, name)
		},
		Observer: observers,
	}).Register(s.listener.WebhookMux())

	s.leadership = &leadership{changed: s.registrationChanged, logger: s.logger}
	registrar := &webhook.Registrar{
		Client: s.manager.GetClient(), Reader: s.manager.GetAPIReader(), Endpoint: endpoint, Logger: s.logger,
		Policies:     func() []*policy.Policy { return s.engine.Snapshot().Policies() },
		Confirmed:    s.bundles.Confirmed,
		Leads:        s.leadership.leads,
		CABundle:     s.serving.CABundle,
		Ready:        s.ready,
		OwnNamespace: s.options.namespace, OwnerClusterRole: s.options.ownerClusterRole,
		Repaired: s.metrics.RegistrationRepaired,
	}
	return errors.Join(
		registrar.SetupWithManager(s.manager, s.changed),
		s.followCertificate(dnsName),
		s.lead(),
		s.manager.Add(everyReplica(s.followState)),
		s.manager.Add(everyReplica(s.followBundles)),
		s.manager.Add(everyReplica(recorder.Start)),
		s.manager.Add(s.healthServer()),
	)
}

func (s *server) newManager(config *rest.Config) error {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return err
	}
	if err := certs.AddCertManagerToScheme(scheme); err != nil {
		return err
	}
	registration := cache.ByObject{Field: fields.OneTermEqualSelector("metadata.name", webhook.ConfigurationName)}
	secret := cache.ByObject{Namespaces: map[string]cache.Config{
		s.options.namespace: {FieldSelector: fields.OneTermEqualSelector("metadata.name", s.options.secretName)}}}
	// In-flight reviews are given as long as the API server waits for them; then the process may go.
	shutdown := 10 * time.Second
	var err error
	s.manager, err = ctrl.NewManager(config, ctrl.Options{
		Scheme:        scheme,
		WebhookServer: s.listener,
		Cache: cache.Options{
			DefaultTransform: s.pruner.Transform,
			ByObject: map[client.Object]cache.ByObject{
				&admissionregistrationv1.ValidatingWebhookConfiguration{}: registration,
				&admissionregistrationv1.MutatingWebhookConfiguration{}:   registration,
				&corev1.Secret{}: secret,
			},
		},
		Metrics: metricsserver.Options{BindAddress: s.options.metricsAddress},
		// See healthServer. See leadership for why the manager elects no leader.
		HealthProbeBindAddress:  "0",
		PprofBindAddress:        s.options.pprofAddress,
		GracefulShutdownTimeout: &shutdown,
	})
	return err
}

func (s *server) secret() client.ObjectKey {
	return client.ObjectKey{Namespace: s.options.namespace, Name: s.options.secretName}
}

// ready returns nil while a review would be answered rightly: there is a certificate, what policies read is known, the
// port answers, and the process is not on its way out.
func (s *server) ready() error {
	if s.draining.Load() {
		return errors.New("draining")
	}
	if err := s.serving.Ready(); err != nil {
		return err
	}
	snapshot := s.engine.Snapshot()
	if snapshot == nil {
		return cmp.Or(s.bundles.Missing(), policy.ErrNoSnapshot)
	}
	for _, need := range snapshot.Needs() {
		if !s.state.Synced(need) {
			return fmt.Errorf("cluster state %s is not synced yet", need.Key())
		}
	}
	return s.listener.StartedChecker()(nil)
}

func (s *server) registrationChanged() {
	select {
	case s.changed <- event.GenericEvent{Object: &admissionregistrationv1.ValidatingWebhookConfiguration{}}:
	default: // it will look anyway
	}
}

// serve runs until ctx ends, and then drains.
func (s *server) serve(ctx context.Context) error {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	context.AfterFunc(ctx, func() {
		s.logger.Info("draining", "delay", s.options.drainDelay.String())
		s.draining.Store(true)
		time.AfterFunc(s.options.drainDelay, stop)
	})
	s.logger.Info("starting", "version", version)
	endReporting, err := s.startReporting(running)
	if err != nil {
		return err
	}
	// Reviews are answered until the manager has ended.
	defer endReporting()
	return s.manager.Start(running)
}

// everyReplica is work that does not wait for leadership.
type everyReplica func(context.Context) error

// Start implements manager.Runnable.
func (f everyReplica) Start(ctx context.Context) error { return f(ctx) }

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (everyReplica) NeedLeaderElection() bool { return false }
