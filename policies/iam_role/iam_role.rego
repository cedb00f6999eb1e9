# METADATA
# title: IAM roles of Pods
# description: |
#   kube2iam gives a Pod the credentials of the IAM role in its annotation, whichever that is. This policy lets a Pod,
#   and everything that makes Pods, ask only for a role of this cluster's account, named eks-<service>-<env>, that
#   belongs to the Pod's namespace: by that name, by the Namespace's annotation that kube2iam itself reads, or by a
#   grant in the settings, which also admits a role whose name does not follow the convention.
# custom:
#   match:
#     - apiGroups: [""]
#       apiVersions: ["v1"]
#       resources: ["pods", "podtemplates", "replicationcontrollers"]
#       operations: ["CREATE", "UPDATE"]
#     # What changes a Pod by another way: the annotations of a Binding are copied onto its Pod.
#     - apiGroups: [""]
#       apiVersions: ["v1"]
#       resources: ["pods/status", "pods/ephemeralcontainers", "pods/resize"]
#       operations: ["UPDATE"]
#     - apiGroups: [""]
#       apiVersions: ["v1"]
#       resources: ["pods/binding", "bindings"]
#       operations: ["CREATE"]
#     - apiGroups: ["apps"]
#       apiVersions: ["v1"]
#       resources: ["deployments", "replicasets", "statefulsets", "daemonsets"]
#       operations: ["CREATE", "UPDATE"]
#     - apiGroups: ["batch"]
#       apiVersions: ["v1"]
#       resources: ["jobs", "cronjobs"]
#       operations: ["CREATE", "UPDATE"]
#   matchConditions:
#     # The object is a Pod, or has a pod template, with the annotation.
#     - name: asks-for-a-role
#       expression: |
#         object != null &&
#         [
#           optional.of(object), object.?template, object.?spec.?template, object.?spec.?jobTemplate.?spec.?template
#         ].exists(pod, pod.?metadata.?annotations[?{{ json .settings.iam_role.annotation }}].hasValue())
#     # A kubelet's report on a Pod or a new number of replicas changes nothing that could hold the annotation.
#     - name: changes-what-it-asks-for
#       expression: |
#         oldObject == null || object.?metadata.?annotations != oldObject.?metadata.?annotations ||
#         object.?template != oldObject.?template || object.?spec.?template != oldObject.?spec.?template ||
#         object.?spec.?jobTemplate != oldObject.?spec.?jobTemplate
#   failurePolicy: Fail
#   needs:
#     - apiVersion: v1
#       resource: namespaces
#       metadataOnly: true
#   settings:
#     type: object
#     additionalProperties: false
#     required:
#       - annotation
#       - allowed_roles_annotation
#       - allowed_roles_format
#       - base_arn
#       - environments
#       - grants
#       - complete_bare_names
#     properties:
#       annotation:
#         description: The Pod annotation with the role (kube2iam --iam-role-key).
#         type: string
#         minLength: 1
#       allowed_roles_annotation:
#         description: The Namespace annotation with the roles that it may use (kube2iam --namespace-key).
#         type: string
#         minLength: 1
#       allowed_roles_format:
#         description: How its patterns are read (kube2iam --namespace-restriction-format).
#         enum: [glob, regexp]
#       base_arn:
#         description: |
#           What a bare role name is appended to (kube2iam --base-role-arn), with the slash at its end. While it is
#           empty: arn:<partition>:iam::<account>:role/ of this cluster.
#         type: string
#         pattern: '^(arn:[a-z0-9-]+:iam::[0-9]{12}:role/([A-Za-z0-9_.-]+/)*)?$'
#       environments:
#         description: The environments that a role's name may end in.
#         type: array
#         minItems: 1
#         uniqueItems: true
#         items: {type: string, pattern: '^[a-z0-9]([a-z0-9-]*[a-z0-9])?$'}
#       grants:
#         description: |
#           The roles that a namespace may use whatever their names: globs of role names or ARNs, by namespace.
#         type: object
#         additionalProperties: {type: array, items: {type: string, minLength: 1}}
#       complete_bare_names:
#         description: Turns a bare name of a role that the Pod may use into its ARN, instead of denying it.
#         type: boolean
package eksguard.iam_role

