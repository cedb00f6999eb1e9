package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

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
	// lines shows where that is.
	lines bool
	// single shows the value of now alone; named shows the legend with it.
	single, named bool
	// stacked shows bars, one on the other, for series that are only there while something happens.
	stacked bool
	// table shows the legend as a table beside the graph, for names that are many.
	table bool
	// none is shown where there are no series, and for what is no number.
	none string
	// colors are those of series, by legend.
	colors map[string]string
	// width and height default to half the board, and to 8, or 4 of a single.
	width, height uint32
}

const (
	chosen       = `job=~"$job",instance=~"$instance"`
	chosenPolicy = chosen + `,policy=~"$policy"`
	calls        = `name=~".+\\.eksguard\\.io"`
	refused      = `apiserver_admission_webhook_rejection_count{` + calls + `,error_type!="no_error"}`
	letPass      = `apiserver_admission_webhook_fail_open_count{` + calls + `}`
	heard        = `eksguard_bundle_last_success_timestamp_seconds{` + chosen + `}`
	day          = 24 * 60 * 60
	perMinute    = "suffix:/min"
	whole        = "locale"
	days         = "suffix:days"
	thirdBoard   = 8
	halfBoard    = 12
)

// sections are the rows of the board. The first answers: is it up, does it deny, is it slow.
func sections() map[string][]panel {
	return map[string][]panel{
		titles[0]: {
			{title: "Ready replicas", description: "Replicas that are scraped and ready. With none, what policies with failurePolicy " +
				"Fail ask about is refused.", unit: "short", single: true, falling: true, warning: 2, critical: 1, width: 4,
				queries: []string{"ready", `sum(eksguard_ready{` + chosen + `}) or vector(0)`}},
			{title: "Failed calls, 1 h", description: "Writes that were refused or let pass without a decision in the last hour, as the " +
				"API server counts them. Unknown: its metrics are not scraped.", unit: whole, single: true, warning: .1, critical: .5,
				width: 4, none: "unknown",
				queries: []string{"failed", `(sum(` + grown(refused, "1h") + `) or vector(0)) + (sum(` + grown(letPass, "1h") +
					`) or vector(0)) and on () count(apiserver_admission_webhook_request_total)`}},
			{title: "Errors, 1 h", description: "Policies that could not be evaluated, and requests that got no decision, in the last hour.",
				unit: whole, single: true, warning: 1, critical: 5, width: 4,
				queries: []string{"errors", `sum(increase(eksguard_evaluation_errors_total{` + chosenPolicy +
					`}[1h])) + sum(increase(eksguard_rejected_requests_total{` + chosen + `}[1h]))`}},
			{title: "Denials, 1 h", description: "Reviews that were denied in the last hour.", unit: whole, single: true,
				warning: 120, critical: 1200, width: 4,
				queries: []string{"denied", `sum(increase(eksguard_reviews_total{` + chosenPolicy + `,verdict="denied"}[1h]))`}},
			{title: "p99 of decisions", description: "99 of 100 decisions of the last 5 minutes took no longer. The API server waits 5 s. " +
				"Idle: there were none.", unit: "s", single: true, warning: .1, critical: 1, width: 4, none: "idle",
				queries: []string{"p99", quantile("0.99", "5m")}},
			{title: "Revisions", description: "Different bundles that decide now. More than one for long: replicas disagree.",
				unit: "short", single: true, warning: 2, critical: 3, width: 4, none: "none",
				queries: []string{"revisions", `count(count by (revision) (eksguard_bundle_info{` + chosen + `}))`}},
		},
		titles[1]: {
			{title: "Reviews", description: "Reviews a second, by what came of them.", unit: "reqps", warning: 500, critical: 2000,
				colors:  map[string]string{"allowed": "green", "denied": "orange", "error": "red"},
				queries: []string{"{{verdict}}", `sum by (verdict) (rate(eksguard_reviews_total{` + chosenPolicy + `}[$__rate_interval]))`}},
			{title: "Duration of decisions", description: "From the first byte of a review to its decision. The API server waits 5 s.",
				unit: "s", warning: .1, critical: 1, lines: true, colors: map[string]string{"p50": "green", "p99": "orange"},
				queries: []string{
					"p50", quantile("0.5", "$__rate_interval"), "p99", quantile("0.99", "$__rate_interval"),
				}},
			{title: "Denials by rule", description: "Violations that were denied, in Grafana's rate interval before each bar. See the " +
				"runbook EksguardDenialSpike.", unit: "short", warning: 20, critical: 100, stacked: true, table: true,
				none: "No denials, or no replica is scraped",
				queries: []string{"{{policy}}/{{rule}}", `sum by (policy, rule) (increase(eksguard_violations_total{` + chosenPolicy +
					`,outcome="deny"}[$__rate_interval])) > 0`}},
			{title: "Denials by namespace", description: "The ten namespaces with most violations that were denied, in Grafana's rate " +
				"interval before each bar.", unit: "short", warning: 20, critical: 100, stacked: true, table: true,
				none: "No denials, or no replica is scraped",
				queries: []string{"{{resource_namespace}}", `topk(10, sum by (resource_namespace) (` +
					grown(`eksguard_namespace_violations_total{`+chosenPolicy+`,outcome="deny"}`, "$__rate_interval") + `))`}},
			{title: "Errors", description: "Policies that could not be evaluated, and requests that got no decision, a minute. " +
				"failurePolicy decides what they mean.", unit: perMinute, warning: .1, critical: 1,
				queries: []string{
					"{{policy}} not evaluated", minutely("policy", "eksguard_evaluation_errors_total", chosenPolicy),
					"rejected: {{reason}}", minutely("reason", "eksguard_rejected_requests_total", chosen),
				}},
			{title: "Failed calls", description: "What the API server itself counts: refused or let pass without a decision, in Grafana's rate " +
				"interval before each point. Empty as long as there was none.", unit: "short", warning: 1, critical: 5,
				none: "No failed calls, or the API server is not scraped",
				queries: []string{
					"{{policy}}: {{error_type}}", byPolicy(`sum by (name, error_type) (` + grown(refused, "$__rate_interval") + `)`),
					"{{policy}}: let pass", byPolicy(`sum by (name) (` + grown(letPass, "$__rate_interval") + `)`),
				}},
			{title: "Violations by outcome", description: "All violations, a minute: denied, warned of, only counted (dryrun), excepted.",
				unit: perMinute, warning: 10, critical: 100,
				colors:  map[string]string{"deny": "orange", "warn": "yellow", "dryrun": "blue", "excepted": "purple"},
				queries: []string{"{{outcome}}", minutely("outcome", "eksguard_violations_total", chosenPolicy)}},
			{title: "Mutations", description: "Changes that mutate rules made or would have made, a minute.", unit: perMinute,
				warning: 100, critical: 1000,
				queries: []string{"{{policy}}/{{rule}} {{outcome}}", minutely("policy, rule, outcome", "eksguard_mutations_total", chosenPolicy)}},
		},
		titles[2]: {
			{title: "Replicas by revision", description: "How many replicas decide by which revision of the bundles.", unit: "short",
				single: true, named: true, warning: 100, critical: 1000, width: halfBoard, none: "none",
				queries: []string{"{{revision}}", `count by (revision) (eksguard_bundle_info{` + chosen + `})`}},
			{title: "Bundle age", description: "Since the bundle that decides was loaded, of the replica that has not loaded one for longest.",
				unit: "s", single: true, warning: 90 * day, critical: 365 * day, width: 4,
				queries: []string{"age", `time() - min(eksguard_bundle_loaded_timestamp_seconds{` + chosen + `} > 0)`}},
			{title: "Snapshot build time", description: "Mean time to compile and check a bundle with its settings, since the start, " +
				"of the slowest replica.", unit: "s", single: true, warning: 10, critical: 30, width: 4,
				queries: []string{"mean", `max(eksguard_snapshot_build_duration_seconds_sum{` + chosen +
					`} / eksguard_snapshot_build_duration_seconds_count{` + chosen + `})`}},
			{title: "Cluster state known", description: "Whether all replicas know all that there is of what policies read. " +
				"Unknown: they read nothing, or none is scraped.",
				unit: "bool_yes_no", single: true, falling: true, warning: 1, critical: .5, width: 4, none: "unknown",
				queries: []string{"known", `min(eksguard_cluster_state_synced{` + chosen + `})`}},
			{title: "Since the source was heard", description: "Since the source of a bundle said that the active one is its newest, or " +
				"since the start; of the replica that has not heard it for longest.", unit: "s", warning: 900, critical: 1800, lines: true, width: thirdBoard,
				queries: []string{"{{bundle}}", `time() - min by (bundle) (` + heard + ` > 0 or ` + heard +
					` + on (job, instance) group_left () process_start_time_seconds{` + chosen + `})`}},
			{title: "Bundles not taken", description: "Bundles that were not taken, a minute. The one before goes on deciding.",
				unit: perMinute, warning: .1, critical: 1, width: thirdBoard,
				queries: []string{"{{bundle}}: {{reason}}", minutely("bundle, reason", "eksguard_bundle_failures_total", chosen)}},
			{title: "Registration repairs", description: "Webhook configurations that others changed or deleted, put right, a minute.",
				unit: perMinute, warning: .1, critical: 1, width: thirdBoard,
				queries: []string{"{{kind}}", minutely("kind", "eksguard_registration_repairs_total", chosen)}},
		},
		titles[3]: {
			{title: "Certificate", description: "Until the first serving certificate expires.", unit: days, single: true,
				falling: true, warning: 20, critical: 7, width: 4, height: 8,
				queries: []string{"certificate", `(min(eksguard_certificate_expiry_timestamp_seconds{` + chosen + `} > 0) - time()) / 86400`}},
			{title: "Exceptions that end next", description: "Until the next exceptions end; negative: one has ended and is still there.",
				unit: days, single: true, named: true, falling: true, warning: 14, critical: 0, width: thirdBoard, height: 8,
				none: "none",
				queries: []string{"{{policy}}/{{rule}}", `bottomk(3, min by (policy, rule) (eksguard_exception_expiry_timestamp_seconds{` +
					chosenPolicy + `}) - time()) / 86400`}},
			{title: "Exceptions used", description: "Violations and mutations that an exception covered, a minute. One that nobody uses " +
				"can go.", unit: perMinute, warning: 10, critical: 100, width: halfBoard,
				queries: []string{"{{policy}}/{{rule}} {{resource_namespace}}",
					minutely("policy, rule, resource_namespace", "eksguard_exception_uses_total", chosenPolicy)}},
		},
	}
}

