package eksguard.operator_upgrade_test

import data.eksguard.lib.prometheus_operator
import data.eksguard.operator_upgrade

# What an operator needs

test_an_operator_whose_crds_are_missing_and_old_is_denied_with_the_exact_crds_and_the_command if {
	crds := _replaced(
		object.remove(_crds_at("0.93.0"), {"scrapeconfigs.monitoring.coreos.com"}),
		{
			"prometheuses.monitoring.coreos.com": _crd("0.68.0", []),
			"probes.monitoring.coreos.com": _crd("", ["prober"]),
			"podmonitors.monitoring.coreos.com": object.union(_crd("0.93.0", []), {"metadata": {"deletionTimestamp": "x"}}),
		},
	)
	_denials(_create(_deployment(_operator("v0.93.0"))), crds) == {{
		"rule": "crds-first",
		"field": "spec.template.spec.containers[0].image",
		"message": concat("", [
			`prometheus-operator 0.93.0 (image "quay.io/prometheus-operator/prometheus-operator:v0.93.0") needs its CRDs at `,
			"0.93.0 or newer, but podmonitors.monitoring.coreos.com is being deleted, probes.monitoring.coreos.com is older ",
			"than 0.47.0, as it serves no spec.basicAuth, prometheuses.monitoring.coreos.com is at 0.68.0, ",
			"scrapeconfigs.monitoring.coreos.com is missing",
		]),
		"fix": concat("", [
			"in example/prometheus-operator-crd of prometheus-operator v0.93.0 run kubectl apply --server-side ",
			"-f monitoring.coreos.com_podmonitors.yaml -f monitoring.coreos.com_probes.yaml ",
			"-f monitoring.coreos.com_prometheuses.yaml -f monitoring.coreos.com_scrapeconfigs.yaml, then roll the operator; ",
			"with Flux, put them into a Kustomization that the operator's one depends on",
		]),
	}}
}

test_an_operator_whose_crds_are_there_is_admitted if {
	every found in ["0.93.0", "0.93.1", "1.0.0"] {
		_silent(_create(_deployment(_operator("v0.93.0"))), _crds_at(found))
	}
}

test_crds_of_a_patch_release_before_are_too_old if {
	_denied(_create(_deployment(_operator("v0.92.1"))), _crds_at("0.92.0"))
	_denied(_create(_deployment(_operator("v0.93.0"))), _crds_at("0.93.0-rc.0"))
}

test_a_fresh_install_needs_the_crds_first if {
	_denied(_create(_deployment(_operator("v0.93.0"))), {})
}

test_an_older_operator_does_not_need_the_crds_of_later_versions if {
	crds := object.remove(_crds_at("0.64.0"), {"scrapeconfigs.monitoring.coreos.com"})
	_silent(_create(_deployment(_operator("v0.64.0"))), crds)
}

test_operators_before_0_39_bring_their_crds_themselves if {
	_silent(_create(_deployment(_operator("v0.27.0"))), {})
	_silent(_create(_deployment(_operator("v0.38.3"))), {})
	_denied(_create(_deployment(_operator("v0.39.0"))), {})
}

# Which images are operators

test_the_image_counts_in_any_registry_with_any_suffix_and_digest if {
	every image in [
		"prometheus-operator:v0.93.0",
		"quay.io/coreos/prometheus-operator:v0.93.0",
		"localhost:5000/prometheus-operator:0.93.0",
		"555555555555.dkr.ecr.us-west-2.amazonaws.com/quay/prometheus-operator/prometheus-operator:v0.93.0",
		"docker.io/bitnami/prometheus-operator:0.93.0-debian-12-r0",
		"rancher/mirrored-prometheus-operator-prometheus-operator:v0.93.0",
		"quay.io/prometheus-operator/prometheus-operator:v0.93.0@sha256:0a",
		"quay.io/prometheus-operator/prometheus-operator:v0.93.0-distroless",
	] {
		_denied(_create(_deployment([{"name": "o", "image": image}])), _crds_at("0.92.0"))
	}
}

