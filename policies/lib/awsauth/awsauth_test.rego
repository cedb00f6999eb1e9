package eksguard.lib.awsauth_test

import data.eksguard.lib.awsauth

_role := "arn:aws:iam::555555555555:role/admin"

_user := "arn:aws:iam::555555555555:user/admin"

_parse(section, content) := awsauth.parse({"data": {section: content}})

_loaded(section, content) := [[entry.arn, entry.username, entry.groups] |
	some entry in _parse(section, content).entries
]

_reasons(section, content) := {[error.field, error.effect, error.reason] |
	some error in _parse(section, content).errors
}

_entry(fields) := sprintf("- {rolearn: %q, username: u, %s}", [_role, fields])

test_entries_come_as_the_authenticator_loads_them if {
	awsauth.parse({"data": {
		"mapRoles": `[{rolearn: "arn:aws:iam::555555555555:role/Admin", username: u, groups: [a]}]`,
		"mapUsers": "- userarn: arn:aws:iam::555555555555:user/x\n  username: x\n",
		"mapAccounts": "- '555555555555'\n",
	}}) == {
		"entries": [
			{
				"section": "mapRoles",
				"origin": "ConfigMap",
				"index": 0,
				"field": "data.mapRoles[0]",
				"arn": "arn:aws:iam::555555555555:role/Admin",
				"key": "arn:aws:iam::555555555555:role/admin",
				"username": "u",
				"groups": ["a"],
				"raw": {"rolearn": "arn:aws:iam::555555555555:role/Admin", "username": "u", "groups": ["a"]},
				"loaded": true,
				"usable": true,
			},
			{
				"section": "mapUsers",
				"origin": "ConfigMap",
				"index": 0,
				"field": "data.mapUsers[0]",
				"arn": "arn:aws:iam::555555555555:user/x",
				"key": "arn:aws:iam::555555555555:user/x",
				"username": "x",
				"groups": [],
				"raw": {"userarn": "arn:aws:iam::555555555555:user/x", "username": "x"},
				"loaded": true,
				"usable": true,
			},
		],
		"accounts": [{
			"section": "mapAccounts",
			"index": 0,
			"field": "data.mapAccounts[0]",
			"account": "555555555555",
			"raw": "555555555555",
		}],
		"errors": set(),
	}
}

test_a_configmap_without_data_maps_nobody_and_has_no_errors if {
	every configmap in [{}, {"data": null}, {"data": {}}] {
		awsauth.parse(configmap) == {"entries": [], "accounts": [], "errors": set()}
	}
}

test_texts_as_good_as_empty_are_passed_over if {
	every content in ["", " \n\t", "``", `""`, "''\n", "# none\n", "---\n", "[]", "null", "~"] {
		_parse("mapRoles", content) == {"entries": [], "accounts": [], "errors": set()}
	}
}

test_data_that_is_no_map_is_an_error if {
	awsauth.parse({"data": []}).errors == {{
		"section": "data",
		"index": null,
		"field": "data",
		"effect": "section",
		"reason": "is a list, expected a map of sections",
		"of": [],
	}}
}

test_a_section_that_does_not_parse_is_dropped if {
	every content in ["- a: b\n c: d", "\tx", "- {rolearn: {{x}}", "[.inf]", "{a: b", `"`] {
		_parse("mapRoles", content).entries == []
		_reasons("mapRoles", content) == {[
			"data.mapRoles",
			"section",
			"does not parse as YAML, so that the authenticator drops every entry of mapRoles",
		]}
	}
}

test_a_section_that_is_no_list_is_dropped if {
	every content, kind in {"a: b": "a map", "true": "a boolean", "5": "a number", "text": "a string"} {
		_reasons("mapUsers", content) == {[
			"data.mapUsers",
			"section",
			sprintf("is %s, expected a list, so that the authenticator drops every entry of mapUsers", [kind]),
		]}
	}
}

test_a_section_that_is_no_text_is_dropped if {
	_reasons("mapAccounts", [_user]) == {[
		"data.mapAccounts",
		"section",
		"is a list, expected text, so that the authenticator drops every entry of mapAccounts",
	]}
}

