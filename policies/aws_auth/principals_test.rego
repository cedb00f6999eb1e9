package eksguard.aws_auth_test

import data.eksguard.aws_auth

_iam(principals) := {"principals": array.concat(
	[
		{"arn": "arn:aws:iam::555555555555:role/service/codebuild-deploy", "kind": "role"},
		{"arn": "arn:aws:iam::555555555555:user/alice", "kind": "user", "mfa": true},
		{"arn": "arn:aws:iam::555555555555:user/bob", "kind": "user", "mfa": false},
		{"arn": "arn:aws:iam::555555555555:root", "kind": "root", "mfa": false},
		{"arn": "arn:aws:iam::555555555555:role/aws-reserved/sso/AWSReservedSSO_Dev_0123456789abcdef", "kind": "role"},
	],
	principals,
)}

_adding(arn) := _update(_usual, _auth([_node, _role(arn, ["dev"])], [_user(_admin, _masters)]))

test_principals_that_exist_pass if {
	every arn in [_deploy, "arn:aws:iam::555555555555:user/alice", upper(_deploy)] {
		aws_auth.deny == set() with input as _adding(arn) with data.eksguard.settings.iam as _iam([])
	}
}

test_a_principal_that_does_not_exist_is_denied_with_the_nearest_one if {
	expectations := {
		"arn:aws:iam::555555555555:role/codebuild-depoly": _deploy,
		"arn:aws:iam::555555555555:user/alic": "arn:aws:iam::555555555555:user/alice",
		"arn:aws:iam::555555555555:user/eng/alice": "arn:aws:iam::555555555555:user/alice",
	}
	every arn, nearest in expectations {
		aws_auth.deny == {{
			"rule": "unknown-principal",
			"field": "data.mapRoles[1]",
			"message": sprintf("%q does not exist in IAM, as settings iam.principals tells", [arn]),
			"fix": sprintf("did you mean %q? If not, create it first, and list it in settings iam.principals", [nearest]),
		}} with input as _adding(arn) with data.eksguard.settings.iam as _iam([])
	}
}

test_nothing_is_suggested_where_nothing_is_near if {
	arn := "arn:aws:iam::555555555555:role/zzz"
	violations := aws_auth.deny with input as _adding(arn) with data.eksguard.settings.iam as _iam([])
	{violation.fix | some violation in violations} == {"create it first, and list it in settings iam.principals"}
}

test_without_a_list_of_principals_nobody_is_looked_for if {
	arn := "arn:aws:iam::555555555555:role/zzz"
	aws_auth.deny == set() with input as _adding(arn)
	other := [{"arn": "arn:aws:iam::666666666666:role/x", "kind": "role"}]
	aws_auth.deny == set() with input as _adding(arn) with data.eksguard.settings.iam as {"principals": other}
}

test_a_principal_that_was_mapped_before_may_stay if {
	aws_auth.deny == set() with input as _update(_with_deploy, _usual) with data.eksguard.settings.iam as _iam([])
	aws_auth.deny == set() with input as _adding("arn:aws:sts::555555555555:federated-user/x")
		with data.eksguard.settings.iam as _iam([])
}

test_a_permission_set_exists_where_one_of_its_roles_does if {
	every name, rules in {"Dev": set(), "Ops": {"unknown-principal"}} {
		entry := {"sso": {"permissionSetName": name, "accountID": "555555555555"}, "username": "u", "groups": ["dev"]}
		_rules(aws_auth.deny) == rules with input as _update(_usual, _auth([_node, entry], [_user(_admin, _masters)]))
			with data.eksguard.settings.iam as _iam([])
	}
}

test_a_user_without_mfa_is_not_mapped_nor_given_more if {
	bob := "arn:aws:iam::555555555555:user/bob"
	aws_auth.deny == {{
		"rule": "no-mfa",
		"field": "data.mapRoles[1]",
		"message": sprintf("%q has no MFA device, as settings iam.principals tells, expected one before it is mapped", [bob]),
	}} with input as _adding(bob) with data.eksguard.settings.iam as _iam([])
	before := _auth([_node], [_user(_admin, _masters), _user(bob, ["dev"])])
	every groups, rules in {["dev", "ops"]: {"no-mfa"}, []: set(), ["dev"]: set()} {
		after := _auth([_node], [_user(_admin, _masters), object.union(_user(bob, groups), {"username": "b"})])
		_rules(aws_auth.deny) == rules with input as _update(before, after) with data.eksguard.settings.iam as _iam([])
	}
	_rules(aws_auth.deny) == {"no-mfa"} with input as _adding("arn:aws:iam::555555555555:root")
		with data.eksguard.settings.iam as _iam([])
}
