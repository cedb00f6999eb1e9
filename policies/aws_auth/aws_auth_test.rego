package eksguard.aws_auth_test

import data.eksguard.aws_auth

_admin := "arn:aws:iam::555555555555:user/admin"

_deploy := "arn:aws:iam::555555555555:role/codebuild-deploy"

_node_role := "arn:aws:iam::555555555555:role/devel-worker-nodes-NodeInstanceRole-74RF4UBDUKL6"

_key := "eksguard.io/confirm-admins"

_annotation_field := `metadata.annotations["eksguard.io/confirm-admins"]`

_node := {
	"rolearn": _node_role,
	"username": "system:node:{{EC2PrivateDNSName}}",
	"groups": ["system:bootstrappers", "system:nodes"],
}

_user(arn, groups) := {"userarn": arn, "username": "admin", "groups": groups}

_role(arn, groups) := {"rolearn": arn, "username": "deploy", "groups": groups}

_masters := ["system:masters"]

_configmap(data_of) := {
	"apiVersion": "v1",
	"kind": "ConfigMap",
	"metadata": {"name": "aws-auth", "namespace": "kube-system"},
	"data": data_of,
}

_auth(roles, users) := _configmap({"mapRoles": yaml.marshal(roles), "mapUsers": yaml.marshal(users)})

_confirmed(configmap, value) := object.union(configmap, {"metadata": {"annotations": {_key: value}}})

_request(operation, name, object, old_object) := {"request": {
	"uid": "1",
	"operation": operation,
	"namespace": "kube-system",
	"name": name,
	"object": object,
	"oldObject": old_object,
	"userInfo": {"username": "system:serviceaccount:flux-system:kustomize-controller"},
}}

_create(object) := _request("CREATE", "aws-auth", object, null)

_update(old_object, object) := _request("UPDATE", "aws-auth", object, old_object)

_delete(old_object) := _request("DELETE", "aws-auth", null, old_object)

_rules(violations) := {violation.rule | some violation in violations}

# An aws-auth as most are.
_usual := _auth([_node], [_user(_admin, _masters)])

_with_deploy := _auth([_node, _role(_deploy, _masters)], [_user(_admin, _masters)])

test_an_untouched_aws_auth_passes if {
	aws_auth.deny == set() with input as _update(_usual, _usual)
	aws_auth.warn == set() with input as _update(_usual, _usual)
}

test_a_new_entry_without_an_administrator_group_passes if {
	after := _auth([_node, _role(_deploy, ["developers"])], [_user(_admin, _masters)])
	aws_auth.deny == set() with input as _update(_usual, after)
	aws_auth.warn == set() with input as _update(_usual, after)
}

test_entries_as_eks_writes_them_pass if {
	fargate := {
		"rolearn": "arn:aws:iam::555555555555:role/AmazonEKSFargatePodExecutionRole",
		"username": "system:node:{{SessionName}}",
		"groups": ["system:bootstrappers", "system:nodes", "system:node-proxier"],
	}
	after := _configmap({"mapRoles": yaml.marshal([_node, fargate])})
	aws_auth.deny == set() with input as _create(after)
	aws_auth.warn == set() with input as _create(after)
}

test_a_new_administrator_is_denied_with_the_confirmation_to_add if {
	before := _auth([_node], [])
	aws_auth.deny == {{
		"rule": "admin-grant",
		"field": "data.mapUsers[0]",
		"message": concat("", [
			`"arn:aws:iam::555555555555:user/admin" would become cluster administrator `,
			`(group "system:masters", as username "admin"), `,
			"and neither settings aws_auth.admins nor this change confirms it",
		]),
		"fix": concat("", [
			`set metadata.annotations["eksguard.io/confirm-admins"]: "arn:aws:iam::555555555555:user/admin" `,
			"in the same change, or list it in settings aws_auth.admins",
		]),
	}} with input as _update(before, _usual)
}

test_new_administrators_of_a_new_aws_auth_are_denied_all_at_once if {
	violations := aws_auth.deny with input as _create(_with_deploy)
	{[violation.rule, violation.field] | some violation in violations} == {
		["admin-grant", "data.mapRoles[1]"],
		["admin-grant", "data.mapUsers[0]"],
	}
	{violation.fix | some violation in violations} == {concat("", [
		sprintf(`set %s: "%s,%s" in the same change, `, [_annotation_field, _deploy, _admin]),
		"or list them in settings aws_auth.admins",
	])}
}

test_a_confirmed_administrator_passes if {
	every confirmation in [_deploy, upper(_deploy), sprintf(" %s,\n", [_deploy])] {
		after := _confirmed(_with_deploy, confirmation)
		aws_auth.deny == set() with input as _update(_usual, after)
		aws_auth.warn == set() with input as _update(_usual, after)
	}
}

