# METADATA
# title: Paths
# description: |
#   Fields of objects whose shape nobody has checked. A path is an array of steps from the object down: keys of objects
#   and indexes of arrays.
package eksguard.lib.path

# METADATA
# description: The value at the end of the path, null where the path leads nowhere. It never fails.
at(document, path) := object.get(document, path, null) if {
	is_object(document)
} else := document if {
	count(path) == 0
} else := null

# METADATA
# description: 'The path as kubectl would print it: spec.containers[0].image, metadata.annotations["example.com/role"].'
field(path) := "object" if {
	count(path) == 0
} else := trim_prefix(concat("", [step(part) | some part in path]), ".")

# METADATA
# description: 'One step as it stands in such a path after another: .spec, [0], ["example.com/role"].'
step(part) := sprintf("[%d]", [part]) if {
	is_number(part)
} else := concat("", [".", part]) if {
	regex.match(`^[A-Za-z_][A-Za-z0-9_]*$`, part)
} else := sprintf("[%q]", [part])

# METADATA
# description: The path as a JSON Pointer (RFC 6901), for patches.
pointer(path) := concat("", [sprintf("/%s", [_escaped(step)]) | some step in path])

_escaped(step) := replace(replace(step, "~", "~0"), "/", "~1") if is_string(step)

_escaped(step) := sprintf("%d", [step]) if is_number(step)
