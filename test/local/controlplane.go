package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

const buildRemedy = "test/controlplane/build.sh builds it"

// stopTimeout is how long one process of the control plane may take to end before it is killed.
const stopTimeout = 30 * time.Second

// Options say what control plane to start. The zero value is etcd and an API server without controllers.
type Options struct {
	// BinDir holds etcd, kube-apiserver, kubectl and kube-controller-manager. Default: bin/ of the repository.
	BinDir string
	// ControllerManager adds the real controllers: Deployments make ReplicaSets and these make Pods, owner references
	// are collected, deleted namespaces end, ServiceAccounts appear. They act under their own ServiceAccounts, as on a
	// cluster. Pods then go through the ServiceAccount admission plugin too.
	ControllerManager bool
	// Dir is where data, certificates and kubeconfigs are kept. Default: a temporary folder, which Stop removes. A folder
	// that is given is left behind, and must not hold what an earlier control plane kept there.
	Dir string
	// AuditPolicy is a file that says what the API server logs to ControlPlane.AuditLog (audit.k8s.io/v1, Policy).
	// Default: nothing is logged.
	AuditPolicy string
	// AdmissionConfig is a file with configurations of admission plugins (apiserver.config.k8s.io/v1,
	// AdmissionConfiguration), such as one that names a kubeconfig with the certificates that the API server presents to
	// webhooks. Default: none.
	AdmissionConfig string
	// Network has the API server reach Services and the Pods that RunPod runs. It takes this process, and ControllerManager,
	// which then leaves nodes alone: nobody reports how they are.
	Network bool
	// Log receives what the processes print, each line with the name of its process. Default: it is dropped.
	Log io.Writer
	// StartTimeout bounds the start of each process. Default: 1 minute.
	StartTimeout time.Duration
}

func (o Options) withDefaults() (Options, error) {
	var err error
	if o.BinDir, err = defaultBinDir(o.BinDir); err != nil {
		return o, err
	}
	if o.StartTimeout == 0 {
		o.StartTimeout = time.Minute
	}
	for _, name := range o.binaries() {
		if err := checkBinary(filepath.Join(o.BinDir, name), buildRemedy); err != nil {
			return o, err
		}
	}
	return o, nil
}

func (o Options) binaries() []string {
	names := []string{"etcd", "kube-apiserver", "kubectl"}
	if o.ControllerManager {
		names = append(names, "kube-controller-manager")
	}
	return names
}

// ControlPlane is a running control plane. Its methods are safe for concurrent use.
type ControlPlane struct {
	// Config is that of user admin in group system:masters, with client-side rate limits out of the way.
	Config *rest.Config
	// Kubeconfig is a file for the same user.
	Kubeconfig string
	// BinDir and Dir are those of the Options, with their defaults.
	BinDir, Dir string
	// AuditLog is the file with the audit events, one a line. An event is there before its request is answered.
	AuditLog string

	clients     kubernetes.Interface
	network     *network // nil without Options.Network
	env         *envtest.Environment
	controllers *process
	lifeline    *lifeline
	temporary   bool
	processes   []Process

	stopOnce sync.Once
	stopErr  error
}

// StartControlPlane starts a control plane and returns once it works: with ControllerManager, once its controllers have
// made a Pod, collected it with its owner, and ended a namespace. On an error nothing is left running. The context bounds
// the start only.
func StartControlPlane(ctx context.Context, o Options) (*ControlPlane, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("starting the control plane: %w", err)
	}
	c := &ControlPlane{BinDir: o.BinDir, Dir: o.Dir, temporary: o.Dir == ""}
	if err := c.start(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the control plane: %w", err), c.Stop())
	}
	return c, nil
}

func (c *ControlPlane) start(ctx context.Context, o Options) error {
	if err := c.makeFolders(); err != nil {
		return err
	}
	if err := c.holdLifeline(); err != nil {
		return err
	}
	logs := newSink(o.Log)
	if o.Network {
		var err error
		if c.network, err = startNetwork(ctx, c.Dir); err != nil {
			return err
		}
	}
	if err := c.startAPIServer(ctx, o, logs); err != nil {
		return err
	}
	if !o.ControllerManager {
		return nil
	}
	if err := c.startControllers(ctx, logs, o.StartTimeout); err != nil {
		return err
	}
	return c.noteProcesses()
}

