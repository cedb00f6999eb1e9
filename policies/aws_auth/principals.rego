package eksguard.aws_auth

import data.eksguard.lib.awsauth
import data.eksguard.lib.text

# What settings iam.principals lists, by the key of the entries that map it: callers bear no role's path.
_principals[key] contains principal if {
	some principal in data.eksguard.settings.iam.principals
	key := awsauth.fold(regex.replace(principal.arn, `:role/[!-~]*/`, ":role/"))
}

_listed_accounts contains split(principal.arn, ":")[4] if some principal in data.eksguard.settings.iam.principals

_new_principals contains entry if {
	some entry in _after.entries
	not _before_by_key[entry.key]
	_account_of(entry) in _listed_accounts
	regex.match(`^arn:[^:]*:iam:`, entry.key)
}

_is_principal(entry) if _principals[entry.key]

# A role of IAM Identity Center, whose name ends in what AWS made up.
_is_principal(entry) if {
	endswith(entry.key, "_*")
	some key, _ in _principals
	startswith(key, trim_suffix(entry.key, "*"))
}

_principal_fix(entry) := sprintf("did you mean %s? If not, create it first, and list it in settings iam.principals", [
	text.quote(_nearest(entry)),
]) if {
	entry in _suggested
} else := "create it first, and list it in settings iam.principals"

# To look for what is near takes its time.
_suggested := array.slice([entry | some entry in _new_principals; not _is_principal(entry)], 0, 3)

# The one whose name has most pairs of characters in common with the entry's, at least half of them.
_nearest(entry) := arn if {
	wanted := _pairs(_resource(entry.key))
	likeness := [[share, key] |
		some key in array.slice(_candidates(_resource(entry.key)), 0, 300)
		pairs := _pairs(_resource(key))
		share := (2 * count(wanted & pairs)) / (count(wanted) + count(pairs))
		share >= 0.5
	]
	[_, best] := max(likeness)
	arn := min({regex.replace(principal.arn, `:role/[!-~]*/`, ":role/") | some principal in _principals[best]})
}

# A typing error leaves one half as it was, or the name below its path; there may be thousands to look through.
_candidates(name) := [key |
	half := round(count(name) / 2)
	beginning := substring(name, 0, half)
	ends := [substring(name, half, -1), regex.replace(name, `^.*/`, "/")]
	some key, _ in _principals
	resource := _resource(key)
	true in {startswith(resource, beginning), strings.any_suffix_match(resource, ends)}
	abs(count(resource) - count(name)) < 6
]

_resource(key) := substring(key, indexof(key, "::") + 15, -1)

_pairs(name) := {substring(name, start, 2) | some start in numbers.range(0, count(name) - 2)}

# An entry that maps somebody anew, or to further groups.
_gains(entry) if not _before_by_key[entry.key]

_gains(entry) if {
	former := {group | some before in _before_by_key[entry.key]; some group in before.groups}
	{group | some group in entry.groups} - former != set()
}
