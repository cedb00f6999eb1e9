# METADATA
# title: Advice on IAM roles
# description: What to write instead of a role that is denied.
package eksguard.lib.iam_advice

import data.eksguard.lib.iam_ownership
import data.eksguard.lib.kube2iam
import data.eksguard.lib.text

_settings := data.eksguard.settings

# METADATA
# description: |
#   The fix for a value that is denied in the namespace. Where it is known what was meant, it says so (meant is "" where
#   it is not); where one of the roles that the namespace may use is so near that the value is a slip of the pen, it
#   asks; else it lists them: the namespace's own, those granted to it, and those that other patterns allow. What can be
#   done otherwise is added; it may be "".
fix(meant, value, namespace, patterns, otherwise) := sprintf("use %s%s", [
	text.quote(meant),
	_joined(", or ", otherwise),
]) if {
	meant != ""
} else := sprintf("did you mean %s?%s", [text.quote(near), _joined(" Otherwise ", otherwise)]) if {
	near := _near(value, namespace, patterns)
} else := sprintf("use %s%s", [_listed(roles), _joined(", or ", otherwise)]) if {
	roles := _roles(value, namespace, patterns)
	count(roles) > 0
} else := sprintf("use a role that namespace %s may use%s", [text.quote(namespace), _joined(", or ", otherwise)])

# METADATA
# description: |
#   What the ARN of a role begins with that is advised: the account of the base ARN, of the cluster, of the value, or
#   none that is known.
account_arn(value) := split(_settings.iam_role.base_arn, ":role/")[0] if {
	_settings.iam_role.base_arn != ""
} else := iam_ownership.account_arn if {
	_settings.cluster.account != ""
} else := concat("", [iam_ownership.account_arn, split(value, ":")[4]]) if {
	is_string(value)
	iam_ownership.is_role_arn(value)
} else := concat("", [iam_ownership.account_arn, "<account>"])

_joined(_, "") := ""

_joined(word, otherwise) := concat("", [word, otherwise]) if otherwise != ""

# At most as many are listed as a person reads.
_listed(roles) := concat(" or ", array.concat(
	[_named(role) | some role in array.slice(roles, 0, 5)],
	[sprintf("one of %d others", [count(roles) - 5]) | count(roles) > 5],
))

_named(role) := sprintf("one like %s", [text.quote(role)]) if {
	contains(role, "*")
} else := text.quote(role)

# The namespace's own roles, of the environment in the value where there is one, and what else it may use.
_roles(value, namespace, patterns) := array.concat(
	_own(value, namespace),
	_others(value, namespace, patterns),
)

_own(value, namespace) := [role |
	some name in _names(value, namespace)
	role := _arn(value, name)
	startswith(role, iam_ownership.account_arn)
	iam_ownership.is_resource(concat("", [iam_ownership.base_path, name]))
	iam_ownership.by_convention(role, namespace)
]

_arn(value, name) := concat("", [account_arn(value), ":role/", iam_ownership.base_path, name])

# The names of the namespace's environment, of that in the value, or of all.
_names(value, namespace) := [concat("", ["eks-", namespace])] if {
	regex.match(iam_ownership.env_pattern, namespace)
} else := [concat("", ["eks-", namespace, "-", env])] if {
	is_string(value)
	[[_, env]] := regex.find_all_string_submatch_n(iam_ownership.env_pattern, lower(trim_space(value)), 1)
} else := [concat("", ["eks-", namespace, "-", env]) | some env in _settings.iam_role.environments]

# A role that a pattern of the Namespace's annotation allows has a name by the convention as well; that is not asked of
# a role with a grant.
_others(value, namespace, patterns) := array.concat(
	[role |
		some pattern in _settings.iam_role.grants[namespace]
		role := _resolved(value, pattern)
	],
	[role |
		some pattern in patterns
		role := _resolved(value, pattern)
		_may_follow_convention(role)
	],
)

_resolved(value, pattern) := role if {
	role := kube2iam.resolve(concat("", [account_arn(value), ":role/", iam_ownership.base_path]), pattern)
	startswith(role, iam_ownership.account_arn)
}

_may_follow_convention(role) if {
	contains(role, "*")
	contains(role, concat("", [":role/", iam_ownership.base_path, "eks-"]))
}

_may_follow_convention(role) if iam_ownership.convention(role)

# The one role that the value is nearest to, if it is near to any.
_near(value, namespace, patterns) := role if {
	is_string(value)
	name := _plain(value)
	candidates := {role |
		some role in array.concat(_own(value, namespace), _others(value, namespace, patterns))
		not contains(role, "*")
	}
	slips := {role: slip |
		some role in candidates
		slip := text.slip(name, _plain(role))
		slip * 3 <= count(name)
		slip <= 2
	}
	least := min([slip | some slip in slips])
	[role] := [role | some role, slip in slips; slip == least]
}

# What of a role is compared: its name, without what is often left out or written otherwise.
_plain(role) := trim_prefix(replace(regex.replace(lower(trim_space(role)), `^.*[/:]`, ""), "_", "-"), "eks-")
