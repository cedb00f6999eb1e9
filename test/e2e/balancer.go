package e2e

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Balancer stands in for the Service in front of eksguard's Pods: it passes connections on to its backends that are
// ready, in turn. Of readiness it is told with a delay.
type Balancer struct {
	listener net.Listener

	mu       sync.Mutex
	backends []Backend
	ready    map[string]bool
	turn     int
}

// Backend is one process behind a Balancer.
type Backend struct{ Address, HealthURL string }

// NewBalancer starts a balancer, which stops when the test ends.
func NewBalancer(t testing.TB) *Balancer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &Balancer{listener: listener, ready: map[string]bool{}}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { b.accept(&running) })
	running.Go(func() { b.watch(ctx) })
	t.Cleanup(func() {
		stop()
		_ = listener.Close() // ends accept
		running.Wait()
	})
	return b
}

// Port is where it listens, on loopback.
func (b *Balancer) Port() string { return strconv.Itoa(b.listener.Addr().(*net.TCPAddr).Port) }

// Add adds a backend.
func (b *Balancer) Add(backend Backend) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.backends = append(b.backends, backend)
}

// watch learns of readiness at intervals, as the endpoints of a Service are.
func (b *Balancer) watch(ctx context.Context) {
	for ctx.Err() == nil {
		b.mu.Lock()
		backends := b.backends
		b.mu.Unlock()
		for _, backend := range backends {
			isReady := Ready(backend.HealthURL) == nil
			b.mu.Lock()
			b.ready[backend.Address] = isReady
			b.mu.Unlock()
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (b *Balancer) accept(running *sync.WaitGroup) {
	for {
		incoming, err := b.listener.Accept()
		if err != nil {
			return // the listener is closed
		}
		outgoing, err := b.dial()
		if err != nil {
			_ = incoming.Close() // as a Service without endpoints would
			continue
		}
		for _, pair := range [][2]net.Conn{{incoming, outgoing}, {outgoing, incoming}} {
			running.Go(func() {
				_, _ = io.Copy(pair[0], pair[1]) // either side may end it
				_ = pair[0].Close()
				_ = pair[1].Close()
			})
		}
	}
}

func (b *Balancer) dial() (net.Conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range b.backends {
		b.turn = (b.turn + 1) % len(b.backends)
		if backend := b.backends[b.turn]; b.ready[backend.Address] {
			return net.DialTimeout("tcp", backend.Address, time.Second)
		}
	}
	return nil, errors.New("no backend is ready")
}
