package eksguard.lib.glob_test

import data.eksguard.lib.glob

test_a_pattern_without_star_matches_only_itself if {
	glob.match("payments", "payments")
	not glob.match("payments", "payments-2")
	not glob.match("payments", "x-payments")
	not glob.match("payments", "Payments")
}

test_star_alone_matches_everything if {
	every value in ["", "a", "a/b:c.d", "one\ntwo", "\n", "ünï"] {
		glob.match("*", value)
		glob.match("**", value)
	}
}

test_star_stands_for_any_run_of_characters if {
	every pattern in ["pay*", "*ments", "p*s", "*pay*", "*e*t*", "payments*", "*payments", "p**s", "*a*m*"] {
		glob.match(pattern, "payments")
	}
	every pattern in ["ay*", "*ment", "p*m", "*yap*", "*t*e*", "payments*s", "payments*payments"] {
		not glob.match(pattern, "payments")
	}
}

test_the_parts_of_a_pattern_do_not_overlap if {
	not glob.match("ab*ba", "aba")
	glob.match("ab*ba", "abba")
	not glob.match("*aa*aa", "aaa")
}

test_star_crosses_slashes_colons_and_line_ends if {
	glob.match("arn:aws:iam::*:role/eks-*", "arn:aws:iam::123456789012:role/eks-a/b:c")
	glob.match("a*z", "a\n\r\nz")
}

test_a_line_end_does_not_end_a_value if {
	not glob.match("pay*s", "payments\n")
	not glob.match("*s", "payments\n")
	not glob.match("p*", "x\npay")
}

test_nothing_but_star_is_special if {
	every literal in [
		"?", "[a-z]", "{a,b}", `\`, `\*`, `\E`, `\Q`, `\E.`, `\\E`, `\E\Q`, ".", "+", "^", "$", "|", "(", ")", "(?i)", "%s",
	] {
		glob.match(sprintf("<%s>*", [literal]), sprintf("<%s>", [replace(literal, "*", "any")]))
		glob.match(sprintf("*%s", [literal]), replace(literal, "*", "any"))
		not glob.match(sprintf("<%s>*", [literal]), "<a>")
	}
}

test_an_empty_pattern_matches_only_an_empty_value if {
	glob.match("", "")
	not glob.match("", "a")
}

test_what_is_no_string_is_never_matched if {
	every value in [null, 7, true, ["a"], {"a": 1}] {
		not glob.match("*", value)
		not glob.match(value, "a")
		not glob.match(value, value)
	}
}

test_one_of_several_patterns_suffices if {
	glob.match_any(["a*", "b*"], "bc")
	glob.match_any({"a*", "b*"}, "bc")
	not glob.match_any(["a*", "b*"], "cd")
	not glob.match_any([], "cd")
}

test_a_huge_pattern_is_cheap_where_the_value_is_short if {
	zeros := sprintf("%0100000d", [0])
	not glob.match(replace(zeros, "0", "a*"), "aaaa")
	glob.match(replace(zeros, "0", "*"), "aaaa")
	glob.match(concat("", [replace(zeros, "0", "*"), "a"]), "aaaa")
}
