package eksguard.aws_auth

# Usernames and groups are templates. Session names, which callers choose, and all else that is filled in consist of
# these characters, and may be empty.
_placeholder := `\{\{(?:EC2PrivateDNSName|AccountID|SessionName|SessionNameRaw|AccessKeyID)\}\}`

_filling := `[A-Za-z0-9_+=,.@-]*`

_may_render(template, value) if template == value

_may_render(template, value) if {
	literals := regex.split(_placeholder, template)
	count(literals) > 1
	regex.match(concat("", [`\A`, concat(_filling, [_escaped(literal) | some literal in literals]), `\z`]), value)
}

# Placeholders within placeholders come to life one after another: anything may stand from the first to the last.
_may_render(template, value) if {
	literals := regex.split(_placeholder, template)
	count(literals) > 1
	contains(concat("", literals), "{{")
	startswith(value, split(template, "{{")[0])
	rest := split(template, "}}")
	endswith(value, rest[count(rest) - 1])
}

_escaped(literal) := regex.replace(literal, `[\x00-/:-@\[-\x60{-\x7f]`, `\$0`)

# What is filled in has no colon, so that the part before the first is rendered alone.
_may_begin(template, prefix) if {
	parts := split(template, ":")
	count(parts) > 1
	_may_render(parts[0], trim_suffix(prefix, ":"))
}
