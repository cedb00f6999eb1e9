package e2e

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/mozilla-iam/eksguard/test/local"
)

// SlowWatch is a way to the API server on which the watch of one resource can be held up, as a busy one may be by
// itself: what happens meanwhile is told only later. All else passes.
type SlowWatch struct {
	// Kubeconfig is a file that leads this way, for the administrator.
	Kubeconfig string

	suffix string
	mu     sync.Mutex
	held   chan struct{} // closed when it passes again; nil while it passes
}

// SlowWatch opens such a way for the resource at this path of the API: /api/v1/namespaces. It closes when the test
// ends.
func (c *Cluster) SlowWatch(t testing.TB, resource string) *SlowWatch {
	t.Helper()
	plane := c.Plane(t)
	transport, err := rest.TransportFor(plane.Config)
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(plane.Config.Host)
	if err != nil {
		t.Fatal(err)
	}
	s := &SlowWatch{Kubeconfig: filepath.Join(t.TempDir(), "kubeconfig"), suffix: resource}
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:      transport,
		FlushInterval:  -1, // at once
		ModifyResponse: s.slow,
		// A watch that its client ends is no error that anybody should read of.
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: proxy, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // until it is closed
	}()
	t.Cleanup(func() {
		s.Release()
		_ = server.Close() // its watches would never end by themselves
		<-done
	})
	if err := local.WriteKubeconfig(&rest.Config{Host: "http://" + listener.Addr().String()}, s.Kubeconfig); err != nil {
		t.Fatal(err)
	}
	return s
}

// Hold holds the watch up.
func (s *SlowWatch) Hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		s.held = make(chan struct{})
	}
}

// Release lets it pass again, and tells what was held up.
func (s *SlowWatch) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held != nil {
		close(s.held)
		s.held = nil
	}
}

func (s *SlowWatch) slow(r *http.Response) error {
	if strings.HasSuffix(r.Request.URL.Path, s.suffix) && r.Request.URL.Query().Has("watch") {
		r.Body = &slowBody{ReadCloser: r.Body, ctx: r.Request.Context(), watch: s}
	}
	return nil
}

// slowBody is the body of a watch.
type slowBody struct {
	io.ReadCloser
	ctx   context.Context
	watch *SlowWatch
}

// Read holds back what it has read for as long as it must.
func (b *slowBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.watch.mu.Lock()
	held := b.watch.held
	b.watch.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-b.ctx.Done():
		}
	}
	return n, err
}
