# METADATA
# title: Ownership of IAM roles
# description: |
#   Whose a role is: what the cluster's roles are named, and what a role's name says of its service. The settings of
#   iam_role are meant by settings here.
package eksguard.lib.iam_ownership

import data.eksguard.lib.kube2iam

_settings := data.eksguard.settings

# METADATA
# description: What the ARNs of this cluster's roles begin with. The account is "" while the settings do not tell it.
account_arn := concat("", ["arn:", _settings.cluster.partition, ":iam::", _settings.cluster.account])

# METADATA
# description: What bare names are appended to.
base_arn := _settings.iam_role.base_arn if {
	_settings.iam_role.base_arn != ""
} else := concat("", [account_arn, ":role/"])

# METADATA
# description: What of it stands between role/ and the name.
base_path := "" if {
	_settings.iam_role.base_arn == ""
} else := split(_settings.iam_role.base_arn, ":role/")[1]

# METADATA
# description: What a pattern for the role is appended to, unless it is an ARN. While the settings do not tell the
#   account, any counts as this cluster's, and so the role's own.
home_arn(role) := concat("", [account_arn, split(role, ":")[4], ":role/"]) if {
	_settings.iam_role.base_arn == ""
	_settings.cluster.account == ""
} else := base_arn

# METADATA
# description: The form of a role's ARN.
is_role_arn(text) if regex.match(`^arn:[a-z0-9-]+:iam::[0-9]{12}:role/([!-.0-~]+/)*[A-Za-z0-9_+=,.@-]{1,64}$`, text)

# METADATA
# description: What may follow "role/", a path, which may be empty, and a name.
is_resource(text) if regex.match(`^([!-.0-~]+/)*[A-Za-z0-9_+=,.@-]{1,64}$`, text)

# METADATA
# description: |
#   The service and the environment that a role is named after, undefined for a name that breaks the convention. Where
#   one environment ends in another (us-prod, prod), the longer counts, since the service is as short as it can be.
convention(role) := [service, env] if {
	[[_, service, env]] := regex.find_all_string_submatch_n(_convention_pattern, role, 1)
	service != ""
}

_convention_pattern := concat("", [`^arn:[^:]*:iam::[^:]*:role/\Q`, base_path, `eks-\E([^/]*?)`, env_pattern])

# METADATA
# description: What a name ends in, and which environment that is.
env_pattern := concat("", ["-(", concat("|", _settings.iam_role.environments), ")$"])

# METADATA
# description: True if the role is, by its name, one of the namespace's own service.
by_convention(role, namespace) if {
	[service, env] := convention(role)
	namespace in {service, concat("-", [service, env])}
}

# METADATA
# description: True if the settings grant the role to the namespace.
granted(role, namespace) if {
	some pattern in _settings.iam_role.grants[namespace]
	kube2iam.allows("glob", kube2iam.resolve(home_arn(role), pattern), role)
}
