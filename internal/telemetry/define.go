package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const prefix = "eksguard"

// definition is what the reference tells of a metric.
type definition struct {
	name, kind, help string
	labels           []string
	// values are those of each label, where they are all known; nil where the reference says what they are.
	values map[string][]string
}

// definer makes and registers metrics, and notes what they are.
type definer struct {
	registerer  prometheus.Registerer
	definitions []definition
}

func (d *definer) note(kind, name, help string, labels []string) string {
	name = prefix + "_" + name
	d.definitions = append(d.definitions, definition{name: name, kind: kind, help: help, labels: labels})
	return name
}

func (d *definer) counter(name, help string, labels ...string) *prometheus.CounterVec {
	name = d.note("counter", name, help, labels)
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	d.registerer.MustRegister(vec)
	return vec
}

func (d *definer) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	name = d.note("gauge", name, help, labels)
	vec := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	d.registerer.MustRegister(vec)
	return vec
}

// histogram makes a histogram that is a classic and a native one: whoever scrapes chooses.
func (d *definer) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	name = d.note("histogram", name, help, labels)
	vec := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100,
		NativeHistogramMinResetDuration: time.Hour,
	}, labels)
	d.registerer.MustRegister(vec)
	return vec
}

// asked makes a gauge that is computed at every scrape.
func (d *definer) asked(name, help string, labels []string, ask func(tell func(value float64, labels ...string))) {
	name = d.note("gauge", name, help, labels)
	d.registerer.MustRegister(&asked{desc: prometheus.NewDesc(name, help, labels, nil), ask: ask})
}

// asked implements prometheus.Collector.
type asked struct {
	desc *prometheus.Desc
	ask  func(tell func(value float64, labels ...string))
}

func (a *asked) Describe(descs chan<- *prometheus.Desc) { descs <- a.desc }

func (a *asked) Collect(metrics chan<- prometheus.Metric) {
	a.ask(func(value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(a.desc, prometheus.GaugeValue, value, labels...)
	})
}