test_only_the_first_document_is_read if {
	documents := {
		"- {rolearn: a, username: u}\n---\n- {rolearn: b, username: u}",
		"---\n- {rolearn: a, username: u}\r--- # more\r- x",
		"\ufeff---\n- {rolearn: a, username: u}\n...\n---\n- x",
	}
	every content in documents {
		[["a", "u", []]] == _loaded("mapRoles", content)
		some ["data.mapRoles", "section", reason] in _reasons("mapRoles", content)
		reason == "holds more than one YAML document, so that the authenticator drops all but the first of mapRoles"
	}
	count(_reasons("mapRoles", "---\n---\n- x")) == 1
}

test_one_document_may_have_its_marks if {
	every content in ["# first\n---\n[]\n", "%YAML 1.1\n---\n[]\n...\n", "---\n[]\n---\n# end\n", "---\r\n[]\r\n"] {
		_reasons("mapRoles", content) == set()
	}
}

test_field_names_match_in_any_letter_case if {
	_loaded("mapRoles", "[{roleARN: a, UserName: u, GROUPS: [g]}]") == [["a", "u", ["g"]]]
	_loaded("mapRoles", "[{rolearn: a, uſername: u, groupſ: [g]}]") == [["a", "u", ["g"]]]
	_loaded("mapRoles", "[{role arn: a, usernamé: u, groups_: [g]}]") == [["", "", []]]
}

test_a_name_given_again_wins if {
	_loaded("mapRoles", "[{rolearn: a, username: u, groups: [a], groups: [b]}]") == [["a", "u", ["b"]]]
	_loaded("mapRoles", "[{rolearn: a, username: u, Username: v}]") == [["a", "u", []]]
	_loaded("mapRoles", "[{rolearn: a, username: null, Username: v}]") == [["a", "v", []]]
}

test_groups_given_in_several_letter_cases_are_mixed if {
	mixtures := {
		"Groups: [a, b], groups: [c]": ["c"],
		"Groups: [a, b], groups: [null, c, 5]": ["a", "c", ""],
		"GROUPS: [a, b], Groups: [c], groups: [null, null]": ["c", "b"],
		"GROUPS: [a], Groups: null, groups: [null]": [""],
		"GROUPS: [a], Groups: [], groups: [null]": [""],
		"Groups: [a], groups: text": ["a"],
		"Groups: [a], groups: null": [],
	}
	every fields, groups in mixtures {
		_loaded("mapRoles", _entry(fields)) == [[_role, "u", groups]]
	}
}

test_a_repeated_field_is_an_error if {
	_reasons("mapRoles", _entry("Groups: [a], groups: [b]")) == {[
		"data.mapRoles[0].groups",
		"value",
		`is given 2 times (as "Groups, groups"), which the authenticator mixes`,
	]}
}

test_wrong_typed_fields_are_skipped_alone if {
	content := sprintf("[{rolearn: %q, username: 5, groups: text, userid: []}]", [_role])
	_loaded("mapRoles", content) == [[_role, "", []]]
	_reasons("mapRoles", content) == {
		["data.mapRoles[0]", "value", `maps "arn:aws:iam::555555555555:role/admin" to no username`],
		[
			"data.mapRoles[0].username",
			"value",
			`is a number ("5"), expected a string, so that the authenticator skips it`,
		],
		[
			"data.mapRoles[0].groups",
			"value",
			`is a string ("text"), expected a list of strings, so that the authenticator skips it`,
		],
		["data.mapRoles[0].userid", "value", `is a list ("[]"), expected a string, so that the authenticator skips it`],
	}
}

test_wrong_typed_groups_are_errors if {
	_loaded("mapRoles", _entry("groups: [a, null, {}]")) == [[_role, "u", ["a", "", ""]]]
	_reasons("mapRoles", _entry("groups: [a, null, {}]")) == {
		[
			"data.mapRoles[0].groups[1]",
			"value",
			`is null ("null"), expected a string, so that the authenticator skips it`,
		],
		[
			"data.mapRoles[0].groups[2]",
			"value",
			`is a map ("{}"), expected a string, so that the authenticator skips it`,
		],
	}
}

test_entries_that_are_no_maps_are_dropped if {
	_reasons("mapUsers", "[5, null]") == {
		[
			"data.mapUsers[0]",
			"entry",
			concat("", [
				`is a number ("5"), expected a map with userarn, username and groups, `,
				"so that the authenticator drops the entry",
			]),
		],
		["data.mapUsers[1]", "entry", "has no userarn, so that the authenticator drops the entry"],
	}
	every entry in _parse("mapUsers", "[5, null]").entries {
		not entry.loaded
		not entry.usable
	}
}