test_other_images_do_not_count if {
	every image in [
		"quay.io/prometheus-operator/prometheus-config-reloader:v0.93.0",
		"quay.io/prometheus-operator/admission-webhook:v0.93.0",
		"example.com/prometheus-operator/other:v0.93.0", "", null, 1, ["prometheus-operator:v0.93.0"],
	] {
		_silent(_create(_deployment([{"name": "o", "image": image}])), {})
	}
}

test_settings_say_which_repositories_hold_it if {
	review := _create(_deployment([{"name": "o", "image": "example.com/po:v0.93.0"}]))
	_silent(review, {})
	denials := operator_upgrade.deny with input as review
		with data.cluster as _cluster({})
		with data.eksguard.settings.operator_upgrade.images as ["*/po"]
	count(denials) == 1
}

test_every_container_counts if {
	sidecar := {"name": "proxy", "image": "proxy:1"}
	denials := _denials(_create(_deployment(array.concat([sidecar], _operator("v0.93.0")))), {})
	{denial.field | some denial in denials} == {"spec.template.spec.containers[1].image"}
	init := {"spec": {"template": {"spec": {"initContainers": _operator("v0.93.0")}}}}
	init_denials := _denials(_create(object.union(_deployment([sidecar]), init)), {})
	{denial.field | some denial in init_denials} == {"spec.template.spec.initContainers[0].image"}
}

test_a_pod_template_of_a_wrong_shape_holds_no_operator if {
	every spec in [null, "x", [], {}, {"template": "x"}, {"template": {"spec": {"containers": "x"}}}] {
		_silent(_create({"metadata": {"name": "o"}, "spec": spec}), {})
	}
	_silent(_create(_deployment(["x", null, {}])), {})
}

# Which version it is

test_the_reloader_tells_the_version_of_a_digest_and_of_a_tag_without_one if {
	reloader := "quay.io/prometheus-operator/prometheus-config-reloader:v0.93.0"
	every image in ["example.com/prometheus-operator@sha256:0a", "example.com/prometheus-operator:main"] {
		every words in [
			{"args": ["--log-level=debug", concat("=", ["--prometheus-config-reloader", reloader])]},
			{"args": [concat("=", ["-prometheus-config-reloader", reloader])]},
			{"args": ["--prometheus-config-reloader", reloader]},
			{"args": ["-prometheus-config-reloader", reloader, 1]},
			{"args": ["--prometheus-config-reloader=x:v0.1.0", concat("=", ["--prometheus-config-reloader", reloader])]},
			{"command": ["/bin/operator", concat("=", ["--prometheus-config-reloader", reloader])], "args": null},
		] {
			operator := object.union({"name": "o", "image": image}, words)
			denials := _denials(_create(_deployment([operator])), {})
			some denial in denials
			startswith(denial.message, "prometheus-operator 0.93.0 (image ")
		}
	}
}

test_the_tag_tells_more_than_the_reloader if {
	operator := {"image": "example.com/prometheus-operator:v0.92.0", "args": ["--prometheus-config-reloader=x:v0.93.0"]}
	_silent(_create(_deployment([operator])), _crds_at("0.92.0"))
}

test_an_unknown_version_is_a_warning if {
	every args in [null, [], "x", ["--prometheus-config-reloader"], ["--prometheus-config-reloader=x@sha256:0a"]] {
		review := _create(_deployment([{"image": "example.com/prometheus-operator@sha256:0a", "args": args}]))
		_denials(review, {}) == set()
		_warnings(review, {}) == {{
			"rule": "operator-version",
			"field": "spec.template.spec.containers[0].image",
			"message": concat("", [
				`image "example.com/prometheus-operator@sha256:0a" does not tell its version of prometheus-operator, so its `,
				"CRDs were not checked",
			]),
		}}
	}
}

# Crds of unknown version