// makeFolders makes sure that the data folders are there. They are absolute: processes are known by them.
func (c *ControlPlane) makeFolders() error {
	var err error
	if c.temporary {
		c.Dir, err = os.MkdirTemp("", "eksguard-local-")
	} else {
		c.Dir, err = filepath.Abs(c.Dir)
	}
	if err != nil {
		return fmt.Errorf("making the folder of the control plane: %w", err)
	}
	for _, name := range []string{"etcd", "kube-apiserver", "home"} {
		if err := os.MkdirAll(filepath.Join(c.Dir, name), 0o700); err != nil {
			return fmt.Errorf("making the folder of the control plane: %w", err)
		}
	}
	return nil
}

func (c *ControlPlane) holdLifeline() error {
	folder := ""
	if c.temporary {
		folder = c.Dir
	}
	var err error
	c.lifeline, err = newLifeline(c.Dir+string(filepath.Separator), folder)
	return err
}

func (c *ControlPlane) startAPIServer(ctx context.Context, o Options, logs *sink) error {
	etcdLog, serverLog := logs.writer("etcd | "), logs.writer("kube-apiserver | ")
	c.env = c.environment(o, etcdLog, serverLog)
	// envtest takes no context; the start timeouts bound it.
	config, err := c.env.Start()
	if err != nil {
		if serverLog.Tail() == "" {
			return etcdLog.attach(err)
		}
		return serverLog.attach(err)
	}
	if err := c.noteProcesses(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	c.Config = config
	if c.clients, err = kubernetes.NewForConfig(config); err != nil {
		return fmt.Errorf("making the client of the control plane: %w", err)
	}
	if c.network != nil {
		c.network.serves(c.clients)
	}
	c.Kubeconfig = filepath.Join(c.Dir, "admin.kubeconfig")
	return WriteKubeconfig(config, c.Kubeconfig)
}

func (c *ControlPlane) environment(o Options, etcdLog, serverLog io.Writer) *envtest.Environment {
	server := &envtest.APIServer{
		Path: filepath.Join(o.BinDir, "kube-apiserver"), CertDir: filepath.Join(c.Dir, "kube-apiserver"),
		Out: serverLog, Err: serverLog,
	}
	// The address that Services would be told; without it, the API server refuses to start on a machine that is offline.
	// This one is reserved for documentation, so that nothing is ever reached through it.
	server.Configure().Set("advertise-address", "192.0.2.1")
	if o.AuditPolicy != "" {
		c.AuditLog = filepath.Join(c.Dir, "kube-apiserver", "audit.log")
		server.Configure().Set("audit-policy-file", o.AuditPolicy).Set("audit-log-path", c.AuditLog).
			Set("audit-log-mode", "blocking-strict")
	}
	if o.AdmissionConfig != "" {
		server.Configure().Set("admission-control-config-file", o.AdmissionConfig)
	}
	if o.Network {
		server.Configure().Set("egress-selector-config-file", c.network.config)
	}
	if o.ControllerManager {
		// envtest turns the ServiceAccount plugin off, because nobody would make the ServiceAccounts that it asks for.
		server.Configure().Disable("disable-admission-plugins")
	}
	existing := false
	return &envtest.Environment{
		// Said out loud, because an environment variable would otherwise aim everything at a real cluster.
		UseExistingCluster:       &existing,
		ControlPlaneStartTimeout: o.StartTimeout,
		ControlPlaneStopTimeout:  stopTimeout,
		ControlPlane: envtest.ControlPlane{
			APIServer: server,
			Etcd: &envtest.Etcd{
				Path: filepath.Join(o.BinDir, "etcd"), DataDir: filepath.Join(c.Dir, "etcd"),
				Out: etcdLog, Err: etcdLog,
			},
			KubectlPath: filepath.Join(o.BinDir, "kubectl"),
		},
	}
}

// RestartAPIServer kills the API server and starts it again at the same address, on the same data. It returns once it is
// healthy. Asked to end, it would wait for those who watch, which do not end.
func (c *ControlPlane) RestartAPIServer() error {
	for _, p := range c.processes {
		if p.Name == "kube-apiserver" {
			_ = syscall.Kill(p.PID, syscall.SIGKILL) // an error means that it has just ended
			if _, err := waitGone([]Process{p}, c.Dir, stopTimeout); err != nil {
				return fmt.Errorf("restarting the API server: %w", err)
			}
		}
	}
	// envtest takes no context; the timeout of the start bounds each attempt. One may fail because somebody who tries to
	// reach the API server has been given its port for their own end of the connection.
	server := c.env.ControlPlane.GetAPIServer()
	err := server.Start()
	for attempt := 1; err != nil && attempt < 3*startAttempts; attempt++ {
		err = server.Start()
	}
	if err != nil {
		return fmt.Errorf("restarting the API server: %w", err)
	}
	return c.noteProcesses()
}

// AwaitRegistration returns once the API server uses the webhook configurations that exist now.
func (c *ControlPlane) AwaitRegistration(ctx context.Context) error {
	_, err := takenUp(ctx, c.clients)
	return err
}

// noteProcesses remembers the ids of the processes, which envtest does not tell.
func (c *ControlPlane) noteProcesses() error {
	found, err := children(c.Dir)
	c.processes = found
	return err
}

// Processes returns the processes of the control plane, those that have ended by themselves too.
func (c *ControlPlane) Processes() []Process { return c.processes }

// Client returns a client for user admin.
func (c *ControlPlane) Client() kubernetes.Interface { return c.clients }

// Kubectl returns a kubectl for user admin.
func (c *ControlPlane) Kubectl() *Kubectl {
	return &Kubectl{
		Path:       filepath.Join(c.BinDir, "kubectl"),
		Kubeconfig: c.Kubeconfig,
		Home:       filepath.Join(c.Dir, "home"),
	}
}

// AddUser returns the configuration of a user who authenticates with a client certificate that names these groups.
// Nothing is granted to them; WriteKubeconfig makes a file of it.
func (c *ControlPlane) AddUser(name string, groups ...string) (*rest.Config, error) {
	user, err := c.env.AddUser(envtest.User{Name: name, Groups: groups}, &rest.Config{QPS: c.Config.QPS, Burst: c.Config.Burst})
	if err != nil {
		return nil, fmt.Errorf("adding user %q: %w", name, err)
	}
	return user.Config(), nil
}

// CreateNamespace makes a namespace, unless it exists, and returns once Pods can be created in it: with a controller
// manager that takes its ServiceAccount.
func (c *ControlPlane) CreateNamespace(ctx context.Context, name string) error {
	if err := createNamespace(ctx, c.clients, name); err != nil {
		return err
	}
	if c.controllers == nil {
		return nil
	}
	err := c.controllers.await(ctx, time.Minute, func(ctx context.Context) (bool, error) {
		_, err := c.clients.CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
		return found(err)
	})
	if err != nil {
		return fmt.Errorf("waiting for the default ServiceAccount of namespace %q: %w", name, err)
	}
	return nil
}

// Stop ends every process, waits for them, and removes the folder if it was a temporary one. It works too if processes
// have died already, and does nothing the second time. An error tells what had to be killed, and that the controller
// manager had ended by itself; either way nothing is left.
func (c *ControlPlane) Stop() error {
	c.stopOnce.Do(func() { c.stopErr = c.stop() })
	return c.stopErr
}

func (c *ControlPlane) stop() error {
	var faults []error
	if c.controllers != nil {
		// First, or it would spend its last seconds on an API server that is gone.
		faults = append(faults, c.controllers.stop(stopTimeout))
	}
	if c.env != nil {
		faults = append(faults, c.env.Stop())
		// envtest does not wait for what it killed, and what it started without success it may not know any more.
		faults = append(faults, c.endLeftovers())
	}
	if c.network != nil {
		faults = append(faults, c.network.stop())
	}
	if c.lifeline != nil {
		faults = append(faults, c.lifeline.release())
	}
	if c.temporary && c.Dir != "" {
		faults = append(faults, os.RemoveAll(c.Dir))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("stopping the control plane: %w", err)
	}
	return nil
}

func (c *ControlPlane) endLeftovers() error {
	left, err := children(c.Dir)
	if err != nil || len(left) == 0 {
		return err
	}
	return End(left, c.Dir, time.Second)
}

// WriteKubeconfig writes a kubeconfig that does what the configuration does, readable by its owner only.
func WriteKubeconfig(config *rest.Config, path string) error {
	const name = "eksguard-local"
	server, err := url.Parse(config.Host)
	if err != nil {
		return fmt.Errorf("writing kubeconfig %q: %w", path, err)
	}
	kubeconfig := clientcmdapi.NewConfig()
	kubeconfig.Clusters[name] = &clientcmdapi.Cluster{
		Server:                   (&url.URL{Scheme: server.Scheme, Host: server.Host}).String(),
		CertificateAuthorityData: config.CAData,
		TLSServerName:            config.ServerName,
	}
	kubeconfig.AuthInfos[name] = &clientcmdapi.AuthInfo{
		ClientCertificateData: config.CertData, ClientKeyData: config.KeyData, Token: config.BearerToken,
	}
	kubeconfig.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	kubeconfig.CurrentContext = name
	if err := clientcmd.WriteToFile(*kubeconfig, path); err != nil {
		return fmt.Errorf("writing kubeconfig %q: %w", path, err)
	}
	return nil
}

func createNamespace(ctx context.Context, clients kubernetes.Interface, name string) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err := clients.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("creating namespace %q: %w", name, err)
	}
	return nil
}
