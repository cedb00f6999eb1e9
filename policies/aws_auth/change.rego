package eksguard.aws_auth

import data.eksguard.lib.awsauth
import data.eksguard.lib.text

# What is changed, by the backend of the authenticator that reads it.
_subject := "CRD" if {
	input.request.resource.group == "iamauthenticator.k8s.aws"
	input.request.resource.resource == "iamidentitymappings"
} else := "EKSConfigMap" if {
	_guarded
}

# Whom the authenticator maps may change.
_maps if _writes

_maps if _subject == "CRD"

# The authenticator reads one ConfigMap. A deletecollection and generateName leave the request without a name.
_guarded if {
	input.request.namespace == "kube-system"
	"aws-auth" in _names
}

_names contains input.request.name

_names contains _after_object.metadata.name

_names contains _before_object.metadata.name

_writes if {
	_guarded
	input.request.operation in {"CREATE", "UPDATE"}
}

default _after_object := {}

_after_object := input.request.object if is_object(input.request.object)

default _before_object := {}

_before_object := input.request.oldObject if is_object(input.request.oldObject)

_after := awsauth.nothing if {
	_after_object == {}
} else := awsauth.identity_mapping(_own_name, _after_object) if {
	_subject == "CRD"
} else := awsauth.parse(_after_object)

_before := awsauth.nothing if {
	_before_object == {}
} else := awsauth.identity_mapping(_own_name, _before_object) if {
	_subject == "CRD"
} else := awsauth.parse(_before_object)

# Of an IAMIdentityMapping alone, so that for all else every one of them is another.
default _own_name := ""

_own_name := min({name |
	some object in [_before_object, _after_object]
	name := object.metadata.name
	is_string(name)
}) if {
	_subject == "CRD"
}

_entries_field := "data" if _writes

_entries_field := "spec" if _subject == "CRD"

_roles_field := "data.mapRoles" if _writes

_roles_field := "spec" if _subject == "CRD"

_mappings_key := "iamauthenticator.k8s.aws/v1alpha1/iamidentitymappings"

_other_mappings := [object.union(entry, {"field": field}) |
	some name, mapping in data.cluster[_mappings_key]
	name != _own_name
	some entry in awsauth.identity_mapping(name, mapping).entries
	field := sprintf("IAMIdentityMapping %s", [text.quote(name)])
]

# All of a collection may be on its way out, and what is watched is a moment late.
_kept_mappings := [] if _is_collection

_kept_mappings := _other_mappings if not _is_collection

_is_collection if {
	input.request.operation == "DELETE"
	object.get(input.request, "name", "") == ""
}

# The authenticator asks both, and each answers for the other.
_joined if {
	{"EKSConfigMap", "CRD"} - {backend | some backend in _settings.backends} == set()
}

default _stored := {"entries": [], "accounts": [], "errors": set()}

_stored := object.union(parsed, {"entries": entries}) if {
	_joined
	parsed := awsauth.parse(data.cluster["v1/configmaps"]["kube-system"]["aws-auth"])
	entries := [object.union(entry, {"field": field}) |
		some entry in parsed.entries
		field := sprintf(`ConfigMap "kube-system/aws-auth" %s`, [entry.field])
	]
}

_all_after := _all(_after, _other_mappings) if {
	_subject == "EKSConfigMap"
} else := _all(_stored, array.concat(_after.entries, _kept_mappings)) if {
	_subject == "CRD"
} else := []

_all_before := _all(_before, _other_mappings) if {
	_subject == "EKSConfigMap"
} else := _all(_stored, array.concat(_before.entries, _other_mappings)) if {
	_subject == "CRD"
} else := _other_mappings if {
	_deletes_definition
} else := []

_all(configmap, _) := configmap.entries if {
	_subject == "EKSConfigMap"
	not _joined
}

_all(configmap, mappings) := array.concat(configmap.entries, _reached(configmap, mappings)) if _joined

_all(_, mappings) := mappings if {
	_subject == "CRD"
	not _joined
}

# What goes with a collection besides the object is judged with its own review.
_is_concerned(_) if _subject != "CRD"

_is_concerned(_) if _deletes_definition

_is_concerned(key) if {
	some entry in array.concat(_before.entries, _after.entries)
	entry.key == key
}

# An account in mapAccounts answers before the next backend is asked.
_reached(configmap, mappings) := [_behind(mapping, accounts, keys) |
	accounts := {account.account | some account in configmap.accounts; _settings.backends[0] == "EKSConfigMap"}
	keys := {entry.key | some entry in configmap.entries}
	some mapping in mappings
]

_behind(mapping, accounts, keys) := object.union(mapping, {"loaded": false, "usable": false, "shadowed": true}) if {
	_account_of(mapping) in accounts
	not mapping.key in keys
} else := mapping

_account_of(entry) := split(entry.arn, ":")[4]

