package eksguard.lib.text_test

import data.eksguard.lib.text

test_a_value_is_quoted_and_escaped if {
	text.quote("a\"b\n") == `"a\"b\n"`
}

test_what_is_no_string_is_shown_as_json if {
	text.quote(["a", 1]) == `"[\"a\",1]"`
	text.quote(null) == `"null"`
}

test_a_long_value_is_cut if {
	long := concat("", [sprintf("%d", [i % 10]) | some i in numbers.range(1, 201)])
	text.quote(substring(long, 0, 200)) == sprintf("%q", [substring(long, 0, 200)])
	text.quote(long) == sprintf("%q", [concat("", [substring(long, 0, 200), "…"])])
}

test_an_annotation_s_field_is_printed_as_kubectl_does if {
	text.annotation("spec.template.metadata", "example.com/a") == `spec.template.metadata.annotations["example.com/a"]`
}

test_words_that_differ_in_one_place_are_near if {
	every pair, distance in {
		["pay", "pay"]: 0, ["payments", "payment"]: 1, ["payments", "paymentss"]: 1, ["payments", "paxments"]: 1,
		["payments", "paymenst"]: 2, ["payments", "apyments"]: 2, ["payments", "payments-2"]: 2, ["ab", "ba"]: 2,
		["", "a"]: 1, ["aaa", "aaaa"]: 1,
	} {
		text.slip(pair[0], pair[1]) == distance
		text.slip(pair[1], pair[0]) == distance
	}
}

test_words_that_differ_by_more_are_not_near if {
	every pair in [["payments", "pay"], ["payments", "xayments-"], ["abc", "xyz"], ["", "abc"], ["paymxnts", "xayments"]] {
		not text.slip(pair[0], pair[1])
		not text.slip(pair[1], pair[0])
	}
}
