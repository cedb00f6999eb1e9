package eksguard.iam_role_external_id_test

import data.eksguard.iam_role

_field := `metadata.annotations["iam.amazonaws.com/external-id"]`

_role := "arn:aws:iam::123456789012:role/eks-billing-prod"

_with(id) := {"metadata": {"annotations": {"iam.amazonaws.com/role": _role, "iam.amazonaws.com/external-id": id}}}

_alone(id) := {"metadata": {"annotations": {"iam.amazonaws.com/external-id": id}}}

_without := {"metadata": {"annotations": {"iam.amazonaws.com/role": _role}}}

_create(object) := {"request": {
	"operation": "CREATE",
	"resource": {"group": "", "version": "v1", "resource": "pods"},
	"namespace": "billing",
	"object": object,
	"oldObject": null,
}}

_update(old, new) := {"request": object.union(_create(new).request, {"operation": "UPDATE", "oldObject": old})}

_denied(review) := found if {
	found := iam_role.deny with input as review
		with data.eksguard.settings.cluster as {"account": "123456789012", "partition": "aws"}
		with data.eksguard.settings.iam_role.external_ids as {"billing": ["acme-*", "b/1"], "web": ["web-1"]}
		with data.cluster as {}
}

_rules(violations) := {violation.rule | some violation in violations}

test_an_external_id_that_the_settings_give_the_namespace_is_allowed if {
	_denied(_create(_with("acme-7"))) == set()
	_denied(_create(_with("b/1"))) == set()
}

test_any_other_is_denied if {
	_denied(_create(_with("web-1"))) == {{
		"rule": "external-id",
		"field": _field,
		"message": `"web-1" is not an external id that namespace "billing" may use`,
		"fix": `remove the annotation, or have an administrator list it for "billing" in settings.iam_role.external_ids`,
	}}
	found := iam_role.deny with input as _create(_with("acme-7"))
	_rules(found) == {"external-id"}
}

test_in_templates_too if {
	review := {"request": object.union(_create({}).request, {
		"resource": {"group": "batch", "version": "v1", "resource": "jobs"},
		"object": {"spec": {"template": _with("web-1")}},
	})}
	[violation] := [violation | some violation in _denied(review)]
	violation.field == concat(".", ["spec.template", _field])
}

test_what_aws_takes_for_no_external_id_is_denied_by_its_form_alone if {
	long := concat("", ["a" | some _ in numbers.range(1, 1225)])
	every id in ["", "a", "a b", " acme-1", "acme-1\n", "acmé", long, 7, null, ["acme-1"]] {
		_rules(_denied(_create(_with(id)))) == {"external-id-form"}
	}
	_denied(_create(_with(concat("", ["acme-", substring(long, 0, 1219)])))) == set()
}

test_an_external_id_without_a_role_is_denied if {
	_denied(_create(_alone("acme-1"))) == {{
		"rule": "external-id-alone",
		"field": _field,
		"message": concat("", [
			`external id "acme-1" stands alone: it goes with the role in annotation "iam.amazonaws.com/role", `,
			"which is not there",
		]),
	}}
	_rules(_denied(_create(_alone("web-1")))) == {"external-id", "external-id-alone"}
}

test_a_binding_adds_it_to_the_role_of_its_pod if {
	_denied({"request": object.union(_create(_alone("acme-1")).request, {"subResource": "binding"})}) == set()
	binding := {"group": "", "version": "v1", "resource": "bindings"}
	_denied({"request": object.union(_create(_alone("acme-1")).request, {"resource": binding})}) == set()
	_rules(_denied({"request": object.union(_create(_alone("web-1")).request, {"resource": binding})})) == {"external-id"}
}

test_an_update_is_judged_by_what_it_changes if {
	_denied(_update(_with("web-1"), _with("web-1"))) == set()
	_rules(_denied(_update(_with("acme-1"), _with("web-1")))) == {"external-id"}
	_rules(_denied(_update(_without, _with("web-1")))) == {"external-id"}
	_denied(_update(_with("web-1"), _without)) == set()
	_denied(_update(_alone("acme-1"), _alone("acme-2"))) == set()
	_rules(_denied(_update(_with("acme-1"), _alone("acme-1")))) == {"external-id-alone"}
	_rules(_denied(_update({"metadata": {}}, _alone("acme-1")))) == {"external-id-alone"}
}

test_its_annotation_follows_the_settings if {
	pod := {"metadata": {"annotations": {"iam.amazonaws.com/role": _role, "id": "web-1"}}}
	_denied(_create(pod)) == set()
	[violation] := [violation |
		some violation in _denied(_create(pod)) with data.eksguard.settings.iam_role.external_id_annotation as "id"
	]
	violation.field == "metadata.annotations.id"
}
