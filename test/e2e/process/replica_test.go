package process_test

import (
	"errors"
	"testing"
	"time"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// replica is one of several eksguards behind a balancer.
type replica struct {
	*e2e.Process
	webhookURL, healthURL, metricsURL string

	balancer *local.Balancer
	backend  local.Backend
}

// startReplica starts eksguard behind the balancer, which is told of it at once and passes nothing on before it is ready.
// At its end it goes on answering for drain, so that the balancer can notice.
func startReplica(t *testing.T, balancer *local.Balancer, drain time.Duration, args ...string) *replica {
	t.Helper()
	ports := e2e.FreePorts(t, 3)
	r := &replica{
		Process: e2e.Start(t, serve(cluster.Plane(t).Kubeconfig, ports,
			append(args, "--webhook-url", "https://localhost:"+balancer.Port(), "--drain-delay", drain.String())...)...),
		webhookURL: "https://localhost:" + ports[0],
		healthURL:  "http://127.0.0.1:" + ports[1],
		metricsURL: "http://127.0.0.1:" + ports[2] + "/metrics",
		balancer:   balancer,
	}
	r.backend = local.Backend{Address: "127.0.0.1:" + ports[0], HealthURL: r.healthURL}
	balancer.Add(r.backend)
	return r
}

// awaitReady waits until it is ready and the balancer knows, as a Deployment does before it ends the Pods of before.
func (r *replica) awaitReady(t *testing.T) {
	t.Helper()
	e2e.Eventually(t, 20*time.Second, "the replica is ready", func() error {
		if err := e2e.Ready(r.healthURL); err != nil {
			return err
		}
		if !r.balancer.Passes(r.backend) {
			return errors.New("the balancer has not noticed yet")
		}
		return nil
	})
}

// endAll ends replicas as Kubernetes does, all at once.
func endAll(t *testing.T, replicas []*replica) {
	t.Helper()
	for _, r := range replicas {
		r.Terminate()
	}
	for _, r := range replicas {
		if code := r.Exit(10 * time.Second); code != 0 {
			t.Errorf("exit status is %d", code)
		}
	}
}
