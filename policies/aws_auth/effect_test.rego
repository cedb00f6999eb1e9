package eksguard.aws_auth_test

import data.eksguard.aws_auth

_node_line := sprintf(`"%s" as "system:node:{{EC2PrivateDNSName}}" in "system:bootstrappers", "system:nodes"`, [_node_role])

test_a_denial_tells_who_gains_what if {
	aws_auth.effect == [sprintf(`+ "%s" as "deploy" in "system:masters"`, [_deploy])] with input as _update(
		_usual,
		_with_deploy,
	)
}

test_a_denial_tells_who_loses_what_and_who_changes if {
	admin_line := sprintf(`~ "%s" as "admin" in "system:masters" -> as "admin" in no group`, [_admin])
	aws_auth.effect == [sprintf("- %s", [_node_line]), admin_line] with input as _update(
		_usual,
		_auth([], [_user(_admin, [])]),
	)
}

test_a_deletion_tells_everybody_who_is_lost if {
	aws_auth.effect == [
		sprintf("- %s", [_node_line]),
		sprintf(`- "%s" as "admin" in "system:masters"`, [_admin]),
	] with input as _delete(_usual)
}

test_a_section_that_is_lost_tells_whom_it_mapped if {
	aws_auth.effect == [sprintf("- %s", [_node_line])] with input as _update(
		_usual,
		object.union(_usual, {"data": {"mapRoles": "["}}),
	)
}

test_a_change_that_changes_nobody_says_so if {
	aws_auth.effect == ["nobody gains or loses anything"] with input as _update(
		_usual,
		object.union(_usual, {"immutable": true}),
	)
}

test_where_nothing_is_wrong_there_is_no_effect_to_tell if {
	not aws_auth.effect with input as _update(_usual, _usual)
}

test_an_arn_of_several_entries_may_be_each_of_them if {
	after := _auth([_node, _role(_deploy, ["a"]), _role(_deploy, ["b"])], [_user(_admin, _masters)])
	aws_auth.effect == [sprintf(`+ "%s" as "deploy" in "a" or as "deploy" in "b"`, [_deploy])] with input as _update(
		_usual,
		after,
	)
}

test_whole_accounts_come_and_go if {
	with_account := object.union(_usual, {"data": {"mapAccounts": "- '012345670123'"}})
	text := `every user and role of account "012345670123" as their own ARN in no group`
	not aws_auth.effect with input as _update(_usual, with_account)
	frozen := object.union(_usual, {"immutable": true})
	aws_auth.effect == [sprintf("+ %s", [text])] with input as _update(_usual, object.union(with_account, frozen))
	aws_auth.effect == [sprintf("- %s", [text])] with input as _update(with_account, frozen)
}

test_a_binding_makes_administrators if {
	aws_auth.effect == [`+ group "platform" as cluster administrator`] with input as _binding_request(
		null,
		_binding("x", [["Group", "platform"]]),
	)
}

test_an_effect_is_short if {
	users := [_user(sprintf("arn:aws:iam::555555555555:user/u%d", [number]), numbers_as_groups) |
		some number in numbers.range(1, 20)
		numbers_as_groups := [sprintf("g%d", [group]) | some group in numbers.range(1, 9)]
	]
	after := object.union(_auth([_node], array.concat([_user(_admin, _masters)], users)), {"immutable": true})
	lines := aws_auth.effect with input as _update(_usual, after)
	count(lines) == 9
	lines[0] == concat("", [
		`+ "arn:aws:iam::555555555555:user/u1" as "admin" in "g1", "g2", "g3", "g4", "g5", "g6" and 3 more`,
	])
	lines[8] == "and 12 more"
}

test_administrators_by_username_come_first if {
	users := [
		{"userarn": "arn:aws:iam::555555555555:user/a", "username": "a"},
		{"userarn": "arn:aws:iam::555555555555:user/z", "username": "alice"},
	]
	lines := aws_auth.effect with input as _update(_usual, _auth([_node], array.concat([_user(_admin, _masters)], users)))
		with data.cluster as _bound([["User", "alice"]])
	lines == [
		`+ "arn:aws:iam::555555555555:user/z" as "alice" in no group`,
		`+ "arn:aws:iam::555555555555:user/a" as "a" in no group`,
	]
}
