package process_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// service starts replicas of eksguard behind a balancer.
type service struct {
	balancer *local.Balancer
	args     []string
}

// newService makes a service whose replicas get these arguments too. Its namespace is there, and its registration is removed
// when the test ends.
func newService(t *testing.T, args ...string) *service {
	t.Helper()
	if err := cluster.Plane(t).CreateNamespace(t.Context(), "eksguard-system"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cluster.Unregister(t) })
	return &service{balancer: e2e.NewBalancer(t), args: args}
}

// start starts a replica and returns once it is ready.
func (s *service) start(t *testing.T) *replica {
	t.Helper()
	r := startReplica(t, s.balancer, time.Second, append([]string{"--settings", standardSettings}, s.args...)...)
	// It waits until its authority has been announced for long enough.
	e2e.Eventually(t, time.Minute, "the replica is ready", func() error { return e2e.Ready(r.healthURL) })
	return r
}

// shown is the certificate that a new connection to the replica is shown.
func (r *replica) shown(t *testing.T) (*x509.Certificate, error) {
	t.Helper()
	dialer := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // whom to trust is not the question
	connection, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(r.webhookURL, "https://"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = connection.Close() }()
	return connection.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

// straggler is an API server that hears of what is registered later than others: it opens connections to every replica that
// is ready, over and over, and trusts what was registered a while ago. The load on the real one does not show that, since
// connections go on with the certificate that they began with.
type straggler struct {
	t   *testing.T
	lag time.Duration

	mu       sync.Mutex
	replicas []*replica
	heard    []hearing
	shakes   int
}

// hearing is what was registered at a time.
type hearing struct {
	at     time.Time
	bundle []byte
}

// newStraggler starts one. stop tells how many connections it has opened.
func newStraggler(t *testing.T, lag time.Duration, replicas ...*replica) (s *straggler, stop func() int) {
	t.Helper()
	s = &straggler{t: t, lag: lag, replicas: replicas}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for ; ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
			s.look()
		}
	})
	var once sync.Once
	stop = func() int {
		once.Do(func() {
			cancel()
			running.Wait()
		})
		return s.shakes
	}
	t.Cleanup(func() { stop() })
	return s, stop
}

// exchange makes it connect to r instead of old.
func (s *straggler) exchange(old, r *replica) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.replicas {
		if s.replicas[i] == old {
			s.replicas[i] = r
		}
	}
}

// look hears what is registered, and opens a connection to each replica.
func (s *straggler) look() {
	v, err := validating(s.t)
	if err != nil {
		s.t.Errorf("read what is registered: %v", err)
		return
	}
	now := time.Now()
	bundle := v.Webhooks[0].ClientConfig.CABundle
	if n := len(s.heard); n == 0 || string(s.heard[n-1].bundle) != string(bundle) {
		s.heard = append(s.heard, hearing{now, bundle})
	}
	for len(s.heard) > 1 && now.Sub(s.heard[1].at) >= s.lag {
		s.heard = s.heard[1:]
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(s.heard[0].bundle)
	s.mu.Lock()
	replicas := append([]*replica{}, s.replicas...)
	s.mu.Unlock()
	for _, r := range replicas {
		if e2e.Ready(r.healthURL) != nil {
			continue // no Service would lead there
		}
		dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: 5 * time.Second},
			Config: &tls.Config{RootCAs: trusted, ServerName: "localhost"}}
		connection, err := dialer.Dial("tcp", strings.TrimPrefix(r.webhookURL, "https://"))
		if err != nil {
			if e2e.Ready(r.healthURL) == nil {
				s.t.Errorf("what is served is not trusted by who heard of the registration %s late: %v", s.lag, err)
			}
			continue
		}
		s.shakes++
		_ = connection.Close()
	}
}

// differs tells whether every replica shows another certificate than before, and all the same.
func differs(t *testing.T, before *x509.Certificate, replicas ...*replica) error {
	t.Helper()
	var first *x509.Certificate
	for _, r := range replicas {
		now, err := r.shown(t)
		switch {
		case err != nil:
			return err
		case now.Equal(before):
			return errors.New("a replica shows the former certificate")
		case first != nil && !now.Equal(first):
			return fmt.Errorf("replicas show the certificates %s and %s", first.SerialNumber, now.SerialNumber)
		}
		first = now
	}
	return nil
}
