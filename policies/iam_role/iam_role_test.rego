package eksguard.iam_role_test

import data.eksguard.iam_role

_field := `metadata.annotations["iam.amazonaws.com/role"]`

_key := "iam.amazonaws.com/role"

_own := "arn:aws:iam::123456789012:role/eks-webservice-01-prod"

_others := "arn:aws:iam::123456789012:role/eks-webservice-02-prod"

_old := "arn:aws:iam::123456789012:role/ark-role-prod-us-west-2"

# The metadata of a Pod or of a pod template.
_asking(value) := {"metadata": {"annotations": {_key: value, "other": "x"}}}

_create(group, resource, namespace, object) := {"request": {
	"operation": "CREATE",
	"resource": {"group": group, "version": "v1", "resource": resource},
	"namespace": namespace,
	"name": "aws-cli",
	"object": object,
	"oldObject": null,
}}

_update(group, resource, namespace, old, new) := {"request": object.union(
	_create(group, resource, namespace, new).request,
	{"operation": "UPDATE", "oldObject": old},
)}

_pod(namespace, value) := _create("", "pods", namespace, _asking(value))

_of(review, subresource) := {"request": object.union(review.request, {"subResource": subresource})}

_cluster := {"account": "123456789012", "partition": "aws"}

_unknown := {"account": "", "partition": "aws"}

_known(review) := found if {
	found := iam_role.deny with input as review with data.eksguard.settings.cluster as _cluster
}

_denied(review) := found if {
	found := _known(review) with data.cluster as {}
}

_denied_where(namespace, annotations, review) := found if {
	namespaces := {namespace: {"metadata": {"name": namespace, "annotations": annotations}}}
	found := _known(review) with data.cluster as {"v1/namespaces": namespaces}
}

_rules(violations) := {violation.rule | some violation in violations}

_fixes(violations) := {violation.fix | some violation in violations}

_patches(review) := found if {
	found := iam_role.mutate with input as review
		with data.eksguard.settings.iam_role.complete_bare_names as true
		with data.eksguard.settings.cluster as _cluster
		with data.cluster as {}
}

# What is allowed

test_a_role_of_the_namespace_s_own_service_is_allowed if {
	_denied(_pod("webservice-01", _own)) == set()
}

test_a_namespace_of_one_environment_may_use_the_role_of_that_environment if {
	_denied(_pod("webservice-01-prod", _own)) == set()
}

test_no_annotation_asks_for_nothing if {
	every object in [
		{"metadata": {"name": "a"}}, {"metadata": {"annotations": null}}, {"metadata": {"annotations": {}}},
		{"metadata": {"annotations": {"other": "x"}}}, {"metadata": null}, {}, null,
	] {
		_denied(_create("", "pods", "a", object)) == set()
	}
}

test_a_controller_s_own_annotation_does_not_reach_its_pods if {
	_denied(_create("apps", "deployments", "a", _asking("nonsense here"))) == set()
}

test_without_a_known_account_any_account_is_allowed if {
	review := _pod("web", "arn:aws:iam::999999999999:role/eks-web-prod")
	iam_role.deny == set() with input as review
		with data.eksguard.settings.cluster as _unknown
}

# Form

test_the_placeholder_of_the_users_guide_is_denied_with_what_would_be_accepted if {
	_denied(_pod("webservice-01", "arn:aws:iam::SOMETHING")) == {{
		"rule": "form",
		"field": _field,
		"message": concat("", [
			`"arn:aws:iam::SOMETHING" is not the ARN of an IAM role, `,
			"expected arn:<partition>:iam::<12 digits>:role/<name>",
		]),
		"fix": concat("", [
			`use "arn:aws:iam::123456789012:role/eks-webservice-01-dev" or `,
			`"arn:aws:iam::123456789012:role/eks-webservice-01-stage" or `,
			`"arn:aws:iam::123456789012:role/eks-webservice-01-prod", `,
			"or remove the annotation where no role is needed",
		]),
	}}
}

