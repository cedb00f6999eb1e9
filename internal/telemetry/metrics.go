// Package telemetry tells people what eksguard does: Prometheus metrics, Kubernetes Events and the log. It only observes;
// nothing that it does changes a decision.
package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/webhook"
)

const namespace = "eksguard"

// Verdicts of a review.
const (
	verdictAllowed = "allowed"
	verdictDenied  = "denied"
	verdictError   = "error"
)

// Metrics are eksguard's own metrics. Every label has a bounded set of values: policies and rules of the bundle, and
// words of the code.
type Metrics struct {
	reviews    *prometheus.CounterVec
	violations *prometheus.CounterVec
	mutations  *prometheus.CounterVec
	faults     *prometheus.CounterVec
	rejected   *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	bundle     *prometheus.GaugeVec
	loaded     prometheus.Gauge
	repairs    *prometheus.CounterVec
	failures   *prometheus.CounterVec
	current    *prometheus.GaugeVec
}

// Sources are asked for figures at every scrape.
type Sources struct {
	// CertificateNotAfter is when the serving certificate expires; zero while there is none.
	CertificateNotAfter func() time.Time
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(registerer prometheus.Registerer, sources Sources) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	}
	m := &Metrics{
		reviews: counter("reviews_total",
			"Admission reviews decided, by policy, phase (validate, mutate) and verdict (allowed, denied, error).",
			"policy", "phase", "verdict"),
		violations: counter("violations_total",
			"Violations found, by policy, rule and outcome (deny, warn, dryrun, excepted).", "policy", "rule", "outcome"),
		mutations: counter("mutations_total",
			"Mutations found, by policy, rule and outcome (applied, warn, dryrun, excepted).", "policy", "rule", "outcome"),
		faults: counter("evaluation_errors_total",
			"Policies that could not be evaluated; failurePolicy decides what that means.", "policy"),
		rejected: counter("rejected_requests_total",
			"HTTP requests that got no decision, by reason.", "reason"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: "decision_duration_seconds",
			Help:                        "Time from the first byte of a review to its decision.",
			Buckets:                     []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100,
			NativeHistogramMinResetDuration: time.Hour,
		}, []string{"policy", "phase"}),
		bundle: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: namespace, Name: "bundle_info", Help: "The bundle that decides, by revision; always 1.",
		}, []string{"revision"}),
		loaded: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Name: "bundle_loaded_timestamp_seconds",
			Help: "When the bundle that decides was loaded, in seconds since the epoch.",
		}),
		repairs: counter("registration_repairs_total",
			"Webhook configurations that others had changed or deleted, and that were put right.", "kind"),
		failures: counter("bundle_failures_total",
			"Bundles that were not taken, by bundle and reason; the one before goes on deciding.", "bundle", "reason"),
		current: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: namespace, Name: "bundle_last_success_timestamp_seconds",
			Help: "When the source of a bundle last said that the active one is its newest, in seconds since the epoch.",
		}, []string{"bundle"}),
	}
	registerer.MustRegister(m.reviews, m.violations, m.mutations, m.faults, m.rejected, m.duration, m.bundle, m.loaded, m.repairs,
		m.failures, m.current,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: namespace, Name: "certificate_expiry_timestamp_seconds",
			Help: "When the serving certificate expires, in seconds since the epoch; 0 while there is none.",
		}, func() float64 {
			notAfter := sources.CertificateNotAfter()
			if notAfter.IsZero() {
				return 0
			}
			return float64(notAfter.Unix())
		}))
	for _, reason := range webhook.Reasons {
		m.rejected.WithLabelValues(string(reason))
	}
	for _, kind := range []string{"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"} {
		m.repairs.WithLabelValues(kind)
	}
	return m
}

// SnapshotLoaded records the snapshot that decides from now on, and makes the series of its policies, so that the first
// denial of a rule is an increase from 0 that an alert can see.
func (m *Metrics) SnapshotLoaded(s *policy.Snapshot, at time.Time) {
	m.bundle.Reset()
	m.bundle.WithLabelValues(s.Revision()).Set(1)
	m.loaded.Set(float64(at.Unix()))
	for _, p := range s.Policies() {
		m.faults.WithLabelValues(p.Name)
		for _, phase := range phases(p) {
			for _, verdict := range []string{verdictAllowed, verdictDenied, verdictError} {
				m.reviews.WithLabelValues(p.Name, phase.String(), verdict)
			}
			m.duration.WithLabelValues(p.Name, phase.String())
		}
		for _, rule := range p.Rules {
			if rule.Kind == policy.MutateRule {
				m.mutations.WithLabelValues(p.Name, rule.ID, "applied")
			} else {
				m.violations.WithLabelValues(p.Name, rule.ID, string(policy.ActionDeny))
			}
		}
	}
}

func phases(p *policy.Policy) (phases []policy.Phase) {
	if p.Has(policy.Deny) || p.Has(policy.Warn) {
		phases = append(phases, policy.Validate)
	}
	if p.Has(policy.MutateRule) {
		phases = append(phases, policy.Mutate)
	}
	return phases
}

// BundleNamed makes the series of a bundle, so that its first failure is an increase from 0 that an alert can see.
func (m *Metrics) BundleNamed(name string) {
	for _, reason := range bundle.Reasons {
		m.failures.WithLabelValues(name, string(reason))
	}
	m.current.WithLabelValues(name)
}

// Failed implements bundle.Observer.
func (m *Metrics) Failed(name string, fault *bundle.Fault) {
	m.failures.WithLabelValues(name, string(fault.Reason)).Inc()
}

// Activated implements bundle.Observer.
func (m *Metrics) Activated(string, string) {}

// Current implements bundle.Observer.
func (m *Metrics) Current(name string, at time.Time) {
	m.current.WithLabelValues(name).Set(float64(at.Unix()))
}

// RegistrationRepaired records that a webhook configuration of that kind was put right.
func (m *Metrics) RegistrationRepaired(kind string) { m.repairs.WithLabelValues(kind).Inc() }

// Decided records a decision.
func (m *Metrics) Decided(r *policy.Request, d *policy.Decision, took time.Duration) {
	verdict := verdictAllowed
	switch {
	case len(d.Faults) > 0:
		verdict = verdictError
	case !d.Allowed:
		verdict = verdictDenied
	}
	phase := r.Phase.String()
	m.reviews.WithLabelValues(r.Policy, phase, verdict).Inc()
	m.duration.WithLabelValues(r.Policy, phase).Observe(took.Seconds())
	for i := range d.Violations {
		v := &d.Violations[i]
		m.violations.WithLabelValues(v.Policy, v.Rule, outcome(v.Action, v.Exception)).Inc()
	}
	for i := range d.Mutations {
		mutation := &d.Mutations[i]
		result := outcome(mutation.Action, mutation.Exception)
		if mutation.Applies() {
			result = "applied"
		}
		m.mutations.WithLabelValues(mutation.Policy, mutation.Rule, result).Inc()
	}
	for i := range d.Faults {
		m.faults.WithLabelValues(d.Faults[i].Policy).Inc()
	}
}

func outcome(action policy.Action, exception *policy.Exception) string {
	if exception != nil {
		return "excepted"
	}
	return string(action)
}

// Rejected records a request that got no decision.
func (m *Metrics) Rejected(reason webhook.Reason, _ error) {
	m.rejected.WithLabelValues(string(reason)).Inc()
}
