package main

import (
	"encoding/json"
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// panel is what differs between panels. The board is 24 columns wide.
type panel struct {
	title, description, unit string
	// queries are legend and PromQL, in turns; a legend may name labels, as in {{policy}}.
	queries []string
	// warning and critical are where the value gets yellow and red. With falling, values below are the bad ones.
	warning, critical float64
	falling           bool
	// single shows the value of now alone.
	single bool
	width  uint32
}

const (
	chosen       = `job=~"$job",instance=~"$instance"`
	chosenPolicy = chosen + `,policy=~"$policy"`
	day          = 24 * 60 * 60
	halfBoard    = 12
)

// sections are the rows of the board. The first answers: is it up, does it deny, is it slow.
func sections() map[string][]panel {
	return map[string][]panel{
		titles[0]: {
			{title: "Ready replicas", description: "Replicas that are scraped and ready. With none, what policies with failurePolicy " +
				"Fail ask about is refused.", unit: "short", single: true, falling: true, warning: 2, critical: 1, width: 4,
				queries: []string{"ready", `sum(eksguard_ready{` + chosen + `})`}},
			{title: "Denials", description: "Reviews that were denied in the last hour.", unit: "short", single: true,
				warning: 20, critical: 100, width: 5,
				queries: []string{"denied", `sum(increase(eksguard_reviews_total{` + chosenPolicy + `,verdict="denied"}[1h]))`}},
			{title: "Errors", description: "Policies that could not be evaluated, and requests that got no decision, in the last hour.",
				unit: "short", single: true, warning: 1, critical: 5, width: 5,
				queries: []string{"errors", `sum(increase(eksguard_evaluation_errors_total{` + chosenPolicy +
					`}[1h])) + sum(increase(eksguard_rejected_requests_total{` + chosen + `}[1h]))`}},
			{title: "p99 of decisions", description: "99 of 100 decisions took no longer. The API server waits 5 s.", unit: "s", single: true,
				warning: .1, critical: 1, width: 5,
				queries: []string{"p99", `histogram_quantile(0.99, sum by (le) (rate(eksguard_decision_duration_seconds_bucket{` +
					chosenPolicy + `}[$__rate_interval])))`}},
			{title: "Revisions", description: "Different bundles that decide now. More than one for long: replicas disagree.",
				unit: "short", single: true, warning: 2, critical: 3, width: 5,
				queries: []string{"revisions", `count(count by (revision) (eksguard_bundle_info{` + chosen + `}))`}},
		},
		titles[1]: {
			{title: "Reviews", description: "Reviews a second, by what came of them.", unit: "reqps", warning: 500, critical: 2000,
				queries: []string{"{{verdict}}", `sum by (verdict) (rate(eksguard_reviews_total{` + chosenPolicy + `}[$__rate_interval]))`}},
			{title: "Duration of decisions", description: "From the first byte of a review to its decision.", unit: "s",
				warning: .1, critical: 1,
				queries: []string{
					"p50", quantile("0.5"), "p99", quantile("0.99"),
				}},
			{title: "Denials by rule", description: "Violations that were denied, an hour. See the runbook EksguardDenialSpike.",
				unit: "short", warning: 20, critical: 100,
				queries: []string{"{{policy}}/{{rule}}", `sum by (policy, rule) (increase(eksguard_violations_total{` + chosenPolicy +
					`,outcome="deny"}[1h])) > 0`}},
			{title: "Violations by outcome", description: "All violations, an hour: denied, warned of, only counted (dryrun), excepted.",
				unit: "short", warning: 100, critical: 1000,
				queries: []string{"{{outcome}}", `sum by (outcome) (increase(eksguard_violations_total{` + chosenPolicy + `}[1h]))`}},
			{title: "Violations by namespace", description: "The ten namespaces with most violations, an hour.", unit: "short",
				warning: 20, critical: 100,
				queries: []string{"{{resource_namespace}}", `topk(10, sum by (resource_namespace) (increase(` +
					`eksguard_namespace_violations_total{` + chosenPolicy + `}[1h])))`}},
			{title: "Mutations", description: "Changes that mutate rules made or would have made, an hour.", unit: "short",
				warning: 1000, critical: 10000,
				queries: []string{"{{policy}}/{{rule}} {{outcome}}", `sum by (policy, rule, outcome) (increase(eksguard_mutations_total{` +
					chosenPolicy + `}[1h]))`}},
			{title: "Policies that cannot be evaluated", description: "Evaluation errors, an hour. failurePolicy decides what they mean.",
				unit: "short", warning: 1, critical: 5,
				queries: []string{"{{policy}}", `sum by (policy) (increase(eksguard_evaluation_errors_total{` + chosenPolicy + `}[1h]))`}},
			{title: "Failed calls", description: "What the API server itself counts, an hour: refused or let pass without a decision. " +
				"Empty as long as there was none.", unit: "short", warning: 1, critical: 5,
				queries: []string{
					"{{name}} refused: {{error_type}}", `sum by (name, error_type) (increase(apiserver_admission_webhook_rejection_count` +
						`{name=~".+\\.eksguard\\.io",error_type!="no_error"}[1h]))`,
					"{{name}} let pass", `sum by (name) (increase(apiserver_admission_webhook_fail_open_count{name=~".+\\.eksguard\\.io"}[1h]))`,
				}},
		},
		titles[2]: {
			{title: "Since the source was heard", description: "Since the source of a bundle said that the active one is its newest.",
				unit: "s", warning: 900, critical: 1800,
				queries: []string{"{{bundle}} {{instance}}", `time() - eksguard_bundle_last_success_timestamp_seconds{` + chosen + `}`}},
			{title: "Bundles not taken", description: "Bundles that were not taken, an hour. The one before goes on deciding.",
				unit: "short", warning: 1, critical: 5,
				queries: []string{"{{bundle}}: {{reason}}", `sum by (bundle, reason) (increase(eksguard_bundle_failures_total{` + chosen + `}[1h]))`}},
			{title: "Bundle age", description: "Since the bundle that decides was loaded.", unit: "s", warning: 90 * day, critical: 365 * day,
				queries: []string{"{{instance}}", `time() - eksguard_bundle_loaded_timestamp_seconds{` + chosen + `}`}},
			{title: "Time to build a snapshot", description: "Mean time to compile and check a bundle with its settings, since the start.",
				unit: "s", warning: 10, critical: 30,
				queries: []string{"{{instance}}", `eksguard_snapshot_build_duration_seconds_sum{` + chosen +
					`} / eksguard_snapshot_build_duration_seconds_count{` + chosen + `}`}},
			{title: "Cluster state", description: "Whether all that there is of what policies read is known. 1 is yes.", unit: "bool",
				falling: true, warning: 1, critical: .5,
				queries: []string{"{{resource}} {{instance}}", `eksguard_cluster_state_synced{` + chosen + `}`}},
			{title: "Registration repairs", description: "Webhook configurations that others changed, put right, an hour.", unit: "short",
				warning: 1, critical: 3,
				queries: []string{"{{kind}}", `sum by (kind) (increase(eksguard_registration_repairs_total{` + chosen + `}[1h]))`}},
		},
		titles[3]: {
			{title: "Certificate", description: "Until the serving certificate expires.", unit: "s", single: true, falling: true,
				warning: 20 * day, critical: 7 * day, width: 6,
				queries: []string{"{{instance}}", `eksguard_certificate_expiry_timestamp_seconds{` + chosen + `} - time()`}},
			{title: "Next exception to end", description: "Until the next exception ends; negative: one has ended and is still there. " +
				"Empty without exceptions.", unit: "s", single: true, falling: true, warning: 14 * day, critical: 0, width: 6,
				queries: []string{"{{policy}}/{{rule}}", `bottomk(1, max by (policy, rule) (eksguard_exception_expiry_timestamp_seconds{` +
					chosenPolicy + `}) - time())`}},
			{title: "Exceptions used", description: "Violations and mutations that an exception covered, an hour. One that nobody uses " +
				"can go.", unit: "short", warning: 100, critical: 1000,
				queries: []string{"{{policy}}/{{rule}} {{resource_namespace}}", `sum by (policy, rule, resource_namespace) (increase(` +
					`eksguard_exception_uses_total{` + chosenPolicy + `}[1h]))`}},
		},
	}
}

var titles = []string{"Is it up, does it deny, is it slow", "Policies", "Bundles and cluster state", "Certificates and exceptions"} //nolint:gochecknoglobals // a constant

func quantile(q string) string {
	return `histogram_quantile(` + q + `, sum by (le) (rate(eksguard_decision_duration_seconds_bucket{` + chosenPolicy + `}[$__rate_interval])))`
}

// board is dashboard.json.
func board() (string, error) {
	//nolint:staticcheck // The newer schema, dashboardv2, is not taken by Grafanas that are in use.
	b := dashboard.NewDashboardBuilder("eksguard").Uid("eksguard").Tags([]string{"eksguard", "kubernetes"}).
		Description("What eksguard decides, and whether it can. docs/operations.md tells more.").
		Time("now-6h", "now").Refresh("1m").Timezone("browser").Readonly().
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Prometheus").Type("prometheus"))
	for _, v := range []struct{ name, query string }{
		{"job", "label_values(eksguard_build_info, job)"},
		{"instance", `label_values(eksguard_build_info{job=~"$job"}, instance)`},
		{"policy", `label_values(eksguard_reviews_total{job=~"$job"}, policy)`},
	} {
		b.WithVariable(dashboard.NewQueryVariableBuilder(v.name).Label(v.name).Datasource(source()).
			Query(dashboard.StringOrMap{String: cog.ToPtr(v.query)}).Refresh(dashboard.VariableRefreshOnTimeRangeChanged).
			Multi(true).IncludeAll(true).AllValue(".*").
			Current(dashboard.VariableOption{Text: dashboard.StringOrArrayOfString{String: cog.ToPtr("All")},
				Value: dashboard.StringOrArrayOfString{String: cog.ToPtr("$__all")}}))
	}
	for _, title := range titles {
		b.WithRow(dashboard.NewRowBuilder(title))
		for _, p := range sections()[title] {
			b.WithPanel(p)
		}
	}
	built, err := b.Build()
	if err != nil {
		return "", fmt.Errorf("dashboard: %w", err)
	}
	text, err := json.MarshalIndent(built, "", "  ")
	return string(text) + "\n", err
}

func source() common.DataSourceRef {
	return common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("$datasource")}
}

