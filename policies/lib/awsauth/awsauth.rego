# METADATA
# title: The aws-auth ConfigMap
# description: |
#   What aws-iam-authenticator makes of the ConfigMap kube-system/aws-auth: its ParseMap (YAML to JSON to Go structs
#   with encoding/json, so that field names match in any letter case and a wrong-typed field is skipped alone), the
#   Validate of its mappings, and the look-up of a caller. Where released versions differ, both readings are kept: an
#   entry that only newer ones drop is still listed, with `loaded` false. The authenticator reads YAML 1.1, OPA YAML
#   1.2: where the two may differ, an error says that the section is unclear. test/fuzz holds this reading against
#   ParseMap.
package eksguard.lib.awsauth

import data.eksguard.lib.text

# METADATA
# description: The keys of `.data` that the authenticator reads. They match in this letter case only.
sections := {"mapRoles", "mapUsers", "mapAccounts"}

# METADATA
# description: |
#   What a ConfigMap maps. `entries` are all elements of mapRoles, then of mapUsers: section, index, origin (which tells
#   the entries of different objects apart), field (its path),
#   arn and key (what a caller is compared with), username, groups, raw, loaded (no version drops it), usable (loaded,
#   and a caller can have that very ARN). `accounts` are the elements of mapAccounts: section, index, field, account,
#   raw. `errors` say what is lost: section, index (null for a whole section), field, effect (section, entry, value,
#   unread for a field that nothing reads, or unclear where it cannot be told what the authenticator reads in a
#   section), reason, and `of`, the text or elements at fault, by which the same error is found again in another
#   version of the ConfigMap.
parse(configmap) := {"entries": entries, "accounts": accounts, "errors": errors} if {
	documents := {name: _document(object.get(_data(configmap), name, "")) | some name in sections}
	entries := array.concat(_entries("mapRoles", documents.mapRoles), _entries("mapUsers", documents.mapUsers))
	accounts := _accounts(documents.mapAccounts)
	errors := union({
		_data_errors(configmap),
		{error | some name, document in documents; some error in _section_errors(name, document)},
		{error | some entry in entries; some error in _entry_errors(entry)},
		{error | some account in accounts; some error in _account_errors(account)},
		_duplicates(entries),
	})
}

# METADATA
# description: |
#   The form in which two ARNs are the same to the authenticator: it ignores letter case as Unicode folds it, and there
#   the long s, "ſ", is an "s".
fold(arn) := lower(replace(arn, "ſ", "s"))

_data(configmap) := content if {
	content := configmap.data
	is_object(content)
} else := {}

_data_errors(configmap) := {_section_error("data", content, "section", reason) |
	content := object.get(configmap, "data", null)
	not type_name(content) in {"object", "null"}
	reason := sprintf("is %s, expected a map of sections", [_kinds[type_name(content)]])
}

_kinds := {
	"null": "null",
	"boolean": "a boolean",
	"number": "a number",
	"string": "a string",
	"array": "a list",
	"object": "a map",
}

_section_error(field, content, effect, reason) := {
	"section": trim_prefix(field, "data."),
	"index": null,
	"field": field,
	"effect": effect,
	"reason": reason,
	"of": content,
}

# A section's text and its value, or why it has none. ParseMap passes over texts that are as good as empty.
_document(content) := _lost(content, sprintf("is %s, expected text", [_kinds[type_name(content)]])) if {
	not is_string(content)
}

_document(content) := {"text": content, "value": null, "faults": set()} if _skippable(content)

_document(content) := {"text": content, "value": value, "faults": faults} if {
	_readable(content)
	yaml.is_valid(content)
	whole := yaml.unmarshal(content)
	value := _bounded(whole)
	faults := union({_item_faults(whole), _type_faults(value), _document_faults(content), _dialect_faults(content, value)})
}

_document(content) := _lost(content, "does not parse as YAML") if {
	_readable(content)
	not yaml.is_valid(content)
}