test_a_crd_that_may_be_new_enough_is_a_warning if {
	crds := _replaced(_crds_at("0.93.0"), {
		"prometheusrules.monitoring.coreos.com": _crd("", ["groups"]),
		"probes.monitoring.coreos.com": _crd("custom", []),
	})
	review := _create(_deployment(_operator("v0.93.0")))
	_denials(review, crds) == set()
	_warnings(review, crds) == {{
		"rule": "crd-version",
		"field": "spec.template.spec.containers[0].image",
		"message": concat("", [
			"prometheus-operator 0.93.0 needs its CRDs at 0.93.0 or newer, and that cannot be told of ",
			"probes.monitoring.coreos.com, prometheusrules.monitoring.coreos.com: they have no annotation ",
			"operator.prometheus.io/version",
		]),
		"fix": concat("", [
			"in example/prometheus-operator-crd of prometheus-operator v0.93.0 run kubectl apply --server-side ",
			"-f monitoring.coreos.com_probes.yaml -f monitoring.coreos.com_prometheusrules.yaml, before the operator rolls",
		]),
	}}
}

test_fields_of_a_later_version_than_needed_do_not_matter if {
	crds := _replaced(_crds_at("0.47.0"), {"probes.monitoring.coreos.com": _crd("", ["basicAuth"])})
	review := _create(_deployment(_operator("v0.47.0")))
	_denials(review, crds) == set()
	{warning.rule | some warning in _warnings(review, crds)} == {"crd-version"}
}

test_without_a_cluster_there_is_a_warning if {
	review := _create(_deployment(_operator("v0.39.0")))
	warnings := operator_upgrade.warn with input as review with data.cluster as {}
	some warning in warnings
	endswith(warning.message, "thanosrulers.monitoring.coreos.com: the CRDs of the cluster are not known here")
	denials := operator_upgrade.deny with input as review with data.cluster as {}
	denials == set()
}

# What an update does

test_an_update_that_does_not_roll_the_operator_is_admitted_whatever_the_crds_are if {
	old := _deployment(_operator("v0.93.0"))
	every change in [
		{"spec": {"replicas": 0}}, {"metadata": {"finalizers": []}}, {"metadata": {"deletionTimestamp": "x"}},
		{"spec": {"template": {"metadata": {"labels": {"a": "b"}}}}},
		{"spec": {"template": {"spec": {"containers": [object.union(_operator("v0.93.0")[0], {"resources": {}})]}}}},
	] {
		_silent(_update(old, object.union(old, change)), {})
	}
}

test_what_rolls_the_operator_is_judged if {
	old := _deployment(_operator("v0.93.0"))
	every change in [
		{"args": ["--log-level=debug"]}, {"command": ["/bin/operator"]},
		{"image": "quay.io/prometheus-operator/prometheus-operator:v0.93.0@sha256:0a"},
		{"image": "quay.io/prometheus-operator/prometheus-operator:v0.93.1"},
	] {
		new := object.union(_operator("v0.93.0")[0], change)
		_denied(_update(old, _deployment([new])), _crds_at("0.92.0"))
	}
}

test_an_object_that_is_being_deleted_is_judged_like_any_other if {
	new := object.union(_deployment(_operator("v0.93.0")), {"metadata": {"deletionTimestamp": "x"}})
	_denied(_update(_deployment(_operator("v0.92.0")), new), _crds_at("0.92.0"))
}

test_an_operator_may_go_down_whatever_the_crds_are if {
	_silent(_update(_deployment(_operator("v0.93.0")), _deployment(_operator("v0.80.0"))), {})
	init := {"spec": {"template": {"spec": {"initContainers": _operator("v0.92.0")}}}}
	old := object.union(_deployment(_operator("v0.93.0")), init)
	_silent(_update(old, _deployment(_operator("v0.80.0"))), {})
	_denied(_update(old, _deployment(_operator("v0.92.1"))), {})
}

test_a_change_from_an_unknown_version_is_judged if {
	old := _deployment([{"image": "example.com/prometheus-operator:main"}])
	_denied(_update(old, _deployment(_operator("v0.80.0"))), {})
	_denied(_update(_deployment([{"image": "other:1"}]), _deployment(_operator("v0.80.0"))), {})
}

# CRDs in use

