package eksguard.aws_auth_test

import data.eksguard.aws_auth

_fargate_role := "arn:aws:iam::555555555555:role/AmazonEKSFargatePodExecutionRole"

_fargate := {
	"rolearn": _fargate_role,
	"username": "system:node:{{SessionName}}",
	"groups": ["system:bootstrappers", "system:nodes", "system:node-proxier"],
}

_with_fargate := _auth([_node, _fargate], [_user(_admin, _masters)])

_cluster_nodes(compute_types) := {"v1/nodes": {sprintf("n%d", [index]): {"metadata": {"labels": labels}} |
	some index, compute_type in compute_types
	labels := {"eks.amazonaws.com/compute-type": compute_type}
}}

test_the_last_fargate_role_stays_while_there_are_fargate_nodes if {
	aws_auth.deny == {{
		"rule": "fargate-role-lost",
		"field": "data.mapRoles",
		"message": concat("", [
			sprintf("Fargate nodes with role %q could no longer join or stay, as no entry with ", [_fargate_role]),
			`username "system:node:{{SessionName}}" and groups "system:bootstrappers" and "system:node-proxier" and `,
			`"system:nodes" would be left (nodes up now: 2)`,
		]),
		"fix": concat("", [
			sprintf("keep an entry with rolearn %q, ", [_fargate_role]),
			`username "system:node:{{SessionName}}" and groups "system:bootstrappers" and "system:node-proxier" and `,
			`"system:nodes"`,
		]),
	}} with input as _update(_with_fargate, _usual) with data.cluster as _cluster_nodes(["fargate", "fargate", "x"])
}

test_the_last_fargate_role_may_go_without_fargate_nodes_but_not_while_nodes_are_not_known if {
	aws_auth.deny == set() with input as _update(_with_fargate, _usual) with data.cluster as _cluster_nodes(["", "auto"])
	aws_auth.deny == set() with input as _update(_with_fargate, _usual) with data.cluster as {"v1/nodes": {}}
	_rules(aws_auth.deny) == {"fargate-role-lost"} with input as _update(_with_fargate, _usual)
}

test_one_of_two_fargate_roles_may_go if {
	before := _auth(
		[_node, _fargate, object.union(_fargate, {"rolearn": "arn:aws:iam::555555555555:role/f2"})],
		[_user(_admin, _masters)],
	)
	aws_auth.deny == set() with input as _update(before, _with_fargate) with data.cluster as _cluster_nodes(["fargate"])
}

test_a_fargate_role_with_fewer_groups_is_lost if {
	every change in [{"groups": ["system:bootstrappers", "system:nodes"]}, {"username": "system:node:x"}] {
		after := _auth([_node, object.union(_fargate, change)], [_user(_admin, _masters)])
		"fargate-role-lost" in _rules(aws_auth.deny) with input as _update(_with_fargate, after)
			with data.cluster as _cluster_nodes(["fargate"])
	}
}

test_the_nodes_that_are_up_are_counted if {
	denied := aws_auth.deny with input as _update(_usual, _auth([], [_user(_admin, _masters)]))
		with data.cluster as _cluster_nodes(["", "", "fargate"])
	some violation in denied
	endswith(violation.message, "would be left (nodes up now: 2)")
	second := object.union(_node, {"rolearn": "arn:aws:iam::555555555555:role/second"})
	warned := aws_auth.warn with input as _update(_auth([_node, second], [_user(_admin, _masters)]), _usual)
		with data.cluster as _cluster_nodes([""])
	{warning.message | some warning in warned} == {concat("", [
		`nodes with role "arn:aws:iam::555555555555:role/second" can no longer join or stay `,
		"(nodes up now: 1; which of them have it is written nowhere in the cluster)",
	])}
}
