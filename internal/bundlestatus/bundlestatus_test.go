package bundlestatus_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	opabundle "github.com/open-policy-agent/opa/v1/plugins/bundle"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/bundlestatus"
)

// world is a Reporter at work, what it is to report, and who it reports to.
type world struct {
	*bundlestatus.Reporter
	t        *testing.T
	registry *prometheus.Registry

	mu      sync.Mutex
	status  bundle.Status
	answer  int
	told    []string
	plugins json.RawMessage
	console bytes.Buffer
}

// Write implements io.Writer for the console.
func (w *world) Write(text []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.console.Write(text)
}

// ServeHTTP implements http.Handler: it takes statuses as a control plane does.
func (w *world) ServeHTTP(response http.ResponseWriter, r *http.Request) {
	var update struct {
		Bundles map[string]struct {
			Revision string `json:"active_revision"`
			Message  string `json:"message"`
		} `json:"bundles"`
		Plugins json.RawMessage `json:"plugins"`
	}
	if err := json.NewDecoder(r.Body).Decode(&update); err != nil {
		w.t.Error(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.answer != 0 {
		response.WriteHeader(w.answer)
		return
	}
	// OPA's plugin also tells when it has started, which may be before a bundle comes or after.
	isAboutPlugins := !bytes.Equal(update.Plugins, w.plugins)
	w.plugins = update.Plugins
	if policies, found := update.Bundles["policies"]; found {
		told := strings.TrimSpace(r.URL.Path + " " + policies.Revision + " " + policies.Message)
		if isAboutPlugins && slices.Contains(w.told, told) {
			return
		}
		w.told = append(w.told, told)
	}
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// awaits waits until exactly this was told.
func (w *world) awaits(told ...string) {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		w.mu.Lock()
		diff := cmp.Diff(told, w.told)
		w.mu.Unlock()
		if diff == "" {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("what was told is not as wanted (-want +got):\n%s", diff)
		}
	}
}

func start(t *testing.T, section string, repeat time.Duration) *world {
	t.Helper()
	w := &world{t: t, registry: prometheus.NewRegistry()}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	path := filepath.Join(t.TempDir(), "config.yaml")
	text := fmt.Sprintf("services: {control: {url: %q}}\nstatus: %s\n", server.URL, section)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := bundle.ReadConfig(path, bundle.OPALogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	c.Console = w
	w.Reporter = bundlestatus.New(bundlestatus.Options{Config: c.Status, Manager: c.OPA, Registerer: w.registry, Repeat: repeat,
		Status: func() map[string]bundle.Status {
			w.mu.Lock()
			defer w.mu.Unlock()
			return map[string]bundle.Status{"policies": w.status}
		}})
	if err := c.OPA.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		c.OPA.Stop(end)
	})
	return w
}

// What changes is told at once; that a source was asked again is no change.
func TestChangesAreTold(t *testing.T) {
	w := start(t, "{service: control, partition_name: blue, console: true}", time.Hour)
	w.set(func() { w.status = bundle.Status{Status: opabundle.Status{Name: "policies", ActiveRevision: "r1"}} })
	w.Activated("policies", "r1")
	w.awaits("/status/blue r1")
	for range 3 {
		w.set(func() { w.status.SetRequest() })
		w.Current("policies", time.Now())
	}
	w.set(func() { w.status.Code, w.status.Message = "bundle_error", "it is cut off" })
	w.Failed("policies", nil)
	w.awaits("/status/blue r1", "/status/blue r1 it is cut off")
	w.set(func() { w.status = bundle.Status{Status: opabundle.Status{Name: "policies", ActiveRevision: "r2"}} })
	w.Activated("policies", "r2")
	w.awaits("/status/blue r1", "/status/blue r1 it is cut off", "/status/blue r2")

	w.mu.Lock()
	defer w.mu.Unlock()
	for _, want := range []string{`"active_revision":"r1"`, `"message":"it is cut off"`, `"active_revision":"r2"`, `"type":"openpolicyagent.org/status"`} {
		if !strings.Contains(w.console.String(), want) {
			t.Errorf("%s is not on the console:\n%s", want, w.console.String())
		}
	}
}

// A service that was away is told again, though nothing has changed since.
func TestWhatWasMissedIsToldAgain(t *testing.T) {
	w := start(t, "{service: control}", 100*time.Millisecond)
	w.set(func() { w.answer = http.StatusServiceUnavailable; w.status.ActiveRevision = "r1" })
	w.Activated("policies", "r1")
	counted := func(result string) float64 {
		families, err := w.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, series := range families[0].GetMetric() {
			if series.GetLabel()[0].GetValue() == result {
				return series.GetCounter().GetValue()
			}
		}
		t.Fatalf("there is no series of result %q", result)
		return 0
	}
	for counted("failed") == 0 {
		time.Sleep(20 * time.Millisecond)
	}
	w.set(func() { w.answer = 0 })
	for told := 0; told == 0; time.Sleep(20 * time.Millisecond) {
		w.set(func() { told = len(w.told) })
	}
	for counted("ok") == 0 {
		time.Sleep(20 * time.Millisecond)
	}
	if problems, err := testutil.GatherAndLint(w.registry); err != nil || len(problems) > 0 {
		t.Errorf("metrics: %v (%v)", problems, err)
	}
}
