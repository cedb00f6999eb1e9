# METADATA
# title: IAM roles of Pods
# description: |
#   kube2iam, or kiam, gives a Pod the credentials of the IAM role in its annotation, whichever that is. This policy
#   lets a Pod, and everything that makes Pods, ask only for a role of this cluster's account, named
#   eks-<service>-<env>, that belongs to the Pod's namespace: by that name, by the Namespace's annotation that kube2iam
#   or kiam itself reads, or by a grant in the settings, which also admits a role whose name does not follow the
#   convention.
#
#   What makes Pods is told by settings.workloads: the kinds of Kubernetes and those of custom resources, such as Argo
#   Rollouts, Knative's and Prometheus Operator's. Of a kind that is not listed there, its Pods are judged.
#
#   The external id that goes with a role is judged too. Roles of others, of a supplier for example, tell by it on whose
#   behalf they are used; so a namespace may use only those that settings.iam_role.external_ids gives it, by default
#   none.
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
#   matchSettings: |
#     {{ range crds .settings.workloads.pod_metadata }}
#     - apiGroups: [{{ json (group .) }}]
#       apiVersions: ["*"]
#       resources: [{{ json (plural .) }}]
#       operations: ["CREATE", "UPDATE"]
#     {{ end }}
#   matchConditions:
#     # The object is a Pod, or has the metadata of one, with one of the annotations.
#     - name: asks-for-a-role
#       expression: |
#         {{- $keys := list .settings.iam_role.annotation .settings.iam_role.external_id_annotation | json }}
#         {{- $metadata := .settings.workloads.pod_metadata }}
#         object != null && (request.resource.group in ["", "apps", "batch"] ?
#         [
#           optional.of(object), object.?template, object.?spec.?template, object.?spec.?jobTemplate.?spec.?template
#         ].exists(pod, {{ $keys }}.exists(key, pod.?metadata.?annotations[?key].hasValue())) :
#         [request.resource.resource + "." + request.resource.group].exists(kind, false
#         {{- range crds $metadata }} ||
#         kind == {{ json . }} && [{{ range index $metadata . }}object{{ at . }}, {{ end }}].exists(metadata,
#         {{ $keys }}.exists(key, metadata.?annotations[?key].hasValue()))
#         {{- end }}))
#     # A kubelet's report on a Pod or a new number of replicas changes nothing that could hold the annotations.
#     - name: changes-what-it-asks-for
#       expression: |
#         {{- $metadata := .settings.workloads.pod_metadata }}
#         oldObject == null || (request.resource.group in ["", "apps", "batch"] ?
#         object.?metadata.?annotations != oldObject.?metadata.?annotations ||
#         object.?template != oldObject.?template || object.?spec.?template != oldObject.?spec.?template ||
#         object.?spec.?jobTemplate != oldObject.?spec.?jobTemplate :
#         [request.resource.resource + "." + request.resource.group].exists(kind, false
#         {{- range crds $metadata }} ||
#         kind == {{ json . }} && (false
#         {{- range index $metadata . }} ||
#         object{{ at . }}.?annotations != oldObject{{ at . }}.?annotations
#         {{- end }})
#         {{- end }}))
#   failurePolicy: Fail
#   needs:
#     - apiVersion: v1
#       resource: namespaces
#       metadataOnly: true
#   settings:
#     type: object
#     additionalProperties: false
#     required:
#       - agent
#       - annotation
#       - external_id_annotation
#       - external_ids
#       - allowed_roles_annotation
#       - allowed_roles_format
#       - base_arn
#       - environments
#       - grants
#       - complete_bare_names
#     properties:
#       agent:
#         description: What gives Pods the credentials of their roles.
#         enum: [kube2iam, kiam]
#       external_id_annotation:
#         description: The Pod annotation with the external id (kube2iam --iam-external-id).
#         type: string
#         minLength: 1
#       external_ids:
#         description: The external ids that a namespace may use, as globs, by namespace.
#         type: object
#         additionalProperties: {type: array, items: {type: string, minLength: 1}}
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
	some suspect in _suspects
	not _role(suspect.value)
	violation := {
		"rule": "form",
		"field": _field(suspect),
		"message": concat(" ", [text.quote(suspect.value), _malformation(suspect.value)]),
		"fix": _fix(suspect.value, "remove the annotation where no role is needed"),
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
	some suspect in _suspects
	_role(suspect.value) != suspect.value
	violation := {
		"rule": "bare-name",
		"field": _field(suspect),
		"message": concat(" ", [text.quote(suspect.value), "is a bare role name, expected the full ARN of the role"]),
		"fix": _fix(suspect.value, ""),
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
	some suspect in _suspects
	role := _role(suspect.value)
	not startswith(role, iam_ownership.account_arn)
	parts := split(role, ":")
	violation := {
		"rule": "account",
		"field": _field(suspect),
		"message": sprintf("%s is in %s, expected %s, this cluster's", [
			text.quote(suspect.value),
			_place(parts[1], parts[4]),
			_place(_settings.cluster.partition, _settings.cluster.account),
		]),
		"fix": _fix(suspect.value, ""),
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
	some suspect in _suspects
	role := _role(suspect.value)
	not _named(role)
	violation := {
		"rule": "naming",
		"field": _field(suspect),
		"message": sprintf("%s is not named %seks-<service>-<env>, where <env> is %s", [
			text.quote(suspect.value),
			iam_ownership.base_path,
			concat(" or ", _settings.iam_role.environments),
		]),
		"fix": _fix(suspect.value, sprintf(
			"have an administrator grant the role to namespace %q in settings.iam_role.grants",
			[_namespace],
		)),
	}
}

# METADATA
# title: The role belongs to the namespace
# description: |
#   A namespace may use the roles of the service that it is named after (<service>, or <service>-<env> for that
#   environment), those that its own annotation allows, as kube2iam or kiam reads it, and those granted to it in the
#   settings.
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
	some suspect in _suspects
	role := _role(suspect.value)
	not _owned(role)
	violation := {
		"rule": "ownership",
		"field": _field(suspect),
		"message": sprintf("%s %s namespace %q, whose annotation %q %s", [
			text.quote(suspect.value),
			_stranger(role),
			_namespace,
			_grant_key,
			_refusal,
		]),
		"fix": _fix(suspect.value, "have an administrator allow the role in that annotation"),
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
	not _is_about_a_pod
	some suspect in _suspects
	role := _role(suspect.value)
	role != suspect.value
	_accepted(role)
	annotation := array.concat(suspect.metadata, ["annotations", _settings.iam_role.annotation])
	mutation := {
		"rule": "complete-bare-name",
		"patch": [{"op": "replace", "path": path.pointer(annotation), "value": role}],
	}
}

# What is sent about a Pod, not the object itself.
_is_about_a_pod if object.get(input.request, "subResource", "") != ""

_is_about_a_pod if input.request.resource.resource == "bindings"

_field(suspect) := workload.annotation_field(suspect.metadata, _settings.iam_role.annotation)

_namespace := object.get(input.request, "namespace", "")

# Why a value is no role.
_malformation(value) := sprintf("is of type %s, expected a string", [type_name(value)]) if {
	not is_string(value)
} else := sprintf("is empty, for which %s", [_empty_words[_settings.iam_role.agent]]) if {
	value == ""
} else := sprintf("begins or ends with white space, which %s does not trim", [_settings.iam_role.agent]) if {
	trim_space(value) != value
} else := "is not the ARN of an IAM role, expected arn:<partition>:iam::<12 digits>:role/<name>" if {
	startswith(lower(value), "arn:")
} else := "is neither the ARN nor the name of an IAM role, expected arn:<partition>:iam::<12 digits>:role/<name>"

_empty_words := {
	"kube2iam": "kube2iam asks for a role without a name",
	"kiam": "kiam gives no credentials",
}

_place(partition, account) := sprintf("account %s of partition %s", [account, text.quote(partition)]) if {
	account != ""
} else := sprintf("partition %s", [text.quote(partition)])

_stranger(role) := sprintf("belongs to environment %q of service %q, not to", [env, service]) if {
	[service, env] := iam_ownership.convention(role)
} else := "is not a role of"