test_an_arn_of_anything_but_a_role_is_denied_by_its_form_alone if {
	every value in [
		"arn:", "ARN:aws:iam::123456789012:role/eks-web-prod", "arn:aws:iam::12345678901:role/eks-web-prod",
		"arn:aws:iam::1234567890123:role/eks-web-prod", "arn:aws:iam:us-west-2:123456789012:role/eks-web-prod",
		"arn:aws:sts::123456789012:assumed-role/eks-web-prod/x", "arn:aws:iam::123456789012:user/eks-web-prod",
		"arn:aws:iam::123456789012:role/", "arn:aws:iam::123456789012:role//eks-web-prod",
		"arn:aws:iam::123456789012:role/a b/eks-web-prod", "arn:aws:iam::123456789012:role/eks-web-prod\n",
		"arn:aws:iam::123456789012:role/eks-web-prod/", "arn:aws:iam::{{ account_id }}:role/eks-web-prod",
		"arn:aws:iam::١٢٣٤٥٦٧٨٩٠١٢:role/eks-web-prod", "arn:aws:iam::123456789012:instance-profile/eks-web-prod",
		"arn:aws:iam::123456789012:role/eks-web-a-name-of-more-than-64-characters-is-the-name-of-no-role-prod",
	] {
		_rules(_denied(_pod("web", value))) == {"form"}
	}
}

test_an_empty_value_is_not_the_same_as_none if {
	[violation] := [violation | some violation in _denied(_pod("webservice-01-prod", ""))]
	violation == {
		"rule": "form",
		"field": _field,
		"message": `"" is empty, for which kube2iam asks for a role without a name`,
		"fix": concat("", [sprintf("use %q", [_own]), ", or remove the annotation where no role is needed"]),
	}
}

test_white_space_is_not_trimmed if {
	every value in [concat("", [" ", _own]), concat("", [_own, "\n"]), "\teks-webservice-01-prod"] {
		[violation] := [violation | some violation in _denied(_pod("webservice-01", value))]
		violation.rule == "form"
		endswith(violation.message, "begins or ends with white space, which kube2iam does not trim")
		violation.fix == sprintf("did you mean %q? Otherwise remove the annotation where no role is needed", [_own])
	}
}

test_what_is_neither_an_arn_nor_a_name_is_denied if {
	every value in ["/eks-web-prod", "eks web prod", "a//b", "eks-web-prod/", "ünï", "${ROLE}"] {
		[violation] := [violation | some violation in _denied(_pod("web", value))]
		violation.rule == "form"
		contains(violation.message, "is neither the ARN nor the name of an IAM role")
	}
}

test_a_value_that_is_no_string_is_denied if {
	every value, type in {7: "number", false: "boolean", null: "null", ["x"]: "array", {"a": 1}: "object"} {
		[violation] := [violation | some violation in _denied(_pod("web", value))]
		violation.rule == "form"
		endswith(violation.message, sprintf(" is of type %s, expected a string", [type]))
	}
}

# The API server decodes the kinds matched here into types: there is no such object behind it.
test_annotations_that_are_no_object_hold_none if {
	every object in [
		"x", {"metadata": "x"}, {"metadata": []}, {"metadata": {"annotations": [_own]}}, {"metadata": {"annotations": "x"}},
	] {
		_denied(_create("", "pods", "web", object)) == set()
	}
	every spec in [7, {"jobTemplate": "x"}, {"jobTemplate": {"spec": []}}, {"jobTemplate": {"spec": {"template": true}}}] {
		_denied(_create("batch", "cronjobs", "web", {"spec": spec})) == set()
	}
}

# Bare names

test_a_bare_role_name_is_denied_with_the_arn_as_fix if {
	_denied(_pod("webservice-01", "eks-webservice-01-prod")) == {{
		"rule": "bare-name",
		"field": _field,
		"message": `"eks-webservice-01-prod" is a bare role name, expected the full ARN of the role`,
		"fix": sprintf("use %q", [_own]),
	}}
}

test_a_bare_role_name_is_judged_like_the_role_that_kube2iam_makes_of_it if {
	_rules(_denied(_pod("webservice-01", "eks-webservice-02-prod"))) == {"bare-name", "ownership"}
	_rules(_denied(_pod("webservice-01", "path/eks-webservice-01-prod"))) == {"bare-name", "naming", "ownership"}
	_rules(_denied(_pod("webservice-01", "admin"))) == {"bare-name", "naming", "ownership"}
}

test_a_bare_role_name_of_another_service_is_not_offered_as_fix if {
	some violation in _denied(_pod("webservice-01", "eks-webservice-02-prod"))
	violation.rule == "bare-name"
	violation.fix == sprintf("did you mean %q?", [_own])
}