test_several_administrators_are_confirmed_with_commas_or_spaces if {
	every separator in [",", ", ", " ", "\n", " , "] {
		after := _confirmed(_with_deploy, concat(separator, [_admin, _deploy]))
		aws_auth.deny == set() with input as _create(after)
	}
}

test_an_administrator_whose_name_has_commas_can_be_confirmed if {
	arn := "arn:aws:iam::555555555555:role/a,b"
	after := _confirmed(_auth([_node, _role(arn, _masters)], [_user(_admin, _masters)]), concat(",", [_deploy, arn]))
	_rules(aws_auth.deny) == {"admin-grant"} with input as _update(_usual, after)
	aws_auth.deny == set() with input as _update(_with_deploy, _confirmed(after, arn))
}

test_administrators_in_the_settings_pass if {
	aws_auth.deny == set() with input as _update(_usual, _with_deploy)
		with data.eksguard.settings.aws_auth.admins as [upper(_deploy)]
}

test_listed_administrators_may_be_confirmed_too if {
	confirmation := sprintf("%s %s", [_admin, _deploy])
	every value in [confirmation, _admin] {
		aws_auth.deny == set() with input as _create(_confirmed(_with_deploy, value))
			with data.eksguard.settings.aws_auth.admins as [_deploy]
	}
}

test_a_confirmation_of_fewer_or_more_is_denied if {
	every value in [_admin, sprintf("%s,%s,arn:aws:iam::1:user/x", [_admin, _deploy]), "yes"] {
		violations := aws_auth.deny with input as _create(_confirmed(_with_deploy, value))
		count(violations) == 2
		every violation in violations {
			endswith(violation.message, sprintf(
				"and the confirmation %q does not name exactly the new administrators",
				[value],
			))
		}
	}
}

test_a_confirmation_left_in_place_blocks_no_later_change if {
	before := _confirmed(_with_deploy, _deploy)
	after := _confirmed(
		_auth(
			[_node, _role(_deploy, _masters), _role("arn:aws:iam::555555555555:role/dev", ["dev"])],
			[_user(_admin, _masters)],
		),
		_deploy,
	)
	aws_auth.deny == set() with input as _update(before, after)
	aws_auth.warn == set() with input as _update(before, after)
}

test_a_confirmation_left_in_place_confirms_no_later_grant if {
	before := _confirmed(_usual, _deploy)
	after := _confirmed(_with_deploy, _deploy)
	violations := aws_auth.deny with input as _update(before, after)
	{[violation.field, violation.message, violation.fix] | some violation in violations} == {[
		"data.mapRoles[1]",
		concat("", [
			sprintf(`"%s" would become cluster administrator (group "system:masters", `, [_deploy]),
			`as username "deploy"), `,
			sprintf(`and the confirmation "%s" is not part of this change`, [_deploy]),
		]),
		concat("", [
			"remove the earlier confirmation in a change of its own, then ",
			sprintf(`set %s: "%s" in the same change, `, [_annotation_field, _deploy]),
			"or list it in settings aws_auth.admins",
		]),
	]}
}

test_a_confirmation_that_confirms_nobody_is_told if {
	aws_auth.deny == set() with input as _update(_usual, _confirmed(_usual, _deploy))
	aws_auth.warn == {{
		"rule": "unused-confirmation",
		"field": _annotation_field,
		"message": sprintf("names %q, which this change does not make an administrator", [_deploy]),
	}} with input as _update(_usual, _confirmed(_usual, _deploy))
}

test_a_confirmation_that_is_no_text_does_not_count if {
	_rules(aws_auth.deny) == {"admin-grant"} with input as _update(_usual, _confirmed(_with_deploy, [_deploy]))
}

test_another_username_or_other_groups_for_an_administrator_pass if {
	every user in [
		{"userarn": _admin, "username": "root", "groups": _masters},
		{"userarn": _admin, "username": "admin", "groups": ["system:masters", "developers"]},
		{"userarn": upper(_admin), "username": "admin", "groups": _masters},
	] {
		aws_auth.deny == set() with input as _update(_usual, _auth([_node], [user]))
	}
}

test_an_administrator_may_move_to_the_other_section if {
	after := _auth([_node, _role(_admin, _masters)], [])
	aws_auth.deny == set() with input as _update(_usual, after)
}

test_another_arn_for_an_administrator_is_denied if {
	after := _auth([_node], [_user("arn:aws:iam::555555555555:user/mallory", _masters)])
	_rules(aws_auth.deny) == {"admin-grant"} with input as _update(_usual, after)
}

test_an_administrator_group_added_to_a_mapped_role_is_denied if {
	before := _auth([_node, _role(_deploy, ["developers"])], [_user(_admin, _masters)])
	_rules(aws_auth.deny) == {"admin-grant"} with input as _update(before, _with_deploy)
}

