package decisionlog

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/policy"
)

// What the log costs a review of 6 KiB: nothing was found, so that it is not logged; it is handed over, which is all that
// a review waits for; and it is written, which another goroutine does. Without the log, there is no call at all.
func BenchmarkLog(b *testing.B) {
	path := filepath.Join(b.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte("decision_logs: {console: true}"), 0o600); err != nil {
		b.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	c, err := bundle.ReadConfig(path, bundle.OPALogger(logger))
	if err != nil {
		b.Fatal(err)
	}
	l := New(Options{Config: c.DecisionLog, Manager: c.OPA, Console: io.Discard, Logger: logger, Registerer: prometheus.NewRegistry()})
	if err := l.manager.Init(b.Context()); err != nil {
		b.Fatal(err)
	}
	if err := l.install(b.Context(), nil, nil); err != nil {
		b.Fatal(err)
	}
	env := strings.Repeat(`{"name": "A_VARIABLE", "value": "of some length"},`, 120)
	request, err := policy.ParseRequest([]byte(`{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
		"uid": "u", "operation": "CREATE", "resource": {"group": "", "version": "v1", "resource": "pods"},
		"object": {"spec": {"containers": [{"env": [` + strings.TrimSuffix(env, ",") + `]}]}}}}`))
	if err != nil {
		b.Fatal(err)
	}
	denied := &policy.Decision{Violations: []policy.Violation{{Policy: "p", Rule: "r", Message: "m"}}}
	b.Run("not logged", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			l.Decided(request, &policy.Decision{Allowed: true}, 0)
		}
	})
	b.Run("handed over", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			l.Decided(request, denied, 0)
			l.queued.Add(-int64(len((<-l.queue).review)))
		}
	})
	b.Run("written", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			l.Decided(request, denied, 0)
			l.write(<-l.queue)
		}
	})
	if n := l.metrics.dropped[reasonMask].Load() + l.metrics.dropped[reasonEncoding].Load(); n > 0 {
		b.Errorf("%d were not written", n)
	}
}