test_without_a_known_account_the_fix_leaves_it_open if {
	review := _pod("web", "eks-web-prod")
	_fixes(iam_role.deny) == {`use "arn:aws:iam::<account>:role/eks-web-prod"`} with input as review
		with data.eksguard.settings.cluster as _unknown
}

test_without_a_known_account_the_fix_keeps_the_one_that_is_given if {
	review := _pod("web", "arn:aws-cn:iam::999999999999:role/eks-web-prod")
	found := iam_role.deny with input as review
		with data.eksguard.settings.cluster as _unknown
	found == {{
		"rule": "account",
		"field": _field,
		"message": concat("", [
			`"arn:aws-cn:iam::999999999999:role/eks-web-prod" is in account 999999999999 of partition "aws-cn", `,
			`expected partition "aws", this cluster's`,
		]),
		"fix": `use "arn:aws:iam::999999999999:role/eks-web-prod"`,
	}}
}

test_bare_names_go_below_the_base_arn_of_kube2iam if {
	review := _pod("web", "eks-web-prod")
	_fixes(_denied(review)) == {`use "arn:aws:iam::123456789012:role/kube/eks-web-prod"`}
		with data.eksguard.settings.iam_role.base_arn as "arn:aws:iam::123456789012:role/kube/"
}

# Account and partition

test_a_role_of_another_account_is_denied if {
	_denied(_pod("webservice-01", "arn:aws:iam::999999999999:role/eks-webservice-01-prod")) == {{
		"rule": "account",
		"field": _field,
		"message": concat("", [
			`"arn:aws:iam::999999999999:role/eks-webservice-01-prod" is in account 999999999999 of partition "aws", `,
			`expected account 123456789012 of partition "aws", this cluster's`,
		]),
		"fix": sprintf("use %q", [_own]),
	}}
}

test_a_role_of_another_partition_is_denied if {
	_rules(_denied(_pod("web", "arn:aws-us-gov:iam::123456789012:role/eks-web-prod"))) == {"account"}
}

test_another_account_and_another_service_are_both_told if {
	found := _denied(_pod("webservice-01", "arn:aws:iam::999999999999:role/eks-webservice-02-prod"))
	_rules(found) == {"account", "ownership"}
	every fix in _fixes(found) { startswith(fix, sprintf("did you mean %q?", [_own])) }
}

# Naming

test_a_name_that_breaks_the_convention_is_denied_although_the_namespace_allows_it if {
	review := _pod("velero", _old)
	_denied_where("velero", {"iam.amazonaws.com/allowed-roles": `["ark-role-*"]`}, review) == {{
		"rule": "naming",
		"field": _field,
		"message": concat("", [
			`"arn:aws:iam::123456789012:role/ark-role-prod-us-west-2" is not named eks-<service>-<env>, `,
			"where <env> is dev or stage or prod",
		]),
		"fix": concat("", [
			`use "arn:aws:iam::123456789012:role/eks-velero-dev" or `,
			`"arn:aws:iam::123456789012:role/eks-velero-stage" or `,
			`"arn:aws:iam::123456789012:role/eks-velero-prod", `,
			`or have an administrator grant the role to namespace "velero" in settings.iam_role.grants`,
		]),
	}}
}

test_a_name_that_breaks_the_convention_belongs_to_no_namespace if {
	every name in [
		"eks-prod", "eks--prod", "eks-web", "eks-web-prods", "eks-webprod", "EKS-web-prod", "eks-web-PROD",
		"aks-web-prod", "web-prod", "path/eks-web-prod", "eks-web/eks-web-prod", "eks-web/x-prod", "eks-web-qa",
	] {
		found := _denied(_pod("web", sprintf("arn:aws:iam::123456789012:role/%s", [name])))
		_rules(found) == {"naming", "ownership"}
	}
}

test_the_environment_in_the_value_is_kept_in_the_fix if {
	every name in ["web-prod", "eks-web-PROD", "path/eks-web-prod"] {
		found := _denied(_pod("web", sprintf("arn:aws:iam::123456789012:role/%s", [name])))
		every fix in _fixes(found) {
			startswith(fix, `did you mean "arn:aws:iam::123456789012:role/eks-web-prod"? Otherwise have an`)
		}
	}
}