_after_by_key[entry.key] contains entry if {
	some entry in _all_after
	entry.arn != ""
}

_before_by_key[entry.key] contains entry if {
	some entry in _all_before
	entry.arn != ""
}

# Mappings of the same ARN in other objects that say something else.
_new_conflicts contains _conflict(entry.field, reason) if {
	some entry in _after.entries
	entry.arn != ""
	entry.field != "status.canonicalARN"
	not entry in _before.entries
	some other in _after_by_key[entry.key]
	other.origin != entry.origin
	[other.username, other.groups] != [entry.username, entry.groups]
	reason := sprintf("maps %s, which %s maps to something else: the authenticator uses %s", [
		text.quote(entry.arn),
		other.field,
		_first_of(entry, other),
	])
}

_new_conflicts contains _conflict(field, reason) if {
	some key, entries in _after_by_key
	some entry in entries
	entry.shadowed
	not _was_shadowed(entry)
	field := _shadow_field(entry)
	reason := sprintf("%s would not be mapped by its IAMIdentityMapping, as mapAccounts has its account %s: %s", [
		text.quote(entry.arn),
		text.quote(_account_of(entry)),
		"the authenticator asks backend EKSConfigMap first",
	])
}

_was_shadowed(entry) if {
	some former in _before_by_key[entry.key]
	former.shadowed
	former.origin == entry.origin
}

_shadow_field(_) := "data.mapAccounts" if _subject == "EKSConfigMap"

_shadow_field(entry) := entry.field if _subject == "CRD"

_conflict(field, reason) := {"field": field, "effect": "entry", "reason": reason}

_first_of(entry, other) := "only one of them" if entry.section == other.section

_first_of(entry, other) := sprintf("that of backend %s", [_settings.backends[0]]) if entry.section != other.section

_former_accounts contains account.account if some account in _before.accounts

_former_usernames contains [entry.key, entry.username] if some entry in _before.entries

# Errors that the change brings: an untouched entry may have moved, an untouched section may not be blamed again.
_new_errors contains error if {
	some error in _after.errors
	not _fault(error) in _former_faults
}

_former_faults contains _fault(error) if some error in _before.errors

_fault(error) := [error.section, error.effect, trim_prefix(error.field, _place(error)), error.of]

_place(error) := sprintf("data.%s[%d]", [error.section, error.index]) if error.index != null

_place(error) := "" if error.index == null

_is_frozen(object) if object.immutable == true

_is_read("data", section) if section in awsauth.sections

_had(kind, section, content) if _before_object[kind][section] == content

_nearest_section(section) := sprintf("data.%s", [name]) if {
	is_string(section)
	some name in awsauth.sections
	lower(trim_suffix(trim_space(section), "s")) == lower(trim_suffix(name, "s"))
} else := "data.mapRoles, data.mapUsers or data.mapAccounts"

_deletions contains violation if {
	_guarded
	violation := {
		"rule": "deleted",
		"field": "metadata.name",
		"message": sprintf(`deleting ConfigMap "kube-system/aws-auth" would lock out whom it maps, nodes and users (%d ARNs)`, [
			count({entry.key | some entry in _before.entries; entry.usable}),
		]),
	}
}

_deletions contains violation if {
	_deletes_definition
	some threat in _threats
	violation := {
		"rule": "deleted",
		"field": "metadata.name",
		"message": sprintf("deleting the CustomResourceDefinition of IAMIdentityMappings would delete %s", [threat]),
		"fix": "delete each IAMIdentityMapping by its name first",
	}
}

_deletes_definition if {
	input.request.resource.resource == "customresourcedefinitions"
	"iamidentitymappings.iamauthenticator.k8s.aws" in _names
}

_threats contains "all of them, and which there are is not known" if not data.cluster[_mappings_key]

_threats contains sprintf("all of them, and lock out whom they map (%d ARNs)", [number]) if {
	data.cluster[_mappings_key] != {}
	number := count({entry.key | some entry in _other_mappings})
}

_new_accounts contains [entry.field, entry.arn, parts[4]] if {
	some entry in _after.entries
	not _before_by_key[entry.key]
	parts := split(entry.arn, ":")
	regex.match(`^[0-9]{12}$`, parts[4])
}

_new_accounts contains [account.field, account.account, account.account] if {
	some account in _after.accounts
	not account.account in _former_accounts
	regex.match(`^[0-9]{12}$`, account.account)
}

_is_unchanged(key) if not _is_concerned(key)

_is_unchanged(key) if {
	former := object.get(_before_by_key, key, set())
	entries := object.get(_after_by_key, key, set())
	_same_groups(entries, former)
	[entry.username | some entry in _in_order(entries)] == [entry.username | some entry in _in_order(former)]
}

_in_order(entries) := [entry |
	some [_, _, entry] in sort([[entry.section, entry.index, entry] | some entry in entries])
]
