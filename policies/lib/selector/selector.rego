# METADATA
# title: Label selectors
# description: Label selectors as Kubernetes reads them (meta/v1 LabelSelector), over labels that nobody has checked.
package eksguard.lib.selector

# METADATA
# description: |
#   True if the selector selects what bears the labels; undefined if it does not, or if the labels are no object. The
#   selector is one of the settings, whose schema has checked it.
matches(selector, labels) if {
	is_object(labels)
	every key, value in object.get(selector, "matchLabels", {}) { labels[key] == value }
	every requirement in object.get(selector, "matchExpressions", []) { _meets(requirement, labels) }
}

_meets(requirement, labels) if {
	requirement.operator == "In"
	labels[requirement.key] in requirement.values
}

_meets(requirement, labels) if {
	requirement.operator == "NotIn"
	not object.get(labels, requirement.key, null) in requirement.values
}

_meets(requirement, labels) if {
	requirement.operator == "Exists"
	requirement.key in object.keys(labels)
}

_meets(requirement, labels) if {
	requirement.operator == "DoesNotExist"
	not requirement.key in object.keys(labels)
}

# METADATA
# description: 'The selector as kubectl would print it: env=prod,team in (a,b),!old.'
words(selector) := concat(",", array.concat(equal, expressed)) if {
	equal := [sprintf("%s=%s", [key, value]) | some key, value in object.get(selector, "matchLabels", {})]
	expressed := [_expression(requirement) | some requirement in object.get(selector, "matchExpressions", [])]
}

_expression(requirement) := requirement.key if requirement.operator == "Exists"

_expression(requirement) := sprintf("!%s", [requirement.key]) if requirement.operator == "DoesNotExist"

_expression(requirement) := sprintf("%s %s (%s)", [requirement.key, words, concat(",", requirement.values)]) if {
	words := {"In": "in", "NotIn": "notin"}[requirement.operator]
}