test_the_longest_environment_counts if {
	value := "arn:aws:iam::123456789012:role/eks-pay-us-prod"
	every environments in [["prod", "us-prod"], ["us-prod", "prod"]] {
		_denied(_pod("pay", value)) == set() with data.eksguard.settings.iam_role.environments as environments
		_denied(_pod("pay-us-prod", value)) == set() with data.eksguard.settings.iam_role.environments as environments
		found := _denied(_pod("pay-us", value)) with data.eksguard.settings.iam_role.environments as environments
		_rules(found) == {"ownership"}
	}
}

# Ownership

test_a_role_of_another_service_is_denied if {
	_denied(_pod("webservice-01", _others)) == {{
		"rule": "ownership",
		"field": _field,
		"message": concat("", [
			`"arn:aws:iam::123456789012:role/eks-webservice-02-prod" belongs to environment "prod" `,
			`of service "webservice-02", not to namespace "webservice-01", `,
			`whose annotation "iam.amazonaws.com/allowed-roles" is not set`,
		]),
		"fix": concat("", [
			`did you mean "arn:aws:iam::123456789012:role/eks-webservice-01-prod"? `,
			"Otherwise have an administrator allow the role in that annotation",
		]),
	}}
}

test_the_whole_service_is_compared_and_never_a_prefix if {
	role := "arn:aws:iam::123456789012:role/eks-payments-prod"
	every namespace in ["pay", "payments-", "payment", "payments-2", "ayments", "eks-payments", "Payments", "prod", ""] {
		_rules(_denied(_pod(namespace, role))) == {"ownership"}
	}
}

test_a_namespace_of_one_environment_may_not_use_another_s_role if {
	found := _denied(_pod("webservice-01-dev", _own))
	_rules(found) == {"ownership"}
	every fix in _fixes(found) { startswith(fix, `use "arn:aws:iam::123456789012:role/eks-webservice-01-dev", or`) }
}

test_a_request_without_a_namespace_owns_nothing if {
	review := {"request": object.remove(_pod("", _own).request, ["namespace"])}
	_rules(_denied(review)) == {"ownership"}
}

test_the_annotation_of_the_namespace_extends_ownership if {
	every patterns in [
		`["eks-webservice-02-prod"]`, `["eks-webservice-02-*"]`, `["*"]`, `["x", "arn:aws:iam::*:role/eks-*"]`,
		`["arn:*"]`, `[1, "*-prod"]`,
	] {
		annotations := {"iam.amazonaws.com/allowed-roles": patterns}
		_denied_where("webservice-01", annotations, _pod("webservice-01", _others)) == set()
	}
}

test_the_annotation_of_the_namespace_is_read_as_kube2iam_reads_it if {
	every patterns in [
		`["eks-webservice-02"]`, `["EKS-webservice-02-prod"]`, `["role/eks-webservice-02-prod"]`, `[""]`, `[]`,
		`["ARN:aws:iam::123456789012:role/eks-webservice-02-prod"]`, `["eks-webservice-02-pro?"]`, `[".*"]`,
	] {
		annotations := {"iam.amazonaws.com/allowed-roles": patterns}
		[violation] := [violation |
			some violation in _denied_where("webservice-01", annotations, _pod("webservice-01", _others))
		]
		violation.rule == "ownership"
		endswith(violation.message, `whose annotation "iam.amazonaws.com/allowed-roles" does not allow it`)
	}
}

test_an_annotation_that_is_no_json_array_allows_nothing_and_is_told if {
	every annotation in ["eks-webservice-02-prod", `["*"`, "{}", "null", "", `"*"`, ["*"], 7] {
		annotations := {"iam.amazonaws.com/allowed-roles": annotation}
		[violation] := [violation |
			some violation in _denied_where("webservice-01", annotations, _pod("webservice-01", _others))
		]
		violation.rule == "ownership"
		endswith(violation.message, `"iam.amazonaws.com/allowed-roles" is not a JSON array and so allows nothing`)
	}
}

test_another_namespace_s_annotation_allows_nothing_here if {
	annotations := {"iam.amazonaws.com/allowed-roles": `["*"]`}
	_rules(_denied_where("webservice-02", annotations, _pod("webservice-01", _others))) == {"ownership"}
}

test_the_annotation_of_the_namespace_does_not_admit_another_account if {
	annotations := {"iam.amazonaws.com/allowed-roles": `["arn:*"]`}
	review := _pod("webservice-01", "arn:aws:iam::999999999999:role/eks-webservice-02-prod")
	_rules(_denied_where("webservice-01", annotations, review)) == {"account"}
}

