package eksguard.aws_auth_test

import data.eksguard.aws_auth

_mappings_key := "iamauthenticator.k8s.aws/v1alpha1/iamidentitymappings"

_identity(name, arn, username, groups) := {
	"apiVersion": "iamauthenticator.k8s.aws/v1alpha1",
	"kind": "IAMIdentityMapping",
	"metadata": {"name": name},
	"spec": {"arn": arn, "username": username, "groups": groups},
	"status": {"canonicalARN": lower(arn)},
}

_admin_mapping := _identity("admin", _admin, "admin", _masters)

_node_mapping := _identity("nodes", _node_role, _node.username, _node.groups)

_deploy_mapping := _identity("deploy", _deploy, "deploy", ["dev"])

_mapping_request(operation, name, object, old_object) := {"request": {
	"uid": "1",
	"operation": operation,
	"name": name,
	"resource": {"group": "iamauthenticator.k8s.aws", "version": "v1alpha1", "resource": "iamidentitymappings"},
	"object": object,
	"oldObject": old_object,
	"userInfo": {"username": "kubernetes-admin"},
}}

_map(object) := _mapping_request("CREATE", object.metadata.name, object, null)

_remap(old_object, object) := _mapping_request("UPDATE", old_object.metadata.name, object, old_object)

_unmap(old_object) := _mapping_request("DELETE", old_object.metadata.name, null, old_object)

_mapped(mappings) := {_mappings_key: {mapping.metadata.name: mapping | some mapping in mappings}}

# With aws-auth, which is read where both backends count.
_mapped_beside(mappings, configmap) := object.union(
	_mapped(mappings),
	{"v1/configmaps": {"kube-system": {"aws-auth": configmap}}},
)

_both := ["EKSConfigMap", "CRD"]

test_a_mapping_without_an_administrator_group_passes if {
	aws_auth.deny == set() with input as _map(_deploy_mapping)
	aws_auth.warn == set() with input as _map(_deploy_mapping)
	aws_auth.deny == set() with input as _unmap(_deploy_mapping) with data.cluster as _mapped([_deploy_mapping])
}

test_a_mapping_of_a_new_administrator_is_denied_unless_it_is_confirmed if {
	mapping := _identity("deploy", _deploy, "deploy", _masters)
	aws_auth.deny == {{
		"rule": "admin-grant",
		"field": "spec.arn",
		"message": concat("", [
			sprintf(`"%s" would become cluster administrator (group "system:masters", as username "deploy"), `, [_deploy]),
			"and neither settings aws_auth.admins nor this change confirms it",
		]),
		"fix": concat("", [
			sprintf(`set %s: "%s" in the same change, or list it in settings aws_auth.admins`, [_annotation_field, _deploy]),
		]),
	}} with input as _map(mapping)
	aws_auth.effect == [sprintf(`+ "%s" as "deploy" in "system:masters"`, [_deploy])] with input as _map(mapping)
	_rules(aws_auth.deny) == {"admin-grant"} with input as _remap(_deploy_mapping, mapping)
	aws_auth.deny == set() with input as _map(_confirmed(mapping, _deploy))
	aws_auth.warn == set() with input as _map(_confirmed(mapping, _deploy))
	aws_auth.deny == set() with input as _map(mapping) with data.eksguard.settings.aws_auth.admins as [_deploy]
}

test_a_mapping_to_the_name_of_a_component_is_denied if {
	mapping := _identity("x", _deploy, "system:kube-scheduler", [])
	_rules(aws_auth.deny) == {"reserved-username"} with input as _map(mapping)
}

test_a_mapping_of_another_account_is_denied if {
	mapping := _identity("x", "arn:aws:iam::666666666666:role/x", "x", [])
	_rules(aws_auth.deny) == {"foreign-account"} with input as _map(mapping)
		with data.eksguard.settings.cluster.account as "555555555555"
}

test_a_mapping_that_maps_nobody_is_denied if {
	every arn in ["", "x", "arn:aws:iam::555555555555:role/path/x"] {
		mapping := object.union(_identity("x", arn, "x", []), {"status": {"canonicalARN": ""}})
		_rules(aws_auth.deny) == {"invalid-entry"} with input as _map(mapping)
		aws_auth.deny == set() with input as _remap(mapping, object.union(mapping, {"metadata": {"labels": {"a": "b"}}}))
	}
}

test_the_last_administrator_among_mappings_stays if {
	state := _mapped([_admin_mapping, _node_mapping, _deploy_mapping])
	demoted := object.union(_admin_mapping, {"spec": {"groups": ["dev"]}})
	every review in [_unmap(_admin_mapping), _remap(_admin_mapping, demoted)] {
		aws_auth.deny == {{
			"rule": "last-admin-lost",
			"field": "spec",
			"message": concat("", [
				sprintf("%q would no longer be cluster administrator, ", [_admin]),
				`and nobody else would be (group "system:masters")`,
			]),
			"fix": "keep this entry until that of another administrator is in place",
		}} with input as review with data.cluster as state
	}
	second := _identity("second", _deploy, "deploy", _masters)
	aws_auth.deny == set() with input as _unmap(_admin_mapping) with data.cluster as _mapped([_admin_mapping, second])
}