test_deleting_a_crd_in_use_is_denied_with_what_would_go if {
	review := _delete("prometheuses.monitoring.coreos.com")
	state := _objects("monitoring.coreos.com/v1/prometheuses", {"a": {"k8s": {}}, "b": {"x": {}, "y": {}, "z": {}}})
	_denials_in(review, state) == {{
		"rule": "crd-delete",
		"field": "metadata.name",
		"message": concat("", [
			`deleting CRD "prometheuses.monitoring.coreos.com" would delete every Prometheus in the cluster, and there are 4 `,
			`("a/k8s", "b/x", "b/y", …)`,
		]),
		"fix": concat("", [
			"keep the CRD (with Flux: annotate it kustomize.toolkit.fluxcd.io/prune: disabled), or delete those objects first ",
			"if nobody needs them",
		]),
	}}
}

test_the_objects_are_counted if {
	every case in [[{"a": {"b": {}}}, `there is 1 ("a/b")`], [{"a": {"b": {}, "c": {}}}, `there are 2 ("a/b", "a/c")`]] {
		denials := _denials_in(_delete("probes.monitoring.coreos.com"), _objects("monitoring.coreos.com/v1/probes", case[0]))
		some denial in denials
		endswith(denial.message, case[1])
	}
}

test_deleting_a_crd_without_objects_is_admitted if {
	_denials_in(_delete("probes.monitoring.coreos.com"), _objects("monitoring.coreos.com/v1/probes", {})) == set()
	_denials_in(_delete("probes.monitoring.coreos.com"), _objects("monitoring.coreos.com/v1/probes", {"a": {}})) == set()
}

test_deleting_a_crd_is_denied_while_its_objects_are_not_known if {
	denials := _denials_in(_delete("probes.monitoring.coreos.com"), {})
	some denial in denials
	endswith(denial.message, "would delete every Probe in the cluster, and whether there are any is not known")
	unknown_denials := _denials_in(_delete("colours.monitoring.coreos.com"), {})
	some unknown in unknown_denials
	contains(unknown.message, "every object of its kind in the cluster, and whether there are any is not known")
}

test_other_crds_may_be_deleted if {
	every name in ["colours.example.com", "monitoring.coreos.com", "a.b.monitoring.coreos.com", 1] {
		_denials_in(_delete(name), {}) == set()
	}
}

test_a_crd_in_use_that_goes_back_to_an_older_version_is_denied if {
	denials := _denials_in(_change(_crd("0.93.0", ["a", "b"]), _crd("0.68.0", ["a", "b"])), _one_probe)
	denials == {{
		"rule": "crd-downgrade",
		"field": `metadata.annotations["operator.prometheus.io/version"]`,
		"message": concat("", [
			`CRD "probes.monitoring.coreos.com" would go back from version 0.93.0 to 0.68.0, so that objects may lose `,
			`fields, and there is 1 ("a/b")`,
		]),
		"fix": concat("", [
			"apply monitoring.coreos.com_probes.yaml of prometheus-operator v0.93.0 or newer, or delete the objects first",
		]),
	}}
}

test_a_crd_in_use_that_loses_its_version_is_denied if {
	denials := _denials_in(_change(_crd("0.93.0", ["a"]), _crd("", ["a"])), _one_probe)
	{denial.message | some denial in denials} == {concat("", [
		`CRD "probes.monitoring.coreos.com" at version 0.93.0 would become one of unknown version, as those before 0.69.0, `,
		`so that objects may lose fields, and there is 1 ("a/b")`,
	])}
}

test_a_crd_in_use_that_loses_fields_without_rising_is_denied if {
	denials := _denials_in(_change(_crd("", ["a", "b", "c", "d", "e"]), _crd("", ["a"])), _one_probe)
	denials == {{
		"rule": "crd-downgrade",
		"field": "spec.versions",
		"message": concat("", [
			`CRD "probes.monitoring.coreos.com" would no longer serve spec.b, spec.c, spec.d, and 1 more, so that objects may `,
			`lose fields, and there is 1 ("a/b")`,
		]),
		"fix": "apply a CRD that is as new as the one in the cluster, or delete the objects first",
	}}
	_denials_in(_change(_crd("0.93.0", ["a", "b"]), _crd("0.93.0", ["a"])), _one_probe) != set()
	_denials_in(_change(_crd("", ["a", "b"]), _crd("0.70.0", ["a"])), _one_probe) != set()
	_denials_in(_change(_crd("", ["a", "b"]), "x"), _one_probe) != set()
}