test_the_annotation_may_hold_regular_expressions if {
	every patterns in [`["eks-webservice-0[0-9]-"]`, `["(", ".*-prod$"]`, `[""]`, `["*"]`, `["arn:.*"]`] {
		annotations := {"iam.amazonaws.com/allowed-roles": patterns}
		_denied_where("webservice-01", annotations, _pod("webservice-01", _others)) == set()
			with data.eksguard.settings.iam_role.allowed_roles_format as "regexp"
	}
	every patterns in [`["("]`, `["eks-webservice-0[3-9]-"]`] {
		annotations := {"iam.amazonaws.com/allowed-roles": patterns}
		found := _denied_where("webservice-01", annotations, _pod("webservice-01", _others))
			with data.eksguard.settings.iam_role.allowed_roles_format as "regexp"
		_rules(found) == {"ownership"}
	}
}

test_without_a_known_account_a_pattern_is_of_the_role_s_own if {
	review := _pod("webservice-01", _others)
	namespace := {"metadata": {"annotations": {"iam.amazonaws.com/allowed-roles": `["eks-webservice-02-*"]`}}}
	iam_role.deny == set() with input as review
		with data.eksguard.settings.cluster as _unknown
		with data.cluster as {"v1/namespaces": {"webservice-01": namespace}}
}

test_annotation_keys_follow_the_settings if {
	review := _create("", "pods", "webservice-01", {"metadata": {"annotations": {_key: "x y", "role": _others}}})
	namespace := {"metadata": {"annotations": {"roles": `["eks-webservice-02-prod"]`}}}
	found := _known(review) with data.cluster as {"v1/namespaces": {"webservice-01": namespace}}
		with data.eksguard.settings.iam_role.annotation as "role"
		with data.eksguard.settings.iam_role.allowed_roles_annotation as "roles"
	found == set()
}

# kiam

_denied_by_kiam(annotations, value) := found if {
	found := _denied_where("webservice-01", annotations, _pod("webservice-01", value))
		with data.eksguard.settings.iam_role.agent as "kiam"
}

test_with_kiam_its_own_annotation_extends_ownership if {
	every expression in [".*", _others, concat("", ["^", _others, "$"]), "arn:.*/eks-webservice-0[12]-(dev|prod)"] {
		_denied_by_kiam({"iam.amazonaws.com/permitted": expression}, _others) == set()
	}
	every expression in ["eks-webservice-02-prod", "^eks-webservice-02-prod$", "arn:aws:iam::123456789012:role/x"] {
		[violation] := [violation | some violation in _denied_by_kiam({"iam.amazonaws.com/permitted": expression}, _others)]
		violation.rule == "ownership"
		endswith(violation.message, `whose annotation "iam.amazonaws.com/permitted" does not allow it`)
	}
}

test_with_kiam_a_namespace_has_the_roles_of_its_service_as_well if {
	_denied_by_kiam({}, _own) == set()
	_denied_by_kiam({"iam.amazonaws.com/permitted": "x"}, _own) == set()
}

test_only_the_annotation_counts_that_is_read if {
	_rules(_denied_by_kiam({"iam.amazonaws.com/allowed-roles": `["*"]`}, _others)) == {"ownership"}
	permitted := {"iam.amazonaws.com/permitted": ".*"}
	_rules(_denied_where("webservice-01", permitted, _pod("webservice-01", _others))) == {"ownership"}
}

test_an_expression_that_kiam_cannot_read_is_told if {
	every annotations, words in {
		{"iam.amazonaws.com/permitted": "("}: "is not a regular expression and so permits nothing",
		{}: "is not set",
	} {
		[violation] := [violation | some violation in _denied_by_kiam(annotations, _others)]
		endswith(violation.message, words)
	}
}

test_with_kiam_messages_speak_of_it if {
	[empty] := [violation | some violation in _denied_by_kiam({}, "")]
	empty.message == `"" is empty, for which kiam gives no credentials`
	[spaced] := [violation | some violation in _denied_by_kiam({}, concat("", [_own, " "]))]
	endswith(spaced.message, "which kiam does not trim")
}

# Grants

