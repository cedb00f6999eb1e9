package eksguard.lib.selector_test

import data.eksguard.lib.selector

test_labels_must_all_be_equal if {
	selector.matches({"matchLabels": {"a": "1", "b": "2"}}, {"a": "1", "b": "2", "c": "3"})
	not selector.matches({"matchLabels": {"a": "1", "b": "2"}}, {"a": "1"})
	not selector.matches({"matchLabels": {"a": "1"}}, {"a": "2"})
}

test_an_empty_selector_selects_everything_that_has_labels if {
	selector.matches({}, {})
	not selector.matches({}, null)
	not selector.matches({}, "a=1")
}

test_in_wants_one_of_the_values if {
	_holds("In", ["1", "2"], {"a": "1"})
	not _holds("In", ["1", "2"], {"a": "3"})
	not _holds("In", ["1", "2"], {})
}

test_not_in_is_met_by_an_absent_label if {
	_holds("NotIn", ["1"], {"a": "2"})
	_holds("NotIn", ["1"], {})
	not _holds("NotIn", ["1"], {"a": "1"})
}

test_exists_and_its_opposite if {
	_holds("Exists", [], {"a": ""})
	not _holds("Exists", [], {"b": ""})
	_holds("DoesNotExist", [], {"b": ""})
	not _holds("DoesNotExist", [], {"a": ""})
}

test_an_unknown_operator_selects_nothing if {
	not _holds("Like", ["1"], {"a": "1"})
}

test_a_selector_in_words if {
	words := selector.words({
		"matchLabels": {"env": "prod"},
		"matchExpressions": [
			{"key": "team", "operator": "In", "values": ["a", "b"]},
			{"key": "zone", "operator": "NotIn", "values": ["c"]},
			{"key": "new", "operator": "Exists"},
			{"key": "old", "operator": "DoesNotExist"},
		],
	})
	words == "env=prod,team in (a,b),zone notin (c),new,!old"
}

_holds(operator, values, labels) if {
	requirement := {"key": "a", "operator": operator, "values": values}
	selector.matches({"matchExpressions": [requirement]}, labels)
}