test_the_last_node_role_among_mappings_stays if {
	state := _mapped([_admin_mapping, _node_mapping])
	_rules(aws_auth.deny) == {"node-role-lost"} with input as _unmap(_node_mapping) with data.cluster as state
}

test_a_collection_is_judged_as_if_all_went if {
	second := _identity("second", _deploy, "deploy", _masters)
	state := _mapped([_admin_mapping, second])
	every mapping in [_admin_mapping, second] {
		_rules(aws_auth.deny) == {"last-admin-lost"} with input as _mapping_request("DELETE", "", null, mapping)
			with data.cluster as state
	}
	viewer := _identity("viewer", "arn:aws:iam::555555555555:user/viewer", "viewer", ["dev"])
	aws_auth.deny == set() with input as _mapping_request("DELETE", "", null, viewer) with data.cluster as state
}

test_what_is_not_known_of_other_mappings_does_not_help if {
	_rules(aws_auth.deny) == {"last-admin-lost"} with input as _unmap(_admin_mapping)
}

test_nobody_unmaps_themselves if {
	second := _identity("second", _deploy, "deploy", _masters)
	_rules(aws_auth.deny) == {"self-lockout"} with input as _asked_by(_unmap(_admin_mapping), _admin)
		with data.cluster as _mapped([_admin_mapping, second])
}

test_a_status_is_that_of_the_spec if {
	forged := object.union(_admin_mapping, {"status": {"canonicalARN": lower(_deploy)}})
	state := _mapped([_admin_mapping])
	some violation in aws_auth.deny with input as _remap(_admin_mapping, forged) with data.cluster as state
	violation == {
		"rule": "forged-status",
		"field": "status.canonicalARN",
		"message": sprintf("%q would be mapped in place of spec.arn, expected %q", [_deploy, _admin]),
	}
	_rules(aws_auth.deny) == {"forged-status", "admin-grant"} with input as _remap(_admin_mapping, forged)
		with data.cluster as state
	unsynced := json.remove(_admin_mapping, ["status"])
	aws_auth.deny == set() with input as _remap(unsynced, _admin_mapping) with data.cluster as _mapped([unsynced])
	_rules(aws_auth.deny) == {"forged-status"} with input as _remap(
		_deploy_mapping,
		object.union(_deploy_mapping, {"status": {"canonicalARN": [_admin]}}),
	)
}

test_a_spec_that_is_not_understood_keeps_whom_it_mapped if {
	stuck := object.union(_admin_mapping, {"spec": {"arn": "x"}})
	_rules(aws_auth.deny) == {"invalid-entry"} with input as _remap(_admin_mapping, stuck)
		with data.cluster as _mapped([_admin_mapping])
}

test_two_mappings_of_one_arn_say_the_same if {
	other := _identity("other", _deploy, "deploy", ["ops"])
	aws_auth.deny == {{
		"rule": "invalid-entry",
		"field": "spec.arn",
		"message": concat("", [
			sprintf(`maps %q, which IAMIdentityMapping "deploy" maps to something else: `, [_deploy]),
			"the authenticator uses only one of them",
		]),
	}} with input as _map(other) with data.cluster as _mapped([_deploy_mapping])
	aws_auth.deny == set() with input as _map(_identity("other", _deploy, "deploy", ["dev"]))
		with data.cluster as _mapped([_deploy_mapping])
	aws_auth.deny == set() with input as _remap(other, object.union(other, {"metadata": {"labels": {"a": "b"}}}))
		with data.cluster as _mapped([_deploy_mapping, other])
}

test_the_backends_are_judged_apart_unless_the_settings_name_both if {
	aws_auth.deny == set() with input as _unmap(_admin_mapping)
		with data.cluster as _mapped_beside([_admin_mapping], _usual)
		with data.eksguard.settings.aws_auth.backends as _both
	_rules(aws_auth.deny) == {"last-admin-lost"} with input as _unmap(_admin_mapping)
		with data.cluster as _mapped_beside([_admin_mapping], _usual)
	no_admin := _auth([_node], [])
	aws_auth.deny == set() with input as _update(_usual, no_admin)
		with data.cluster as _mapped([_admin_mapping])
		with data.eksguard.settings.aws_auth.backends as _both
	_rules(aws_auth.deny) == {"last-admin-lost"} with input as _update(_usual, no_admin)
		with data.cluster as _mapped([_admin_mapping])
}

test_an_aws_auth_that_does_not_exist_has_nobody if {
	_rules(aws_auth.deny) == {"last-admin-lost"} with input as _unmap(_admin_mapping)
		with data.cluster as _mapped([_admin_mapping])
		with data.eksguard.settings.aws_auth.backends as _both
}

test_a_mapping_that_another_backend_answers_for_is_denied if {
	mapping := _identity("x", _admin, "admin", ["dev"])
	every backends in [_both, ["CRD", "EKSConfigMap"]] {
		violations := aws_auth.deny with input as _map(mapping)
			with data.cluster as _mapped_beside([], _usual)
			with data.eksguard.settings.aws_auth.backends as backends
		some violation in violations
		violation.rule == "invalid-entry"
		violation.message == concat("", [
			sprintf(`maps %q, which ConfigMap "kube-system/aws-auth" data.mapUsers[0] maps to something else: `, [_admin]),
			sprintf("the authenticator uses that of backend %s", [backends[0]]),
		])
	}
}