var titles = []string{"Is it up, does it deny, is it slow", "Policies", "Bundles and cluster state", "Certificates and exceptions"} //nolint:gochecknoglobals // a constant

func quantile(q, window string) string {
	return `histogram_quantile(` + q + `, sum by (le) (rate(eksguard_decision_duration_seconds_bucket{` + chosenPolicy + `}[` + window + `])))`
}

// grown is by how much a counter has grown that is not there before it first counts.
func grown(counter, window string) string {
	return `(` + counter + ` unless ` + counter + ` offset ` + window + `) and on (job, instance) up offset ` + window + ` == 1 or increase(` +
		counter + `[` + window + `])`
}

// byPolicy labels what has names of webhooks with policies.
func byPolicy(query string) string {
	return `label_replace(` + query + `, "policy", "$1", "name", "(.+)\\.eksguard\\.io")`
}

// minutely is by how much a counter grows a minute.
func minutely(by, counter, labels string) string {
	return `60 * sum by (` + by + `) (rate(` + counter + `{` + labels + `}[$__rate_interval]))`
}

// board is dashboard.json.
func board() (string, error) {
	//nolint:staticcheck // The newer schema, dashboardv2, is not taken by Grafanas that are in use.
	b := dashboard.NewDashboardBuilder("eksguard").Uid("eksguard").Tags([]string{"eksguard", "kubernetes"}).
		Description("What eksguard decides, and whether it can. docs/operations.md tells more.").
		Time("now-6h", "now").Refresh("1m").Timezone("browser").Readonly().
		Tooltip(dashboard.DashboardCursorSyncCrosshair).
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
	if p.single {
		return p.stat().Targets(targets).Build()
	}
	return p.graph().Targets(targets).Build()
}