test_a_crd_may_rise_and_lose_renamed_fields if {
	_denials_in(_change(_crd("0.68.0", ["a", "b"]), _crd("0.93.0", ["a"])), _one_probe) == set()
	_denials_in(_change(_crd("0.93.0", ["a"]), _crd("0.93.0", ["a", "b"])), _one_probe) == set()
	_denials_in(_change(_crd("", ["a"]), _crd("0.93.0", ["a", "b"])), _one_probe) == set()
	_denials_in(_change(_crd("", ["a", "NomadSDConfigs"]), _crd("", ["a"])), _one_probe) == set()
}

test_a_crd_without_objects_may_go_back if {
	review := _change(_crd("0.93.0", ["a", "b"]), _crd("0.68.0", ["a"]))
	_denials_in(review, _objects("monitoring.coreos.com/v1/probes", {})) == set()
	_denials_in(review, {}) != set()
}

test_crds_of_other_groups_may_go_back if {
	other := {"request": {"oldObject": {"metadata": {"name": "colours.example.com"}}}}
	review := object.union(_change(_crd("0.93.0", ["a"]), _crd("0.68.0", [])), other)
	_denials_in(review, {}) == set()
}

# Builders

_replaced(crds, others) := object.union(object.remove(crds, object.keys(others)), others)

_denials(review, crds) := _denials_in(review, _cluster(crds))

_denials_in(review, state) := denials if {
	denials := operator_upgrade.deny with input as review with data.cluster as state
}

_warnings(review, crds) := warnings if {
	warnings := operator_upgrade.warn with input as review with data.cluster as _cluster(crds)
}

_denied(review, crds) if {
	{denial.rule | some denial in _denials(review, crds)} == {"crds-first"}
}

_silent(review, crds) if {
	_denials(review, crds) == set()
	_warnings(review, crds) == set()
}

_cluster(crds) := {"apiextensions.k8s.io/v1/customresourcedefinitions": crds}

_objects(key, objects) := {key: objects}

_one_probe := _objects("monitoring.coreos.com/v1/probes", {"a": {"b": {}}})

_crds_at(version) := {name: _crd(version, []) | some name, _ in prometheus_operator.crds}

_crd(version, fields) := {
	"metadata": {"annotations": {key: version | some key in ["operator.prometheus.io/version"]; version != ""}},
	"spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]},
} if {
	properties := {field: {"type": "string"} | some field in fields}
	schema := {"properties": {"spec": {"properties": properties}}}
}

_operator(tag) := [{
	"name": "prometheus-operator",
	"image": sprintf("quay.io/prometheus-operator/prometheus-operator:%s", [tag]),
}]

_deployment(containers) := {
	"metadata": {"name": "prometheus-operator", "namespace": "monitoring"},
	"spec": {"replicas": 1, "template": {"spec": {"containers": containers}}},
}

_create(object) := _review("CREATE", "apps", "deployments", object, null)

_update(old, new) := _review("UPDATE", "apps", "deployments", new, old)

_delete(name) := _review("DELETE", "apiextensions.k8s.io", "customresourcedefinitions", null, old) if {
	old := {"metadata": {"name": name}}
}

_change(old, new) := _review(
	"UPDATE", "apiextensions.k8s.io", "customresourcedefinitions", new,
	object.union(old, {"metadata": {"name": "probes.monitoring.coreos.com"}}),
)

_review(operation, group, resource, new, old) := {"request": {
	"operation": operation,
	"resource": {"group": group, "version": "v1", "resource": resource},
	"object": new,
	"oldObject": old,
}}
