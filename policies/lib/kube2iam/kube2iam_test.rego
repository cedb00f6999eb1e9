package eksguard.lib.kube2iam_test

import data.eksguard.lib.kube2iam

_base := "arn:aws:iam::123456789012:role/"

test_an_arn_in_any_letter_case_is_used_as_it_is if {
	every value in ["arn:aws:iam::1:role/a", "ARN:x", "aRn:"] {
		kube2iam.is_arn(value)
		kube2iam.resolve(_base, value) == value
	}
}

test_anything_else_is_appended_to_the_base_arn if {
	every value in ["", "role", "path/role", " arn:aws", "arn", "*"] {
		not kube2iam.is_arn(value)
		kube2iam.resolve(_base, value) == concat("", [_base, value])
	}
}

test_what_is_no_string_is_no_arn if {
	every value in [null, 1, true, ["arn:"], {}] {
		not kube2iam.is_arn(value)
	}
}

test_the_annotation_of_a_namespace_is_a_json_array if {
	kube2iam.patterns(`["a", "arn:aws:iam::*:role/b"]`) == ["a", "arn:aws:iam::*:role/b"]
	kube2iam.patterns("[]") == []
}

test_an_element_that_is_no_string_counts_as_an_empty_one if {
	kube2iam.patterns(`["a", 1, null, ["b"]]`) == ["a", "", "", ""]
}

test_an_annotation_that_is_no_json_array_allows_nothing if {
	every annotation in ["", "a", `"a"`, "null", "{}", `["a"`, `["a"] x`, "['a']", null, 1, ["a"]] {
		not kube2iam.patterns(annotation)
	}
}

test_a_glob_is_of_the_whole_arn if {
	kube2iam.allows("glob", "arn:aws:iam::1:role/a*", "arn:aws:iam::1:role/a/b")
	kube2iam.allows("glob", "arn:*/a", "arn:aws:iam::1:role/a")
	not kube2iam.allows("glob", "arn:aws:iam::1:role/a", "arn:aws:iam::1:role/ab")
	not kube2iam.allows("glob", "arn:aws:iam::1:role/.*", "arn:aws:iam::1:role/a")
}

test_a_regular_expression_may_match_a_part if {
	kube2iam.allows("regexp", "arn:aws:iam::1:role/a", "arn:aws:iam::1:role/ab")
	kube2iam.allows("regexp", "arn:aws:iam::1:role/.*-prod$", "arn:aws:iam::1:role/a-prod")
	not kube2iam.allows("regexp", "arn:aws:iam::1:role/a$", "arn:aws:iam::1:role/ab")
}

test_a_regular_expression_that_does_not_compile_allows_nothing if {
	not kube2iam.allows("regexp", "arn:(", "arn:(")
}

test_an_unknown_format_allows_nothing if {
	not kube2iam.allows("", "*", "arn:aws:iam::1:role/a")
}