import data.eksguard.lib.iam_ownership
import data.eksguard.lib.kube2iam
import data.eksguard.lib.path
import data.eksguard.lib.text
import data.eksguard.lib.workload

_settings := data.eksguard.settings

# METADATA
# title: The role can be a role
# description: |
#   The annotation must have the form arn:<partition>:iam::<account>:role/<name>. An empty value, white space around it
#   and anything else that is no role are passed on by kube2iam as they are, and fail in the running Pod only.
# custom:
#   id: form
#   severity: high
#   fix: give the ARN of an IAM role, or remove the annotation where no role is needed
#   examples:
#     violates:
#       note: The account was never filled in.
#       object:
#         apiVersion: v1
#         kind: Pod
#         metadata:
#           name: aws-cli
#           namespace: webservice-01
#           annotations: {iam.amazonaws.com/role: "arn:aws:iam::SOMETHING:role/eks-webservice-01-prod"}
#     passes:
#       object:
#         apiVersion: v1
#         kind: Pod
#         metadata:
#           name: aws-cli
#           namespace: webservice-01
#           annotations: {iam.amazonaws.com/role: "arn:aws:iam::555555555555:role/eks-webservice-01-prod"}
deny contains violation if {
	value := _suspect
	not _role
	violation := {
		"rule": "form",
		"field": _field,
		"message": concat(" ", [text.quote(value), _malformation(value)]),
		"fix": concat("", [_fix, ", or remove the annotation where no role is needed"]),
	}
}

