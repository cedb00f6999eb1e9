# METADATA
# title: Grants of IAM roles to namespaces
# description: |
#   Which IAM roles a namespace may use is told by its annotation, as kube2iam (`iam.amazonaws.com/allowed-roles`) and
#   kiam (`iam.amazonaws.com/permitted`) read it, and iam-role decides by that of the two which settings.iam_role.agent
#   names. To edit either is to grant roles. This policy leaves that to administrators, and keeps them from what is
#   easily granted by mistake.
#
#   **Anyone** who may write the Namespace may give and take what is the namespace's own anyway: patterns that name one
#   role each, of the service that the namespace is named after. iam-role admits these without an annotation, but
#   kube2iam --namespace-restrictions does not. That holds for a new Namespace as for one that is there.
#
#   **Administrators** may name the roles of other services too, one by one. A pattern that is open, so that it also
#   stands for roles of services that nobody has thought of, is for nobody: `eks-pay-*` also allows eks-pay-outs-prod, a
#   role of service pay-outs. So is a value that cannot be read, which allows nothing. To have it otherwise, set the
#   enforcement of iam-grants/reach.
#
#   By default administrators are system:masters, the usernames that EKS gives to people and roles by access entries,
#   their ARNs, since administrators among them bear no group, and Flux, which applies what was reviewed in git; not the
#   ServiceAccounts of tenants that Flux impersonates. To tighten, name the administrators' roles instead of `arn:*`.
# custom:
#   match:
#     - apiGroups: [""]
#       apiVersions: ["v1"]
#       resources: ["namespaces"]
#       operations: ["CREATE", "UPDATE"]
#     # Both let the metadata change.
#     - apiGroups: [""]
#       apiVersions: ["v1"]
#       resources: ["namespaces/status", "namespaces/finalize"]
#       operations: ["UPDATE"]
#   matchConditions:
#     - name: changes-a-grant
#       expression: |
#         object != null &&
#         [
#           {{ json .settings.iam_role.allowed_roles_annotation }}, {{ json .settings.iam_grants.permitted_annotation }}
#         ].exists(key,
#           object.?metadata.?annotations[?key] !=
#           (oldObject == null ? optional.none() : oldObject.?metadata.?annotations[?key])
#         )
#   failurePolicy: Fail
#   settings:
#     type: object
#     description: Who grants IAM roles to namespaces.
#     additionalProperties: false
#     required: [permitted_annotation, permitted_strict, administrators]
#     properties:
#       permitted_annotation:
#         description: The Namespace annotation with the regular expression of its roles that kiam reads.
#         type: string
#         minLength: 1
#       permitted_strict:
#         description: |
#           Whether kiam puts the expression between ^ and $, as it does since version 4 (but with
#           --disable-strict-namespace-regexp). In any case it compares the whole ARN of the role.
#         type: boolean
#       administrators:
#         description: Who may grant a namespace the roles of other services, and take them back.
#         type: object
#         additionalProperties: false
#         required: [users, groups]
#         properties:
#           users:
#             description: Globs of usernames.
#             type: array
#             items: {type: string, minLength: 1}
#           groups:
#             description: Exact names of groups.
#             type: array
#             items: {type: string, minLength: 1}
package eksguard.iam_grants

import data.eksguard.lib.glob
import data.eksguard.lib.iam_advice
import data.eksguard.lib.iam_ownership
import data.eksguard.lib.kiam
import data.eksguard.lib.kube2iam
import data.eksguard.lib.text

_settings := data.eksguard.settings