_document(content) := {"text": content, "value": null, "faults": faults} if {
	is_string(content)
	not _skippable(content)
	faults := _size_faults(content)
	count(faults) > 0
}

_readable(content) if {
	is_string(content)
	not _skippable(content)
	count(_size_faults(content)) == 0
}

_lost(content, what) := {"text": content, "value": null, "faults": {_fault(what, "every entry")}}

_fault(what, loss) := {"effect": "section", "what": what, "then": sprintf("the authenticator drops %s of", [loss])}

_unclear(what) := {"effect": "unclear", "what": what, "then": "it cannot be judged whom the authenticator maps by"}

# What takes longer to judge than a decision may, or, with aliases of aliases, more memory than there is.
_size_faults(content) := union({lengths, aliases}) if {
	lengths := {_unclear(sprintf("has %d characters, expected at most %d", [count(content), _max_length])) |
		count(content) > _max_length
	}
	aliases := {_unclear(sprintf("has more than %d YAML aliases (*name)", [_max_aliases])) |
		count(regex.find_n(`(?:^|[^0-9A-Za-z/])\*`, content, _max_aliases + 1)) > _max_aliases
	}
}

_item_faults(value) := {_unclear(sprintf("has %d entries, expected at most %d", [count(value), _max_items])) |
	not _fits(value)
}

_bounded(value) := value if _fits(value)

_bounded(value) := null if not _fits(value)

_fits(value) if not is_array(value)

_fits(value) if {
	is_array(value)
	count(value) <= _max_items
}

_max_length := 65536

_max_items := 500

_max_aliases := 12

# Tags, merge keys and the words that are booleans in YAML 1.1 alone are read in different ways.
_dialect_faults(content, value) := union({tags, merges, keys, words}) if {
	tags := {_unclear("has a YAML tag (! before a value)") | regex.match(`(?:^|[^0-9A-Za-z])!`, content)}
	merges := {_unclear("has a YAML merge key (<<)") | contains(content, "<<")}
	keys := {_unclear("has a list or map as a key (such as {{ without quotes)") | regex.match(_complex_key, content)}
	words := {_unclear(sprintf("has the word %s without quotes, a boolean in YAML 1.1", [text.quote(word)])) |
		regex.match(sprintf(`(?:^|[^\w"'])(?:%s)(?:$|[^\w"'])`, [_booleans]), content)
		walk(value, [_, word])
		is_string(word)
		regex.match(sprintf(`^(?:%s)$`, [_booleans]), word)
		regex.match(sprintf(`(?:^|[^\w"'])%s(?:$|[^\w"'])`, [word]), content)
	}
}

_complex_key := `(?:^|[\s\[,{]|["']:)\{\s*[{\[]|(?:^|\s)\?\s|[\]}]\s*:(?:\s|$)`

_booleans := "y|Y|yes|Yes|YES|on|On|ON|n|N|no|No|NO|off|Off|OFF"

_type_faults(value) := {_fault(what, "every entry") |
	not type_name(value) in {"array", "null"}
	what := sprintf("is %s, expected a list", [_kinds[type_name(value)]])
}

# YAML breaks lines at more than "\n", and a byte order mark may stand before the first.
_document_faults(content) := {_fault("holds more than one YAML document", "all but the first") |
	lines := regex.replace(trim_prefix(content, "\ufeff"), `[\r\x{85}\x{2028}\x{2029}]`, "\n")
	parts := regex.split(`(?m)^(?:---|\.\.\.)(?:[ \t]|$)`, lines)
	filled := [place | some place, part in parts; regex.match(`(?m)^[ \t]*[^\s#%]`, part)]
	first := 1 - count([1 | 0 in filled])
	some place in filled
	place > first
}

_skippable(content) if {
	is_string(content)
	trim_space(content) in {"", "``", `""`, "''"}
}

_items(document) := document.value if is_array(document.value)

_items(document) := [] if not is_array(document.value)

