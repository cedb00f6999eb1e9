package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// registration is the name of eksguard's webhook configurations.
const registration = "eksguard"

// startAttempts is how often a start is tried with other ports because another process took one of them.
const startAttempts = 3

// EksguardOptions say how to start eksguard. Only Kubeconfig is required.
type EksguardOptions struct {
	// Binary is the program. Default: bin/eksguard of the repository.
	Binary string
	// Kubeconfig is the file that names the cluster to guard and the identity to do it with.
	Kubeconfig string
	// AdminKubeconfig is the file with which this package creates the namespace and looks whether eksguard is registered.
	// Default: Kubeconfig.
	AdminKubeconfig string
	// Settings is the file with the settings. Default: those of the bundle.
	Settings string
	// Bundle is the bundle of policies. Default: the one that eksguard carries.
	Bundle string
	// Config is a configuration that names the sources of bundles. Default: none.
	Config string
	// Namespace is where it lives; it is created unless it exists. Default: eksguard-system.
	Namespace string
	// Behind is the balancer that the API server is told to call. Then this is one of several replicas: they elect a
	// leader, and the start returns once this one is ready and the balancer knows. Default: none, the API server calls it
	// directly.
	Behind *Balancer
	// ExtraArgs are added to those of `eksguard serve`; of a flag that is there twice, this one counts.
	ExtraArgs []string
	// Env is added to this program's environment for it.
	Env []string
	// Log receives what it prints. Default: it is dropped.
	Log io.Writer
	// StartTimeout bounds the time until it guards the cluster, StopTimeout that until it has ended after SIGTERM; then it
	// is killed. Defaults: 1 minute and 30 seconds.
	StartTimeout, StopTimeout time.Duration
}

func (o EksguardOptions) withDefaults() (EksguardOptions, error) {
	if o.Kubeconfig == "" {
		return o, errors.New("kubeconfig is missing")
	}
	if o.AdminKubeconfig == "" {
		o.AdminKubeconfig = o.Kubeconfig
	}
	if o.Binary == "" {
		bin, err := defaultBinDir("")
		if err != nil {
			return o, err
		}
		o.Binary = filepath.Join(bin, "eksguard")
	}
	if err := checkBinary(o.Binary, "go build -o bin/eksguard ./cmd/eksguard builds it"); err != nil {
		return o, err
	}
	if o.Namespace == "" {
		o.Namespace = "eksguard-system"
	}
	if o.StartTimeout == 0 {
		o.StartTimeout = time.Minute
	}
	if o.StopTimeout == 0 {
		o.StopTimeout = 30 * time.Second
	}
	return o, nil
}

// Eksguard is a running eksguard. Its methods are safe for concurrent use.
type Eksguard struct {
	// WebhookURL is where the API server sends its reviews, HealthURL where /readyz and /healthz are, MetricsURL the page
	// with its metrics.
	WebhookURL, HealthURL, MetricsURL string
	// PID is the process's id.
	PID int

	process     *process
	lifeline    *lifeline
	clients     kubernetes.Interface
	stopTimeout time.Duration
	behind      *Balancer
	backend     Backend

	stopOnce sync.Once
	stopErr  error
}

// StartEksguard starts eksguard and returns once the API server asks it: it is ready, its webhook configuration is
// registered, and the API server has learnt of that. On an error nothing is left running, but a namespace that was
// created stays. The context bounds the start only.
func StartEksguard(ctx context.Context, o EksguardOptions) (*Eksguard, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("starting eksguard: %w", err)
	}
	clients, err := clientsOf(o.AdminKubeconfig)
	if err != nil {
		return nil, fmt.Errorf("starting eksguard: %w", err)
	}
	if err := createNamespace(ctx, clients, o.Namespace); err != nil {
		return nil, fmt.Errorf("starting eksguard: %w", err)
	}
	for attempt := 1; ; attempt++ {
		e, err := startOnce(ctx, o, clients)
		if err == nil {
			return e, nil
		}
		if attempt == startAttempts || !strings.Contains(err.Error(), "address already in use") {
			return nil, fmt.Errorf("starting eksguard: %w", err)
		}
	}
}

func clientsOf(kubeconfig string) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading kubeconfig %q: %w", kubeconfig, err)
	}
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client of kubeconfig %q: %w", kubeconfig, err)
	}
	return clients, nil
}

func startOnce(ctx context.Context, o EksguardOptions, clients kubernetes.Interface) (*Eksguard, error) {
	ports, release, err := reservePorts(ctx, 3)
	if err != nil {
		return nil, err
	}
	e := &Eksguard{
		// The API server is given a name and not an address, as on a cluster.
		WebhookURL:  fmt.Sprintf("https://localhost:%d", ports[0]),
		HealthURL:   fmt.Sprintf("http://%s:%d", loopback, ports[1]),
		MetricsURL:  fmt.Sprintf("http://%s:%d/metrics", loopback, ports[2]),
		clients:     clients,
		stopTimeout: o.StopTimeout,
		behind:      o.Behind,
	}
	e.backend = Backend{Address: fmt.Sprintf("%s:%d", loopback, ports[0]), HealthURL: e.HealthURL}
	if e.lifeline, err = newLifeline(fmt.Sprintf("--webhook-port %d ", ports[0]), ""); err != nil {
		release()
		return nil, err
	}
	release()
	e.process, err = startProcess("eksguard", o.Binary, o.args(ports), o.Env, newSink(o.Log).writer(""))
	if err != nil {
		return nil, errors.Join(err, e.lifeline.release())
	}
	e.PID = e.process.pid()
	if err := e.awaitStart(ctx, o.StartTimeout); err != nil {
		return nil, errors.Join(err, e.abandon())
	}
	return e, nil
}

