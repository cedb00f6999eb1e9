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