test_administrator_groups_are_those_of_the_settings if {
	after := _auth([_node, _role(_deploy, ["admins"])], [_user(_admin, _masters)])
	_rules(aws_auth.deny) == {"admin-grant"} with input as _update(_usual, after)
		with data.eksguard.settings.aws_auth.admin_groups as ["system:masters", "admins"]
	aws_auth.deny == set() with input as _update(_usual, after)
}

test_groups_that_render_as_an_administrator_group_are_denied if {
	every group in [
		"system:{{SessionName}}",
		"system:{{SessionNameRaw}}",
		"sys{{SessionName}}tem:masters",
		"{{AccessKeyID}}:masters",
		"system:masters{{AccountID}}",
		"sys{{Sess{{SessionName}}ionNameRaw}}ers",
	] {
		after := _auth([_node, _role(_deploy, [group])], [_user(_admin, _masters)])
		violations := aws_auth.deny with input as _update(_usual, after)
		{violation.message | some violation in violations} == {concat("", [
			sprintf("%q would become cluster administrator (group %q, which can become ", [_deploy, group]),
			`"system:masters", as username "deploy"), `,
			"and neither settings aws_auth.admins nor this change confirms it",
		])}
	}
}

test_groups_that_cannot_render_as_an_administrator_group_pass if {
	groups := [
		"{{SessionName}}", "team:{{SessionName}}", "system:m.sters", "system:{{Unknown}}", "System:Masters",
		"system:masters ", "x{{Sess{{SessionName}}ionNameRaw}}", "{{AccountID}}:masters:x", `system\:{{SessionName}}`,
	]
	every group in groups {
		after := _auth([_node, _role(_deploy, [group])], [_user(_admin, _masters)])
		aws_auth.deny == set() with input as _update(_usual, after)
	}
}

test_an_unchanged_group_with_placeholders_is_not_denied_again if {
	before := _auth([_role(_deploy, ["system:{{SessionName}}"]), _node], [_user(_admin, _masters)])
	after := _auth([_node, _role(_deploy, ["system:{{SessionName}}"])], [_user(_admin, _masters)])
	aws_auth.deny == set() with input as _update(before, after)
}

test_a_grant_hidden_in_another_letter_case_is_denied if {
	hidden := sprintf("[{Groups: [system:masters], groups: [null], rolearn: %q, username: u}]", [_deploy])
	before := _configmap({"mapUsers": yaml.marshal([_user(_admin, _masters)])})
	after := _configmap({"mapRoles": hidden, "mapUsers": yaml.marshal([_user(_admin, _masters)])})
	_rules(aws_auth.deny) == {"admin-grant", "invalid-entry"} with input as _update(before, after)
}

test_a_grant_in_a_shadowed_entry_is_denied_when_it_is_written if {
	after := _auth([_node, _role(_deploy, _masters), _role(_deploy, [])], [_user(_admin, _masters)])
	_rules(aws_auth.deny) == {"admin-grant", "invalid-entry"} with input as _update(_usual, after)
}

test_a_shadowed_grant_is_denied_when_it_comes_to_light_but_not_while_it_lies if {
	before := _auth([_node, _role(_deploy, _masters), _role(_deploy, [])], [_user(_admin, _masters)])
	aws_auth.deny == set() with input as _update(before, object.union(before, {"metadata": {"labels": {"a": "b"}}}))
	_rules(aws_auth.deny) == {"admin-grant"} with input as _update(before, _with_deploy)
}

test_an_entry_that_older_authenticators_use_is_a_grant if {
	entry := object.union(_role(_deploy, _masters), {"sso": {}})
	after := _auth([_node, entry], [_user(_admin, _masters)])
	_rules(aws_auth.deny) == {"admin-grant", "invalid-entry"} with input as _update(_usual, after)
	_rules(aws_auth.deny) == {"admin-grant"} with input as _update(after, _with_deploy)
}

test_a_permission_set_is_a_grant_by_its_pattern if {
	entry := {
		"sso": {"permissionSetName": "Admin", "accountID": "555555555555"},
		"username": "sso",
		"groups": _masters,
	}
	after := _auth([_node, entry], [_user(_admin, _masters)])
	_rules(aws_auth.deny) == {"admin-grant"} with input as _update(_usual, after)
	pattern := "arn:aws:iam::555555555555:role/AWSReservedSSO_Admin_*"
	aws_auth.deny == set() with input as _update(_usual, _confirmed(after, pattern))
}

test_repairing_a_section_grants_what_it_holds if {
	before := _configmap({"mapRoles": yaml.marshal([_node]), "mapUsers": "- a: b\n c"})
	_rules(aws_auth.deny) == {"admin-grant"} with input as _update(before, _usual)
	aws_auth.deny == set() with input as _update(before, _confirmed(_usual, _admin))
}

