# METADATA
# title: Text
# description: Values of objects made fit to be shown in messages.
package eksguard.lib.text

# METADATA
# description: |
#   The value in double quotes, escaped, and cut after 200 characters, so that what an object's author wrote can neither
#   break a message's form nor flood it. A value that is no string is shown as JSON.
quote(value) := sprintf("%q", [value]) if {
	is_string(value)
	count(value) <= 200
} else := sprintf("%q", [_cut(value)]) if {
	is_string(value)
} else := sprintf("%q", [_cut(json.marshal(value))])

_cut(value) := value if {
	count(value) <= 200
} else := sprintf("%s…", [substring(value, 0, 200)])

# METADATA
# description: An annotation's field path, as kubectl would print it.
annotation(metadata_path, key) := sprintf("%s.annotations[%q]", [metadata_path, key])

# METADATA
# description: |
#   How far two words are from each other in the one place where they differ: 0 for the same, 1 for a letter too many,
#   too few or wrong, 2 for two letters swapped. Undefined for words that are further apart than 2.
slip(a, b) := 0 if {
	a == b
} else := distance if {
	abs(count(a) - count(b)) <= 2
	_alike_at_an_end(a, b)
	shorter := min([count(a), count(b)])
	start := _alike(a, b, shorter)
	end := _alike(strings.reverse(a), strings.reverse(b), shorter - start)
	distance := max([count(a), count(b)]) - (start + end)
	distance <= 2
}

# A difference of two letters in one place leaves a third of the longer word untouched at one end of it.
_alike_at_an_end(a, b) if startswith(a, substring(b, 0, floor(count(b) / 3)))

_alike_at_an_end(a, b) if endswith(a, substring(b, count(b) - floor(count(b) / 3), -1))

# How many characters, up to so many, two words begin with alike.
_alike(a, b, most) := count([length |
	some length in numbers.range(1, most)
	length <= most
	length >= 1
	substring(a, 0, length) == substring(b, 0, length)
])
