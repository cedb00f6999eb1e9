// Package telemetry tells people what eksguard does: Prometheus metrics and the log. It only observes; nothing that it does
// changes a decision.
package telemetry

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/events"
	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/webhook"
)

// Verdicts of a review.
const (
	verdictAllowed = "allowed"
	verdictDenied  = "denied"
	verdictError   = "error"
)

// MetricsOptions are what Metrics are made of.
type MetricsOptions struct {
	// Registerer is required.
	Registerer prometheus.Registerer
	// Build is what runs.
	Build Build
	// Namespaces is how many namespaces eksguard_namespace_violations_total tells apart; those that come later are counted
	// as "_other". 0 turns that metric off.
	Namespaces int
	// Sources are asked at every scrape.
	Sources Sources
}

// Build is what was built of what.
type Build struct{ Version, OPA string }

// Metrics are eksguard's own metrics. Every label has a bounded set of values: policies and rules of the bundle, exceptions
// of the settings, words of the code, and as many namespaces as the options allow. What is known beforehand is there from
// the start, so that the first denial of a rule is an increase from 0 that an alert can see.
type Metrics struct {
	reviews         *prometheus.CounterVec
	violations      *prometheus.CounterVec
	byNamespace     *prometheus.CounterVec
	mutations       *prometheus.CounterVec
	faults          *prometheus.CounterVec
	rejected        *prometheus.CounterVec
	duration        *prometheus.HistogramVec
	bundle          *prometheus.GaugeVec
	loaded          prometheus.Gauge
	build           prometheus.Histogram
	repairs         *prometheus.CounterVec
	events          *prometheus.CounterVec
	eventsDropped   *prometheus.CounterVec
	failures        *prometheus.CounterVec
	current         *prometheus.GaugeVec
	exceptionUses   *prometheus.CounterVec
	exceptionExpiry *prometheus.GaugeVec

	namespaces  *firstFew
	definitions []definition
}

// NewMetrics makes the metrics and registers them. It panics if that registerer has them already.
func NewMetrics(o MetricsOptions) *Metrics {
	d := &definer{registerer: o.Registerer}
	m := &Metrics{
		reviews: d.counter("reviews_total",
			"Admission reviews decided.", "policy", "phase", "verdict"),
		violations: d.counter("violations_total",
			"Violations found, whatever they led to.", "policy", "rule", "outcome"),
		mutations: d.counter("mutations_total",
			"Changes that mutate rules found to be made.", "policy", "rule", "outcome"),
		faults: d.counter("evaluation_errors_total",
			"Policies that could not be evaluated; failurePolicy decides what that means.", "policy"),
		rejected: d.counter("rejected_requests_total",
			"HTTP requests that got no decision.", "reason"),
		duration: d.histogram("decision_duration_seconds",
			"Time from the first byte of a review to its decision.",
			[]float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}, "policy", "phase"),
		bundle: d.gauge("bundle_info", "The bundle that decides, by revision; always 1.", "revision"),
		loaded: d.gauge("bundle_loaded_timestamp_seconds",
			"When the bundle that decides was loaded, in seconds since the epoch.").WithLabelValues(),
		build: d.histogram("snapshot_build_duration_seconds",
			"Time to compile and check a bundle with its settings, and to run its tests where they are required.",
			[]float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}).WithLabelValues().(prometheus.Histogram),
		failures: d.counter("bundle_failures_total",
			"Bundles that were not taken; the one before goes on deciding.", "bundle", "reason"),
		current: d.gauge("bundle_last_success_timestamp_seconds",
			"When the source of a bundle last said that the active one is its newest, in seconds since the epoch.", "bundle"),
		exceptionUses: d.counter("exception_uses_total",
			"Violations and mutations that an exception of the settings covered.", exceptionLabels...),
		exceptionExpiry: d.gauge("exception_expiry_timestamp_seconds",
			"When an exception of the settings ceases to apply, in seconds since the epoch.", exceptionLabels...),
		repairs: d.counter("registration_repairs_total",
			"Webhook configurations that others had changed or deleted, and that were put right.", "kind"),
		events: d.counter("events_total",
			"Kubernetes Events that were written, or whose count was raised.", "event"),
		eventsDropped: d.counter("events_dropped_total",
			"Kubernetes Events that were not written.", "reason"),
	}
	if o.Namespaces > 0 {
		m.namespaces = &firstFew{most: o.Namespaces}
		m.byNamespace = d.counter("namespace_violations_total",
			"Violations found, by the namespace of the object; --metrics-namespaces bounds how many are told apart.",
			"policy", "rule", "outcome", "resource_namespace")
	}
	d.gauge("build_info", "What runs; always 1.", "version", "go_version", "opa_version").
		WithLabelValues(o.Build.Version, runtime.Version(), o.Build.OPA).Set(1)
	d.sources(o.Sources)
	m.definitions = d.definitions
	for _, reason := range webhook.Reasons {
		m.rejected.WithLabelValues(string(reason))
	}
	for _, kind := range []string{"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"} {
		m.repairs.WithLabelValues(kind)
	}
	for _, reason := range events.Reasons {
		m.events.WithLabelValues(reason)
	}
	for _, why := range events.Drops {
		m.eventsDropped.WithLabelValues(string(why))
	}
	return m
}

// SnapshotLoaded records the snapshot that decides from now on, and makes the series of its policies and exceptions.
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
				m.violations.WithLabelValues(p.Name, rule.ID, string(s.Action(p, &rule)))
			}
		}
	}
	m.exceptionExpiry.Reset()
	latest := map[string]time.Time{}
	for _, e := range s.Exceptions() {
		values := exceptionValues(e)
		m.exceptionUses.WithLabelValues(values...)
		// Of several for the same, the last to end is the one that counts.
		if key := joined(values); e.Ends().After(latest[key]) {
			latest[key] = e.Ends()
			m.exceptionExpiry.WithLabelValues(values...).Set(float64(e.Ends().Unix()))
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

// SnapshotBuilt records how long it took to make a snapshot, also one that failed.
func (m *Metrics) SnapshotBuilt(took time.Duration) { m.build.Observe(took.Seconds()) }

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

// EventWritten implements events.Observer.
func (m *Metrics) EventWritten(reason string) { m.events.WithLabelValues(reason).Inc() }

// EventDropped implements events.Observer.
func (m *Metrics) EventDropped(why events.Drop) { m.eventsDropped.WithLabelValues(string(why)).Inc() }

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
		result := outcome(v.Action, v.Exception)
		m.violations.WithLabelValues(v.Policy, v.Rule, result).Inc()
		if m.byNamespace != nil {
			m.byNamespace.WithLabelValues(v.Policy, v.Rule, result, m.namespaces.name(r.Namespace)).Inc()
		}
		m.excepted(v.Exception)
	}
	for i := range d.Mutations {
		mutation := &d.Mutations[i]
		result := outcome(mutation.Action, mutation.Exception)
		if mutation.Applies() {
			result = "applied"
		}
		m.mutations.WithLabelValues(mutation.Policy, mutation.Rule, result).Inc()
		m.excepted(mutation.Exception)
	}
	for i := range d.Faults {
		m.faults.WithLabelValues(d.Faults[i].Policy).Inc()
	}
}

func (m *Metrics) excepted(e *policy.Exception) {
	if e != nil {
		m.exceptionUses.WithLabelValues(exceptionValues(e)...).Inc()
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