test_a_grant_admits_an_older_name if {
	every pattern in ["ark-role-prod-us-west-2", "ark-role-*", _old, "arn:aws:iam::*:role/ark-*", "*"] {
		_denied(_pod("velero", _old)) == set() with data.eksguard.settings.iam_role.grants as {"velero": [pattern]}
	}
}

test_a_grant_admits_another_service_s_role if {
	grants := {"webservice-01": ["eks-webservice-02-prod"]}
	_denied(_pod("webservice-01", _others)) == set() with data.eksguard.settings.iam_role.grants as grants
}

test_a_grant_is_of_its_namespace_only if {
	found := _denied(_pod("web", _old)) with data.eksguard.settings.iam_role.grants as {"velero": ["*"]}
	_rules(found) == {"naming", "ownership"}
}

test_a_grant_admits_neither_another_account_nor_another_form if {
	grants := {"velero": ["*", "arn:*"]}
	abroad := "arn:aws:iam::999999999999:role/ark-role"
	_rules(_denied(_pod("velero", abroad))) == {"account"} with data.eksguard.settings.iam_role.grants as grants
	_rules(_denied(_pod("velero", "arn:x"))) == {"form"} with data.eksguard.settings.iam_role.grants as grants
}

test_a_granted_role_of_the_wrong_account_is_offered_in_this_one if {
	found := _denied(_pod("velero", "arn:aws:iam::999999999999:role/ark-role"))
		with data.eksguard.settings.iam_role.grants as {"velero": ["ark-role"]}
	"account" in _rules(found)
	`use "arn:aws:iam::123456789012:role/ark-role"` in _fixes(found)
}

# Where no name fits

test_a_namespace_too_long_for_a_role_name_is_offered_none if {
	namespace := "a-namespace-whose-name-is-as-long-as-a-namespace-s-name-can-be0"
	count(namespace) == 63
	[violation] := [violation | some violation in _denied(_pod(namespace, "arn:x"))]
	violation.fix == concat("", [
		sprintf("use a role that namespace %q may use", [namespace]),
		", or remove the annotation where no role is needed",
	])
}

# Kinds

test_pod_templates_of_every_built_in_kind_are_judged if {
	template := _asking(_others)
	in_spec := {"spec": {"template": template}}
	every case in [
		{"group": "", "resource": "podtemplates", "object": {"template": template}, "at": "template"},
		{"group": "", "resource": "replicationcontrollers", "object": in_spec, "at": "spec.template"},
		{"group": "apps", "resource": "deployments", "object": in_spec, "at": "spec.template"},
		{"group": "apps", "resource": "replicasets", "object": in_spec, "at": "spec.template"},
		{"group": "apps", "resource": "statefulsets", "object": in_spec, "at": "spec.template"},
		{"group": "apps", "resource": "daemonsets", "object": in_spec, "at": "spec.template"},
		{"group": "batch", "resource": "jobs", "object": in_spec, "at": "spec.template"},
		{
			"group": "batch",
			"resource": "cronjobs",
			"object": {"spec": {"jobTemplate": {"spec": {"template": template}}}},
			"at": "spec.jobTemplate.spec.template",
		},
	] {
		[violation] := [violation |
			some violation in _denied(_create(case.group, case.resource, "webservice-01", case.object))
		]
		violation.rule == "ownership"
		violation.field == sprintf("%s.%s", [case.at, _field])
	}
}

_rollout(value) := {"spec": {"template": _asking(value)}}

test_custom_resources_that_make_pods_are_judged if {
	advanced := {"spec": {"template": {"jobTemplate": {"spec": {"template": _asking(_others)}}}}}
	every case in [
		{"group": "argoproj.io", "resource": "rollouts", "object": _rollout(_others), "at": "spec.template."},
		{"group": "serving.knative.dev", "resource": "services", "object": _rollout(_others), "at": "spec.template."},
		{"group": "serving.knative.dev", "resource": "revisions", "object": _asking(_others), "at": ""},
		{
			"group": "apps.kruise.io",
			"resource": "advancedcronjobs",
			"object": advanced,
			"at": "spec.template.jobTemplate.spec.template.",
		},
	] {
		[violation] := [violation |
			some violation in _denied(_create(case.group, case.resource, "webservice-01", case.object))
		]
		violation.rule == "ownership"
		violation.field == concat("", [case.at, _field])
	}
	prometheus := {"spec": {"podMetadata": {"annotations": {_key: _others}}}}
	some violation in _denied(_create("monitoring.coreos.com", "prometheuses", "webservice-01", prometheus))
	violation.field == `spec.podMetadata.annotations["iam.amazonaws.com/role"]`
}

