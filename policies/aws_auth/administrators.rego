package eksguard.aws_auth

import data.eksguard.lib.awsauth
import data.eksguard.lib.rbac
import data.eksguard.lib.text

# The ARN of the requester, as the authenticator reports it.
_requester := {awsauth.fold(arn) |
	some key in {"canonicalArn", "arn"}
	some arn in input.request.userInfo.extra[key]
	is_string(arn)
}

_own_losses(former, _) := set() if not _is_mapped(former)

_own_losses(former, entries) := {"mapped"} if {
	_is_mapped(former)
	not _is_mapped(entries)
}

_own_losses(former, entries) := {"cluster administrator" |
	_was_admin(former)
	not _is_admin(entries)
	not _same_groups(entries, former)
} if {
	_is_mapped(former)
	_is_mapped(entries)
}

_is_mapped(entries) if {
	some entry in entries
	entry.usable
}

_binds if {
	input.request.resource.resource == "clusterrolebindings"
	input.request.operation in {"CREATE", "UPDATE"}
}

_newly_bound contains [kind, name] if {
	_binds
	some [kind, name] in (rbac.administrators(_after_object) - rbac.administrators(_before_object))
	not _is_known_admin(kind, name)
}

_is_known_admin("Group", name) if name in _admin_groups

_is_known_admin("User", name) if name in _admin_users

_is_known_admin("User", name) if {
	some prefix in _settings.reserved_username_prefixes
	startswith(name, prefix)
}

_binding_confirmed if {
	_is_fresh
	named := {name | some name in regex.split(`[,\s]+`, _confirmation(_after_object)); name != ""}
	named == {name | some [_, name] in _newly_bound}
}

_binding_fault := "this change does not confirm it" if {
	_confirmation(_after_object) == ""
} else := sprintf("the confirmation %s is not part of this change", [text.quote(_confirmation(_after_object))]) if {
	not _is_fresh
} else := sprintf("the confirmation %s does not name exactly the new administrators", [
	text.quote(_confirmation(_after_object)),
])

# Who is an administrator by RBAC, with the ClusterRoleBinding that makes it so.
_bindings[subject] contains name if {
	some name, binding in data.cluster["rbac.authorization.k8s.io/v1/clusterrolebindings"]
	some subject in rbac.administrators(binding)
}

_admin_groups contains group if some group in _settings.admin_groups

_admin_groups contains group if some ["Group", group], _ in _bindings

_admin_users contains user if some ["User", user], _ in _bindings

# Who would be an administrator after the change, by an entry that any version of the authenticator might use.
_grants contains entry if {
	_maps
	some key, entries in _after_by_key
	former := object.get(_before_by_key, key, set())
	not _is_admin(former)
	not _same_groups(entries, former)
	some entry in entries
	_may_be_admin(entry)
}

_granted := {entry.key | some entry in _grants}

_listed := {awsauth.fold(arn) | some arn in _settings.admins}

_needed := _granted - _listed

# All entries for one ARN, any of which might be the one that is used, give an administrator group.
_is_admin(entries) if {
	count(entries) > 0
	every entry in entries {
		entry.loaded
		_gives_admin(entry)
	}
}

_gives_admin(entry) if {
	some group in entry.groups
	group in _admin_groups
}

_gives_admin(entry) if entry.username in _admin_users

_same_groups(entries, former) if _memberships(entries) == _memberships(former)

_memberships(entries) := [[entry.section, entry.loaded, entry.groups, _admin_names(entry)] |
	some entry in _in_order(entries)
]

_admin_names(entry) := {entry.username | some user in _admin_users; _may_render(entry.username, user)}

_may_be_admin(entry) if count(_causes(entry)) > 0

_causes(entry) := groups | users if {
	groups := {_cause("Group", group, admin_group) |
		some group in entry.groups
		some admin_group in _admin_groups
		_may_render(group, admin_group)
	}
	users := {_cause("User", entry.username, user) |
		some user in _admin_users
		_may_render(entry.username, user)
	}
}

_cause(kind, name, admin) := concat("", [
	sprintf("%s %s", [lower(kind), text.quote(name)]),
	_rendering(name, admin),
	_binding_text(kind, admin),
])

_rendering(name, admin) := "" if name == admin

_rendering(name, admin) := sprintf(", which can become %s", [text.quote(admin)]) if name != admin

# A group of the settings needs no reason.
_binding_text("Group", admin) := "" if admin in _settings.admin_groups

_binding_text(kind, admin) := sprintf(", bound to cluster-admin by ClusterRoleBinding %s", [text.quote(binding)]) if {
	not _is_configured(kind, admin)
	binding := min(_bindings[[kind, admin]])
}

_is_configured("Group", admin) if admin in _settings.admin_groups

_admin_arns(by_key) := {entry.arn |
	some entries in by_key
	_is_admin(entries)
	some entry in entries
	entry.usable
}

_was_admin(entries) if {
	some entry in entries
	_gives_admin(entry)
	some other in entries
	other.usable
}

_confirmation(object) := value if {
	value := object.metadata.annotations[_confirmation_key]
	is_string(value)
} else := ""

_confirmed if {
	_is_fresh
	_needed - _named == set()
	_named - _granted == set()
}

_is_fresh if _confirmation(_after_object) != _confirmation(_before_object)

# A role's name may hold commas, so that only those before another ARN, or at an end, separate.
_named := {arn |
	spaced := regex.replace(awsauth.fold(_confirmation(_after_object)), `,\s*arn:`, " arn:")
	some word in regex.split(`\s+`, spaced)
	arn := trim(word, ",")
	arn != ""
}

_confirmation_fault := "neither settings aws_auth.admins nor this change confirms it" if {
	_confirmation(_after_object) == ""
} else := sprintf("the confirmation %s is not part of this change", [text.quote(_confirmation(_after_object))]) if {
	not _is_fresh
} else := sprintf("the confirmation %s does not name exactly the new administrators", [
	text.quote(_confirmation(_after_object)),
])

_confirmation_fix := sprintf(
	"a deletion cannot confirm it: remove the entries that give %s a group of administrators first, or list %s in settings %s",
	[_pronoun, _pronoun, "aws_auth.admins"],
) if {
	input.request.operation == "DELETE"
} else := sprintf("%sset %s: %s in the same change, or list %s in settings aws_auth.admins", [
	_first_step,
	_confirmation_field,
	_whole(_wanted),
	_pronoun,
])

default _first_step := ""

_first_step := "remove the earlier confirmation in a change of its own, then " if {
	_wanted == _confirmation(_before_object)
}

_pronoun := "it" if count(_needed) == 1

_pronoun := "them" if count(_needed) > 1

_wanted := concat(",", sort({min({entry.arn | some entry in _after_by_key[key]}) | some key in _needed}))

# What is to be copied is cut only where no message could hold it.
_whole(value) := sprintf("%q", [value]) if count(value) <= 4000

_whole(value) := text.quote(value) if count(value) > 4000

_admin_groups_text := concat(" or ", [text.quote(group) | some group in _admin_groups])