_section_errors(name, document) := {_section_error(sprintf("data.%s", [name]), document.text, fault.effect, reason) |
	some fault in document.faults
	reason := sprintf("%s, so that %s %s", [fault.what, fault.then, name])
}

_arn_fields := {"mapRoles": "rolearn", "mapUsers": "userarn"}

_text_fields := {
	"mapRoles": {"rolearn", "username", "userid"},
	"mapUsers": {"userarn", "username", "userid"},
}

_known_fields := {
	"mapRoles": {"rolearn", "username", "userid", "groups", "sso"},
	"mapUsers": {"userarn", "username", "userid", "groups"},
}

_exact_names := {
	"rolearn", "userarn", "username", "groups", "userid",
	"sso", "accountID", "permissionSetName", "partition",
}

_entries(section, document) := [_entry(section, index, raw) | some index, raw in _items(document)]

_entry(section, index, raw) := {
	"section": section,
	"origin": "ConfigMap",
	"index": index,
	"field": sprintf("data.%s[%d]", [section, index]),
	"arn": arn,
	"key": fold(arn),
	"username": _last_string(_values(raw, "username")),
	"groups": _groups(_values(raw, "groups")),
	"raw": raw,
	"loaded": count(drops) == 0,
	"usable": [sso, drops, _mismatches(own)] == [null, set(), set()],
} if {
	own := _last_string(_values(raw, _arn_fields[section]))
	sso := _sso(section, raw)
	arn := _arn(own, sso)
	drops := _drops(section, own, sso)
}

# The values of a field, in the order in which encoding/json comes to them: keys match in any letter case, as (?i) folds
# it, and come sorted.
_values(raw, name) := [raw[key] | some key in _keys(raw, name)]

_keys(raw, name) := sort(array.concat(exact, others)) if {
	is_object(raw)
	present := object.keys(raw)
	exact := [name | name in present]
	pattern := sprintf(`(?i)\A%s\z`, [name])
	others := [key | some key in (present - _exact_names); regex.match(pattern, key)]
}

_keys(raw, _) := [] if not is_object(raw)

# Null and values of another type leave a string as it was.
_last_string(values) := _last([value | some value in values; is_string(value)], "")

_last(values, _) := values[count(values) - 1] if count(values) > 0

_last(values, otherwise) := otherwise if count(values) == 0

# encoding/json decodes an array into the slice that is there: an element that is null or no string keeps what an
# earlier field of the same name left in its place. Null and [] start afresh; other types change nothing.
_groups(values) := [_group(values, start, index) | some index, _ in final] if {
	final := _last([_array(value) | some value in values; type_name(value) in {"array", "null"}], [])
	starts := [place | some place, value in array.concat([null], values); value in {null, []}]
	start := max(starts)
}

_group(values, start, index) := _last(
	[value[index] | some place, value in values; place >= start; is_array(value); is_string(value[index])],
	"",
)

_array(value) := value if is_array(value)

_array(value) := [] if not is_array(value)

# The matcher for roles of IAM Identity Center. Newer versions follow it if their feature gate SSORoleMatch is set,
# which it is not by default: what it maps may work, but is nothing to rely on.
_sso("mapRoles", raw) := _last(_values(raw, "sso"), null)

_sso("mapUsers", _) := null

_arn(own, _) := own if own != ""

_arn("", null) := ""

_arn("", sso) := sprintf("arn:%s:iam::%s:role/AWSReservedSSO_%s_*", [partition, account, name]) if {
	sso != null
	account := _last_string(_values(sso, "accountID"))
	name := _last_string(_values(sso, "permissionSetName"))
	partition := _last([value | some value in _values(sso, "partition"); is_string(value); value != ""], "aws")
}

# Why newer versions drop an entry (Validate in pkg/config/mapper.go).
_drops(section, "", null) := {sprintf("has no %s", [_arn_fields[section]])}

_drops(_, own, sso) := {"has both rolearn and sso"} if {
	own != ""
	sso != null
}

_drops(_, own, null) := set() if own != ""

