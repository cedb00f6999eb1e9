package process_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// It is ready, and registers, no sooner than it can serve: once it knows what its policies read, and has a certificate.
func TestReadiness(t *testing.T) {
	plane, c, kubectl := cluster.Plane(t), cluster.As(t, admin), cluster.Kubectl(t)
	if err := plane.CreateNamespace(t.Context(), "eksguard-system"); err != nil {
		t.Fatal(err)
	}
	secret := e2e.Parse(t, "{apiVersion: v1, kind: Secret, metadata: {name: eksguard-certificate, namespace: eksguard-system}}")
	if o := c.Delete(secret); o.Err != nil && !apierrors.IsNotFound(o.Err) {
		t.Fatal(o.Err)
	}
	user, err := plane.AddUser("eksguard-unprivileged")
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := local.WriteKubeconfig(user, kubeconfig); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kubectl.Run("delete", "--ignore-not-found", "-f", "rbac").Succeeded() })
	kubectl.Run("apply", "-f", "rbac/registration.yaml").Succeeded()

	ports := e2e.FreePorts(t, 3)
	t.Cleanup(func() { cluster.Unregister(t) })
	p := e2e.Start(t, serve(kubeconfig, ports, "--bundle", "testdata/bundles/registration", "--leader-elect=false", "--drain-delay=0s")...)
	healthURL := "http://127.0.0.1:" + ports[1]
	for _, stage := range []struct{ missing, log, grant string }{
		{"what its policies read", `cannot list resource \"namespaces\"`, "rbac/namespaces.yaml"},
		{"its certificate", `cannot patch resource \"secrets\"`, "rbac/certificate.yaml"},
	} {
		e2e.Eventually(t, 20*time.Second, "it is not ready without "+stage.missing, func() error {
			switch err := e2e.Ready(healthURL); {
			case err == nil:
				return errors.New("it is ready")
			case !strings.Contains(err.Error(), "[-]serving failed"):
				return err
			case !strings.Contains(p.Output(), stage.log):
				return errors.New("it was not refused yet")
			}
			return nil
		})
		if _, err := validating(t); !apierrors.IsNotFound(err) {
			t.Errorf("it has registered without %s: %v", stage.missing, err)
		}
		kubectl.Run("apply", "-f", stage.grant).Succeeded()
	}
	e2e.Eventually(t, 30*time.Second, "it is ready", func() error { return e2e.Ready(healthURL) })
	e2e.Eventually(t, 10*time.Second, "it guards the cluster", func() error {
		forbidden := e2e.Manifest(t, "manifests/configmap.yaml", "  name: some\n", "  name: some\n  labels: {e2e: forbidden}\n")
		return isForbidden(c.Create(forbidden, e2e.DryRun))
	})
	p.Terminate()
	if code := p.Exit(10 * time.Second); code != 0 {
		t.Errorf("exit status is %d", code)
	}
}

// isForbidden returns what came of a request instead of a denial.
func isForbidden(o *e2e.Outcome) error {
	switch {
	case o.Err == nil:
		return errors.New("it is admitted")
	case !apierrors.IsForbidden(o.Err):
		return o.Err
	}
	return nil
}

// serve are the arguments to serve on three loopback ports: for reviews, health and metrics.
func serve(kubeconfig string, ports []string, more ...string) []string {
	return append([]string{
		"serve", "--kubeconfig", kubeconfig,
		"--webhook-host", "127.0.0.1", "--webhook-port", ports[0], "--webhook-url", "https://localhost:" + ports[0],
		"--health-address", "127.0.0.1:" + ports[1], "--metrics-address", "127.0.0.1:" + ports[2],
	}, more...)
}

// After SIGTERM it first tells that it is not ready, and goes on answering until the load balancer has noticed.
func TestDraining(t *testing.T) {
	guard := cluster.Guard(t, local.EksguardOptions{Settings: standardSettings, ExtraArgs: []string{"--drain-delay", "3s"}})
	if err := guard.Ready(); err != nil {
		t.Fatal(err)
	}
	pod := e2e.Manifest(t, "manifests/pod.yaml", ownRole, foreignRole)
	guard.Terminate(t)
	asked := time.Now()
	e2e.Eventually(t, time.Second, "it is not ready any more", func() error {
		if guard.Ready() == nil {
			return errors.New("it is")
		}
		return nil
	})
	for time.Since(asked) < 2*time.Second {
		cluster.As(t, admin).Create(pod, e2e.DryRun).Denied("iam-role/ownership")
		time.Sleep(100 * time.Millisecond)
	}
	select {
	case <-guard.Done():
		t.Errorf("it ended after %s, want 3s", time.Since(asked))
	default:
	}
	awaitEnd(t, guard)
	cluster.As(t, admin).Create(pod, e2e.DryRun).Unanswered("iam-role.eksguard.io")
}

