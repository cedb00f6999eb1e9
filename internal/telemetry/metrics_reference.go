package telemetry

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/events"
	"github.com/mozilla-iam/eksguard/webhook"
)

// labelMeanings says what the values of a label are.
func labelMeanings() map[string]string {
	return map[string]string{
		"bundle":   "name of a bundle in `--config`, or `default`",
		"event":    "reason of the Event: " + listed(events.Reasons),
		"kind":     "`ValidatingWebhookConfiguration`, `MutatingWebhookConfiguration`",
		"outcome":  "of a violation `deny`, `warn`, `dryrun` or `excepted`; of a mutation `applied`, `warn`, `dryrun` or `excepted`",
		"phase":    "`validate`, `mutate`",
		"policy":   "name of a policy",
		"resource": "API version and resource, as in `v1/namespaces`",
		"resource_name": "names of objects that an exception covers, as the settings have them; empty: all. " +
			"At most as many values as there are exceptions",
		"resource_namespace": "namespace of the object, empty for cluster-scoped ones; of an exception the namespaces that it covers, " +
			"empty: all. Prometheus Operator sets `namespace` to that of the scraped Pod, and so it is not called so. " +
			"`_other` stands for all beyond the bound of `--metrics-namespaces`",
		"revision":    "revision of what decides, as in `cluster=blue-17,policies=r41`: the manifests', or digests of the content",
		"rule":        "id of a rule; of an exception empty for all rules of the policy",
		"user":        "users that an exception covers, as the settings have them; empty: all",
		"verdict":     "`allowed`; `denied`; `error`: a policy could not be evaluated",
		"version":     "version of eksguard",
		"go_version":  "version of Go that built it",
		"opa_version": "version of OPA in it",
	}
}

// reasonMeaning says what the values of label reason are, which differ by metric.
func reasonMeaning(metric string) string {
	switch metric {
	case prefix + "_bundle_failures_total":
		return listed(bundle.Reasons) + "; see [bundles.md](bundles.md)"
	case prefix + "_events_dropped_total":
		return listed(events.Drops) + "; see [events.md](events.md)"
	}
	return listed(webhook.Reasons)
}

func listed[S ~string](values []S) string {
	var quoted []string
	for _, value := range values {
		quoted = append(quoted, "`"+string(value)+"`")
	}
	return strings.Join(quoted, ", ")
}

// Reference is docs/metrics.md: every metric with its type, help and labels, sorted by name, as the code makes them. Those
// that are not made by NewMetrics are gathered from others, where all of their series are.
func Reference(others prometheus.Gatherer) (string, error) {
	m := NewMetrics(MetricsOptions{Registerer: prometheus.NewRegistry(), Namespaces: 1, Sources: Sources{
		Ready:               func() error { return nil },
		CertificateNotAfter: func() time.Time { return time.Time{} },
		ClusterState:        func() []ClusterState { return nil },
	}})
	definitions, err := gathered(others)
	if err != nil {
		return "", err
	}
	definitions = append(definitions, m.definitions...)
	slices.SortFunc(definitions, func(a, b definition) int { return strings.Compare(a.name, b.name) })
	var text strings.Builder
	text.WriteString(`# Metrics

Written by ` + "`make generate`" + ` from the code. They are served on ` + "`/metrics`" + ` of ` + "`--metrics-address`" + `, with those of Go and
controller-runtime. [operations.md](operations.md) tells which to watch.

Series whose labels are known beforehand are there from the start, at 0, so that the first denial of a rule is an increase.
Histograms are classic and native: a Prometheus that scrapes native histograms gets both.
`)
	for _, d := range definitions {
		fmt.Fprintf(&text, "\n## %s\n\n%s\n\nType: %s.", d.name, d.help, d.kind)
		if len(d.labels) > 0 {
			text.WriteString(" Labels:\n\n| label | values |\n|---|---|\n")
			for _, label := range d.labels {
				fmt.Fprintf(&text, "| `%s` | %s |\n", label, d.meaning(label))
			}
			continue
		}
		text.WriteString(" No labels.\n")
	}
	return text.String(), nil
}

// gathered tells what the metrics are that a registry has series of.
func gathered(from prometheus.Gatherer) (definitions []definition, err error) {
	families, err := from.Gather()
	if err != nil {
		return nil, err
	}
	for _, family := range families {
		d := definition{name: family.GetName(), kind: strings.ToLower(family.GetType().String()), help: family.GetHelp(),
			values: map[string][]string{}}
		for _, series := range family.GetMetric() {
			for _, label := range series.GetLabel() {
				if !slices.Contains(d.labels, label.GetName()) {
					d.labels = append(d.labels, label.GetName())
				}
				d.values[label.GetName()] = append(d.values[label.GetName()], "`"+label.GetValue()+"`")
			}
		}
		definitions = append(definitions, d)
	}
	return definitions, nil
}

func (d *definition) meaning(label string) string {
	if values := d.values[label]; values != nil {
		return strings.Join(slices.Compact(slices.Sorted(slices.Values(values))), ", ")
	}
	if label == "reason" {
		return reasonMeaning(d.name)
	}
	return labelMeanings()[label]
}