_drops(_, "", sso) := {fault |
	some [name, pattern] in [["accountID", `^[0-9]{12}$`], ["permissionSetName", `^[\w+=,.@-]{1,32}$`]]
	not regex.match(pattern, _last_string(_values(sso, name)))
	fault := sprintf("has sso.%s of another form than %s", [name, pattern])
} if {
	sso != null
}

# Why no caller can have an ARN that the authenticator keeps, with what to write instead.
_mismatches(arn) := {fault |
	arn != ""
	not regex.match(_caller, fold(arn))
	fault := _mismatch(arn)
}

_caller := concat("", [
	`^arn:aws[a-z-]*:`,
	`(?:iam::[0-9]{12}:(?:root|user/[!-~]+|role/[\w+=,.@-]+)|sts::[0-9]{12}:federated-user/[\w+=,.@-]+)$`,
])

_mismatch(arn) := sprintf("expected the role without its path, %s", [text.quote(role)]) if {
	pattern := `(?i)^(arn:aws[a-z-]*:iam::[0-9]{12}:role/)[!-~]*/([\w+=,.@-]+)$`
	some parts in regex.find_all_string_submatch_n(pattern, arn, 1)
	role := concat("", [parts[1], parts[2]])
} else := sprintf("expected the role that is assumed, %s", [text.quote(role)]) if {
	pattern := `(?i)^arn:(aws[a-z-]*):sts::([0-9]{12}):assumed-role/([\w+=,.@-]+)(?:/[!-~]*)?$`
	some parts in regex.find_all_string_submatch_n(pattern, arn, 1)
	role := sprintf("arn:%s:iam::%s:role/%s", [parts[1], parts[2], parts[3]])
} else := `expected the form "arn:aws:iam::<account>:role/<name>" or "arn:aws:iam::<account>:user/<name>"`

_entry_error(entry, path, effect, reason) := {
	"section": entry.section,
	"index": entry.index,
	"field": concat("", [entry.field, path]),
	"effect": effect,
	"reason": reason,
	"of": entry.raw,
}

_entry_errors(entry) := _identity_errors(entry) if _is_plain(entry)

_entry_errors(entry) := union({
	_shape_errors(entry),
	_identity_errors(entry),
	_type_errors(entry),
	_repeat_errors(entry),
	_unread_errors(entry),
}) if {
	not _is_plain(entry)
}

# Most entries are, and need no closer look at their fields.
_is_plain(entry) if {
	is_object(entry.raw)
	object.keys(entry.raw) - {"groups", "userid", "username", _arn_fields[entry.section]} == set()
	every name, value in entry.raw {
		_is_plain_field(name, value)
	}
}

_is_plain_field("groups", value) if {
	is_array(value)
	every group in value {
		is_string(group)
	}
}

_is_plain_field(name, value) if {
	name != "groups"
	is_string(value)
}

_shape_errors(entry) := {_entry_error(entry, "", "entry", reason) |
	not type_name(entry.raw) in {"object", "null"}
	reason := sprintf(
		"is %s (%s), expected a map with %s, username and groups, so that the authenticator drops the entry",
		[_kinds[type_name(entry.raw)], text.quote(entry.raw), _arn_fields[entry.section]],
	)
}

_identity_errors(entry) := union({drops, mismatches, nameless}) if {
	type_name(entry.raw) in {"object", "null"}
	sso := _sso(entry.section, entry.raw)
	own := _last_string(_values(entry.raw, _arn_fields[entry.section]))
	drops := {_entry_error(entry, "", "entry", sprintf("%s, so that the authenticator drops the entry", [fault])) |
		some fault in _drops(entry.section, own, sso)
	}
	mismatches := {_entry_error(entry, sprintf(".%s", [_arn_fields[entry.section]]), "entry", reason) |
		some fault in _mismatches(own)
		reason := sprintf("%s can never be a caller's ARN, so that the entry maps nobody: %s", [text.quote(own), fault])
	}
	nameless := {_entry_error(entry, "", "value", sprintf("maps %s to no username", [text.quote(entry.arn)])) |
		entry.loaded
		entry.username == ""
	}
}

