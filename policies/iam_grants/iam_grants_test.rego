package eksguard.iam_grants_test

import data.eksguard.iam_grants

_key := "iam.amazonaws.com/allowed-roles"

_kiam := "iam.amazonaws.com/permitted"

_field := `metadata.annotations["iam.amazonaws.com/allowed-roles"]`

_anyone := {"username": "alice", "groups": ["system:authenticated"]}

_admin := {"username": "root", "groups": ["system:masters", "system:authenticated"]}

_namespace(annotations) := {"metadata": {"name": "reports", "annotations": annotations}}

_create(user, annotations) := {"request": {
	"operation": "CREATE",
	"resource": {"group": "", "version": "v1", "resource": "namespaces"},
	"name": "reports",
	"namespace": "reports",
	"userInfo": user,
	"object": _namespace(annotations),
	"oldObject": null,
}}

_update(user, old, new) := {"request": object.union(
	_create(user, new).request,
	{"operation": "UPDATE", "oldObject": _namespace(old)},
)}

_denied(review) := found if {
	found := iam_grants.deny with input as review
		with data.eksguard.settings.cluster as {"account": "123456789012", "partition": "aws"}
}

_denied_as(format, review) := found if {
	found := _denied(review) with data.eksguard.settings.iam_role.allowed_roles_format as format
}

_rules(violations) := {violation.rule | some violation in violations}

# Administrators

test_only_administrators_allow_a_namespace_the_role_of_another_service if {
	value := `["eks-webservice-02-prod"]`
	every review in [_create(_anyone, {_key: value}), _update(_anyone, {}, {_key: value})] {
		_denied(review) == {{
			"rule": "administrator",
			"field": _field,
			"message": concat("", [
				`"alice", who is no administrator of IAM roles, may not give namespace "reports" `,
				`"arn:aws:iam::123456789012:role/eks-webservice-02-prod": `,
				"that is more than the roles of its own service",
			]),
			"fix": concat("", [
				"let one of settings.iam_grants.administrators do it, ",
				`or name roles of service "reports" only, each by itself`,
			]),
		}}
	}
	every review in [_create(_admin, {_key: value}), _update(_admin, {}, {_key: value})] {
		_denied(review) == set()
	}
}

test_only_administrators_take_it_back if {
	violations := _denied(_update(_anyone, {_key: `["eks-webservice-02-prod"]`}, {}))
	some violation in violations
	_rules(violations) == {"administrator"}
	contains(violation.message, `may not take namespace "reports"`)
	_denied(_update(_admin, {_key: `["eks-webservice-02-prod"]`}, {})) == set()
}

test_administrators_are_known_by_group_or_name if {
	value := {_key: `["eks-webservice-02-prod"]`}
	every name in [
		"arn:aws:sts::123456789012:assumed-role/admin/eve",
		"system:serviceaccount:flux:flux", "system:serviceaccount:flux-system:kustomize-controller",
	] {
		_denied(_create({"username": name}, value)) == set()
	}
	every user in [
		{"username": "system:serviceaccount:team-a:reconciler", "groups": ["system:serviceaccounts"]},
		{"username": "x-arn:aws"}, {},
	] {
		_rules(_denied(_create(user, value))) == {"administrator"}
	}
}

test_anyone_gives_and_takes_roles_of_the_namespace_s_own_service if {
	own := `["eks-reports-dev", "arn:aws:iam::123456789012:role/eks-reports-prod"]`
	_denied(_create(_anyone, {_key: own})) == set()
	_denied(_update(_anyone, {}, {_key: own})) == set()
	_denied(_update(_anyone, {_key: own}, {})) == set()
	_denied(_update(_anyone, {_key: `["eks-pay-prod"]`}, {_key: `["eks-pay-prod", "eks-reports-dev"]`})) == set()
}