test_a_role_in_place_of_a_user_has_no_userarn if {
	_reasons("mapUsers", "[{rolearn: a, username: u}]") == {
		["data.mapUsers[0]", "entry", "has no userarn, so that the authenticator drops the entry"],
		[
			`data.mapUsers[0]["rolearn"]`,
			"unread",
			"is no field that the authenticator reads, expected one of groups, userarn, userid, username",
		],
	}
}

test_arns_that_no_caller_can_have_are_errors if {
	form := `expected the form "arn:aws:iam::<account>:role/<name>" or "arn:aws:iam::<account>:user/<name>"`
	without_path := sprintf("expected the role without its path, %q", [_role])
	assumed := sprintf("expected the role that is assumed, %q", [_role])
	expectations := {
		"arn:aws:iam::555555555555:role/path/to/admin": without_path,
		"arn:aws:sts::555555555555:assumed-role/admin/session": assumed,
		"admin": form,
		"arn:aws:iam::555:user/x": form,
	}
	every arn, expected in expectations {
		parsed := _parse("mapRoles", sprintf("[{rolearn: %q, username: u}]", [arn]))
		{[error.field, error.effect, error.reason] | some error in parsed.errors} == {[
			"data.mapRoles[0].rolearn",
			"entry",
			sprintf("%q can never be a caller's ARN, so that the entry maps nobody: %s", [arn, expected]),
		]}
		parsed.entries[0].loaded
		not parsed.entries[0].usable
	}
}

test_arns_that_callers_have_are_usable if {
	every arn in [
		"arn:aws:iam::555555555555:root",
		"arn:aws-cn:iam::555555555555:user/path/Name",
		"ARN:AWS:IAM::555555555555:ROLE/Name",
		"arn:aws:iam::555555555555:role/a,b+c=d@e.f-g_h",
		"arn:aws:sts::555555555555:federated-user/x",
	] {
		parsed := _parse("mapUsers", sprintf("[{userarn: %q, username: u}]", [arn]))
		parsed.entries[0].usable
		parsed.errors == set()
	}
}

test_an_identity_center_role_is_its_pattern_and_nothing_to_rely_on if {
	every name, arn in {
		`accountID: "555555555555"`: "arn:aws:iam::555555555555:role/AWSReservedSSO_Admin_*",
		`accountID: "555555555555", partition: aws-cn`: "arn:aws-cn:iam::555555555555:role/AWSReservedSSO_Admin_*",
	} {
		parsed := _parse("mapRoles", sprintf("[{sso: {permissionSetName: Admin, %s}, username: u}]", [name]))
		parsed.errors == set()
		parsed.entries[0].arn == arn
		parsed.entries[0].loaded
		not parsed.entries[0].usable
	}
}

test_an_identity_center_role_must_be_whole_and_alone if {
	_reasons("mapRoles", "[{sso: text, username: u}]") == {
		[
			"data.mapRoles[0]",
			"entry",
			"has sso.accountID of another form than ^[0-9]{12}$, so that the authenticator drops the entry",
		],
		[
			"data.mapRoles[0]",
			"entry",
			concat("", [
				`has sso.permissionSetName of another form than ^[\w+=,.@-]{1,32}$, `,
				"so that the authenticator drops the entry",
			]),
		],
	}
	parsed := _parse("mapRoles", _entry(`sso: {}, groups: [g]`))
	reason := "has both rolearn and sso, so that the authenticator drops the entry"
	{error.reason | some error in parsed.errors} == {reason}
	parsed.entries[0].arn == _role
	not parsed.entries[0].loaded
}

test_a_second_entry_for_an_arn_is_an_error if {
	parsed := awsauth.parse({"data": {
		"mapRoles": _entry("groups: [a]"),
		"mapUsers": concat("\n", [
			sprintf("- {userarn: %q, username: x}", [_user]),
			"- {userarn: arn:aws:iam::555555555555:ROLE/admin, username: u}",
			sprintf("- {userarn: %q, username: z}", [upper(_user)]),
		]),
	}})
	{[error.field, error.reason] | some error in parsed.errors} == {
		[
			"data.mapUsers[1]",
			concat("", [
				`maps "arn:aws:iam::555555555555:ROLE/admin", which data.mapRoles[0] maps too: `,
				"the authenticator uses only one of them",
			]),
		],
		[
			"data.mapUsers[2]",
			concat("", [
				`maps "ARN:AWS:IAM::555555555555:USER/ADMIN", which data.mapUsers[0] maps too: `,
				"the authenticator uses only one of them",
			]),
		],
	}
}

