package eksguard.lib.prometheus_operator_test

import data.eksguard.lib.prometheus_operator

test_tags_and_annotations_are_versions if {
	every case in [
		["v0.93.0", "0.93.0"], ["0.93.0", "0.93.0"], ["0.93", "0.93.0"], ["v0.93.1-distroless", "0.93.1"],
		["0.80.1-debian-12-r0", "0.80.1"], ["v0.93.0-eks.1", "0.93.0"], ["v0.94.0-rc.0", "0.94.0-rc.0"],
		["v0.94.0-rc0", "0.94.0-rc0"], ["v0.94.0-beta-2", "0.94.0-beta"], ["v0.94.0-rc.01", "0.94.0"],
		["0.93.0+build", "0.93.0"], ["0.93.x", "0.93.0"],
	] {
		prometheus_operator.version(case[0]) == case[1]
	}
}

test_everything_else_is_no_version if {
	texts := [
		"", "latest", "main", "20260728", "v1", "vv0.93.0", "0.93.0rc1", "00.93.0", "0.093.0", "0.9999999.0", " 0.93.0",
		"sha-0.93.0", "0.93.0\n", "0.93.0.4", null, 0.93, ["0.93.0"], {},
	]
	{text | some text in texts; prometheus_operator.version(text)} == set()
}

test_a_version_is_older_than_a_newer_one_and_a_candidate_than_its_release if {
	prometheus_operator.older("0.9.0", "0.10.0")
	prometheus_operator.older("0.93.0-rc.0", "0.93.0")
	prometheus_operator.older("0.93.0", "0.93.1")
	not prometheus_operator.older("0.93.0", "0.93.0")
	not prometheus_operator.older("0.93.0", "0.92.1")
}

test_the_oldest_of_versions if {
	prometheus_operator.oldest({"0.10.0", "0.9.0", "0.93.0"}) == "0.9.0"
	not prometheus_operator.oldest(set())
}

test_a_version_needs_the_crds_that_it_comes_with if {
	_plurals("0.38.3") == []
	_plurals("0.39.0") == [
		"alertmanagers", "podmonitors", "prometheuses", "prometheusrules", "servicemonitors", "thanosrulers",
	]
	_plurals("0.41.0") == [
		"alertmanagers", "podmonitors", "probes", "prometheuses", "prometheusrules", "servicemonitors", "thanosrulers",
	]
	count(_plurals("0.43.0")) == 8
	"prometheusagents" in _plurals("0.64.0")
	not "scrapeconfigs" in _plurals("0.64.1")
	count(_plurals("0.65.0")) == 10
}

_plurals(version) := [split(name, ".")[0] | some name in prometheus_operator.needed(version)]

test_the_file_of_a_crd if {
	prometheus_operator.file("probes.monitoring.coreos.com") == "monitoring.coreos.com_probes.yaml"
}

test_the_annotation_of_a_crd if {
	annotated := {"metadata": {"annotations": {"operator.prometheus.io/version": "0.93.0"}}}
	prometheus_operator.annotated(annotated) == "0.93.0"
	others := [{}, {"metadata": {}}, {"metadata": {"annotations": {"operator.prometheus.io/version": "new"}}}]
	{other | some other in others; prometheus_operator.annotated(other)} == set()
}

test_the_fields_that_a_crd_serves if {
	crd := {"spec": {"versions": [
		_version(["a", "b"], {}),
		_version(["c"], {"served": true}),
		_version(["d"], {"served": false}),
	]}}
	prometheus_operator.fields(crd) == {"a", "b", "c"}
	every other in [{}, {"spec": "x"}, {"spec": {"versions": ["x", {}, {"schema": []}]}}] {
		prometheus_operator.fields(other) == set()
	}
}

test_the_fields_tell_what_a_crd_is_older_than if {
	_lag("probes", ["prober"]) == {"version": "0.47.0", "field": "basicAuth"}
	_lag("probes", ["prober", "basicAuth"]) == {"version": "0.50.0", "field": "authorization"}
	_lag("alertmanagerconfigs", ["route"]) == {"version": "0.53.0", "field": "muteTimeIntervals"}
}

test_a_field_that_is_gone_again_does_not_make_a_crd_older if {
	_lag("probes", ["prober", "keepDroppedTargets"]) == {"version": "0.72.0", "field": "scrapeClass"}
}

test_fields_that_tell_nothing if {
	not _lag("prometheusrules", ["groups"])
	not _lag("alertmanagerconfigs", ["route", "muteTimeIntervals"])
	not _lag("probes", [])
	not _lag("colours", ["hue"])
}

_lag(plural, fields) := prometheus_operator.lags(
	sprintf("%s.monitoring.coreos.com", [plural]),
	{"spec": {"versions": [_version(fields, {})]}},
)

_version(fields, more) := object.union(more, {"schema": {"openAPIV3Schema": schema}}) if {
	properties := {field: {"type": "string"} | some field in fields}
	schema := {"properties": {"spec": {"properties": properties}}}
}

test_every_crd_is_described if {
	every name, crd in prometheus_operator.crds {
		endswith(name, ".monitoring.coreos.com")
		prometheus_operator.version(crd.since) == crd.since
		startswith(crd.objects, "monitoring.coreos.com/v1")
		endswith(crd.objects, sprintf("/%s", [split(name, ".")[0]]))
		every version, _ in crd.fields {
			prometheus_operator.older(crd.since, version)
		}
	}
}

test_renamed_fields_are_no_markers if {
	every crd in prometheus_operator.crds {
		every field in crd.fields {
			not field in prometheus_operator.renamed
		}
	}
}
