package bundle_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// A server that keeps a request until there is something new is asked once, and not again and again; a check does not wait
// for it.
func TestLongPolling(t *testing.T) {
	var mu sync.Mutex
	raw, changed, held := pack(t, version("r1", 1)), make(chan struct{}), 0
	publish := func(f files) {
		mu.Lock()
		defer mu.Unlock()
		raw = pack(t, f)
		close(changed)
		changed = make(chan struct{})
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.openpolicyagent.bundles")
		mu.Lock()
		now, news := raw, changed
		mu.Unlock()
		if r.Header.Get("If-None-Match") == etag(now) {
			if strings.Contains(r.Header.Get("Prefer"), "wait=") {
				mu.Lock()
				held++
				mu.Unlock()
				select {
				case <-news:
				case <-r.Context().Done():
					return
				}
				mu.Lock()
				now = raw
				mu.Unlock()
			} else {
				w.WriteHeader(http.StatusNotModified)
				return
			}
		}
		w.Header().Set("ETag", etag(now))
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(now))
	}))
	t.Cleanup(s.Close)
	w, stop := start(t, setting{config: write(t, "config.yaml", `
services: {server: {url: "`+s.URL+`", response_header_timeout_seconds: 1}}
bundles: {policies: {resource: policies.tar.gz, polling: {min_delay_seconds: 0, max_delay_seconds: 1, long_polling_timeout_seconds: 600}}}
`)})
	w.awaits("activated policies r1")
	time.Sleep(1500 * time.Millisecond) // longer than the service may take to begin an answer otherwise
	must(t, w.loader.Check(t.Context()))
	publish(version("r2", 2))
	w.awaits("activated policies r2")
	stop() // while a request is kept
	mu.Lock()
	defer mu.Unlock()
	if held > 2 {
		t.Errorf("it asked %d times", held)
	}
}