# METADATA
# title: The role is given by its ARN
# description: |
#   kube2iam appends a value that does not begin with arn: to its base ARN, which is not to be seen where it is used.
# custom:
#   id: bare-name
#   severity: low
#   fix: give the full ARN
#   examples:
#     violates:
#       object:
#         apiVersion: apps/v1
#         kind: Deployment
#         metadata: {name: shop, namespace: webservice-01}
#         spec:
#           template:
#             metadata: {annotations: {iam.amazonaws.com/role: eks-webservice-01-prod}}
#             spec: {containers: [{name: shop, image: "example.com/shop:1.4"}]}
#       settings: {cluster: {account: "555555555555"}}
#     passes:
#       object:
#         apiVersion: apps/v1
#         kind: Deployment
#         metadata: {name: shop, namespace: webservice-01}
#         spec:
#           template:
#             metadata: {annotations: {iam.amazonaws.com/role: "arn:aws:iam::555555555555:role/eks-webservice-01-prod"}}
#             spec: {containers: [{name: shop, image: "example.com/shop:1.4"}]}
#       settings: {cluster: {account: "555555555555"}}
deny contains violation if {
	value := _suspect
	_role != value
	violation := {
		"rule": "bare-name",
		"field": _field,
		"message": concat(" ", [text.quote(value), "is a bare role name, expected the full ARN of the role"]),
		"fix": _fix,
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
#         kind: Pod
#         metadata:
#           name: shop
#           namespace: webservice-01
#           annotations: {iam.amazonaws.com/role: "arn:aws:iam::111111111111:role/eks-webservice-01-prod"}
#       settings: {cluster: {account: "555555555555"}}
#     passes:
#       object:
#         apiVersion: v1
#         kind: Pod
#         metadata:
#           name: shop
#           namespace: webservice-01
#           annotations: {iam.amazonaws.com/role: "arn:aws:iam::555555555555:role/eks-webservice-01-prod"}
#       settings: {cluster: {account: "555555555555"}}
deny contains violation if {
	value := _suspect
	role := _role
	not startswith(role, iam_ownership.account_arn)
	parts := split(role, ":")
	violation := {
		"rule": "account",
		"field": _field,
		"message": sprintf("%s is in %s, expected %s, this cluster's", [
			text.quote(value),
			_place(parts[1], parts[4]),
			_place(_settings.cluster.partition, _settings.cluster.account),
		]),
		"fix": _fix,
	}
}

# METADATA
# title: The role is named by the convention
# description: |
#   A role is named eks-<service>-<env>, the environment being one of those in the settings. Older roles are admitted by
#   a grant in the settings.
# custom:
#   id: naming
#   severity: medium
#   fix: name the role eks-<service>-<env>
#   examples:
#     violates:
#       note: The Namespace has been allowed the role, but that is no grant of a name which breaks the convention.
#       object:
#         apiVersion: v1
#         kind: Pod
#         metadata:
#           name: exporter
#           namespace: monitoring
#           annotations: {iam.amazonaws.com/role: "arn:aws:iam::555555555555:role/cloudwatch-exporter-prod"}
#       cluster:
#         - apiVersion: v1
#           kind: Namespace
#           metadata: {name: monitoring, annotations: {iam.amazonaws.com/allowed-roles: '["cloudwatch-exporter-prod"]'}}
#       settings: {cluster: {account: "555555555555"}}
#     passes:
#       note: The older role is granted in the settings.
#       object:
#         apiVersion: v1
#         kind: Pod
#         metadata:
#           name: exporter
#           namespace: monitoring
#           annotations: {iam.amazonaws.com/role: "arn:aws:iam::555555555555:role/cloudwatch-exporter-prod"}
#       settings: {iam_role: {grants: {monitoring: [cloudwatch-exporter-prod]}}}
deny contains violation if {
	value := _suspect
	role := _role
	not _named(role)
	violation := {
		"rule": "naming",
		"field": _field,
		"message": sprintf("%s is not named %seks-<service>-<env>, where <env> is %s", [
			text.quote(value),
			iam_ownership.base_path,
			concat(" or ", _settings.iam_role.environments),
		]),
		"fix": sprintf("%s, or have an administrator grant the role to namespace %q in settings.iam_role.grants", [
			_fix,
			_namespace,
		]),
	}
}

# METADATA
# title: The role belongs to the namespace
# description: |
#   A namespace may use the roles of the service that it is named after (<service>, or <service>-<env> for that
#   environment), those that its own annotation allows, as kube2iam reads it, and those granted to it in the settings.
# custom:
#   id: ownership
#   severity: critical
#   fix: use a role of the namespace's own service
#   examples:
#     violates:
#       object:
#         apiVersion: batch/v1
#         kind: CronJob
#         metadata: {name: backup, namespace: webservice-01}
#         spec:
#           schedule: "0 3 * * *"
#           jobTemplate:
#             spec:
#               template:
#                 metadata:
#                   annotations: {iam.amazonaws.com/role: "arn:aws:iam::555555555555:role/eks-webservice-02-prod"}
#     passes:
#       note: The Namespace has been allowed the role, by an annotation that kube2iam reads too.
#       object:
#         apiVersion: batch/v1
#         kind: CronJob
#         metadata: {name: backup, namespace: webservice-01}
#         spec:
#           schedule: "0 3 * * *"
#           jobTemplate:
#             spec:
#               template:
#                 metadata:
#                   annotations: {iam.amazonaws.com/role: "arn:aws:iam::555555555555:role/eks-webservice-02-prod"}
#       settings: {cluster: {account: "555555555555"}}
#       cluster:
#         - apiVersion: v1
#           kind: Namespace
#           metadata:
#             name: webservice-01
#             annotations: {iam.amazonaws.com/allowed-roles: '["eks-webservice-02-prod"]'}
deny contains violation if {
	value := _suspect
	role := _role
	not _owned(role)
	violation := {
		"rule": "ownership",
		"field": _field,
		"message": sprintf("%s %s namespace %q, whose annotation %q %s", [
			text.quote(value),
			_stranger(role),
			_namespace,
			_settings.iam_role.allowed_roles_annotation,
			_refusal,
		]),
		"fix": concat("", [_fix, ", or have an administrator allow the role in that annotation"]),
	}
}

# METADATA
# title: Bare names are completed
# description: |
#   Where the settings ask for it, the bare name of a role that the Pod may use becomes the ARN that kube2iam would make
#   of it. Every other bare name is left to be denied.
# custom:
#   id: complete-bare-name
#   when: "{{ .settings.iam_role.complete_bare_names }}"
#   severity: low
#   fix: give the full ARN
#   examples:
#     mutates:
#       object:
#         apiVersion: v1
#         kind: Pod
#         metadata:
#           name: shop
#           namespace: webservice-01
#           annotations: {iam.amazonaws.com/role: eks-webservice-01-prod}
#       settings: {cluster: {account: "555555555555"}, iam_role: {complete_bare_names: true}}
#     passes:
#       object:
#         apiVersion: v1
#         kind: Pod
#         metadata:
#           name: shop
#           namespace: webservice-01
#           annotations: {iam.amazonaws.com/role: "arn:aws:iam::555555555555:role/eks-webservice-01-prod"}
#       settings: {cluster: {account: "555555555555"}, iam_role: {complete_bare_names: true}}
mutate contains mutation if {
	_settings.iam_role.complete_bare_names
	_settings.cluster.account != ""
	_is_workload
	role := _role
	role != _suspect
	_accepted(role)
	annotation := array.concat(_pod_path, ["metadata", "annotations", _settings.iam_role.annotation])
	mutation := {
		"rule": "complete-bare-name",
		"patch": [{"op": "replace", "path": path.pointer(annotation), "value": role}],
	}
}

# The objects themselves, not what else is sent about a Pod.
_is_workload if {
	object.get(input.request, "subResource", "") == ""
	input.request.resource.resource != "bindings"
}

# What the write itself asks for, unless that is allowed at first sight. Every rule begins with it, so that next to
# nothing is evaluated for the objects that are as they should be, which is nearly all.
_suspect := _value if {
	not _clean
	not _kept
}

# The usual case: an ARN of this cluster's account, named by the convention, of the namespace's own service. What is
# allowed for another reason is found by the rules. By its form an ARN has 12 digits for the account: before an account
# that is known, `[0-9]*` can stand for none of them, and before one that is not, which is "", for all.
_clean if {
	is_string(_value)
	regex.match(`^arn:[a-z0-9-]+:iam::[0-9]{12}:role/([!-.0-~]+/)*[A-Za-z0-9_+=,.@-]{1,64}$`, _value)
	pattern := concat("", [
		"^arn:", _settings.cluster.partition, ":iam::[0-9]*", _settings.cluster.account,
		`:role/\Q`, iam_ownership.base_path, `eks-\E([^/-][^/]*?)-(`, concat("|", _settings.iam_role.environments), ")$",
	])
	[[_, service, env]] := regex.find_all_string_submatch_n(pattern, _value, 1)
	input.request.namespace in {service, concat("-", [service, env])}
}

# What the old object had already does not count.
_kept if {
	input.request.operation == "UPDATE"
	_old_value == _value
}

# The value of the annotation of the Pod or of its template. Each place is spelled out, which shows that nothing else of
# an object is read.
_value := input.request.object.metadata.annotations[data.eksguard.settings.iam_role.annotation] if {
	input.request.resource.group == ""
	input.request.resource.resource in {"pods", "bindings"}
} else := input.request.object.spec.template.metadata.annotations[data.eksguard.settings.iam_role.annotation] if {
	_pod_path == ["spec", "template"]
} else := input.request.object.spec.jobTemplate.spec.template.metadata.annotations[data.eksguard.settings.iam_role.annotation] if {
	_pod_path == ["spec", "jobTemplate", "spec", "template"]
} else := input.request.object.template.metadata.annotations[data.eksguard.settings.iam_role.annotation] if {
	_pod_path == ["template"]
}

_old_value := input.request.oldObject.metadata.annotations[data.eksguard.settings.iam_role.annotation] if {
	_pod_path == []
} else := input.request.oldObject.spec.template.metadata.annotations[data.eksguard.settings.iam_role.annotation] if {
	_pod_path == ["spec", "template"]
} else := value if {
	_pod_path == ["spec", "jobTemplate", "spec", "template"]
	value := input.request.oldObject.spec.jobTemplate.spec.template.metadata.annotations[data.eksguard.settings.iam_role.annotation]
} else := input.request.oldObject.template.metadata.annotations[data.eksguard.settings.iam_role.annotation] if {
	_pod_path == ["template"]
}

_pod_path := workload.pod_paths[input.request.resource.group][input.request.resource.resource]

_field := concat("", [
	concat(".", array.concat(_pod_path, ["metadata", "annotations"])),
	path.step(_settings.iam_role.annotation),
])

_namespace := object.get(input.request, "namespace", "")

# The ARN of the role that kube2iam asks for, undefined where the value cannot stand for one. The account of a bare name
# is "" while the settings do not tell it.
_role := _value if {
	is_string(_value)
	regex.match(`^arn:[a-z0-9-]+:iam::[0-9]{12}:role/([!-.0-~]+/)*[A-Za-z0-9_+=,.@-]{1,64}$`, _value)
} else := concat("", [iam_ownership.base_arn, _value]) if {
	is_string(_value)
	not kube2iam.is_arn(_value)
	iam_ownership.is_resource(_value)
}

# Why a value is no role.
_malformation(value) := sprintf("is of type %s, expected a string", [type_name(value)]) if {
	not is_string(value)
} else := "is empty, for which kube2iam asks for a role without a name" if {
	value == ""
} else := "begins or ends with white space, which kube2iam does not trim" if {
	trim_space(value) != value
} else := "is not the ARN of an IAM role, expected arn:<partition>:iam::<12 digits>:role/<name>" if {
	kube2iam.is_arn(value)
} else := "is neither the ARN nor the name of an IAM role, expected arn:<partition>:iam::<12 digits>:role/<name>"

# What no rule denies, if it is given by its ARN.
_accepted(role) if {
	startswith(role, iam_ownership.account_arn)
	_named(role)
	_owned(role)
}

_place(partition, account) := sprintf("account %s of partition %s", [account, text.quote(partition)]) if {
	account != ""
} else := sprintf("partition %s", [text.quote(partition)])

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
	some pattern in _allowed_patterns
	kube2iam.allows(_settings.iam_role.allowed_roles_format, kube2iam.resolve(iam_ownership.home_arn(role), pattern), role)
}

_allowed_patterns := kube2iam.patterns(_namespace_annotation)

_namespace_annotation := value if {
	value := data.cluster["v1/namespaces"][_namespace].metadata.annotations[_settings.iam_role.allowed_roles_annotation]
}

_refusal := "is not set" if {
	not _namespace_annotation
} else := "is not a JSON array and so allows nothing" if {
	not _allowed_patterns
} else := "does not allow it"

_stranger(role) := sprintf("belongs to environment %q of service %q, not to", [env, service]) if {
	[service, env] := iam_ownership.convention(role)
} else := "is not a role of"

_fix := sprintf("use %s", [concat(" or ", [text.quote(role) | some role in _suggestions])]) if {
	_suggestions != []
} else := sprintf("use a role that namespace %q may use", [_namespace])

# What was meant, as far as can be known: that role in this account, or else the namespace's own roles.
_suggestions := [role] if {
	role := regex.replace(_role, `^arn:[^:]*:iam::[^:]*`, _suggested_account_arn)
	role != _value # which is denied
	_accepted(role)
} else := [role |
	some name in _suggested_names
	resource := concat("", [iam_ownership.base_path, name])
	iam_ownership.is_resource(resource)
	role := concat("", [_suggested_account_arn, ":role/", resource])
	_accepted(role)
]

# That of the base ARN, of the cluster, of the value, or none that is known.
_suggested_account_arn := split(_settings.iam_role.base_arn, ":role/")[0] if {
	_settings.iam_role.base_arn != ""
} else := iam_ownership.account_arn if {
	_settings.cluster.account != ""
} else := concat("", [iam_ownership.account_arn, account]) if {
	account := split(_role, ":")[4]
	account != ""
} else := concat("", [iam_ownership.account_arn, "<account>"])

# Those of the namespace's environment, of that in the value, or of all.
_suggested_names := [concat("", ["eks-", _namespace])] if {
	regex.match(iam_ownership.env_pattern, _namespace)
} else := [concat("", ["eks-", _namespace, "-", env])] if {
	is_string(_value)
	[[_, env]] := regex.find_all_string_submatch_n(iam_ownership.env_pattern, lower(trim_space(_value)), 1)
} else := [concat("", ["eks-", _namespace, "-", env]) | some env in _settings.iam_role.environments]
