package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	// probeInterval is how often a Balancer asks a backend whether it is ready, and probeTimeout how long it waits for an
	// answer; two of a kubelet's defaults, the first of them shortened.
	probeInterval = 200 * time.Millisecond
	probeTimeout  = time.Second
	// balancerNotices is how long a backend must go on answering after it has told that it is not ready.
	balancerNotices = 2 * time.Second
)

// Balancer stands in for the Service in front of eksguard's Pods: it passes connections on to its backends in turn, those
// that are ready, of which it is told with a delay. It listens on loopback. Its methods are safe for concurrent use.
type Balancer struct {
	listener net.Listener
	running  sync.WaitGroup

	mu      sync.Mutex
	members []*member
	next    int
	open    map[net.Conn]bool
	stopped bool
}

// member is a backend, as long as it is one.
type member struct {
	Backend

	ready bool
	stop  context.CancelFunc
}

// Backend is one process behind a Balancer.
type Backend struct{ Address, HealthURL string }

// StartBalancer starts a balancer without backends.
func StartBalancer() (*Balancer, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return nil, fmt.Errorf("starting a balancer: %w", err)
	}
	b := &Balancer{listener: listener, open: map[net.Conn]bool{}}
	b.running.Go(b.accept)
	return b, nil
}

// Stop closes its connections and ends it.
func (b *Balancer) Stop() {
	_ = b.listener.Close() // ends accept
	b.mu.Lock()
	b.stopped = true
	for _, m := range b.members {
		m.stop()
	}
	for connection := range b.open {
		_ = connection.Close() // which is to end it
	}
	b.mu.Unlock()
	b.running.Wait()
}

// Port is where it listens, on loopback.
func (b *Balancer) Port() string { return strconv.Itoa(b.listener.Addr().(*net.TCPAddr).Port) }

// Add adds a backend.
func (b *Balancer) Add(backend Backend) {
	ctx, stop := context.WithCancel(context.Background())
	m := &member{Backend: backend, stop: stop}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		stop()
	}
	b.members = append(b.members, m)
	b.running.Go(func() { b.watch(ctx, m) })
}

// Remove takes a backend away. Its connections stay as they are.
func (b *Balancer) Remove(backend Backend) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.members = slices.DeleteFunc(b.members, func(m *member) bool {
		if m.Backend != backend {
			return false
		}
		m.stop()
		return true
	})
}

// Passes tells whether new connections may be passed on to this backend.
func (b *Balancer) Passes(backend Backend) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.members, func(m *member) bool { return m.Backend == backend && m.ready })
}

// watch learns of readiness at intervals, as the endpoints of a Service do; of each backend by itself, so that a slow one
// holds up none of the others.
func (b *Balancer) watch(ctx context.Context, m *member) {
	for ctx.Err() == nil {
		isReady := get(ctx, http.DefaultClient, m.HealthURL+"/readyz") == nil
		b.mu.Lock()
		m.ready = isReady
		b.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(probeInterval):
		}
	}
}

func (b *Balancer) accept() {
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
		if !b.keep(incoming, outgoing) {
			return
		}
		for _, pair := range [][2]net.Conn{{incoming, outgoing}, {outgoing, incoming}} {
			b.running.Go(func() {
				Splice(pair[0], pair[1])
				b.mu.Lock()
				defer b.mu.Unlock()
				delete(b.open, pair[0])
			})
		}
	}
}

// keep remembers a pair of connections, or closes it if the balancer is to end.
func (b *Balancer) keep(pair ...net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, connection := range pair {
		if b.stopped {
			_ = connection.Close() // nothing was sent on it
			continue
		}
		b.open[connection] = true
	}
	return !b.stopped
}

// dial connects to the next backend that is ready.
func (b *Balancer) dial() (net.Conn, error) {
	b.mu.Lock()
	var ready []Backend
	for _, m := range b.members {
		if m.ready {
			ready = append(ready, m.Backend)
		}
	}
	b.next++
	turn := b.next
	b.mu.Unlock()
	if len(ready) == 0 {
		return nil, errors.New("no backend is ready")
	}
	return net.DialTimeout("tcp", ready[turn%len(ready)].Address, time.Second)
}
