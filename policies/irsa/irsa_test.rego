package eksguard.irsa_test

import data.eksguard.irsa

_key := "eks.amazonaws.com/role-arn"

_field := `metadata.annotations["eks.amazonaws.com/role-arn"]`

_arn(name) := concat("", ["arn:aws:iam::123456789012:role/", name])

_create(value) := {"request": {
	"operation": "CREATE",
	"resource": {"group": "", "version": "v1", "resource": "serviceaccounts"},
	"namespace": "pay",
	"name": "default",
	"object": {"metadata": {"annotations": {_key: value}}},
	"oldObject": null,
}}

_update(old, new) := {"request": object.union(_create(new).request, {
	"operation": "UPDATE",
	"oldObject": {"metadata": {"annotations": {_key: old}}},
})}

_denied(review) := found if {
	found := irsa.deny with input as review
		with data.eksguard.settings.cluster as {"account": "123456789012", "partition": "aws"}
		with data.eksguard.settings.iam_role.grants as {"pay": ["old-role"]}
}

_rules(violations) := {violation.rule | some violation in violations}

test_a_role_of_the_namespace_s_own_service_is_allowed if {
	_denied(_create(_arn("eks-pay-prod"))) == set()
}

test_a_role_that_the_settings_grant_is_allowed if {
	_denied(_create(_arn("old-role"))) == set()
}

test_the_role_of_another_service_is_denied if {
	_denied(_create(_arn("eks-payments-prod"))) == {{
		"rule": "ownership",
		"field": _field,
		"message": concat("", [
			`"arn:aws:iam::123456789012:role/eks-payments-prod" belongs to environment "prod" of service "payments", `,
			`not to namespace "pay", to which settings.iam_role.grants does not give it`,
		]),
		"fix": concat("", [
			`use "arn:aws:iam::123456789012:role/eks-pay-prod" or "arn:aws:iam::123456789012:role/old-role", `,
			`or have an administrator grant it to namespace "pay" in settings.iam_role.grants`,
		]),
	}}
	some violation in _denied(_create(_arn("ark-role")))
	contains(violation.message, "is not named eks-<service>-<env>, where <env> is dev or stage or prod")
}

test_a_role_of_another_account_or_partition_is_denied if {
	_denied(_create("arn:aws:iam::999999999999:role/eks-pay-prod")) == {{
		"rule": "account",
		"field": _field,
		"message": concat("", [
			`"arn:aws:iam::999999999999:role/eks-pay-prod" is not a role of this cluster's account, `,
			"expected arn:aws:iam::123456789012…",
		]),
		"fix": `use "arn:aws:iam::123456789012:role/eks-pay-prod"`,
	}}
	_rules(_denied(_create("arn:aws-cn:iam::123456789012:role/eks-pay-prod"))) == {"account"}
	_rules(_denied(_create("arn:aws:iam::999999999999:role/eks-a-prod"))) == {"account", "ownership"}
}

test_a_bare_name_is_judged_as_the_role_that_it_may_become if {
	_rules(_denied(_create("eks-pay-prod"))) == {"form"}
	_rules(_denied(_create("eks-payments-prod"))) == {"form", "ownership"}
}

test_a_slip_of_the_pen_is_asked_about if {
	every name in ["eks-pay-prodd", "eks-pya-prod", "eks_pay_prod", "pay-prod"] {
		some violation in _denied(_create(_arn(name)))
		violation.rule == "ownership"
		startswith(violation.fix, `did you mean "arn:aws:iam::123456789012:role/eks-pay-prod"? Otherwise have an`)
	}
}

test_a_bare_name_is_not_completed_by_eks if {
	_denied(_create("eks-pay-prod")) == {{
		"rule": "form",
		"field": _field,
		"message": `"eks-pay-prod" is the name of a role, expected its full ARN`,
		"fix": concat("", [
			`use "arn:aws:iam::123456789012:role/eks-pay-prod", `,
			"or remove the annotation where no role is needed",
		]),
	}}
}

test_what_is_no_role_is_denied if {
	every value in [
		" ", "arn:aws:iam::SOMETHING", "ARN:aws:iam::123456789012:role/eks-pay-prod x", "x/arn:/y", 7, [],
	] {
		[violation] := [violation | some violation in _denied(_create(value))]
		violation.rule == "form"
		violation.message == sprintf(
			"%s is not the ARN of an IAM role, expected arn:<partition>:iam::<12 digits>:role/<name>",
			[_quoted(value)],
		)
		endswith(violation.fix, "remove the annotation where no role is needed")
	}
	[empty] := [violation | some violation in _denied(_create(""))]
	empty.message == `"" is empty, for which no role is given`
}

test_an_update_is_judged_by_what_it_changes if {
	foreign := _arn("eks-payments-prod")
	_denied(_update(foreign, foreign)) == set()
	_denied(_update(foreign, _arn("eks-pay-dev"))) == set()
	_rules(_denied(_update(foreign, _arn("eks-payments-dev")))) == {"ownership"}
	_rules(_denied(_update(null, foreign))) == {"ownership"}
}

test_objects_of_any_shape_do_no_harm if {
	every object_ in [
		null, {}, {"metadata": null}, {"metadata": {"annotations": "x"}}, {"metadata": {"annotations": {}}},
	] {
		_denied({"request": object.union(
			object.remove(_create("").request, ["object"]),
			{"object": object_},
		)}) == set()
	}
}

_quoted(value) := sprintf("%q", [value]) if is_string(value)

_quoted(value) := sprintf("%q", [json.marshal(value)]) if not is_string(value)