test_a_role_whose_name_begins_with_the_service_is_not_its_own if {
	every role in [
		"eks-reports-archive-prod", "eks-report-prod", "eks-reports-qa", "team/eks-reports-prod",
		"arn:aws:iam::999999999999:role/eks-reports-prod", "ARN:aws:iam::123456789012:role/eks-reports-prod", "ark-role",
	] {
		_rules(_denied(_create(_anyone, {_key: json.marshal([role])}))) == {"administrator"}
	}
}

test_a_name_that_is_made_up_by_the_api_server_is_nobody_s if {
	request := _create(_anyone, {_key: `["eks-reports-prod"]`}).request
	violations := _denied({"request": object.union(
		json.remove(request, ["object/metadata/name"]),
		{"name": ""},
	)})
	{violation.fix | some violation in violations} == {"let one of settings.iam_grants.administrators do it"}
	_denied({"request": object.union(request, {"name": ""})}) == set()
}

test_other_changes_are_nobody_s_business if {
	value := `["eks-webservice-02-*"`
	_denied(_update(_anyone, {_key: value}, {_key: value, "a": "b"})) == set()
	_denied(_create(_anyone, {"a": "b"})) == set()
	_denied(_update(_anyone, {_key: `["eks-pay-prod","a*"]`}, {_key: ` [ "a*", "eks-pay-prod" ]`})) == set()
}

test_objects_of_any_shape_do_no_harm if {
	every object_ in [null, {}, {"metadata": null}, {"metadata": {"annotations": "x"}}, "x"] {
		_denied({"request": object.union(
			object.remove(_create(_anyone, {}).request, ["object"]),
			{"object": object_},
		)}) == set()
	}
}

# What can be read

test_what_is_no_json_array_of_strings_is_denied_to_everyone if {
	every value in ["", "eks-pay-prod", "null", "{}", `["a"`, "[1]", `[""]`, 7] {
		_rules(_denied(_update(_admin, {}, {_key: value}))) == {"form"}
	}
	_denied(_update(_admin, {}, {_key: "a"})) == {{
		"rule": "form",
		"field": _field,
		"message": `"a" is not a JSON array of strings, for which kube2iam allows nothing or what was not meant`,
		"fix": `give an array such as ["eks-webservice-01-dev", "eks-webservice-01-prod"], or remove the annotation`,
	}}
}

test_what_could_not_be_read_before_can_be_mended if {
	_denied(_update(_anyone, {_key: `["a"`}, {_key: `["eks-reports-dev"]`})) == set()
	_denied(_update(_anyone, {_key: `["a"`}, {})) == set()
}

test_an_expression_that_does_not_compile_is_denied if {
	_rules(_denied_as("regexp", _update(_admin, {}, {_key: `["a("]`}))) == {"form", "reach"}
	_rules(_denied(_update(_admin, {}, {_kiam: "("}))) == {"form", "reach"}
	_rules(_denied(_update(_admin, {}, {_kiam: 7}))) == {"form"}
}

# Open patterns

test_a_pattern_that_reaches_other_services_is_denied_to_administrators_too if {
	_denied(_update(_admin, {}, {_key: `["eks-webservice-*", "eks-pay-prod"]`})) == {{
		"rule": "reach",
		"field": _field,
		"message": concat("", [
			`"arn:aws:iam::123456789012:role/eks-webservice-*" would let namespace "reports" use roles of other services `,
			`too: "*" may stand for a part of a service's name, as "-*" may for "-x-prod" of service "…-x"`,
		]),
		"fix": `name each role by itself, as in ["eks-webservice-01-dev", "eks-webservice-01-prod"]`,
	}}
	every pattern in [
		"*", "eks-*", "e*", "eks-*-prod", "eks-pay-p*d", "*prod", "arn:*", "arn:aws:iam::*:role/eks-a-prod",
	] {
		_rules(_denied(_update(_admin, {}, {_key: json.marshal([pattern])}))) == {"reach"}
	}
	_rules(_denied(_update(_anyone, {}, {_key: `["eks-reports-*"]`}))) == {"administrator", "reach"}
}

