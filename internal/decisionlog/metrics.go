package decisionlog

import (
	"sync/atomic"

	opametrics "github.com/open-policy-agent/opa/v1/metrics"
	"github.com/prometheus/client_golang/prometheus"
)

// reason says why a decision was not logged.
type reason string

const (
	// reasonRateLimit: more than max_decisions_per_second.
	reasonRateLimit reason = "rate_limit"
	// reasonQueueFull: decisions came faster than they could be masked and encoded.
	reasonQueueFull reason = "queue_full"
	// reasonMask: a mask or drop rule failed; what it would have hidden is not logged.
	reasonMask reason = "mask"
	// reasonEncoding: the event could not be encoded, or is larger than upload_size_limit_bytes.
	reasonEncoding reason = "encoding"
	// reasonBufferFull: the collector was away for longer than the buffer lasts. Counted is each time that the oldest
	// had to go, which may be several decisions.
	reasonBufferFull reason = "buffer_full"
	// reasonConsole: standard output takes nothing.
	reasonConsole reason = "console"
)

// metrics are what the log counts, and what OPA's plugin does, whose counters have these names
// (open-policy-agent/opa: v1/plugins/logs/plugin.go).
type metrics struct {
	opa     opametrics.Metrics
	dropped map[reason]*atomic.Int64
}

var (
	droppedTotal = prometheus.NewDesc("eksguard_decision_log_dropped_total",
		"Decisions that were to be logged and were not.", []string{"reason"}, nil)
	uploadsTotal = prometheus.NewDesc("eksguard_decision_log_uploads_total",
		"Uploads to the collector of the decision log.", []string{"result"}, nil)
)

// RegisterMetrics registers the metrics of a Log that logs nothing: for a reference of all metrics.
func RegisterMetrics(registerer prometheus.Registerer) { newMetrics(registerer) }

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{opa: opametrics.New(), dropped: map[reason]*atomic.Int64{}}
	for _, reason := range []reason{reasonRateLimit, reasonQueueFull, reasonMask, reasonEncoding, reasonBufferFull,
		reasonConsole} {
		m.dropped[reason] = &atomic.Int64{}
	}
	registerer.MustRegister(m)
	return m
}

// Describe implements prometheus.Collector.
func (*metrics) Describe(to chan<- *prometheus.Desc) {
	to <- droppedTotal
	to <- uploadsTotal
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(to chan<- prometheus.Metric) {
	dropped := map[reason]float64{
		reasonEncoding:   m.counted("decision_logs_encoding_failure"),
		reasonBufferFull: m.counted("decision_logs_dropped_buffer_size_limit_bytes_exceeded"),
	}
	for reason, own := range m.dropped {
		to <- prometheus.MustNewConstMetric(droppedTotal, prometheus.CounterValue,
			dropped[reason]+float64(own.Load()), string(reason))
	}
	to <- prometheus.MustNewConstMetric(uploadsTotal, prometheus.CounterValue,
		m.counted("decision_logs_chunks_uploaded"), "ok")
	to <- prometheus.MustNewConstMetric(uploadsTotal, prometheus.CounterValue,
		m.counted("decision_logs_chunks_upload_failed"), "failed")
}

func (m *metrics) counted(name string) float64 {
	count, _ := m.opa.Counter(name).Value().(uint64)
	return float64(count)
}
