package eksguard.lib.kiam_test

import data.eksguard.lib.kiam

_role := "arn:aws:iam::123456789012:role/eks-pay-prod"

test_a_strict_kiam_compares_the_whole_arn if {
	every permitted in [_role, ".*", "arn:.*-prod", ".*/eks-pay-(dev|prod)", concat("", ["^", _role, "$"])] {
		kiam.permits(true, permitted, _role)
	}
	every permitted in ["eks-pay-prod", "^eks-pay-prod$", "arn:aws:iam::123456789012:role/eks-pay-pro", "-prod"] {
		not kiam.permits(true, permitted, _role)
	}
}

test_a_strict_kiam_puts_no_parentheses_around_alternatives if {
	kiam.permits(true, "arn:aws|x", _role)
	kiam.permits(true, "x|-prod", _role)
	not kiam.permits(true, "x|y", _role)
}

test_a_kiam_that_is_not_strict_searches_for_the_expression if {
	kiam.permits(false, "eks-pay", _role)
	kiam.permits(false, "-prod$", _role)
	not kiam.permits(false, "^eks-pay-prod$", _role)
}

test_what_is_empty_or_no_regular_expression_permits_nothing if {
	every strict in [true, false] {
		every permitted in ["", "(", "*a", `[`, 7, null, [".*"]] {
			not kiam.permits(strict, permitted, _role)
		}
	}
}

test_what_is_valid_is_told_of_the_whole if {
	kiam.is_valid(true, `a\`)
	not kiam.is_valid(false, `a\`)
	not kiam.is_valid(true, "(")
	not kiam.is_valid(true, null)
}