test_what_is_to_be_copied_is_shown_whole_up_to_a_bound if {
	users := [_user(sprintf("arn:aws:iam::555555555555:user/%d", [number]), _masters) |
		some number in numbers.range(1000, 1010)
	]
	after := _auth([_node], array.concat([_user(_admin, _masters)], users))
	some violation in aws_auth.deny with input as _update(_usual, after)
	contains(violation.fix, "arn:aws:iam::555555555555:user/1010\" in the same change")
}

test_what_no_message_could_hold_is_cut if {
	long := sprintf("arn:aws:iam::555555555555:user/%s", [concat("", ["x" | some _ in numbers.range(1, 5000)])])
	after := _auth([_node], [_user(_admin, _masters), _user(long, _masters)])
	violations := aws_auth.deny with input as _update(_usual, after)
	count(violations) == 1
	every violation in violations {
		count(violation.fix) < 500
	}
}

test_a_section_that_does_not_parse_is_denied if {
	after := _configmap({
		"mapRoles": concat("\n", [
			sprintf("- rolearn: %s", [_node_role]),
			"  username: {{EC2PrivateDNSName}}",
		]),
		"mapUsers": yaml.marshal([_user(_admin, _masters)]),
	})
	violations := aws_auth.deny with input as _update(_usual, after)
	_rules(violations) == {"unparsable", "node-role-lost"}
	{
		"rule": "unparsable",
		"field": "data.mapRoles",
		"message": "does not parse as YAML, so that the authenticator drops every entry of mapRoles",
	} in violations
}

test_a_section_that_did_not_parse_may_stay_but_not_change if {
	before := _configmap({"mapRoles": "- a: b\n c", "mapUsers": "[]"})
	aws_auth.deny == set() with input as _update(before, object.union(before, {"data": {"mapUsers": ""}}))
	_rules(aws_auth.deny) == {"unparsable"} with input as _update(before, _configmap({"mapRoles": "- a: b\n c: d"}))
}

test_data_of_the_wrong_type_is_denied if {
	_rules(aws_auth.deny) == {"unparsable"} with input as _create(_configmap([1]))
	_rules(aws_auth.deny) == {"unparsable"} with input as _create(_configmap("text"))
	_rules(aws_auth.deny) == {"unparsable"} with input as _create(_configmap({"mapUsers": [1]}))
}

test_unknown_sections_are_denied_with_the_nearest_one if {
	after := object.union(_usual, {
		"data": {"maproles": "[]", "mapUser": "[]", "other": ""},
		"binaryData": {"mapAccounts": "W10="},
	})
	violations := aws_auth.deny with input as _update(_usual, after)
	{[violation.rule, violation.field, violation.fix] | some violation in violations} == {
		["unknown-section", `data["maproles"]`, "move its entries to data.mapRoles or remove it"],
		["unknown-section", `data["mapUser"]`, "move its entries to data.mapUsers or remove it"],
		[
			"unknown-section",
			`data["other"]`,
			"move its entries to data.mapRoles, data.mapUsers or data.mapAccounts or remove it",
		],
		["unknown-section", `binaryData["mapAccounts"]`, "move its entries to data.mapAccounts or remove it"],
	}
	aws_auth.deny == set() with input as _update(after, after)
}

test_entries_moved_to_binary_data_are_lost if {
	after := object.union(_configmap(null), {"binaryData": {"mapRoles": "W10=", "mapUsers": "W10="}})
	violations := aws_auth.deny with input as _update(_usual, after)
	_rules(violations) == {"unknown-section", "node-role-lost", "last-admin-lost"}
}

test_an_invalid_entry_is_denied if {
	after := _auth(
		[_node, _role("arn:aws:iam::555555555555:role/path/deploy", ["dev"])],
		[_user(_admin, _masters), {"username": "nobody", "groups": ["dev"]}],
	)
	aws_auth.deny == {
		{
			"rule": "invalid-entry",
			"field": "data.mapRoles[1].rolearn",
			"message": concat("", [
				`"arn:aws:iam::555555555555:role/path/deploy" can never be a caller's ARN, `,
				"so that the entry maps nobody: ",
				`expected the role without its path, "arn:aws:iam::555555555555:role/deploy"`,
			]),
		},
		{
			"rule": "invalid-entry",
			"field": "data.mapUsers[1]",
			"message": "has no userarn, so that the authenticator drops the entry",
		},
	} with input as _update(_usual, after)
}

test_an_invalid_entry_may_stay_and_move_but_not_change if {
	broken := {"rolearn": _deploy, "username": "deploy", "groups": "dev"}
	before := _auth([broken, _node], [_user(_admin, _masters)])
	aws_auth.deny == set() with input as _update(before, _auth([_node, broken], [_user(_admin, _masters)]))
	changed := _auth([_node, object.union(broken, {"groups": "ops"})], [_user(_admin, _masters)])
	_rules(aws_auth.deny) == {"invalid-entry"} with input as _update(before, changed)
}

