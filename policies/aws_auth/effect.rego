package eksguard.aws_auth

import data.eksguard.lib.awsauth
import data.eksguard.lib.text

_max_lines := 8

_max_groups := 6

# What the change does in the eyes of the authenticator, administrators and nodes first.
effect := array.concat([line | some [_, _, line] in array.slice(_changes, 0, _max_lines)], _rest) if {
	count(_changes) > 0
	count(deny) > 0
} else := ["all IAMIdentityMappings are deleted; whom they map is not known"] if {
	_deletes_definition
	count(deny) > 0
} else := ["nobody gains or loses anything"] if count(deny) > 0

_rest := [sprintf("and %d more", [more])] if {
	more := count(_changes) - _max_lines
	more > 0
} else := []

_changes := sort(union({_gained, _lost, _changed, _mapped_accounts, _administrators}))

_gained contains [_rank(states), key, sprintf("+ %s %s", [_arn_text(key, _after_by_key), _states_text(states)])] if {
	some key, states in _states_after
	not _states_before[key]
}

_lost contains [_rank(states), key, sprintf("- %s %s", [_arn_text(key, _before_by_key), _states_text(states)])] if {
	some key, states in _states_before
	not _states_after[key]
}

_changed contains [_rank(former | states), key, line] if {
	some key, states in _states_after
	former := _states_before[key]
	former != states
	line := sprintf("~ %s %s -> %s", [_arn_text(key, _after_by_key), _states_text(former), _states_text(states)])
}

_mapped_accounts contains [1, account, line] if {
	_maps
	some [sign, account] in _account_changes
	line := sprintf("%s every user and role of account %s as their own ARN in no group", [sign, text.quote(account)])
}

_account_changes contains ["+", account.account] if {
	some account in _after.accounts
	not account.account in _former_accounts
}

_account_changes contains ["-", account] if {
	some account in _former_accounts
	not account in {after.account | some after in _after.accounts}
}

_administrators contains [0, name, sprintf("+ %s %s as cluster administrator", [lower(kind), text.quote(name)])] if {
	some [kind, name] in _newly_bound
}

# As whom an ARN is let in; more than one where which of several entries is used differs.
_states_after[key] contains _state(entry) if {
	some key, entries in _after_by_key
	_is_concerned(key)
	some entry in entries
	_lets_in(entry)
}

_states_before[key] contains _state(entry) if {
	some key, entries in _before_by_key
	_is_concerned(key)
	some entry in entries
	_lets_in(entry)
}

_lets_in(entry) if {
	awsauth.may_be_caller(entry.arn)
	not entry.shadowed
}

_state(entry) := [entry.username, sort({group | some group in entry.groups})]

_rank(states) := 0 if {
	some [username, groups] in states
	_is_important(username, groups)
} else := 1

_is_important(username, _) if username in _admin_users

_is_important(_, groups) if {
	some group in groups
	group in (_admin_groups | _node_groups)
}

_arn_text(key, by_key) := text.quote(min({entry.arn | some entry in by_key[key]}))

_states_text(states) := concat(" or ", [_state_text(state) | some state in array.slice(sort(states), 0, 3)])

_state_text([username, []]) := sprintf("as %s in no group", [text.quote(username)])

_state_text([username, groups]) := sprintf("as %s in %s%s", [text.quote(username), concat(", ", shown), more]) if {
	count(groups) > 0
	shown := [text.quote(group) | some group in array.slice(groups, 0, _max_groups)]
	more := _more(count(groups) - _max_groups)
}

_more(number) := "" if number <= 0

_more(number) := sprintf(" and %d more", [number]) if number > 0
