# METADATA
# title: Paths
# description: |
#   Fields of objects whose shape nobody has checked. A path is an array of steps from the object down: keys of objects
#   and indexes of arrays.
package eksguard.lib.path

# METADATA
# description: The value at the end of the path, null where the path leads nowhere. It never fails.
at(document, path) := object.get(document, path, null) if is_object(document)

at(document, path) := document if {
	not is_object(document)
	count(path) == 0
}

at(document, path) := null if {
	not is_object(document)
	count(path) > 0
}

# METADATA
# description: |
#   The beginnings of the path, itself included, at whose end there is something other than an object or null, so that
#   the path cannot go on. There is at most one.
misfits(document, path) := [beginning |
	some length in numbers.range(0, count(path))
	beginning := array.slice(path, 0, length)
	value := at(document, beginning)
	value != null
	not is_object(value)
]

# METADATA
# description: 'The path as kubectl would print it: spec.containers[0].image, metadata.annotations["example.com/role"].'
field(path) := "object" if count(path) == 0

field(path) := trim_prefix(concat("", [_step(step) | some step in path]), ".") if count(path) > 0

_step(step) := sprintf("[%d]", [step]) if is_number(step)

_step(step) := sprintf(".%s", [step]) if _is_word(step)

_step(step) := sprintf("[%q]", [step]) if {
	is_string(step)
	not _is_word(step)
}

_is_word(step) if {
	is_string(step)
	regex.match(`^[A-Za-z_][A-Za-z0-9_]*$`, step)
}

# METADATA
# description: The path as a JSON Pointer (RFC 6901), for patches.
pointer(path) := concat("", [sprintf("/%s", [_escaped(step)]) | some step in path])

_escaped(step) := replace(replace(step, "~", "~0"), "/", "~1") if is_string(step)

_escaped(step) := sprintf("%d", [step]) if is_number(step)