_identity_errors(entry) := set() if not type_name(entry.raw) in {"object", "null"}

_type_errors(entry) := union({_text_errors(entry), _groups_errors(entry), _group_errors(entry)})

_text_errors(entry) := {_type_error(entry, sprintf(".%s", [key]), entry.raw[key], "a string") |
	some name in _text_fields[entry.section]
	some key in _keys(entry.raw, name)
	not type_name(entry.raw[key]) in {"string", "null"}
}

_groups_errors(entry) := {_type_error(entry, sprintf(".%s", [key]), entry.raw[key], "a list of strings") |
	some key in _keys(entry.raw, "groups")
	not type_name(entry.raw[key]) in {"array", "null"}
}

_group_errors(entry) := {_type_error(entry, sprintf(".%s[%d]", [key, index]), group, "a string") |
	some key in _keys(entry.raw, "groups")
	is_array(entry.raw[key])
	some index, group in entry.raw[key]
	not is_string(group)
}

_type_error(entry, path, value, expected) := _entry_error(entry, path, "value", sprintf(
	"is %s (%s), expected %s, so that the authenticator skips it",
	[_kinds[type_name(value)], text.quote(value), expected],
))

_repeat_errors(entry) := {_entry_error(entry, sprintf(".%s", [name]), "value", reason) |
	some name in _known_fields[entry.section]
	keys := _keys(entry.raw, name)
	count(keys) > 1
	reason := sprintf("is given %d times (as %s), which the authenticator mixes", [
		count(keys),
		text.quote(concat(", ", keys)),
	])
}

_unread_errors(entry) := {_entry_error(entry, sprintf("[%s]", [text.quote(key)]), "unread", reason) |
	is_object(entry.raw)
	read := {key | some name in _known_fields[entry.section]; some key in _keys(entry.raw, name)}
	some key in (object.keys(entry.raw) - read)
	reason := sprintf("is no field that the authenticator reads, expected one of %s", [
		concat(", ", _known_fields[entry.section]),
	])
}

# A caller is looked up in mapRoles first; which of several entries of a section answers differs between versions.
_duplicates(entries) := {_duplicate(entries[place], entries[former]) |
	places := sort([[entry.key, place] | some place, entry in entries; entry.arn != ""])
	some next, [key, place] in places
	[key, former] = places[next - 1]
}

_duplicate(entry, first) := object.union(_entry_error(entry, "", "entry", reason), {"of": [first.raw, entry.raw]}) if {
	reason := sprintf("maps %s, which %s maps too: the authenticator uses only one of them", [
		text.quote(entry.arn),
		first.field,
	])
}

_accounts(document) := [account |
	texts := _account_texts(document)
	some index, raw in _items(document)
	account := {
		"index": index,
		"field": sprintf("data.mapAccounts[%d]", [index]),
		"section": "mapAccounts",
		"account": _account(texts, index, raw),
		"raw": raw,
	}
]

# The authenticator decodes accounts straight from YAML into strings, so that the digits of a bare number stay as they
# are written. As a value they would not: 012345670123 is octal. With a tag they are read as text here too.
_account(_, _, raw) := raw if is_string(raw)

_account(texts, index, raw) := account if {
	is_number(raw)
	account := texts[index]
	is_string(account)
} else := json.marshal(raw) if not is_string(raw)

_account_texts(document) := texts if {
	count(_items(document)) > 0
	tagged := regex.replace(document.text, `(^|[\s,\[])([0-9])`, "${1}!!str ${2}")
	yaml.is_valid(tagged)
	texts := yaml.unmarshal(tagged)
	is_array(texts)
} else := []

_account_errors(account) := {_entry_error(account, "", "entry", reason) |
	not regex.match(`^[0-9]{12}$`, account.account)
	reason := sprintf("%s is no AWS account, expected 12 digits", [text.quote(account.raw)])
}
