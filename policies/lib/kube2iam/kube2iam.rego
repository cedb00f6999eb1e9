# METADATA
# title: kube2iam
# description: |
#   How kube2iam itself reads a role and what a Namespace allows (jtblin/kube2iam: iam/arn.go, mappings/mapper.go,
#   namespace.go).
package eksguard.lib.kube2iam

import data.eksguard.lib.glob

# METADATA
# description: True for a string that is used as it is. Any other is the rest of an ARN.
is_arn(value) if {
	is_string(value)
	startswith(lower(value), "arn:")
}

# METADATA
# description: The ARN, or the pattern of ARNs, that a string stands for. Nothing is trimmed or checked.
resolve(base_arn, value) := value if {
	is_arn(value)
} else := concat("", [base_arn, value])

# METADATA
# description: |
#   The patterns in the text of a Namespace's annotation, a JSON array of strings. An element that is no string counts
#   as an empty one, as Go decodes it. Undefined for a text that is no JSON array: it allows nothing.
patterns(annotation) := [_string(element) | some element in elements] if {
	is_string(annotation)
	json.is_valid(annotation)
	elements := json.unmarshal(annotation)
	is_array(elements)
}

_string(element) := element if {
	is_string(element)
} else := ""

# METADATA
# description: |
#   True if the pattern, resolved, allows the role: as a glob of the whole ARN, in which `*` crosses every character, or
#   as a regular expression ("regexp") that need match only a part of it. One that does not compile allows nothing.
allows(format, pattern, role_arn) if {
	format == "glob"
	glob.match(pattern, role_arn)
}

allows(format, pattern, role_arn) if {
	format == "regexp"
	regex.is_valid(pattern)
	regex.match(pattern, role_arn)
}