test_a_field_that_nothing_reads_is_told if {
	after := _auth([_node, {"rolearn": _deploy, "username": "deploy", "group": ["dev"]}], [_user(_admin, _masters)])
	aws_auth.deny == set() with input as _update(_usual, after)
	aws_auth.warn == {{
		"rule": "unread-field",
		"field": `data.mapRoles[1]["group"]`,
		"message": "is no field that the authenticator reads, expected one of groups, rolearn, sso, userid, username",
	}} with input as _update(_usual, after)
}

test_usernames_of_components_are_denied if {
	every username, prefix in {
		"system:serviceaccount:kube-system:clusterrole-aggregation-controller": "system:",
		"system:node:ip-10-0-0-1": "system:",
		"eks:addon-manager": "eks:",
		"sys{{SessionName}}tem:admin": "system:",
		"{{SessionName}}:serviceaccount:kube-system:x": "system:",
	} {
		entry := {"rolearn": _deploy, "username": username, "groups": []}
		violations := aws_auth.deny with input as _update(_usual, _auth([_node, entry], [_user(_admin, _masters)]))
		{
			"rule": "reserved-username",
			"field": "data.mapRoles[1].username",
			"message": sprintf(
				"%q would act as %q; names that begin with %q are those of the cluster's own components",
				[_deploy, username, prefix],
			),
			"fix": sprintf("choose a username without %q, and give permissions by groups", [prefix]),
		} in violations
	}
}

test_other_usernames_pass if {
	every username in ["deploy", "codebuild:{{SessionName}}", "{{SessionName}}", "systems:x", "x:system:y"] {
		entry := {"rolearn": _deploy, "username": username, "groups": []}
		aws_auth.deny == set() with input as _update(_usual, _auth([_node, entry], [_user(_admin, _masters)]))
	}
}

test_an_unchanged_username_of_a_component_is_not_denied_again if {
	entry := {"rolearn": _deploy, "username": "system:admin", "groups": []}
	before := _auth([_node, entry], [_user(_admin, _masters)])
	aws_auth.deny == set() with input as _update(before, _auth([entry, _node], [_user(_admin, _masters)]))
	moved := _auth([object.union(entry, {"rolearn": _node_role})], [_user(_admin, _masters)])
	"reserved-username" in _rules(aws_auth.deny) with input as _update(before, moved)
}

test_deletion_is_denied_in_every_form if {
	every review in [
		_delete(_usual),
		_request("DELETE", "", null, _usual),
		_request("DELETE", "aws-auth", null, null),
	] {
		_rules(aws_auth.deny) == {"deleted"} with input as review
		aws_auth.warn == set() with input as review
	}
	aws_auth.deny == {{
		"rule": "deleted",
		"field": "metadata.name",
		"message": `deleting ConfigMap "kube-system/aws-auth" would lock out whom it maps, nodes and users (2 ARNs)`,
	}} with input as _delete(_usual)
}

test_an_aws_auth_that_is_being_deleted_is_judged_alike if {
	deleting := {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["example.com/x"]}}
	before := object.union(_usual, deleting)
	_rules(aws_auth.deny) == {"admin-grant"} with input as _update(before, object.union(_with_deploy, deleting))
	aws_auth.deny == set() with input as _update(before, _usual)
}

test_the_loss_of_all_node_roles_is_denied_for_each if {
	second := object.union(_node, {"rolearn": "arn:aws:iam::555555555555:role/second"})
	before := _auth([_node, second], [_user(_admin, _masters)])
	violations := aws_auth.deny with input as _update(before, _auth([], [_user(_admin, _masters)]))
	count(violations) == 2
	{
		"rule": "node-role-lost",
		"field": "data.mapRoles",
		"message": concat("", [
			`nodes with role "arn:aws:iam::555555555555:role/second" could no longer join or stay, as no entry with `,
			`username "system:node:{{EC2PrivateDNSName}}" and groups "system:bootstrappers" and "system:nodes" `,
			"would be left",
		]),
		"fix": concat("", [
			`keep an entry with rolearn "arn:aws:iam::555555555555:role/second", `,
			`username "system:node:{{EC2PrivateDNSName}}" and groups "system:bootstrappers" and "system:nodes"`,
		]),
	} in violations
}

test_a_node_role_made_useless_is_lost if {
	every change in [
		{"rolearn": "arn:aws:iam::555555555555:role/path/node"},
		{"rolearn": "arn:aws:sts::555555555555:assumed-role/node/i-1"},
		{"username": "system:node:{{SessionName}}"},
		{"username": "system:node:{{EC2PrivateDnsName}}"},
		{"groups": ["system:nodes"]},
		{"groups": ["system:bootstrappers - system:nodes"]},
	] {
		after := _auth([object.union(_node, change)], [_user(_admin, _masters)])
		"node-role-lost" in _rules(aws_auth.deny) with input as _update(_usual, after)
	}
}