test_accounts_keep_the_digits_they_are_written_with if {
	content := "# 5\n- 012345670123\n- \"012345670123\"\n- 555555555555 # five\n"
	[account.account | some account in _parse("mapAccounts", content).accounts] == [
		"012345670123",
		"012345670123",
		"555555555555",
	]
	_parse("mapAccounts", "[012345670123,1]").accounts[0].account == "012345670123"
	_parse("mapAccounts", "- &a 012345670123\n- *a").accounts[1].account == "012345670123"
	_parse("mapAccounts", "- !!int 5").accounts[0].account == "5"
}

test_accounts_that_are_none_are_errors if {
	_reasons("mapAccounts", "[123, x, {a: b}, null]") == {
		["data.mapAccounts[0]", "entry", `"123" is no AWS account, expected 12 digits`],
		["data.mapAccounts[1]", "entry", `"x" is no AWS account, expected 12 digits`],
		["data.mapAccounts[2]", "entry", `"{\"a\":\"b\"}" is no AWS account, expected 12 digits`],
		["data.mapAccounts[3]", "entry", `"null" is no AWS account, expected 12 digits`],
	}
}

test_letter_case_is_folded_as_unicode_folds_it if {
	awsauth.fold("ARN:awſ:iam::555555555555:user/\u212aate") == "arn:aws:iam::555555555555:user/kate"
}

_unclear(content) := {reason | some ["data.mapRoles", "unclear", reason] in _reasons("mapRoles", content)}

test_what_yaml_1_1_reads_differently_is_unclear if {
	expectations := {
		"[{rolearn: !!str a, username: u}]": "has a YAML tag (! before a value)",
		"- &a {username: u}\n- <<: *a": "has a YAML merge key (<<)",
		"- username: {{SessionName}}\n  username: u": "has a list or map as a key (such as {{ without quotes)",
		"- ? username\n  : u": "has a list or map as a key (such as {{ without quotes)",
		"[{rolearn: a, username: on}]": `has the word "on" without quotes, a boolean in YAML 1.1`,
		"- groups: [No]": `has the word "No" without quotes, a boolean in YAML 1.1`,
	}
	every content, what in expectations {
		reason := sprintf("%s, so that it cannot be judged whom the authenticator maps by mapRoles", [what])
		_unclear(content) == {reason}
	}
}

test_what_only_looks_like_it_is_clear if {
	every content in [
		`[{rolearn: "arn:aws:iam::555555555555:user/a!b*c", username: "on"}]`,
		"# No! Who is on call?\n- username: 'no'\n",
		"- username: '{{AccountID}}:{{SessionName}}'\n  groups: [\"{{SessionName}}\"]",
		"- username: system:node:{{EC2PrivateDNSName}}\n  groups: &nodes [a]\n- groups: *nodes\n",
		"[[a], {b: {c: d}}]",
	] {
		_unclear(content) == set()
	}
}

test_what_takes_too_long_to_judge_is_unclear_and_maps_nobody if {
	expectations := {
		concat("", ["#" | some _ in numbers.range(0, 65536)]): "has 65537 characters, expected at most 65536",
		concat("", ["- \n" | some _ in numbers.range(0, 500)]): "has 501 entries, expected at most 500",
		sprintf("- &a a\n%s", [concat("", ["- *a\n" | some _ in numbers.range(0, 12)])]): concat("", [
			"has more than 12 YAML aliases (*name)",
		]),
	}
	every content, what in expectations {
		reason := sprintf("%s, so that it cannot be judged whom the authenticator maps by mapRoles", [what])
		_unclear(content) == {reason}
		_loaded("mapRoles", content) == []
	}
}

test_texts_that_are_bounded_are_read if {
	count(_loaded("mapRoles", concat("", ["- \n" | some _ in numbers.range(1, 500)]))) == 500
}
