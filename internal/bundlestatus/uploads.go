package bundlestatus

import (
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/logging"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/mozilla-iam/eksguard/internal/excerpt"
)

// longest is how many bytes an error may have.
const longest = 500

// newUploads makes the counter of uploads, with its series.
func newUploads(registerer prometheus.Registerer) *prometheus.CounterVec {
	uploads := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "eksguard_status_uploads_total",
		Help: "Statuses of bundles sent to the service of section status in --config.",
	}, []string{"result"})
	registerer.MustRegister(uploads)
	uploads.WithLabelValues("ok")
	uploads.WithLabelValues("failed")
	return uploads
}

// RegisterMetrics registers the metrics of a Reporter that reports nothing: for a reference of all metrics.
func RegisterMetrics(registerer prometheus.Registerer) { newUploads(registerer) }

// uploadLogger is what OPA's plugin logs to: the only place where it tells what became of an upload
// (open-policy-agent/opa: v1/plugins/status/plugin.go, loop). Its errors pass.
type uploadLogger struct {
	logging.Logger
	uploads *prometheus.CounterVec
	// remote is false where there is no service.
	remote bool
}

// Info implements logging.Logger. It tells nothing: the plugin has a word for every status.
func (l *uploadLogger) Info(format string, _ ...any) {
	if l.remote && strings.Contains(format, "tatus update sent successfully") {
		l.uploads.WithLabelValues("ok").Inc()
	}
}

// Error implements logging.Logger.
func (l *uploadLogger) Error(format string, a ...any) {
	text := fmt.Sprintf(format, a...)
	if l.remote && strings.HasPrefix(text, "status update failed") {
		l.uploads.WithLabelValues("failed").Inc()
	}
	l.Logger.Error("bundle status: %s", excerpt.Of(text, longest))
}

// WithFields implements logging.Logger.
func (l *uploadLogger) WithFields(fields map[string]any) logging.Logger {
	return &uploadLogger{Logger: l.Logger.WithFields(fields), uploads: l.uploads, remote: l.remote}
}
