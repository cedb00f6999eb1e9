package eksguard.iam_role

import data.eksguard.lib.iam_advice
import data.eksguard.lib.iam_ownership
import data.eksguard.lib.kiam
import data.eksguard.lib.kube2iam

# What no rule denies, if it is given by its ARN.
_accepted(role) if {
	startswith(role, iam_ownership.account_arn)
	_named(role)
	_owned(role)
}

_named(role) if {
	iam_ownership.convention(role)
} else if {
	iam_ownership.granted(role, _namespace)
}

_owned(role) if {
	iam_ownership.by_convention(role, _namespace)
} else if {
	iam_ownership.granted(role, _namespace)
} else if {
	_settings.iam_role.agent == "kube2iam"
	some pattern in _allowed_patterns
	kube2iam.allows(_settings.iam_role.allowed_roles_format, kube2iam.resolve(iam_ownership.home_arn(role), pattern), role)
} else if {
	_settings.iam_role.agent == "kiam"
	kiam.permits(_settings.iam_grants.permitted_strict, _namespace_annotation, role)
}

# The annotation of the Namespace that counts, and what it says.

_grant_key := _settings.iam_role.allowed_roles_annotation if {
	_settings.iam_role.agent == "kube2iam"
} else := _settings.iam_grants.permitted_annotation

_namespace_annotation := value if {
	value := data.cluster["v1/namespaces"][_namespace].metadata.annotations[_grant_key]
}

_allowed_patterns := kube2iam.patterns(_namespace_annotation)

_refusal := "is not set" if {
	not _namespace_annotation
} else := "is not a JSON array and so allows nothing" if {
	_settings.iam_role.agent == "kube2iam"
	not _allowed_patterns
} else := "is not a regular expression and so permits nothing" if {
	_settings.iam_role.agent == "kiam"
	not kiam.is_valid(_settings.iam_grants.permitted_strict, _namespace_annotation)
} else := "does not allow it"

# What to do instead of asking for the value, and otherwise.
_fix(value, otherwise) := iam_advice.fix(_meant(value), value, _namespace, _listed, otherwise)

# That role in this account, if the Pod may use it.
default _meant(_) := ""

_meant(value) := role if {
	role := regex.replace(_role(value), `^arn:[^:]*:iam::[^:]*`, iam_advice.account_arn(value))
	role != value # which is denied
	_accepted(role)
}

# The patterns that a person can read out of the Namespace's annotation.
default _listed := []

_listed := _allowed_patterns if {
	_settings.iam_role.agent == "kube2iam"
	_settings.iam_role.allowed_roles_format == "glob"
}
