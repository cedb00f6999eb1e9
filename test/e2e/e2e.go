// Package e2e is the language in which the end-to-end tests are written: somebody does something to a real cluster that
// a real eksguard guards, and what comes of it is compared with what should.
//
//	cluster.As(t, flux).Create(pod).Denied("flux/namespace")
//	cluster.Kubectl(t).Run("apply", "-f", "pod.yaml").Printed("pod/aws-cli created\n")
//
// Every write goes through the API server, by client-go or by the real kubectl. The tests are in packages policies (what
// is admitted and what is denied), process (eksguard as a process: its registration, its certificate, its end) and flux
// (with the real kustomize-controller). Each starts one control plane, with the first test that needs it.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mozilla-iam/eksguard/test/checkout"
	"github.com/mozilla-iam/eksguard/test/local"
	"github.com/mozilla-iam/eksguard/test/local/localtest"
)

// Cluster is the control plane that the tests of a package share. Its methods are safe for concurrent use.
type Cluster struct {
	options local.Options
	// setUp is a folder of manifests.
	setUp string

	once   sync.Once
	plane  *local.ControlPlane
	mapper *restmapper.DeferredDiscoveryRESTMapper
	err    error
}

// NewCluster makes a Cluster that starts when it is first used, and then holds what the manifests in the folder setUp
// say, which eksguard was not asked about. An empty setUp is an empty cluster.
func NewCluster(options local.Options, setUp string) *Cluster {
	return &Cluster{options: options, setUp: setUp}
}

// Run runs the tests of a package, for TestMain, and stops the cluster after them. It returns the exit status.
func (c *Cluster) Run(m *testing.M) int {
	// What envtest logs is in its errors too. Without a logger, controller-runtime complains after 30 seconds.
	log.SetLogger(logr.New(log.NullLogSink{}))
	status := m.Run()
	if c.plane == nil {
		return status
	}
	if err := c.plane.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status
}

// Plane returns the control plane. Under -short the test is skipped; without the binaries it fails and says how to build
// them.
func (c *Cluster) Plane(t testing.TB) *local.ControlPlane {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a control plane; -short is set")
	}
	c.once.Do(func() { c.err = c.start() })
	if c.err != nil {
		t.Fatal(c.err)
	}
	return c.plane
}

func (c *Cluster) start() error {
	if err := checkout.Inputs(); err != nil {
		return err
	}
	// It outlives the test that happens to be the first.
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	plane, err := local.StartControlPlane(ctx, c.options)
	if err != nil {
		return err
	}
	c.plane = plane
	c.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(plane.Client().Discovery()))
	// The API server makes these a moment after it is ready.
	for _, name := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem} {
		if err := plane.CreateNamespace(ctx, name); err != nil {
			return err
		}
	}
	if c.setUp == "" {
		return nil
	}
	_, err = plane.Kubectl().Succeed(ctx, "", "apply", "--recursive", "-f", c.setUp)
	return err
}

// Clients returns client-go's clients for the administrator.
func (c *Cluster) Clients(t testing.TB) kubernetes.Interface {
	t.Helper()
	return c.Plane(t).Client()
}

// Guard is a running eksguard.
type Guard struct {
	*local.Eksguard
	t testing.TB
}

// Guard starts eksguard for the test, and returns once the API server asks it. When the test ends it is stopped, and its
// registration removed, so that the next test finds a cluster that nobody guards.
func (c *Cluster) Guard(t testing.TB, options local.EksguardOptions) *Guard {
	t.Helper()
	plane := c.Plane(t)
	if options.Binary == "" {
		options.Binary = Binary(t)
	}
	t.Cleanup(func() { c.Unregister(t) })
	return &Guard{Eksguard: localtest.Eksguard(t, plane, options), t: t}
}

// Unregister removes eksguard's webhook configurations and returns once the API server does without them.
func (c *Cluster) Unregister(t testing.TB) {
	t.Helper()
	ctx, hooks := context.WithoutCancel(t.Context()), c.Clients(t).AdmissionregistrationV1()
	none := metav1.ListOptions{FieldSelector: "metadata.name=eksguard"}
	if err := errors.Join(
		hooks.ValidatingWebhookConfigurations().DeleteCollection(ctx, metav1.DeleteOptions{}, none),
		hooks.MutatingWebhookConfigurations().DeleteCollection(ctx, metav1.DeleteOptions{}, none),
	); err != nil {
		t.Error(err)
		return
	}
	probe := Parse(t, violatingPod)
	Eventually(t, 10*time.Second, "the API server does without eksguard", func() error {
		return c.As(t, "").Create(probe, DryRun).Err
	})
}

// violatingPod is what both webhooks of the default bundle are asked about, and one denies.
const violatingPod = `
apiVersion: v1
kind: Pod
metadata:
  generateName: probe-
  namespace: default
  annotations: {iam.amazonaws.com/role: ""}
spec:
  containers: [{name: none, image: none}]
`

// Binary is the eksguard that the tests are about: EKSGUARD_BINARY (from the root of the repository), or else bin/eksguard-race, or else bin/eksguard.
func Binary(t testing.TB) string {
	t.Helper()
	root, err := checkout.Root()
	if err != nil {
		t.Fatal(err)
	}
	if path := os.Getenv("EKSGUARD_BINARY"); path != "" {
		if !filepath.IsAbs(path) {
			path = filepath.Join(root, path)
		}
		return path
	}
	for _, name := range []string{"eksguard-race", "eksguard"} {
		if path := filepath.Join(root, "bin", name); exists(path) {
			return path
		}
	}
	t.Fatal("there is neither bin/eksguard-race nor bin/eksguard; build one with " +
		"`go build -race -o bin/eksguard-race ./cmd/eksguard`")
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Eventually tries until there is no error, and fails the test with the last one if there is one for too long.
func Eventually(t testing.TB, patience time.Duration, what string, try func() error) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain until %s: %v", patience, what, err)
		}
	}
}
