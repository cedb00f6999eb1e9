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
#     # The object is a Pod, or has a pod template, with the annotation, or one that cannot be read.
#     - name: asks-for-a-role
#       expression: |
#         object != null && (
#           [
#             optional.of(object), object.?template, object.?spec.?template, object.?spec.?jobTemplate.?spec.?template
#           ].exists(pod,
#             pod.?metadata.?annotations[?{{ json .settings.iam_role.annotation }}].hasValue() ||
#             [pod, pod.?metadata, pod.?metadata.?annotations].exists(step, type(step.orValue({})) != map)
#           ) ||
#           [object.?spec, object.?spec.?jobTemplate, object.?spec.?jobTemplate.?spec].exists(step,
#             type(step.orValue({})) != map
#           )
#         )
#     # A kubelet's report on a Pod, for one, changes nothing that could hold the annotation.
#     - name: changes-what-it-asks-for
#       expression: |
#         oldObject == null || object.?spec != oldObject.?spec || object.?template != oldObject.?template ||
#         object.?metadata.?annotations != oldObject.?metadata.?annotations || type(object.?metadata.orValue({})) != map
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

import data.eksguard.lib.kube2iam
import data.eksguard.lib.path
import data.eksguard.lib.text
import data.eksguard.lib.workload

_settings := data.eksguard.settings.iam_role

_cluster := data.eksguard.settings.cluster

_prefix := "eks-"

# What may follow "role/": a path, which may be empty, and a name.
_resource_pattern := `(?:[!-.0-~]+/)*[A-Za-z0-9_+=,.@-]{1,64}`

# METADATA
# title: Annotations can be read
# description: The annotations of the Pod or pod template, and what they lie in, must be objects.
# custom:
#   id: annotations
#   severity: high
#   fix: make it an object
deny contains violation if {
	some misfit in _misfits
	violation := {
		"rule": "annotations",
		"field": path.field(misfit.path),
		"message": sprintf("%s is of type %s, expected an object", [text.quote(misfit.value), type_name(misfit.value)]),
	}
}