test_a_node_role_that_a_second_entry_overrides_is_lost if {
	after := _auth([_node, _role(_node_role, [])], [_user(_admin, _masters)])
	_rules(aws_auth.deny) == {"node-role-lost", "invalid-entry"} with input as _update(_usual, after)
}

test_a_removed_node_role_is_told_while_others_remain if {
	second := object.union(_node, {"rolearn": "arn:aws:iam::555555555555:role/second"})
	before := _auth([_node, second], [_user(_admin, _masters)])
	aws_auth.deny == set() with input as _update(before, _usual)
	aws_auth.warn == {{
		"rule": "node-role-removed",
		"field": "data.mapRoles",
		"message": `nodes with role "arn:aws:iam::555555555555:role/second" can no longer join or stay`,
	}} with input as _update(before, _usual)
}

test_an_aws_auth_without_node_roles_may_stay_without if {
	before := _auth([], [_user(_admin, _masters)])
	aws_auth.deny == set() with input as _update(before, before)
}

test_a_new_aws_auth_without_a_node_role_is_told if {
	after := _confirmed(_auth([], [_user(_admin, _masters)]), _admin)
	aws_auth.deny == set() with input as _create(after)
	aws_auth.warn == {{
		"rule": "no-node-role",
		"field": "data.mapRoles",
		"message": concat("", [
			`no entry has username "system:node:{{EC2PrivateDNSName}}" and groups "system:bootstrappers" and `,
			`"system:nodes", so that no EC2 instance can join as a node`,
		]),
		"fix": "add an entry for the role of the node group's instances",
	}} with input as _create(after)
}

test_the_loss_of_the_last_administrator_is_denied if {
	aws_auth.deny == {{
		"rule": "last-admin-lost",
		"field": "data",
		"message": concat("", [
			`"arn:aws:iam::555555555555:user/admin" would no longer be cluster administrator, `,
			`and nobody else would be (group "system:masters")`,
		]),
		"fix": "keep this entry until that of another administrator is in place",
	}} with input as _update(_usual, _auth([_node], [_user(_admin, ["developers"])]))
}

test_an_administrator_whom_nobody_can_be_does_not_count if {
	useless := _role("arn:aws:iam::555555555555:role/path/admin", _masters)
	after := _confirmed(_auth([_node, useless], []), useless.rolearn)
	_rules(aws_auth.deny) == {"last-admin-lost", "invalid-entry"} with input as _update(_usual, after)
}

test_one_of_two_administrators_may_go if {
	aws_auth.deny == set() with input as _update(_with_deploy, _usual)
}

test_freezing_is_denied if {
	frozen := object.union(_usual, {"immutable": true})
	aws_auth.deny == {{
		"rule": "frozen",
		"field": "immutable",
		"message": concat("", [
			"true freezes the entries for good: no role or user could be added or removed without deleting aws-auth, ",
			"expected false or no value",
		]),
	}} with input as _update(_usual, frozen)
	"frozen" in _rules(aws_auth.deny) with input as _create(frozen)
	aws_auth.deny == set() with input as _update(frozen, frozen)
	aws_auth.deny == set() with input as _update(_usual, object.union(_usual, {"immutable": false}))
}

test_a_mapped_account_is_told if {
	after := object.union(_usual, {"data": {"mapAccounts": "- 012345670123\n"}})
	aws_auth.deny == set() with input as _update(_usual, after)
	aws_auth.warn == {{
		"rule": "account-mapped",
		"field": "data.mapAccounts[0]",
		"message": `every IAM user and role of account "012345670123" can log in`,
	}} with input as _update(_usual, after)
	aws_auth.warn == set() with input as _update(after, after)
}

test_other_configmaps_are_none_of_its_business if {
	other_name := object.union(_with_deploy, {"metadata": {"name": "aws-auth-2"}})
	moved := object.union(_with_deploy, {"metadata": {"namespace": "x"}})
	other_namespace := _request("CREATE", "aws-auth", moved, null)
	every review in [
		_request("CREATE", "aws-auth-2", other_name, null),
		_request("DELETE", "", null, other_name),
		object.union(other_namespace, {"request": {"namespace": "x"}}),
		_request("DELETE", "", null, null),
	] {
		aws_auth.deny == set() with input as review
		aws_auth.warn == set() with input as review
	}
}

test_a_generated_name_is_judged_by_the_object if {
	nameless := json.remove(_with_deploy, ["metadata/name"])
	generated := object.union(nameless, {"metadata": {"generateName": "aws-"}})
	aws_auth.deny == set() with input as _request("CREATE", "", generated, null)
	_rules(aws_auth.deny) == {"admin-grant"} with input as _request("CREATE", "", _with_deploy, null)
}