# METADATA
# title: A grant can be read
# description: |
#   kube2iam reads a JSON array of strings, kiam a regular expression. Of anything else they make what was not meant,
#   nothing as a rule, and say so in their logs only.
# custom:
#   id: form
#   severity: medium
#   fix: correct the value, or remove the annotation
#   examples:
#     violates:
#       note: The array is never closed, so that kube2iam would allow the namespace nothing.
#       object:
#         apiVersion: v1
#         kind: Namespace
#         metadata: {name: webservice-01, annotations: {iam.amazonaws.com/allowed-roles: '["eks-webservice-01-prod"'}}
#       settings: {cluster: {account: "555555555555"}}
#     passes:
#       object:
#         apiVersion: v1
#         kind: Namespace
#         metadata: {name: webservice-01, annotations: {iam.amazonaws.com/allowed-roles: '["eks-webservice-01-prod"]'}}
#       settings: {cluster: {account: "555555555555"}}
deny contains violation if {
	some change in _changes
	change.value != null
	some flaw in _flaws(change)
	violation := {
		"rule": "form",
		"field": text.annotation("metadata", change.key),
		"message": sprintf("%s %s", [text.quote(flaw.value), flaw.words]),
		"fix": flaw.fix,
	}
}

# METADATA
# title: A grant ends where it was meant to
# description: |
#   A pattern that stands for more roles than it names also allows those of other services, of today and of tomorrow,
#   because services contain hyphens. In a glob that is any `*` that can stand for a part of a service's name; a regular
#   expression must be made of literal characters, and perhaps one list (a|b) of them at its end, and end in $, without
#   which it matches longer names too. A strict kiam adds the $ itself.
# custom:
#   id: reach
#   severity: high
#   fix: name each role by itself
#   examples:
#     violates:
#       note: eks-pay-* also stands for eks-pay-outs-prod, a role of service pay-outs.
#       object:
#         apiVersion: v1
#         kind: Namespace
#         metadata: {name: pay, annotations: {iam.amazonaws.com/allowed-roles: '["eks-pay-*"]'}}
#       settings: {cluster: {account: "555555555555"}}
#     passes:
#       object:
#         apiVersion: v1
#         kind: Namespace
#         metadata: {name: pay, annotations: {iam.amazonaws.com/allowed-roles: '["eks-pay-stage", "eks-pay-prod"]'}}
#       settings: {cluster: {account: "555555555555"}}
deny contains violation if {
	some change in _changes
	reaching := {pattern | some pattern in _added(change); _reaches_others(change.format, pattern)}
	count(reaching) > 0
	violation := {
		"rule": "reach",
		"field": text.annotation("metadata", change.key),
		"message": sprintf("%s would let namespace %s use roles of other services too: %s", [
			_listed(reaching),
			text.quote(_namespace),
			_open_words[change.format],
		]),
		"fix": _reach_fixes[change.format],
	}
}

# METADATA
# title: Roles of other services are granted by administrators
# description: |
#   What a namespace is allowed beyond the roles of the service that it is named after is given and taken by
#   administrators only.
# custom:
#   id: administrator
#   severity: critical
#   fix: let one of settings.iam_grants.administrators do it
#   examples:
#     violates:
#       object:
#         apiVersion: v1
#         kind: Namespace
#         metadata: {name: webservice-01, annotations: {iam.amazonaws.com/allowed-roles: '["eks-webservice-02-prod"]'}}
#       oldObject:
#         apiVersion: v1
#         kind: Namespace
#         metadata: {name: webservice-01}
#       user: jane
#       settings: {cluster: {account: "555555555555"}}
#     passes:
#       note: By default an ARN as username, as EKS gives them by access entries, is an administrator's.
#       object:
#         apiVersion: v1
#         kind: Namespace
#         metadata: {name: webservice-01, annotations: {iam.amazonaws.com/allowed-roles: '["eks-webservice-02-prod"]'}}
#       oldObject:
#         apiVersion: v1
#         kind: Namespace
#         metadata: {name: webservice-01}
#       user: arn:aws:sts::555555555555:assumed-role/platform/jane
#       settings: {cluster: {account: "555555555555"}}
deny contains violation if {
	not _administers
	some change in _changes
	some verb, patterns in {"give": _added(change), "take": _removed(change)}
	foreign := {pattern | some pattern in patterns; not _own(change.format, pattern)}
	count(foreign) > 0
	violation := {
		"rule": "administrator",
		"field": text.annotation("metadata", change.key),
		"message": sprintf("%s, who is no administrator of IAM roles, may not %s namespace %s %s: %s", [
			text.quote(_user),
			verb,
			text.quote(_namespace),
			_listed(foreign),
			"that is more than the roles of its own service",
		]),
		"fix": sprintf("let one of settings.iam_grants.administrators do it%s", [_or_own]),
	}
}