func (p panel) stat() *stat.PanelBuilder {
	text := common.BigValueTextModeValue
	if p.named {
		text = common.BigValueTextModeValueAndName
	}
	b := stat.NewPanelBuilder().Title(p.title).Description(p.description).Unit(p.unit).Datasource(source()).
		Thresholds(p.thresholds()).Height(cmp.Or(p.height, 4)).Span(p.width).TextMode(text).Orientation(common.VizOrientationAuto).
		ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"})).
		ColorMode(common.BigValueColorModeBackground).GraphMode(common.BigValueGraphModeNone)
	if p.unit == whole {
		b.Decimals(0) // increase() extrapolates
	}
	// Otherwise it would have the color of the lowest values.
	none, gray := cmp.Or(p.none, "No data"), "#5f6368"
	return b.Mappings([]dashboard.ValueMapping{{SpecialValueMap: &dashboard.SpecialValueMap{
		Type: "special", Options: dashboard.DashboardSpecialValueMapOptions{
			Match: dashboard.SpecialValueMatchNullAndNan, Result: dashboard.ValueMappingResult{Text: &none, Color: &gray},
		},
	}}})
}

func (p panel) graph() *timeseries.PanelBuilder {
	legend := common.NewVizLegendOptionsBuilder().ShowLegend(true).DisplayMode(common.LegendDisplayModeList).
		Placement(common.LegendPlacementBottom)
	if p.table {
		legend.DisplayMode(common.LegendDisplayModeTable).Placement(common.LegendPlacementRight).
			Width(280).Calcs([]string{"max"}).SortBy("Max").SortDesc(true)
	}
	b := timeseries.NewPanelBuilder().Title(p.title).Description(p.description).Unit(p.unit).Datasource(source()).
		Thresholds(p.thresholds()).Height(cmp.Or(p.height, 8)).Span(cmp.Or(p.width, halfBoard)).Legend(legend).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending)).
		Min(0).FillOpacity(10).ShowPoints(common.VisibilityModeNever)
	if p.unit != "s" {
		b.AxisSoftMax(1)
	}
	if p.stacked {
		b.DrawStyle(common.GraphDrawStyleBars).BarWidthFactor(1).LineWidth(0).FillOpacity(80).
			Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal))
	}
	if p.lines {
		b.ThresholdsStyle(common.NewGraphThresholdsStyleConfigBuilder().Mode(common.GraphThresholdsStyleModeDashed))
	}
	if p.none != "" {
		b.NoValue(p.none)
	}
	for _, name := range slices.Sorted(maps.Keys(p.colors)) {
		b.OverrideByName(name, []dashboard.DynamicConfigValue{
			{Id: "color", Value: map[string]string{"mode": "fixed", "fixedColor": p.colors[name]}},
		})
	}
	// Series are there from the start, at 0: only those that are not always 0 are named.
	return b.WithOverride(
		dashboard.MatcherConfig{Id: "byValue", Options: map[string]any{"reducer": "allIsZero", "op": "gte", "value": 0}},
		[]dashboard.DynamicConfigValue{{Id: "custom.hideFrom", Value: map[string]bool{"legend": true, "tooltip": true, "viz": false}}})
}

func (p panel) thresholds() *dashboard.ThresholdsConfigBuilder {
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(p.steps())
}

func (p panel) steps() []dashboard.Threshold {
	if p.falling {
		return []dashboard.Threshold{{Color: "red"}, {Value: &p.critical, Color: "yellow"}, {Value: &p.warning, Color: "green"}}
	}
	return []dashboard.Threshold{{Color: "green"}, {Value: &p.warning, Color: "yellow"}, {Value: &p.critical, Color: "red"}}
}
