# METADATA
# title: Glob
# description: |
#   Patterns in which only `*` means something: any run of characters, also none, also `/`, `:`, `.` and line ends. A
#   pattern matches a whole value and minds the case. These are the globs of kube2iam (ryanuber/go-glob). The built-in
#   glob.match reads `?`, `[`, `{` and `\` as well, and so is not used.
package eksguard.lib.glob

# METADATA
# description: True if the pattern matches the value; undefined if it does not, or if either is no string.
match(pattern, value) if {
	is_string(pattern)
	pattern == value
}

match(pattern, value) if {
	is_string(pattern)
	is_string(value)
	contains(pattern, "*")
	count(replace(pattern, "*", "")) <= count(value)
	regex.match(_expression(regex.replace(pattern, `\*+`, "*")), value)
}

# METADATA
# description: True if one of the patterns, an array or a set, matches the value; undefined if none does.
match_any(patterns, value) if {
	some pattern in patterns
	match(pattern, value)
}

# Every literal character between `\Q` and `\E` stands for itself; a literal `\E` is the one thing that must be taken
# apart. Go's regular expressions cost at most pattern times value, and as a longer pattern is refused before, at most
# about the value squared: bound a value that its author chooses.
_expression(pattern) := sprintf(`(?s)\A\Q%s\E\z`, [replace(replace(pattern, `\`, `\E\\\Q`), "*", `\E.*\Q`)])