# METADATA
# title: The role can be a role
# description: |
#   The annotation must have the form arn:<partition>:iam::<account>:role/<name>. An empty value, white space around it
#   and anything else that is no role are passed on by kube2iam as they are, and fail in the running Pod only.
# custom:
#   id: form
#   severity: high
#   fix: give the ARN of an IAM role, or remove the annotation where no role is needed
deny contains violation if {
	some request in _requests
	violation := {
		"rule": "form",
		"field": path.field(request.path),
		"message": sprintf("%s %s", [text.quote(request.value), _malformed(request.value)]),
		"fix": sprintf("%s, or remove the annotation where no role is needed", [_fix(request.value)]),
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
deny contains violation if {
	some request in _requests
	_role(request.value)
	not kube2iam.is_arn(request.value)
	violation := {
		"rule": "bare-name",
		"field": path.field(request.path),
		"message": sprintf("%s is a bare role name, expected the full ARN of the role", [text.quote(request.value)]),
		"fix": _fix(request.value),
	}
}

# METADATA
# title: The role is of this cluster's account
# description: Account and partition of the role must be those of the cluster, as far as the settings name them.
# custom:
#   id: account
#   severity: critical
#   fix: use a role of this cluster's account
deny contains violation if {
	some request in _requests
	role := _role(request.value)
	not _of_this_account(role)
	violation := {
		"rule": "account",
		"field": path.field(request.path),
		"message": sprintf("%s is in %s, expected %s, this cluster's", [
			text.quote(request.value),
			_place(role.partition, role.account),
			_place(_cluster.partition, _cluster.account),
		]),
		"fix": _fix(request.value),
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
deny contains violation if {
	some request in _requests
	role := _role(request.value)
	not _named(role)
	violation := {
		"rule": "naming",
		"field": path.field(request.path),
		"message": sprintf("%s is not named %s%s<service>-<env>, where <env> is %s", [
			text.quote(request.value),
			_base.path,
			_prefix,
			concat(" or ", _settings.environments),
		]),
		"fix": sprintf("%s, or have an administrator grant the role to namespace %s in settings.iam_role.grants", [
			_fix(request.value),
			text.quote(_namespace),
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
deny contains violation if {
	some request in _requests
	role := _role(request.value)
	not _owned(role)
	violation := {
		"rule": "ownership",
		"field": path.field(request.path),
		"message": sprintf("%s %s namespace %s, whose annotation %s %s", [
			text.quote(request.value),
			_stranger(role),
			text.quote(_namespace),
			text.quote(_settings.allowed_roles_annotation),
			_refusal,
		]),
		"fix": sprintf("%s, or have an administrator allow the role in that annotation", [_fix(request.value)]),
	}
}

# METADATA
# title: Bare names are completed
# description: |
#   Where the settings ask for it, the bare name of a role that the Pod may use becomes the ARN that kube2iam would make
#   of it. Every other bare name is left to be denied.
# custom:
#   id: complete-bare-name
#   severity: low
#   fix: give the full ARN
mutate contains mutation if {
	_settings.complete_bare_names
	_cluster.account != ""
	_is_workload
	some request in _requests
	not kube2iam.is_arn(request.value)
	role := _role(request.value)
	_accepted(role)
	mutation := {
		"rule": "complete-bare-name",
		"patch": [{"op": "replace", "path": path.pointer(request.path), "value": _arn(role)}],
	}
}

# The objects themselves, not what else is sent about a Pod.
_is_workload if {
	object.get(input.request, "subResource", "") == ""
	input.request.resource.resource != "bindings"
}

# What the write itself brings: on UPDATE, what the old object had already does not count.
_requests := _requests_in("object") - _requests_in("oldObject")

_requests_in(key) := {request |
	annotations := path.at(input.request, array.concat([key], _annotations_path))
	is_object(annotations)
	request := {
		"path": array.concat(_annotations_path, [_settings.annotation]),
		"value": annotations[_settings.annotation],
	}
}

_misfits := _misfits_in("object") - _misfits_in("oldObject")

_misfits_in(key) := {misfit |
	document := object.get(input.request, key, null)
	some misfit_path in path.misfits(document, _annotations_path)
	misfit := {"path": misfit_path, "value": path.at(document, misfit_path)}
}

_annotations_path := array.concat(workload.pod_path(input.request), ["metadata", "annotations"])

_namespace := object.get(input.request, "namespace", "")

# Why a value is no role, undefined for one that is.
_malformed(value) := sprintf("is of type %s, expected a string", [type_name(value)]) if not is_string(value)

_malformed(value) := _malformation(value) if {
	is_string(value)
	not _role(value)
}

_malformation(value) := "is empty, for which kube2iam asks for a role without a name" if {
	value == ""
} else := "begins or ends with white space, which kube2iam does not trim" if {
	trim_space(value) != value
} else := "is not the ARN of an IAM role, expected arn:<partition>:iam::<12 digits>:role/<name>" if {
	kube2iam.is_arn(value)
} else := "is neither the ARN nor the name of an IAM role, expected arn:<partition>:iam::<12 digits>:role/<name>"

# The role that kube2iam asks for, undefined where that cannot be one. The account of a bare name is "" while the
# settings do not tell it.
_role(value) := {"partition": partition, "account": account, "resource": resource} if {
	kube2iam.is_arn(value)
	pattern := sprintf(`^arn:([a-z0-9-]+):iam::([0-9]{12}):role/(%s)$`, [_resource_pattern])
	[[_, partition, account, resource]] := regex.find_all_string_submatch_n(pattern, value, -1)
}

_role(value) := {"partition": _base.partition, "account": _base.account, "resource": resource} if {
	is_string(value)
	not kube2iam.is_arn(value)
	regex.match(sprintf(`^%s$`, [_resource_pattern]), value)
	resource := concat("", [_base.path, value])
}

_arn(role) := sprintf("arn:%s:iam::%s:role/%s", [role.partition, role.account, role.resource])

# What bare names are appended to, taken apart.
_base := {"partition": _cluster.partition, "account": _cluster.account, "path": ""} if _settings.base_arn == ""

_base := {"partition": parts[1], "account": parts[4], "path": trim_prefix(parts[5], "role/")} if {
	_settings.base_arn != ""
	parts := split(_settings.base_arn, ":")
}

# What no rule denies, if it is given by its ARN.
_accepted(role) if {
	_of_this_account(role)
	_named(role)
	_owned(role)
}

_of_this_account(role) if {
	role.partition == _cluster.partition
	_cluster.account in {"", role.account}
}

_place(partition, account) := sprintf("account %s of partition %s", [account, text.quote(partition)]) if account != ""

_place(partition, account) := sprintf("partition %s", [text.quote(partition)]) if account == ""

_named(role) if _convention(role)

_named(role) if _granted(role)

# The service and the environment that a role is named after, undefined for a name that breaks the convention.
_convention(role) := {"service": service, "env": env} if {
	prefix := concat("", [_base.path, _prefix])
	startswith(role.resource, prefix)
	name := trim_prefix(role.resource, prefix)
	not contains(name, "/")
	env := _env(name)
	service := trim_suffix(name, concat("", ["-", env]))
	service != ""
}

# Where one environment ends in another (us-prod, prod), the longer counts.
_env(name) := env if {
	envs := [env | some env in _settings.environments; endswith(name, concat("", ["-", env]))]
	some env in envs
	every other in envs { count(other) <= count(env) }
}

_owned(role) if _namespace == _convention(role).service

_owned(role) if {
	convention := _convention(role)
	_namespace == sprintf("%s-%s", [convention.service, convention.env])
}

_owned(role) if {
	some pattern in kube2iam.patterns(_namespace_annotation)
	kube2iam.allows(_settings.allowed_roles_format, _resolved(pattern, role), _arn(role))
}

_owned(role) if _granted(role)

_granted(role) if {
	some pattern in _settings.grants[_namespace]
	kube2iam.allows("glob", _resolved(pattern, role), _arn(role))
}

_resolved(pattern, role) := kube2iam.resolve(_arn(base), pattern) if {
	base := {"partition": _base.partition, "account": _home_account(role), "resource": _base.path}
}

# While the settings do not tell the account, any account counts as this cluster's, and so the role's own.
_home_account(_) := _base.account if _base.account != ""

_home_account(role) := role.account if _base.account == ""

_namespace_annotation := value if {
	value := data.cluster["v1/namespaces"][_namespace].metadata.annotations[_settings.allowed_roles_annotation]
}

_refusal := "is not set" if not _namespace_annotation

_refusal := "is not a JSON array and so allows nothing" if {
	_namespace_annotation
	not kube2iam.patterns(_namespace_annotation)
}

_refusal := "does not allow it" if kube2iam.patterns(_namespace_annotation)

_stranger(role) := sprintf("belongs to environment %q of service %q, not to", [convention.env, convention.service]) if {
	convention := _convention(role)
}

_stranger(role) := "is not a role of" if not _convention(role)

_fix(value) := sprintf("use %s", [concat(" or ", [text.quote(_arn(role)) | some role in suggestions])]) if {
	suggestions := _suggestions(value)
	count(suggestions) > 0
}

_fix(value) := sprintf("use a role that namespace %s may use", [text.quote(_namespace)]) if {
	count(_suggestions(value)) == 0
}

# What was meant, as far as can be known: that role in this account, or else the namespace's own roles.
_suggestions(value) := [role] if {
	role := object.union(_role(value), _home(value))
	_accepted(role)
} else := [role |
	some name in _names(value)
	role := object.union(_home(value), {"resource": concat("", [_base.path, name])})
	regex.match(sprintf(`^%s$`, [_resource_pattern]), role.resource)
	_accepted(role)
]

_home(value) := {"partition": _base.partition, "account": _base.account} if {
	_base.account != ""
} else := {"partition": _base.partition, "account": account} if {
	account := _role(value).account
	account != ""
} else := {"partition": _base.partition, "account": "<account>"}

# The names of the namespace's own roles: of its environment, of that in the value, or of all.
_names(value) := [concat("", [_prefix, _namespace])] if {
	_env(_namespace)
} else := [sprintf("%s%s-%s", [_prefix, _namespace, env])] if {
	is_string(value)
	env := _env(lower(trim_space(value)))
} else := [sprintf("%s%s-%s", [_prefix, _namespace, env]) | some env in _settings.environments]