_with_account := object.union(_usual, {"data": {"mapAccounts": "- '555555555555'"}})

test_a_mapping_of_an_account_that_is_mapped_whole_is_denied if {
	violations := aws_auth.deny with input as _map(_deploy_mapping)
		with data.cluster as _mapped_beside([], _with_account)
		with data.eksguard.settings.aws_auth.backends as _both
	{[violation.rule, violation.field, violation.message] | some violation in violations} == {[
		"invalid-entry",
		"spec.arn",
		concat("", [
			sprintf("%q would not be mapped by its IAMIdentityMapping, ", [_deploy]),
			`as mapAccounts has its account "555555555555": the authenticator asks backend EKSConfigMap first`,
		]),
	]}
	aws_auth.deny == set() with input as _map(_deploy_mapping)
		with data.cluster as _mapped_beside([], _with_account)
		with data.eksguard.settings.aws_auth.backends as ["CRD", "EKSConfigMap"]
	aws_auth.deny == set() with input as _remap(_deploy_mapping, _deploy_mapping)
		with data.cluster as _mapped_beside([_deploy_mapping], _with_account)
		with data.eksguard.settings.aws_auth.backends as _both
}

test_an_account_that_is_mapped_whole_hides_the_mappings_of_the_next_backend if {
	before := _auth([_node], [])
	after := object.union(before, {"data": {"mapAccounts": "- '555555555555'"}})
	violations := aws_auth.deny with input as _update(before, after)
		with data.cluster as _mapped([_admin_mapping])
		with data.eksguard.settings.aws_auth.backends as _both
	{[violation.rule, violation.field] | some violation in violations} == {
		["invalid-entry", "data.mapAccounts"],
		["last-admin-lost", "data"],
	}
}

test_what_comes_to_light_by_a_deletion_is_confirmed_by_the_settings if {
	hiding := _identity("hiding", _deploy, "deploy", ["dev"])
	hidden := _identity("hidden", _deploy, "deploy", _masters)
	violations := aws_auth.deny with input as _unmap(hiding) with data.cluster as _mapped([hiding, hidden])
	{[violation.rule, violation.field, violation.fix] | some violation in violations} == {[
		"admin-grant",
		`IAMIdentityMapping "hidden"`,
		concat("", [
			"a deletion cannot confirm it: remove the entries that give it a group of administrators first, ",
			"or list it in settings aws_auth.admins",
		]),
	]}
}

_delete_definition := {"request": {
	"uid": "1",
	"operation": "DELETE",
	"name": "iamidentitymappings.iamauthenticator.k8s.aws",
	"resource": {"group": "apiextensions.k8s.io", "version": "v1", "resource": "customresourcedefinitions"},
	"object": null,
	"oldObject": {"metadata": {"name": "iamidentitymappings.iamauthenticator.k8s.aws"}},
	"userInfo": {"username": "kubernetes-admin"},
}}

test_the_definition_of_mappings_in_use_stays if {
	state := _mapped([_admin_mapping, _node_mapping])
	aws_auth.deny == {{
		"rule": "deleted",
		"field": "metadata.name",
		"message": concat("", [
			"deleting the CustomResourceDefinition of IAMIdentityMappings would delete all of them, ",
			"and lock out whom they map (2 ARNs)",
		]),
		"fix": "delete each IAMIdentityMapping by its name first",
	}} with input as _delete_definition with data.cluster as state
	aws_auth.effect == [
		sprintf("- %s", [_node_line]),
		sprintf(`- "%s" as "admin" in "system:masters"`, [_admin]),
	] with input as _delete_definition with data.cluster as state
	aws_auth.deny == set() with input as _delete_definition with data.cluster as _mapped([])
	_rules(aws_auth.deny) == {"deleted"} with input as _delete_definition
	other := object.union(_delete_definition, {"request": {"name": "x", "oldObject": {"metadata": {"name": "x"}}}})
	aws_auth.deny == set() with input as other
}

test_a_mapping_of_any_shape_is_judged_without_failing if {
	every spec in [null, 5, [], {"arn": 5}, {"arn": {}, "username": [], "groups": {}}, {"groups": [null]}] {
		shapeless := {"metadata": {"name": "x"}, "spec": spec, "status": spec}
		"invalid-entry" in _rules(aws_auth.deny) with input as _map(shapeless)
		aws_auth.deny == set() with input as _remap(shapeless, shapeless) with data.cluster as _mapped([shapeless])
	}
	every metadata in [null, 5, {"name": 5}] {
		_rules(aws_auth.deny) == {"invalid-entry"} with input as _mapping_request("CREATE", "x", {"metadata": metadata}, null)
	}
}

test_what_a_deletion_of_unknown_mappings_does_is_not_known if {
	aws_auth.effect == ["all IAMIdentityMappings are deleted; whom they map is not known"] with input as _delete_definition
}
