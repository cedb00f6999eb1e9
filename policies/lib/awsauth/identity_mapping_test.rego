package eksguard.lib.awsauth_test

import data.eksguard.lib.awsauth

_mapping(spec) := {"metadata": {"name": "x"}, "spec": spec}

_with_status(mapping, arn) := object.union(mapping, {"status": {"canonicalARN": arn}})

_identity(mapping) := awsauth.identity_mapping("x", mapping)

_keys(mapping) := [[entry.field, entry.arn, entry.usable] | some entry in _identity(mapping).entries]

_faults(mapping) := {[error.field, error.reason] | some error in _identity(mapping).errors}

test_an_iamidentitymapping_maps_the_arn_of_its_spec if {
	arn := "arn:aws:iam::555555555555:role/Admin"
	awsauth.identity_mapping("x", _mapping({"arn": arn, "username": "u", "groups": ["a", "b"]})) == {
		"entries": [{
			"section": "IAMIdentityMapping",
			"origin": "IAMIdentityMapping x",
			"index": "x",
			"field": "spec.arn",
			"arn": arn,
			"key": lower(arn),
			"username": "u",
			"groups": ["a", "b"],
			"raw": arn,
			"loaded": true,
			"usable": true,
		}],
		"accounts": [],
		"errors": set(),
	}
}

test_a_session_of_a_role_is_its_role if {
	session := "arn:aws:sts::555555555555:assumed-role/admin/Mary"
	_keys(_mapping({"arn": session, "username": "u"})) == [["spec.arn", _role, true]]
	awsauth.canonical("arn:aws:sts::555555555555:assumed-role/path/admin/Mary") == concat("", [
		"arn:aws:iam::555555555555:role/path/",
		"admin",
	])
}

test_what_is_no_arn_of_a_user_or_role_has_no_canonical_form if {
	every arn in [
		5, null, "", "admin", "arn:aws:iam::5", "arn:aws:iam::555555555555:group/x", "arn:aws:ec2::555555555555:user/x",
		"arn:aws:sts::555555555555:assumed-role/x", "arn:x:iam::555555555555:user/x", "arn:aws:sts::555555555555:user/x",
	] {
		awsauth.canonical(arn) == ""
	}
	awsauth.canonical("ARN:aws-cn:STS::1:federated-user/X") == "arn:aws-cn:sts::1:federated-user/x"
}

test_a_status_of_another_arn_is_a_mapping_too if {
	mapping := _mapping({"arn": _role, "username": "u"})
	_keys(_with_status(mapping, _role)) == [["spec.arn", _role, true]]
	_keys(_with_status(mapping, 5)) == [["spec.arn", _role, true]]
	_keys(_with_status(mapping, _user)) == [["spec.arn", _role, true], ["status.canonicalARN", _user, false]]
}

test_a_status_stays_where_the_spec_is_not_understood if {
	every arn in ["", "x", 5] {
		mapping := _with_status(_mapping({"arn": arn, "username": "u"}), _user)
		_keys(mapping) == [["status.canonicalARN", _user, true]]
	}
	_keys(_with_status(_mapping({"arn": "x", "username": "u"}), "x")) == [["status.canonicalARN", "x", false]]
}

test_what_an_iamidentitymapping_loses_is_an_error if {
	_faults(_mapping({"username": "u"})) == {["spec.arn", "is missing, so that the authenticator maps nobody"]}
	_faults(_mapping({"arn": "x", "username": "u"})) == {["spec.arn", concat("", [
		`"x" is no ARN that the authenticator understands, so that it maps whom it mapped before: expected the form `,
		`"arn:aws:iam::<account>:role/<name>" or "arn:aws:iam::<account>:user/<name>"`,
	])]}
	_faults(_mapping({"arn": "arn:aws:iam::555555555555:role/path/admin", "username": "u"})) == {["spec.arn", concat("", [
		`"arn:aws:iam::555555555555:role/path/admin" can never be a caller's ARN, so that it maps nobody: `,
		sprintf("expected the role without its path, %q", [_role]),
	])]}
	_faults(_mapping({"arn": _role, "groups": null})) == {[
		"spec.username",
		"is missing, so that the ARN is mapped to no username",
	]}
}

test_an_iamidentitymapping_of_wrong_types_is_an_error if {
	_faults(_mapping({"arn": _role, "username": 5, "groups": [5]})) == {
		[
			"spec.username",
			`is "5", expected a string, and the authenticator can then read no IAMIdentityMapping at all`,
		],
		[
			"spec.groups",
			`is "[5]", expected a list of strings, and the authenticator can then read no IAMIdentityMapping at all`,
		],
	}
	some entry in _identity(_mapping({"arn": _role, "username": 5, "groups": [5]})).entries
	[entry.username, entry.groups] == ["", [""]]
}

test_who_may_be_let_in if {
	awsauth.may_be_caller(upper(_user))
	awsauth.may_be_caller("arn:aws:iam::555555555555:role/AWSReservedSSO_Admin_*")
	not awsauth.may_be_caller("arn:aws:iam::555555555555:role/path/admin")
}