test_each_template_of_an_object_is_judged if {
	spark := {"spec": {
		"driver": {"annotations": {_key: _own}},
		"executor": {"annotations": {_key: _others}, "template": _asking("arn:x")},
	}}
	review := _create("sparkoperator.k8s.io", "sparkapplications", "webservice-01", spark)
	{[violation.field, violation.rule] | some violation in _denied(review)} == {
		[`spec.executor.annotations["iam.amazonaws.com/role"]`, "ownership"],
		[`spec.executor.template.metadata.annotations["iam.amazonaws.com/role"]`, "form"],
	}
	changed := json.patch(spark, [{"op": "add", "path": "spec/executor/template/metadata/annotations/a", "value": "b"}])
	_denied(_update("sparkoperator.k8s.io", "sparkapplications", "webservice-01", spark, changed)) == set()
}

test_kinds_follow_the_settings if {
	review := _create("example.com", "crews", "webservice-01", {"spec": {"pod": {"annotations": {_key: _others}}}})
	_denied(review) == set()
	found := _denied(review) with data.eksguard.settings.workloads.pod_metadata as {"crews.example.com": [["spec", "pod"]]}
	_rules(found) == {"ownership"}
}

test_custom_resources_of_any_shape_do_no_harm if {
	every object_ in [
		null, "x", {}, {"spec": []}, {"spec": {"template": "x"}}, {"spec": {"template": {"metadata": [1]}}},
	] {
		_denied(_create("argoproj.io", "rollouts", "webservice-01", object_)) == set()
	}
}

test_a_bare_name_in_a_custom_resource_is_completed if {
	_patches(_create("argoproj.io", "rollouts", "webservice-01", _rollout("eks-webservice-01-prod"))) == {{
		"rule": "complete-bare-name",
		"patch": [{
			"op": "replace",
			"path": "/spec/template/metadata/annotations/iam.amazonaws.com~1role",
			"value": _own,
		}],
	}}
}

test_a_binding_is_judged_because_its_annotations_reach_the_pod if {
	binding := object.union(_asking(_others), {"kind": "Binding", "target": {"kind": "Node", "name": "a"}})
	_rules(_denied(_create("", "bindings", "webservice-01", binding))) == {"ownership"}
	_rules(_denied(_of(_create("", "pods", "webservice-01", binding), "binding"))) == {"ownership"}
}

test_subresources_cannot_bring_a_role_in if {
	every subresource in ["status", "ephemeralcontainers", "resize"] {
		review := _of(_update("", "pods", "webservice-01", {"metadata": {}}, _asking(_others)), subresource)
		_rules(_denied(review)) == {"ownership"}
	}
}

test_a_pod_without_a_name_of_its_own_is_judged_like_any_other if {
	review := _create("", "pods", "webservice-01", object.union(_asking(_others), {"metadata": {"generateName": "a-"}}))
	_rules(_denied({"request": object.union(review.request, {"name": ""})})) == {"ownership"}
}

# Updates

test_a_role_that_was_there_before_is_not_denied_again if {
	old := _asking(_others)
	new := object.union(old, {"metadata": {"finalizers": []}})
	_denied(_update("", "pods", "webservice-01", old, new)) == set()
	deployments := [{"spec": {"replicas": replicas, "template": old}} | some replicas in [1, 2]]
	_denied(_update("apps", "deployments", "webservice-01", deployments[0], deployments[1])) == set()
	job := {"spec": {"jobTemplate": {"spec": {"template": old}}}}
	_denied(_update("batch", "cronjobs", "webservice-01", job, object.union(job, {"spec": {"suspend": true}}))) == set()
	template := {"template": old}
	_denied(_update("", "podtemplates", "webservice-01", template, object.union(template, {"metadata": {}}))) == set()
}

test_a_role_that_an_update_brings_or_alters_is_denied if {
	every old in [{}, {"metadata": {"annotations": null}}, _asking(_own), _asking("eks-webservice-02-prod"), _asking(7)] {
		_rules(_denied(_update("", "pods", "webservice-01", old, _asking(_others)))) == {"ownership"}
	}
}