# The request.

_user := object.get(input.request, ["userInfo", "username"], "")

# Empty where the API server is to make up a name.
default _namespace := ""

_namespace := input.request.name if {
	input.request.name != ""
} else := input.request.object.metadata.name

_administers if glob.match_any(_settings.iam_grants.administrators.users, _user)

_administers if {
	some group in input.request.userInfo.groups
	group in _settings.iam_grants.administrators.groups
}

# Each place is spelled out, which shows that nothing else of a Namespace is read.

_changes contains change if {
	_allowed != _allowed_before
	change := {
		"key": _settings.iam_role.allowed_roles_annotation,
		"format": _settings.iam_role.allowed_roles_format,
		"value": _allowed,
		"patterns": _allowed_patterns(_allowed),
		"before": _allowed_patterns(_allowed_before),
	}
}

_changes contains change if {
	_permitted != _permitted_before
	change := {
		"key": _settings.iam_grants.permitted_annotation,
		"format": "kiam",
		"value": _permitted,
		"patterns": _permitted_patterns(_permitted),
		"before": _permitted_patterns(_permitted_before),
	}
}

default _allowed := null

_allowed := input.request.object.metadata.annotations[data.eksguard.settings.iam_role.allowed_roles_annotation]

default _allowed_before := null

_allowed_before := value if {
	value := input.request.oldObject.metadata.annotations[data.eksguard.settings.iam_role.allowed_roles_annotation]
}

default _permitted := null

_permitted := input.request.object.metadata.annotations[data.eksguard.settings.iam_grants.permitted_annotation]

default _permitted_before := null

_permitted_before := value if {
	value := input.request.oldObject.metadata.annotations[data.eksguard.settings.iam_grants.permitted_annotation]
}

# Resolved as kube2iam does. What cannot be read allows nothing.
_allowed_patterns(value) := {kube2iam.resolve(iam_ownership.base_arn, pattern) |
	some pattern in kube2iam.patterns(value)
}

# To kiam an empty expression permits nothing.
_permitted_patterns(value) := {value | is_string(value); value != ""}

_added(change) := change.patterns - change.before

_removed(change) := change.before - change.patterns

# What is wrong with a value as a whole.

_flaws(change) := {flaw} if {
	change.format == "kiam"
	not kiam.is_valid(_settings.iam_grants.permitted_strict, change.value)
	flaw := {
		"value": change.value,
		"words": "is not a regular expression, for which kiam permits nothing",
		"fix": sprintf("give one such as %s, or remove the annotation", [text.quote(_kiam_example)]),
	}
} else := {flaw} if {
	change.format == "kiam"
	_names_only(change.value)
	flaw := {
		"value": change.value,
		"words": "is a role's name, and kiam compares the whole ARN, so that it permits nothing",
		"fix": sprintf("give the ARN, as in %s, or remove the annotation", [text.quote(_kiam_example)]),
	}
} else := set() if {
	change.format == "kiam"
} else := {flaw} if {
	not _is_list(change.value)
	flaw := {
		"value": change.value,
		"words": "is not a JSON array of strings, for which kube2iam allows nothing or what was not meant",
		"fix": `give an array such as ["eks-webservice-01-dev", "eks-webservice-01-prod"], or remove the annotation`,
	}
} else := {flaw |
	change.format == "regexp"
	broken := {pattern | some pattern in change.patterns; not regex.is_valid(pattern)}
	count(broken) > 0
	flaw := {
		"value": concat(", ", broken),
		"words": "is not a regular expression, so that kube2iam does not heed it",
		"fix": "correct it, or leave it out",
	}
}