// Build implements cog.Builder.
func (p panel) Build() (dashboard.Panel, error) {
	var targets []cog.Builder[variants.Dataquery]
	for i := 0; i < len(p.queries); i += 2 {
		query := prometheus.NewDataqueryBuilder().RefId(string(rune('A' + i/2))).LegendFormat(p.queries[i]).Expr(p.queries[i+1])
		if p.single {
			query.Instant()
		} else {
			query.Range()
		}
		targets = append(targets, query)
	}
	thresholds := dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(p.steps())
	if p.single {
		return stat.NewPanelBuilder().Title(p.title).Description(p.description).Unit(p.unit).Datasource(source()).
			Targets(targets).Thresholds(thresholds).Height(4).Span(p.width).
			ColorMode(common.BigValueColorModeBackground).GraphMode(common.BigValueGraphModeNone).Build()
	}
	return timeseries.NewPanelBuilder().Title(p.title).Description(p.description).Unit(p.unit).Datasource(source()).
		Targets(targets).Thresholds(thresholds).Height(8).Span(halfBoard).Min(0).FillOpacity(10).Build()
}

func (p panel) steps() []dashboard.Threshold {
	if p.falling {
		return []dashboard.Threshold{{Color: "red"}, {Value: &p.critical, Color: "yellow"}, {Value: &p.warning, Color: "green"}}
	}
	return []dashboard.Threshold{{Color: "green"}, {Value: &p.warning, Color: "yellow"}, {Value: &p.critical, Color: "red"}}
}
