# METADATA
# title: IAM roles of ServiceAccounts
# description: |
#   A Pod has the credentials of the IAM role that its ServiceAccount names in `eks.amazonaws.com/role-arn`, as far as
#   that role trusts the ServiceAccount. This policy lets a ServiceAccount name only a role of this cluster's account,
#   named eks-<service>-<env>, that belongs to its namespace: by that name, or by a grant in settings.iam_role.grants,
#   which also admits a role whose name does not follow the convention. The annotation of the Namespace is kube2iam's,
#   and is not read here.
#
#   EKS takes full ARNs only, and hands anything else to the Pod as it is, where AWS refuses it.
#   eks-pod-identity-webhook that somebody runs with --compose-role-arn also takes a path and a name; such a value is
#   judged as that role, and denied for its form. Its other annotations (audience, sts-regional-endpoints,
#   token-expiration) choose no role.
# custom:
#   match:
#     - apiGroups: [""]
#       apiVersions: ["v1"]
#       resources: ["serviceaccounts"]
#       operations: ["CREATE", "UPDATE"]
#   matchConditions:
#     - name: names-another-role
#       expression: |
#         object != null && object.?metadata.?annotations[?{{ json .settings.irsa.annotation }}].hasValue() &&
#         (oldObject == null || object.?metadata.?annotations[?{{ json .settings.irsa.annotation }}] !=
#         oldObject.?metadata.?annotations[?{{ json .settings.irsa.annotation }}])
#   failurePolicy: Fail
#   settings:
#     type: object
#     description: Roles of ServiceAccounts; how roles are named and granted is told in iam_role.
#     additionalProperties: false
#     required: [annotation]
#     properties:
#       annotation:
#         description: The ServiceAccount annotation with the role (--annotation-prefix of eks-pod-identity-webhook).
#         type: string
#         minLength: 1
package eksguard.irsa

import data.eksguard.lib.iam_advice
import data.eksguard.lib.iam_ownership
import data.eksguard.lib.text

_settings := data.eksguard.settings

# METADATA
# title: The role is given by its ARN
# description: The annotation must have the form arn:<partition>:iam::<account>:role/<name>.
# custom:
#   id: form
#   severity: high
#   fix: give the ARN of an IAM role, or remove the annotation where no role is needed
#   examples:
#     violates:
#       object:
#         apiVersion: v1
#         kind: ServiceAccount
#         metadata:
#           name: shop
#           namespace: webservice-01
#           annotations: {eks.amazonaws.com/role-arn: eks-webservice-01-prod}
#       settings: {cluster: {account: "555555555555"}}
#     passes:
#       object:
#         apiVersion: v1
#         kind: ServiceAccount
#         metadata:
#           name: shop
#           namespace: webservice-01
#           annotations: {eks.amazonaws.com/role-arn: "arn:aws:iam::555555555555:role/eks-webservice-01-prod"}
#       settings: {cluster: {account: "555555555555"}}
deny contains violation if {
	value := _new_value
	not _is_arn(value)
	violation := {
		"rule": "form",
		"field": _field,
		"message": concat(" ", [text.quote(value), _malformation(value)]),
		"fix": _fix(value, "remove the annotation where no role is needed"),
	}
}

# METADATA
# title: The role is of this cluster's account
# description: Account and partition of the role must be those of the cluster, as far as the settings name them.
# custom:
#   id: account
#   severity: critical
#   fix: use a role of this cluster's account
#   examples:
#     violates:
#       object:
#         apiVersion: v1
#         kind: ServiceAccount
#         metadata:
#           name: shop
#           namespace: webservice-01
#           annotations: {eks.amazonaws.com/role-arn: "arn:aws:iam::111111111111:role/eks-webservice-01-prod"}
#       settings: {cluster: {account: "555555555555"}}
#     passes:
#       object:
#         apiVersion: v1
#         kind: ServiceAccount
#         metadata:
#           name: shop
#           namespace: webservice-01
#           annotations: {eks.amazonaws.com/role-arn: "arn:aws:iam::555555555555:role/eks-webservice-01-prod"}
#       settings: {cluster: {account: "555555555555"}}
deny contains violation if {
	value := _new_value
	role := _role
	not startswith(role, iam_ownership.account_arn)
	violation := {
		"rule": "account",
		"field": _field,
		"message": sprintf("%s is not a role of this cluster's account, expected %s…", [
			text.quote(value),
			iam_ownership.account_arn,
		]),
		"fix": _fix(value, ""),
	}
}