func (o EksguardOptions) args(ports []int) []string {
	calledAt := fmt.Sprint(ports[0])
	if o.Behind != nil {
		calledAt = o.Behind.Port()
	}
	args := []string{
		"serve",
		"--kubeconfig", o.Kubeconfig,
		"--webhook-url", "https://localhost:" + calledAt,
		"--webhook-host", loopback,
		"--webhook-port", fmt.Sprint(ports[0]),
		"--health-address", fmt.Sprintf("%s:%d", loopback, ports[1]),
		"--metrics-address", fmt.Sprintf("%s:%d", loopback, ports[2]),
		"--namespace", o.Namespace,
	}
	if o.Behind != nil {
		args = append(args, "--drain-delay", balancerNotices.String())
	} else {
		// No load balancer has to notice that it ends.
		args = append(args, "--leader-elect=false", "--drain-delay=0s")
	}
	if o.Settings != "" {
		args = append(args, "--settings", o.Settings)
	}
	if o.Config != "" {
		args = append(args, "--config", o.Config)
	}
	if o.Bundle != "" {
		args = append(args, "--bundle", o.Bundle)
	}
	return append(args, o.ExtraArgs...)
}

// awaitStart returns once the process does what it was started for.
func (e *Eksguard) awaitStart(ctx context.Context, patience time.Duration) error {
	if e.behind == nil {
		return e.awaitGuard(ctx, patience)
	}
	e.behind.Add(e.backend)
	err := e.process.await(ctx, patience, func(context.Context) (bool, error) { return e.behind.Passes(e.backend), nil })
	if err != nil {
		return fmt.Errorf("waiting for eksguard to be ready: %w", err)
	}
	return nil
}

// awaitGuard returns once a write to the cluster is judged by this process.
func (e *Eksguard) awaitGuard(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, step := range []struct {
		what string
		ask  question
	}{
		{"eksguard to be ready", e.isReady},
		{"its webhook configuration", e.isRegistered},
		{"the API server to use it", func(ctx context.Context) (bool, error) { return takenUp(ctx, e.clients) }},
	} {
		if err := e.process.await(ctx, patience, step.ask); err != nil {
			return fmt.Errorf("waiting for %s: %w", step.what, err)
		}
	}
	return nil
}

func (e *Eksguard) isReady(ctx context.Context) (bool, error) {
	err := get(ctx, http.DefaultClient, e.HealthURL+"/readyz")
	return err == nil, err
}

// isRegistered asks whether the API server is told to call this process and not one that ran before it. The mutating
// configuration, where there is one, is registered before the validating one.
func (e *Eksguard) isRegistered(ctx context.Context) (bool, error) {
	configuration, err := e.clients.AdmissionregistrationV1().ValidatingWebhookConfigurations().
		Get(ctx, registration, metav1.GetOptions{})
	if err != nil {
		return false, err
	}
	for _, webhook := range configuration.Webhooks {
		if url := webhook.ClientConfig.URL; url == nil || !strings.HasPrefix(*url, e.WebhookURL) {
			return false, fmt.Errorf("webhook %q is not at %s", webhook.Name, e.WebhookURL)
		}
	}
	return true, nil
}

// Done is closed when the process has ended.
func (e *Eksguard) Done() <-chan struct{} { return e.process.done }

// Log returns the last lines that eksguard printed.
func (e *Eksguard) Log() string { return e.process.log.Tail() }

// Address is where it listens for reviews, HOST:PORT.
func (e *Eksguard) Address() string { return e.backend.Address }

// Behind returns what the balancer in front of it knows it by.
func (e *Eksguard) Behind() Backend { return e.backend }

// Stop sends SIGTERM and waits until the process has ended. An error means that it had ended before, ended with a
// status other than 0, or had to be killed, and carries the end of its log. It does nothing the second time. The
// webhook configuration is left as eksguard leaves it.
func (e *Eksguard) Stop() error { return e.end(func() error { return e.process.stop(e.stopTimeout) }) }

// Kill sends SIGKILL and waits until the process has ended, and a balancer in front of it has noticed. An error means that
// it had ended before. Like Stop it does nothing the second time.
func (e *Eksguard) Kill() error {
	return e.end(func() error {
		err := e.process.kill()
		for e.behind != nil && e.behind.Passes(e.backend) {
			time.Sleep(probeInterval / 10)
		}
		return err
	})
}

func (e *Eksguard) end(how func() error) error {
	e.stopOnce.Do(func() {
		err := how()
		if e.behind != nil {
			e.behind.Remove(e.backend)
		}
		if err := errors.Join(err, e.lifeline.release()); err != nil {
			e.stopErr = fmt.Errorf("stopping eksguard: %w", err)
		}
	})
	return e.stopErr
}

// abandon ends a process whose start has failed, which is what is to be told, unless it cannot even be ended.
func (e *Eksguard) abandon() error {
	if ended, _ := e.process.exited(); ended {
		return e.end(func() error { return nil })
	}
	return e.Stop()
}