_is_list(value) if {
	is_string(value)
	json.is_valid(value)
	elements := json.unmarshal(value)
	is_array(elements)
	every element in elements {
		is_string(element)
		element != ""
	}
}

# The roles that a pattern names one by one, undefined for one that is open.

_named_roles("glob", pattern) := {pattern} if not contains(pattern, "*")

_named_roles("regexp", pattern) := _spelled_out(pattern) if startswith(pattern, "arn:")

_named_roles("kiam", pattern) := _spelled_out(_ended(pattern)) if startswith(pattern, "arn:")

_named_roles("kiam", pattern) := _spelled_out(_ended(trim_prefix(pattern, "^"))) if startswith(pattern, "^arn:")

# What is spelled out but does not begin as an ARN. Between ^ and $ it is none.
_names_only(pattern) if {
	pattern != ""
	_settings.iam_grants.permitted_strict
	names := _spelled_out(_ended(trim_prefix(pattern, "^")))
	every name in names {
		not startswith(name, "a")
	}
}

# A strict kiam adds an end, and one more changes nothing.
_ended(pattern) := concat("", [trim_suffix(pattern, "$"), "$"]) if {
	_settings.iam_grants.permitted_strict
} else := pattern

# Literal characters, then perhaps a list of them in parentheses, then the end.
_spelled_out(expression) := {concat("", [start, rest]) | some rest in split(list, "|")} if {
	[[_, start, list]] := regex.find_all_string_submatch_n(
		`^([A-Za-z0-9_/:=,@-]*)(?:\((?:\?:)?([A-Za-z0-9_/:=,@|-]*)\))?\$$`,
		expression,
		1,
	)
}

_own(format, pattern) if {
	roles := _named_roles(format, pattern)
	count(roles) > 0
	every role in roles {
		startswith(role, iam_ownership.account_arn)
		iam_ownership.by_convention(role, _namespace)
	}
}

_reaches_others(format, pattern) if {
	not _named_roles(format, pattern)
	format != "glob"
	not _names_only(pattern)
}

_reaches_others("glob", pattern) if {
	contains(pattern, "*")
	parts := split(pattern, "*")
	_may_begin(split(parts[0], ":role/"))
	_may_end(parts[count(parts) - 1])
}

# Whether what stands before the first star can be continued to the name of a service's role.
_may_begin(halves) if count(halves) == 1

_may_begin([_, start]) if strings.any_prefix_match(start, concat("", [iam_ownership.base_path, "eks-"]))

_may_begin([_, start]) if strings.any_prefix_match(concat("", [iam_ownership.base_path, "eks-"]), start)

# And what stands after the last one, to its end.
_may_end(rest) if {
	some env in _settings.iam_role.environments
	strings.any_suffix_match(concat("", ["-", env]), rest)
}

_may_end(rest) if {
	some env in _settings.iam_role.environments
	strings.any_suffix_match(rest, concat("", ["-", env]))
}

# Words.

_listed(patterns) := text.quote(concat(", ", patterns))

_open_words := {
	"glob": `"*" may stand for a part of a service's name, as "-*" may for "-x-prod" of service "…-x"`,
	"regexp": "it is not made of literal characters, one list (a|b) at most, and $ at its end",
	"kiam": "it is not the beginning of an ARN in literal characters, then one list (a|b) at most, then $",
}

_reach_fixes := {
	"glob": `name each role by itself, as in ["eks-webservice-01-dev", "eks-webservice-01-prod"]`,
	"regexp": `spell the roles out, as in ["eks-webservice-01-(dev|prod)$"]`,
	"kiam": sprintf("spell the roles out, as in %s", [text.quote(_kiam_example)]),
}

_kiam_example := sprintf("%s:role/%seks-webservice-01-(dev|prod)", [
	iam_advice.account_arn(""),
	iam_ownership.base_path,
])

default _or_own := ""

_or_own := sprintf(", or name roles of service %s only, each by itself", [text.quote(_namespace)]) if _namespace != ""