// A review that has begun to arrive at SIGTERM is answered.
func TestReviewUnderWayAtTheEnd(t *testing.T) {
	// Go's server drops a request over HTTP/1.1 of which it has not read the headers when it begins to shut down.
	guard := cluster.Guard(t, local.EksguardOptions{Settings: standardSettings, ExtraArgs: []string{"--drain-delay", "500ms"}})
	body := review(t, "1234", e2e.Manifest(t, "manifests/pod.yaml", ownRole, foreignRole))
	connection, err := cluster.WebhookConnection(t, guard, nil)
	if err != nil {
		t.Fatal(err)
	}
	send := func(text string) {
		t.Helper()
		if _, err := io.WriteString(connection, text); err != nil {
			t.Fatal(err)
		}
	}
	send(fmt.Sprintf("POST /validate/iam-role HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(body)))
	send(body[:len(body)/2])
	guard.Terminate(t)
	time.Sleep(time.Second)
	if _, err := cluster.WebhookConnection(t, guard, nil); err == nil {
		t.Error("it still takes connections")
	}
	send(body[len(body)/2:])
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatalf("there is no answer: %v", err)
	}
	defer func() { _ = response.Body.Close() }()
	var answer admissionv1.AdmissionReview
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK || answer.Response.UID != "1234" || answer.Response.Allowed ||
		!strings.Contains(answer.Response.Result.Message, "[iam-role/ownership]") {
		t.Errorf("the answer is %s: %v", response.Status, answer.Response)
	}
	awaitEnd(t, guard)
}

// awaitEnd waits for the end of an eksguard that was asked to end; a second signal would end it at once.
func awaitEnd(t *testing.T, guard *e2e.Guard) {
	t.Helper()
	select {
	case <-guard.Done():
	case <-time.After(10 * time.Second):
		t.Error("it has not ended after 10s")
	}
	if err := guard.Stop(); err != nil {
		t.Error(err)
	}
}

// A rolling update behind a Service loses no review: one replica goes after another has come, while people write.
func TestRollingUpdate(t *testing.T) {
	plane := cluster.Plane(t)
	if err := plane.CreateNamespace(t.Context(), "eksguard-system"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cluster.Unregister(t) })
	balancer := e2e.NewBalancer(t)
	start := func() *replica {
		t.Helper()
		r := startReplica(t, balancer, time.Second, "--settings", standardSettings)
		r.awaitReady(t)
		return r
	}
	old := start()
	own, foreign := e2e.Manifest(t, "manifests/pod.yaml"), e2e.Manifest(t, "manifests/pod.yaml", ownRole, foreignRole)
	e2e.Eventually(t, 20*time.Second, "the cluster is guarded", func() error {
		return isForbidden(cluster.As(t, admin).Create(foreign, e2e.DryRun))
	})
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	var answers atomic.Int64
	for range 4 {
		c := cluster.As(t, admin)
		writers.Go(func() {
			for ctx.Err() == nil {
				if err := c.Create(own, e2e.DryRun).Err; err != nil {
					t.Errorf("its own role is answered with %v", err)
				}
				if err := isForbidden(c.Create(foreign, e2e.DryRun)); err != nil {
					t.Errorf("a foreign role: %v", err)
				}
				answers.Add(2)
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	for range 2 {
		next := start()
		endAll(t, []*replica{old})
		old = next
	}
	stop()
	writers.Wait()
	endAll(t, []*replica{old})
	if answers.Load() < 100 {
		t.Errorf("there were %d answers only", answers.Load())
	}
	if lease, err := cluster.Clients(t).CoordinationV1().Leases("eksguard-system").
		Get(t.Context(), "eksguard", metav1.GetOptions{}); err != nil || *lease.Spec.HolderIdentity != "" {
		t.Errorf("the lease is not given back: %v (%v)", lease, err)
	}
}
