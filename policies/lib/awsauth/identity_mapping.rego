package eksguard.lib.awsauth

import data.eksguard.lib.text

# METADATA
# description: What a ConfigMap or IAMIdentityMapping that does not exist maps.
nothing := {"entries": [], "accounts": [], "errors": set()}

# METADATA
# description: |
#   What an IAMIdentityMapping maps, in the form of `parse`: at most the entry of its spec, and, while status.canonicalARN
#   has another ARN, the one of its status, which is what callers are looked up by. The authenticator makes the status of
#   the spec a moment after each change. An ARN that it does not understand leaves the status as it is, so that who was
#   mapped before stays mapped. `section` is IAMIdentityMapping, `index` the object's name. (aws-iam-authenticator:
#   pkg/mapper/crd/controller/controller.go, pkg/mapper/crd/mapper.go.)
identity_mapping(name, mapping) := {"entries": entries, "accounts": [], "errors": errors} if {
	arn := object.get(mapping, ["spec", "arn"], "")
	spec := canonical(arn)
	status := object.get(mapping, ["status", "canonicalARN"], "")
	entries := array.concat(
		_mapping_entries(name, mapping, "spec.arn", _as_written(arn, spec), _can_call(spec)),
		_mapping_entries(name, mapping, "status.canonicalARN", _other(status, spec), _stays(status, spec)),
	)
	errors := union({_mapping_arn_errors(arn, spec), _mapping_field_errors(mapping)})
}

# METADATA
# description: |
#   The ARN in the form in which the authenticator keeps it of an IAMIdentityMapping: in small letters, and a role in
#   place of a session of it. Empty for what it does not understand. (aws-iam-authenticator: pkg/arn/arn.go.)
canonical(arn) := canonical_arn if {
	is_string(arn)
	parts := split(lower(arn), ":")
	["arn", partition, service, _, account] = array.slice(parts, 0, 5)
	regex.match(`^aws(-[a-z]+)*$`, partition)
	resource := concat(":", array.slice(parts, 5, count(parts)))
	canonical_arn := _canonical(service, lower(arn), partition, account, split(resource, "/"))
} else := ""

_canonical("iam", arn, _, _, resource) := arn if resource[0] in {"role", "user", "root"}

_canonical("sts", arn, _, _, resource) := arn if resource[0] == "federated-user"

_canonical("sts", _, partition, account, resource) := role if {
	resource[0] == "assumed-role"
	count(resource) > 2
	name := concat("/", array.slice(resource, 1, count(resource) - 1))
	role := sprintf("arn:%s:iam::%s:role/%s", [partition, account, name])
}

# METADATA
# description: Whether somebody may be let in by an entry with this ARN, a permission set of IAM Identity Center included.
may_be_caller(arn) if _can_call(fold(arn))

may_be_caller(arn) if regex.match(`:role/awsreservedsso_[\w+=,.@-]+_\*$`, fold(arn))

default _can_call(_) := false

_can_call(arn) if {
	is_string(arn)
	regex.match(_caller, arn)
}

_as_written(arn, spec) := arn if {
	is_string(arn)
	fold(arn) == spec
} else := spec

_other(status, spec) := "" if status == spec

_other(status, spec) := status if {
	status != spec
	is_string(status)
} else := ""

default _stays(_, _) := false

_stays(status, "") if _can_call(status)

_mapping_entries(_, _, _, "", _) := []

_mapping_entries(name, mapping, field, arn, usable) := [{
	"section": "IAMIdentityMapping",
	"origin": sprintf("IAMIdentityMapping %s", [name]),
	"index": name,
	"field": field,
	"arn": arn,
	"key": fold(arn),
	"username": _text(object.get(mapping, ["spec", "username"], "")),
	"groups": [_text(group) | some group in _array(object.get(mapping, ["spec", "groups"], []))],
	"raw": arn,
	"loaded": true,
	"usable": usable,
}] if {
	arn != ""
}

_text(value) := value if is_string(value)

_text(value) := "" if not is_string(value)

_mapping_error(field, effect, value, reason) := {
	"section": "IAMIdentityMapping",
	"index": null,
	"field": field,
	"effect": effect,
	"reason": reason,
	"of": value,
}

_mapping_arn_errors("", _) := {_mapping_error("spec.arn", "entry", "", "is missing, so that the authenticator maps nobody")}

_mapping_arn_errors(arn, "") := {_mapping_error("spec.arn", "entry", arn, reason)} if {
	arn != ""
	reason := sprintf("%s is no ARN that the authenticator understands, so that it maps whom it mapped before: %s", [
		text.quote(arn),
		_mismatch(""),
	])
}

_mapping_arn_errors(arn, spec) := {_mapping_error("spec.arn", "entry", arn, reason) |
	some fault in _mismatches(spec)
	reason := sprintf("%s can never be a caller's ARN, so that it maps nobody: %s", [text.quote(arn), fault])
} if {
	spec != ""
}

_mapping_field_errors(mapping) := union({types, nameless}) if {
	username := object.get(mapping, ["spec", "username"], "")
	groups := object.get(mapping, ["spec", "groups"], [])
	types := {_mapping_error(sprintf("spec.%s", [name]), "value", value, reason) |
		some [name, value, kind] in [["username", username, "a string"], ["groups", groups, "a list of strings"]]
		not _is_plain_value(name, value)
		reason := sprintf("is %s, expected %s, and the authenticator can then read no IAMIdentityMapping at all", [
			text.quote(value),
			kind,
		])
	}
	nameless := {_mapping_error("spec.username", "value", "", "is missing, so that the ARN is mapped to no username") |
		username == ""
	}
}

_is_plain_value("groups", null)

_is_plain_value(name, value) if _is_plain_field(name, value)