# METADATA
# title: The role belongs to the namespace
# description: |
#   A namespace may use the roles eks-<service>-<env> of the service that it is named after (<service>, or
#   <service>-<env> for that environment), and those granted to it in the settings of iam_role.
# custom:
#   id: ownership
#   severity: critical
#   fix: use a role of the namespace's own service
#   examples:
#     violates:
#       object:
#         apiVersion: v1
#         kind: ServiceAccount
#         metadata:
#           name: shop
#           namespace: webservice-01
#           annotations: {eks.amazonaws.com/role-arn: "arn:aws:iam::555555555555:role/eks-webservice-02-prod"}
#     passes:
#       note: The role is granted in the settings.
#       object:
#         apiVersion: v1
#         kind: ServiceAccount
#         metadata:
#           name: cluster-autoscaler
#           namespace: kube-system
#           annotations: {eks.amazonaws.com/role-arn: "arn:aws:iam::555555555555:role/cluster-autoscaler-prod"}
#       settings: {iam_role: {grants: {kube-system: [cluster-autoscaler-prod]}}}
deny contains violation if {
	value := _new_value
	role := _role
	not _owned(role)
	violation := {
		"rule": "ownership",
		"field": _field,
		"message": sprintf("%s %s namespace %s, to which settings.iam_role.grants does not give it", [
			text.quote(value),
			_stranger(role),
			text.quote(_namespace),
		]),
		"fix": _fix(value, sprintf("have an administrator grant it to namespace %s in settings.iam_role.grants", [
			text.quote(_namespace),
		])),
	}
}

_namespace := object.get(input.request, "namespace", "")

_field := text.annotation("metadata", _settings.irsa.annotation)

# What the write itself names.
_new_value := _value if not _value == _old_value

_value := input.request.object.metadata.annotations[data.eksguard.settings.irsa.annotation]

default _old_value := null

_old_value := value if {
	value := input.request.oldObject.metadata.annotations[data.eksguard.settings.irsa.annotation]
	value != null
}

_is_arn(value) if {
	is_string(value)
	iam_ownership.is_role_arn(value)
}

# The role that is assumed, undefined where the value cannot stand for one. What has arn: anywhere is never completed.
_role := _value if {
	_is_arn(_value)
} else := concat("", [iam_ownership.base_arn, _value]) if {
	is_string(_value)
	not contains(_value, "arn:")
	iam_ownership.is_resource(_value)
}

_owned(role) if iam_ownership.by_convention(role, _namespace)

_owned(role) if iam_ownership.granted(role, _namespace)

_stranger(role) := sprintf("belongs to environment %q of service %q, not to", [env, service]) if {
	[service, env] := iam_ownership.convention(role)
} else := sprintf("is not named eks-<service>-<env>, where <env> is %s, and so is not a role of", [
	concat(" or ", _settings.iam_role.environments),
])

# Why a value is no ARN of a role.
_malformation(value) := "is empty, for which no role is given" if {
	value == ""
} else := "is the name of a role, expected its full ARN" if {
	is_string(value)
	_role
} else := "is not the ARN of an IAM role, expected arn:<partition>:iam::<12 digits>:role/<name>"

_fix(value, otherwise) := iam_advice.fix(_meant, value, _namespace, [], otherwise)

# That role in this account, if the namespace may use it.
default _meant := ""

_meant := role if {
	role := regex.replace(_role, `^arn:[^:]*:iam::[^:]*`, iam_advice.account_arn(_value))
	role != _value # which is denied
	startswith(role, iam_ownership.account_arn)
	_owned(role)
}