test_a_role_may_be_put_right_or_removed if {
	_denied(_update("", "pods", "webservice-01", _asking(_others), _asking(_own))) == set()
	_denied(_update("", "pods", "webservice-01", _asking(_others), {"metadata": {}})) == set()
}

test_a_role_is_brought_where_annotations_were_no_object if {
	every old in ["x", {"metadata": "x"}, {"metadata": {"annotations": [_others]}}, null] {
		_rules(_denied(_update("", "pods", "webservice-01", old, _asking(_others)))) == {"ownership"}
	}
}

test_an_object_that_is_being_deleted_is_judged_like_any_other if {
	deleted := {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}
	review := _update("", "pods", "webservice-01", deleted, object.union(deleted, _asking(_others)))
	_rules(_denied(review)) == {"ownership"}
}

test_a_deletion_brings_nothing if {
	review := {"request": object.union(
		_pod("webservice-01", null).request,
		{"operation": "DELETE", "object": null, "oldObject": _asking(_others)},
	)}
	_denied(review) == set()
}

test_a_review_without_an_old_object_is_judged if {
	review := {"request": object.remove(_pod("webservice-01", _others).request, ["oldObject"])}
	_rules(_denied(review)) == {"ownership"}
}

# Completion of bare names

test_a_bare_name_is_completed_where_the_settings_ask_for_it if {
	_patches(_pod("webservice-01", "eks-webservice-01-prod")) == {{
		"rule": "complete-bare-name",
		"patch": [{"op": "replace", "path": "/metadata/annotations/iam.amazonaws.com~1role", "value": _own}],
	}}
}

test_a_bare_name_in_a_template_is_completed if {
	job := {"spec": {"jobTemplate": {"spec": {"template": _asking("eks-webservice-01-prod")}}}}
	_patches(_create("batch", "cronjobs", "webservice-01", job)) == {{
		"rule": "complete-bare-name",
		"patch": [{
			"op": "replace",
			"path": "/spec/jobTemplate/spec/template/metadata/annotations/iam.amazonaws.com~1role",
			"value": _own,
		}],
	}}
}

test_what_is_completed_is_then_allowed_and_left_alone if {
	some mutation in _patches(_pod("webservice-01", "eks-webservice-01-prod"))
	completed := mutation.patch[0].value
	_denied(_pod("webservice-01", completed)) == set()
	_patches(_pod("webservice-01", completed)) == set()
}

test_only_what_would_be_allowed_is_completed if {
	every value in ["", "admin", "eks-webservice-02-prod", " eks-webservice-01-prod", "a//b", "ARN:x", _own, _others, 7] {
		_patches(_pod("webservice-01", value)) == set()
	}
}

test_bare_names_are_not_completed_by_default if {
	iam_role.mutate == set() with input as _pod("web", "eks-web-prod")
		with data.eksguard.settings.cluster as _cluster
}

test_bare_names_are_not_completed_while_the_account_is_unknown if {
	iam_role.mutate == set() with input as _pod("web", "eks-web-prod")
		with data.eksguard.settings.iam_role.complete_bare_names as true
		with data.eksguard.settings.cluster as _unknown
}

test_a_bare_name_is_not_completed_into_another_account if {
	_patches(_pod("web", "eks-web-prod")) == set()
		with data.eksguard.settings.iam_role.base_arn as "arn:aws:iam::999999999999:role/"
}

test_bare_names_are_completed_in_the_objects_themselves_only if {
	new := _asking("eks-web-prod")
	_patches(_of(_update("", "pods", "web", {}, new), "status")) == set()
	_patches(_of(_create("", "pods", "web", new), "binding")) == set()
	_patches(_create("", "bindings", "web", new)) == set()
	_patches(_of(_create("", "pods", "web", new), "")) != set()
}

test_a_bare_name_that_was_there_before_is_not_completed_by_the_way if {
	old := {"spec": {"template": _asking("eks-web-prod")}}
	_patches(_update("apps", "deployments", "web", old, object.union(old, {"spec": {"replicas": 2}}))) == set()
}

# Messages

test_a_message_neither_floods_nor_breaks_its_form if {
	flood := concat("", ["arn:\n\"", concat(" is ", [sprintf("%d", [i]) | some i in numbers.range(0, 1000)])])
	[violation] := [violation | some violation in _denied(_pod("web-prod", flood))]
	startswith(violation.message, `"arn:\n\"0 is 1`)
	count(violation.message) < 400
	count(violation.fix) < 400
}