test_an_object_of_any_shape_is_judged_without_failing if {
	every metadata in [null, 5, [], {"annotations": []}, {"annotations": {_key: 5}}, {"labels": null, "name": 5}] {
		shapeless := {"metadata": metadata, "data": null, "binaryData": 5, "immutable": "x"}
		_rules(aws_auth.deny) == {"node-role-lost", "last-admin-lost"} with input as _update(_usual, shapeless)
	}
	_rules(aws_auth.deny) == {"node-role-lost", "last-admin-lost"} with input as _update(_usual, null)
	aws_auth.deny == set() with input as _update([], {"data": {"mapRoles": ""}})
}

test_no_message_reads_like_an_unchangeable_field if {
	frozen := object.union(_configmap({"maproles": "[]", "mapUsers": "{"}), {"immutable": true})
	violations := aws_auth.deny with input as _update(_usual, frozen)
	count(violations) > 3
	every violation in violations {
		said := sprintf("%s: %s. Fix: %s", [violation.field, violation.message, object.get(violation, "fix", "")])
		not regex.match(`(?i)is immutable|immutable field`, said)
	}
}

test_a_section_that_cannot_be_judged_is_denied_when_it_is_written if {
	before := _configmap({"mapRoles": yaml.marshal([_node]), "mapUsers": "- {userarn: !!str x, username: u}"})
	users := sprintf("- {userarn: %q, username: on}", [_deploy])
	after := _configmap({"mapRoles": yaml.marshal([_node]), "mapUsers": users})
	aws_auth.deny == {{
		"rule": "unclear",
		"field": "data.mapUsers",
		"message": concat("", [
			`has the word "on" without quotes, a boolean in YAML 1.1, `,
			"so that it cannot be judged whom the authenticator maps by mapUsers",
		]),
	}} with input as _update(before, after)
	aws_auth.deny == set() with input as _update(after, after)
}

test_the_loss_of_who_may_have_been_the_last_one_is_denied if {
	shadowed := _auth(
		[_node, object.union(_node, {"username": "x"})],
		[_user(_admin, []), _user(_admin, _masters)],
	)
	_rules(aws_auth.deny) == {"node-role-lost", "last-admin-lost"} with input as _update(shadowed, _auth([], []))
	labelled := object.union(shadowed, {"metadata": {"labels": {"a": "b"}}})
	aws_auth.deny == set() with input as _update(shadowed, labelled)
}

_binding(name, subjects) := {
	"apiVersion": "rbac.authorization.k8s.io/v1",
	"kind": "ClusterRoleBinding",
	"metadata": {"name": name},
	"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
	"subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": subject} |
		some [kind, subject] in subjects
	],
}

_binding_request(old_object, object) := {"request": {
	"operation": {true: "CREATE", false: "UPDATE"}[old_object == null],
	"name": "x",
	"resource": {"group": "rbac.authorization.k8s.io", "version": "v1", "resource": "clusterrolebindings"},
	"object": object,
	"oldObject": old_object,
}}

_bound(subjects) := {"rbac.authorization.k8s.io/v1/clusterrolebindings": {"x": _binding("x", subjects)}}

test_groups_bound_to_cluster_admin_are_administrator_groups if {
	after := _auth([_node, _role(_deploy, ["platform"])], [_user(_admin, _masters)])
	aws_auth.deny == set() with input as _update(_usual, after)
	violations := aws_auth.deny with input as _update(_usual, after)
		with data.cluster as _bound([["Group", "platform"]])
	{violation.message | some violation in violations} == {concat("", [
		sprintf(`"%s" would become cluster administrator (group "platform", `, [_deploy]),
		`bound to cluster-admin by ClusterRoleBinding "x", as username "deploy"), `,
		"and neither settings aws_auth.admins nor this change confirms it",
	])}
	aws_auth.deny == set() with input as _update(_usual, _confirmed(after, _deploy))
		with data.cluster as _bound([["Group", "platform"]])
}

test_an_administrator_by_a_bound_group_is_the_last_one_too if {
	before := _auth([_node, _role(_deploy, ["platform"])], [])
	aws_auth.deny == set() with input as _update(before, _auth([_node], []))
	_rules(aws_auth.deny) == {"last-admin-lost"} with input as _update(before, _auth([_node], []))
		with data.cluster as _bound([["Group", "platform"]])
}

test_usernames_bound_to_cluster_admin_are_administrators if {
	before := _auth([_node, _role(_deploy, [])], [_user(_admin, _masters)])
	every username, text in {
		"alice": `user "alice", bound`,
		"{{SessionName}}": `user "{{SessionName}}", which can become "alice", bound`,
	} {
		after := _auth(
			[_node, {"rolearn": _deploy, "username": username, "groups": []}],
			[_user(_admin, _masters)],
		)
		violations := aws_auth.deny with input as _update(before, after)
			with data.cluster as _bound([["User", "alice"]])
		_rules(violations) == {"admin-grant"}
		every violation in violations {
			contains(violation.message, text)
		}
		aws_auth.deny == set() with input as _update(after, after)
			with data.cluster as _bound([["User", "alice"]])
	}
}