test_an_open_pattern_of_no_service_is_for_administrators if {
	every pattern in ["ark-*", "team/eks-*", "eks-*-nightly", "*x"] {
		_denied(_update(_admin, {}, {_key: json.marshal([pattern])})) == set()
		_rules(_denied(_update(_anyone, {}, {_key: json.marshal([pattern])}))) == {"administrator"}
	}
}

test_a_pattern_that_was_there_is_kept if {
	_denied(_update(_anyone, {_key: `["eks-*"]`}, {_key: `["eks-*", "eks-reports-dev"]`})) == set()
}

test_a_regular_expression_is_spelled_out_to_its_end if {
	every pattern in ["eks-reports-prod$", "eks-reports-(dev|prod)$", "eks-reports-(?:dev|prod)$"] {
		_denied_as("regexp", _create(_anyone, {_key: json.marshal([pattern])})) == set()
	}
	every pattern in ["eks-reports-prod", "eks-reports-.*$", "^eks-reports-prod$", "a|b$", "eks-reports-(dev|.*)$"] {
		_rules(_denied_as("regexp", _create(_admin, {_key: json.marshal([pattern])}))) == {"reach"}
	}
	_rules(_denied_as("regexp", _create(_anyone, {_key: `["eks-(reports|pay)-prod$"]`}))) == {"administrator", "reach"}
	_rules(_denied_as("regexp", _create(_anyone, {_key: `["eks-(reports-prod|pay-prod)$"]`}))) == {"administrator"}
}

# kiam

_roles := "arn:aws:iam::123456789012:role/"

_permits(user, expression) := _denied(_create(user, {_kiam: expression}))

test_what_kiam_permits_is_judged_alike if {
	every expression in ["eks-reports-prod", "eks-reports-(dev|prod)", "eks-reports-(?:dev|prod)$"] {
		_permits(_anyone, concat("", [_roles, expression])) == set()
		_permits(_anyone, concat("", ["^", _roles, expression])) == set()
	}
	_permits(_anyone, "") == set()
	every expression in [".*", "arn:.*", "x|.*", "(?i)arn:x"] {
		violations := _permits(_admin, expression)
		_rules(violations) == {"reach"}
		every violation in violations {
			violation.field == `metadata.annotations["iam.amazonaws.com/permitted"]`
		}
	}
	pay := concat("", [_roles, "eks-pay-prod"])
	_rules(_permits(_anyone, pay)) == {"administrator"}
	_rules(_denied(_update(_anyone, {_kiam: pay}, {}))) == {"administrator"}
	_permits(_admin, pay) == set()
}

test_alternatives_without_parentheses_reach_further_than_they_seem if {
	_rules(_permits(_admin, concat("", [_roles, "eks-reports-dev|", _roles, "eks-reports-prod"]))) == {"reach"}
}

test_to_kiam_a_name_alone_permits_nothing if {
	every expression in ["eks-reports-prod", "^eks-reports-(dev|prod)$", "eks-pay-prod$"] {
		_permits(_admin, expression) == {{
			"rule": "form",
			"field": `metadata.annotations["iam.amazonaws.com/permitted"]`,
			"message": sprintf("%q %s", [
				expression,
				"is a role's name, and kiam compares the whole ARN, so that it permits nothing",
			]),
			"fix": concat("", [
				`give the ARN, as in "arn:aws:iam::123456789012:role/eks-webservice-01-(dev|prod)", `,
				"or remove the annotation",
			]),
		}}
	}
}

test_to_a_kiam_that_is_not_strict_an_expression_needs_its_end if {
	every expression in [concat("", [_roles, "eks-reports-prod$"]), concat("", ["^", _roles, "eks-reports-(dev|prod)$"])] {
		_permits(_anyone, expression) == set() with data.eksguard.settings.iam_grants.permitted_strict as false
	}
	every expression in [concat("", [_roles, "eks-reports-prod"]), "eks-reports-prod$", "^eks-reports-prod$"] {
		_rules(_permits(_admin, expression)) == {"reach"} with data.eksguard.settings.iam_grants.permitted_strict as false
	}
}
