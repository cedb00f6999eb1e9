package eksguard.p_test

import data.eksguard.p

_review(colour) := {"request": {"object": {"metadata": {"labels": {"colour": colour}}}}}

test_red_is_denied if {
	count(p.deny) == 1 with input as _review("red")
}

test_blue_passes if {
	denied := p.deny with input as _review("red")
	print("denied:", denied)
	count(denied) == 0
}

test_a_number_is_a_fault if {
	count(p.deny) == 0 with input as _review(1)
}

test_cases[colour] if {
	some colour in ["blue", "red"]
	count(p.deny) == 0 with input as _review(colour)
}

todo_test_later if {
	false
}
