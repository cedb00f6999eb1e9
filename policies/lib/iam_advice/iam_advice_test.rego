package eksguard.lib.iam_advice_test

import data.eksguard.lib.iam_advice

_arn(name) := concat("", ["arn:aws:iam::123456789012:role/", name])

_fix(value, namespace, grants, patterns) := fix if {
	fix := iam_advice.fix("", value, namespace, patterns, "ask")
		with data.eksguard.settings.cluster as {"account": "123456789012", "partition": "aws"}
		with data.eksguard.settings.iam_role.grants as {namespace: grants}
}

test_what_was_meant_is_named if {
	iam_advice.fix(_arn("a"), "x", "pay", [], "ask") == sprintf("use %q, or ask", [_arn("a")])
	iam_advice.fix(_arn("a"), "x", "pay", [], "") == sprintf("use %q", [_arn("a")])
}

test_a_slip_of_the_pen_is_asked_about if {
	every value in [
		"eks-payments-prdo", "eks-payment-prod", "eks-paymetns-prod", "eks-payments-prodd", "EKS-payments-PROD",
		"eks_payments_prod", "payments-prod", " eks-payments-prod ", _arn("team/eks-payments-prod"), "eks-payments-prd",
	] {
		_fix(value, "payments", [], []) == sprintf("did you mean %q? Otherwise ask", [_arn("eks-payments-prod")])
	}
}

test_a_granted_or_allowed_role_may_have_been_meant if {
	granted := _fix("cluster-autoscalr", "web", ["cluster-autoscaler"], [])
	granted == sprintf("did you mean %q? Otherwise ask", [_arn("cluster-autoscaler")])
	allowed := _fix("eks-biling-prod", "web", [], [_arn("eks-billing-prod")])
	allowed == sprintf("did you mean %q? Otherwise ask", [_arn("eks-billing-prod")])
}

test_what_is_as_near_to_two_roles_is_not_guessed if {
	startswith(_fix("cache-c", "web", ["cache-a", "cache-b"], []), "use ")
}

test_what_is_near_to_none_lists_what_may_be_used if {
	_fix("admin", "web", ["old-*", "older"], ["eks-shared-*", "ark-*", "eks-billing-prod"]) == concat("", [
		sprintf("use %q or %q or %q", [_arn("eks-web-dev"), _arn("eks-web-stage"), _arn("eks-web-prod")]),
		sprintf(" or one like %q or %q or one of 2 others, or ask", [_arn("old-*"), _arn("older")]),
	])
	_fix("admin", "web-prod", [], []) == sprintf("use %q, or ask", [_arn("eks-web-prod")])
	_fix("admin-prod", "web", [], []) == sprintf("use %q, or ask", [_arn("eks-web-prod")])
	_fix(7, "web-prod", [], []) == sprintf("use %q, or ask", [_arn("eks-web-prod")])
}

test_roles_of_other_accounts_are_not_advised if {
	fix := _fix("admin", "web-prod", ["arn:aws:iam::999999999999:role/x"], ["arn:*"])
	fix == sprintf("use %q, or ask", [_arn("eks-web-prod")])
}

test_where_no_role_is_known_none_is_named if {
	namespace := "a-namespace-whose-name-is-as-long-as-a-namespace-s-name-can-be0"
	_fix("x", namespace, [], []) == sprintf("use a role that namespace %q may use, or ask", [namespace])
}

test_the_account_that_is_advised if {
	iam_advice.account_arn(_arn("x")) == "arn:aws:iam::123456789012" with data.eksguard.settings.cluster.account as ""
	iam_advice.account_arn("x") == "arn:aws:iam::<account>" with data.eksguard.settings.cluster.account as ""
	iam_advice.account_arn(7) == "arn:aws:iam::<account>" with data.eksguard.settings.cluster.account as ""
	iam_advice.account_arn("x") == "arn:aws:iam::999999999999"
		with data.eksguard.settings.iam_role.base_arn as "arn:aws:iam::999999999999:role/"
}