test_a_new_binding_of_a_group_to_cluster_admin_is_denied if {
	object := _binding("platform-admins", [["Group", "platform"], ["User", "alice"]])
	fix := concat("", [
		`set metadata.annotations["eksguard.io/confirm-admins"]: "alice,platform" in the same change, `,
		"or bind a role with fewer permissions",
	])
	aws_auth.deny == {
		{
			"rule": "admin-binding",
			"field": "subjects",
			"message": concat("", [
				`everybody whom aws-auth maps to group "platform" would become cluster administrator, `,
				"and this change does not confirm it",
			]),
			"fix": fix,
		},
		{
			"rule": "admin-binding",
			"field": "subjects",
			"message": concat("", [
				`everybody whom aws-auth maps to user "alice" would become cluster administrator, `,
				"and this change does not confirm it",
			]),
			"fix": fix,
		},
	} with input as _binding_request(null, object)
	aws_auth.deny == set() with input as _binding_request(null, _confirmed(object, "platform, alice"))
}

test_subjects_added_to_a_binding_are_denied_and_kept_ones_are_not if {
	before := _confirmed(_binding("platform-admins", [["Group", "platform"]]), "platform")
	added := _binding("platform-admins", [["Group", "platform"], ["Group", "interns"]])
	aws_auth.deny == set() with input as _binding_request(before, before)
	every value, fault in {
		"platform": `and the confirmation "platform" is not part of this change`,
		"platform,interns": `and the confirmation "platform,interns" does not name exactly the new administrators`,
	} {
		violations := aws_auth.deny with input as _binding_request(before, _confirmed(added, value))
		count(violations) == 1
		every violation in violations {
			contains(violation.message, `group "interns"`)
			endswith(violation.message, fault)
		}
	}
	aws_auth.deny == set() with input as _binding_request(before, _confirmed(added, "interns"))
}

test_bindings_that_make_no_new_administrator_pass if {
	every subjects in [
		[["Group", "system:masters"]],
		[["ServiceAccount", "flux"]],
		[["User", "system:kube-controller-manager"]],
		[],
	] {
		aws_auth.deny == set() with input as _binding_request(null, _binding("b", subjects))
	}
	known := [["Group", "platform"], ["User", "alice"]]
	aws_auth.deny == set() with input as _binding_request(null, _binding("b", known))
		with data.cluster as _bound(known)
	aws_auth.deny == set() with input as _binding_request(null, null)
}

_asked_by(review, arn) := object.union(review, {"request": {"userInfo": {"extra": {"canonicalArn": [arn]}}}})

test_a_requester_who_would_lose_their_own_entry_is_told if {
	every after, loss in {
		_auth([_node, _role(_deploy, _masters)], []): "mapped",
		_auth([_node, _role(_deploy, _masters)], [_user(_admin, ["developers"])]): "cluster administrator",
	} {
		aws_auth.deny == {{
			"rule": "self-lockout",
			"field": "data",
			"message": sprintf("%q, who asks for this change, would no longer be %s", [_admin, loss]),
		}} with input as _asked_by(_update(_with_deploy, after), _admin)
		aws_auth.deny == set() with input as _asked_by(_update(_with_deploy, after), _deploy)
	}
	useless := _auth([_node], [_user("x", []), _user(_admin, _masters)])
	aws_auth.deny == set() with input as _asked_by(_update(useless, _usual), "x")
	aws_auth.deny == set() with input as _asked_by(_update(_usual, _usual), 5)
}

test_another_account_is_denied_where_the_own_one_is_known if {
	foreign := "arn:aws:iam::666666666666:role/x"
	after := object.union(
		_auth([_node, _role(foreign, ["dev"])], [_user(_admin, _masters)]),
		{"data": {"mapAccounts": "- '777777777777'"}},
	)
	aws_auth.deny == set() with input as _update(_usual, after)
	violations := aws_auth.deny with input as _update(_usual, after)
		with data.eksguard.settings.cluster.account as "555555555555"
	{[violation.field, violation.message] | some violation in violations} == {
		["data.mapRoles[1]", concat("", [
			sprintf(`"%s" is of account "666666666666", `, [foreign]),
			`expected "555555555555", this cluster's, or one in settings aws_auth.accounts`,
		])],
		["data.mapAccounts[0]", concat("", [
			`"777777777777" is of account "777777777777", `,
			`expected "555555555555", this cluster's, or one in settings aws_auth.accounts`,
		])],
	}
	aws_auth.deny == set() with input as _update(_usual, after)
		with data.eksguard.settings.cluster.account as "555555555555"
		with data.eksguard.settings.aws_auth.accounts as ["666666666666", "777777777777"]
	aws_auth.deny == set() with input as _update(after, after)
		with data.eksguard.settings.cluster.account as "555555555555"
}
