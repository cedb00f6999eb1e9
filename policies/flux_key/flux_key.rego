# METADATA
# title: The deploy key of Flux
# description: |
#   Whoever holds Flux's deploy key writes to the repository that the cluster is made from, and whoever runs as one of
#   Flux's ServiceAccounts is usually an administrator of the cluster. This policy keeps both with their keepers, in the
#   namespaces that Flux lives in:
#
#   - a Secret with a key is written, or replaced, by keepers only. An update that changes nothing counts too, since the
#     API server answers it with all that is in the Secret, to those also who may not read it;
#   - Pods, and all that makes Pods, use such a Secret (as a volume, projected, or in the environment) or run as one of
#     Flux's ServiceAccounts only if a keeper made them; and what runs in them is changed by keepers only;
#   - nobody else goes into Flux's Pods: exec, attach, port-forward, proxy, ephemeral containers;
#   - nobody else has tokens of Flux's ServiceAccounts made, be it by a TokenRequest or by a Secret of that type;
#   - nobody else makes objects of Flux that use the key: a GitRepository with another url sends a password there, and
#     an ImageUpdateAutomation pushes; nor deletes them, after which their Secret would not be known for a key;
#   - nobody else says what Flux applies with its own rights, which are enough to read the key: sources, and
#     Kustomizations, HelmReleases and ResourceSets that run as no other ServiceAccount; and nobody but Flux writes
#     their status, in which it keeps where the artifact of a source is and what there is to prune;
#   - nobody else gives or takes the right to read the key, to make those tokens, to go into Pods, or to act as others.
#
#   **A key** is a Secret whose name `secrets` matches, or that a GitRepository of the same namespace names in
#   spec.secretRef; until eksguard knows the GitRepositories, every Secret of these namespaces is one.
#
#   **Keepers** are users, as globs of usernames, and groups. By default they are Flux's own controllers, which set Flux
#   up anew from its repository; system:masters; and the usernames that EKS gives to people and roles by access entries,
#   their ARNs, since administrators among them bear no group. To tighten, name the administrators' roles there:
#
#       keepers:
#         users: ["arn:aws:sts::123456789012:assumed-role/admin/*"]
#
#   An overlay replaces the list, so repeat Flux's own. `machinery` are the parts of the cluster that make, by order of
#   others, the Pods and tokens in question: what they are ordered is judged where it is ordered.
#
#   **What is not seen here.** Reading is no admission: RBAC alone decides it, for which reason grants are judged. A Pod
#   elsewhere with a hostPath, or nodes/proxy, reads what is mounted on its node. In Flux's namespaces a Kustomization
#   may run as a ServiceAccount that is not Flux's: name in `service_accounts` those that can do as much.
# custom:
#   match:
#     - apiGroups: [""]
#       apiVersions: ["v1"]
#       resources: [secrets]
#       operations: [CREATE, UPDATE, DELETE]
#       scope: Namespaced
#     - apiGroups: [""]
#       apiVersions: ["v1"]
#       resources: [serviceaccounts/token]
#       operations: [CREATE]
#       scope: Namespaced
#     - apiGroups: [""]
#       apiVersions: ["v1"]
#       resources: [pods/exec, pods/attach, pods/portforward, pods/proxy, services/proxy]
#       operations: [CONNECT]
#       scope: Namespaced
#     - apiGroups: [""]
#       apiVersions: ["v1"]
#       resources: [pods/ephemeralcontainers]
#       operations: [UPDATE]
#       scope: Namespaced
#     - apiGroups: [""]
#       apiVersions: ["v1"]
#       resources: [pods, podtemplates, replicationcontrollers]
#       operations: [CREATE, UPDATE]
#       scope: Namespaced
#     - apiGroups: [apps]
#       apiVersions: ["v1"]
#       resources: [deployments, replicasets, statefulsets, daemonsets]
#       operations: [CREATE, UPDATE]
#       scope: Namespaced
#     # The Pods of a StatefulSet are made of the revision that it is at.
#     - apiGroups: [apps]
#       apiVersions: ["v1"]
#       resources: [controllerrevisions]
#       operations: [CREATE]
#       scope: Namespaced
#     - apiGroups: [batch]
#       apiVersions: ["v1"]
#       resources: [jobs, cronjobs]
#       operations: [CREATE, UPDATE]
#       scope: Namespaced
#     - apiGroups:
#         - fluxcd.controlplane.io
#         - helm.toolkit.fluxcd.io
#         - image.toolkit.fluxcd.io
#         - kustomize.toolkit.fluxcd.io
#         - notification.toolkit.fluxcd.io
#         - source.extensions.fluxcd.io
#         - source.toolkit.fluxcd.io
#       apiVersions: ["*"]
#       resources: ["*", "*/status"]
#       operations: [CREATE, UPDATE, DELETE]
#       scope: Namespaced
#     - apiGroups: [rbac.authorization.k8s.io]
#       apiVersions: ["v1"]
#       resources: [roles, rolebindings, clusterroles, clusterrolebindings]
#       operations: [CREATE, UPDATE]
#   matchSettings: |
#     {{ range crds .settings.workloads.pod_metadata }}
#     - apiGroups: [{{ json (group .) }}]
#       apiVersions: ["*"]
#       resources: [{{ json (plural .) }}]
#       operations: [CREATE, UPDATE]
#       scope: Namespaced
#     {{ end }}
#   matchConditions:
#     - name: in-flux-namespaces-or-in-all
#       expression: |
#         request.?namespace.orValue("") in {{ json .settings.flux_key.namespaces }} ||
#         request.resource.resource in ["clusterroles", "clusterrolebindings"]
#     - name: by-no-keeper
#       expression: |
#         !({{ json .settings.flux_key.keepers.groups }} + {{ json .settings.flux_key.machinery.groups }}).exists(group,
#           group in request.?userInfo.?groups.orValue([])
#         ) &&
#         !({{ json .settings.flux_key.keepers.users }} + {{ json .settings.flux_key.machinery.users }}).exists(user,
#           request.?userInfo.?username.orValue("").matches("(?s)\\A\\Q" + user.replace("*", "\\E.*\\Q") + "\\E\\z")
#         )
#     - name: changes-more-than-metadata
#       expression: |
#         request.resource.resource == "secrets" || request.operation != "UPDATE" || object == null ||
#         oldObject == null ||
#         !(request.resource.group in ["", "apps", "batch", "rbac.authorization.k8s.io"]) &&
#         !request.resource.group.endsWith(".toolkit.fluxcd.io") ||
#         [
#           object.?spec != oldObject.?spec, object.?template != oldObject.?template, object.?rules != oldObject.?rules,
#           object.?aggregationRule != oldObject.?aggregationRule, object.?subjects != oldObject.?subjects,
#           object.?roleRef != oldObject.?roleRef,
#           request.?subResource.orValue("") == "status" && object.?status != oldObject.?status,
#           request.resource.resource == "clusterroles" && object.?metadata.?labels != oldObject.?metadata.?labels
#         ].exists(changed, changed)
#   failurePolicy: Fail
#   needs:
#     - apiVersion: source.toolkit.fluxcd.io/v1
#       resource: gitrepositories
#       optional: true
#       fields: [[spec, secretRef, name]]
#     - apiVersion: rbac.authorization.k8s.io/v1
#       resource: roles
#       fields: [[rules]]
#     - apiVersion: rbac.authorization.k8s.io/v1
#       resource: clusterroles
#       fields: [[rules], [aggregationRule]]
#   settings:
#     type: object
#     description: Who keeps Flux's keys.
#     additionalProperties: false
#     required: [namespaces, secrets, service_accounts, keepers, machinery]
#     properties:
#       namespaces:
#         description: The namespaces that Flux lives in.
#         type: array
#         items: {type: string, pattern: "^[a-z0-9-]+$"}
#       secrets:
#         description: Globs of the Secrets with keys in them, besides those that GitRepositories name.
#         type: array
#         items: {type: string, pattern: "^[a-z0-9.*-]+$"}
#       service_accounts:
#         description: Globs of Flux's ServiceAccounts.
#         type: array
#         items: {type: string, pattern: "^[a-z0-9.*-]+$"}
#       keepers:
#         description: Who may do what this policy denies to others.
#         type: object
#         additionalProperties: false
#         required: [users, groups]
#         properties:
#           users:
#             description: Globs of usernames.
#             type: array
#             items: {type: string, pattern: '^[^\\]+$'}
#           groups:
#             description: Exact names of groups.
#             type: array
#             items: {type: string, minLength: 1}
#       machinery:
#         description: The parts of the cluster that make Pods, tokens and roles by order of others.
#         type: object
#         additionalProperties: false
#         required: [users, groups]
#         properties:
#           users:
#             description: Globs of usernames.
#             type: array
#             items: {type: string, pattern: '^[^\\]+$'}
#           groups:
#             description: Exact names of groups.
#             type: array
#             items: {type: string, minLength: 1}
package eksguard.flux_key

import data.eksguard.lib.glob
import data.eksguard.lib.path
import data.eksguard.lib.text
import data.eksguard.lib.workload

_settings := data.eksguard.settings.flux_key

# METADATA
# title: Keys are written by their keepers
# description: |
#   Whoever replaces the deploy key, or lets another controller copy its Secret, decides what the cluster is made from;
#   and the answer to an update, also to one that changes nothing, tells what is in the Secret. A Secret with a token of
#   one of Flux's ServiceAccounts counts as well.
# custom:
#   id: secret
#   severity: critical
#   fix: Let one of settings.flux_key.keepers do it.
#   examples:
#     violates:
#       object: &key
#         apiVersion: v1
#         kind: Secret
#         metadata: {name: flux-git-deploy, namespace: flux}
#         stringData: {identity: another key}
#       user: jane
#     passes:
#       note: An ARN as username, as EKS gives them by access entries, is a keeper's by default.
#       object: *key
#       user: arn:aws:sts::555555555555:assumed-role/platform/jane
deny contains violation if {
	_guards_namespace
	_resource == "secrets"
	some content in _content
	violation := {
		"rule": "secret",
		"field": "metadata.name",
		"message": sprintf("Secret %s holds %s; %s, who is no keeper of it, may not %s it", [
			text.quote(_full_name),
			content,
			text.quote(_user),
			lower(input.request.operation),
		]),
		"fix": _fix,
	}
}

# METADATA
# title: Tokens of Flux's ServiceAccounts are not for others
# description: |
#   A token of one of Flux's ServiceAccounts, by a TokenRequest or in a Secret that the cluster fills, gives all that
#   Flux may do.
# custom:
#   id: token
#   severity: critical
#   fix: Let one of settings.flux_key.keepers do it.
#   examples:
#     violates:
#       object: &hour
#         apiVersion: authentication.k8s.io/v1
#         kind: TokenRequest
#         metadata: {name: kustomize-controller, namespace: flux-system}
#         spec: {audiences: [sts.amazonaws.com], expirationSeconds: 3600}
#       resource: v1/serviceaccounts
#       subresource: token
#       user: jane
#     passes:
#       note: A kubelet has tokens made for the Pods on its node.
#       object: *hour
#       resource: v1/serviceaccounts
#       subresource: token
#       user: system:node:ip-10-0-0-1.ec2.internal
#       groups: [system:nodes]
deny contains violation if {
	_guards_namespace
	some request in _token_requests
	violation := {
		"rule": "token",
		"field": request.field,
		"message": sprintf("%s may not have a token of Flux's ServiceAccount %s made: it is no keeper of Flux's keys", [
			text.quote(_user),
			text.quote(sprintf("%s/%s", [_namespace, request.account])),
		]),
		"fix": _fix,
	}
}

# METADATA
# title: Pods with Flux's keys are made by their keepers
# description: |
#   A Pod in Flux's namespaces that uses a key, or runs as one of Flux's ServiceAccounts, is made and changed by
#   keepers, and so is everything that makes Pods.
# custom:
#   id: pod
#   severity: critical
#   fix: Let one of settings.flux_key.keepers do it.
#   examples:
#     violates:
#       object:
#         apiVersion: v1
#         kind: Pod
#         metadata: {name: debug, namespace: flux-system}
#         spec:
#           containers: [{name: sh, image: busybox, volumeMounts: [{name: key, mountPath: /key}]}]
#           volumes: [{name: key, secret: {secretName: flux-system}}]
#       user: jane
#     passes:
#       object:
#         apiVersion: v1
#         kind: Pod
#         metadata: {name: debug, namespace: flux-system}
#         spec:
#           containers: [{name: sh, image: busybox}]
#       user: jane
deny contains violation if {
	_guards_namespace
	_subresource == ""
	some use in _uses
	_pod_spec(_new, use.pod) != _pod_spec(_old, use.pod)
	violation := {
		"rule": "pod",
		"field": path.field(use.path),
		"message": sprintf("%s %s %s; %s, who is no keeper of Flux's keys, may not %s it", [
			_kind,
			text.quote(_full_name),
			use.words,
			text.quote(_user),
			lower(input.request.operation),
		]),
		"fix": _fix,
	}
}

# METADATA
# title: Nobody goes into Flux's Pods
# description: |
#   What is in Flux's Pods, the deploy key and tokens among it, can be read by exec, attach, port-forward, proxy and
#   ephemeral containers.
# custom:
#   id: connect
#   severity: critical
#   fix: Let one of settings.flux_key.keepers do it.
#   examples:
#     violates:
#       object:
#         apiVersion: v1
#         kind: PodExecOptions
#         command: [cat, /etc/ssh-key/identity]
#         container: manager
#       operation: CONNECT
#       resource: v1/pods
#       subresource: exec
#       namespace: flux-system
#       name: source-controller-0
#       user: jane
#     passes:
#       note: Pods of other namespaces hold no key of Flux.
#       object:
#         apiVersion: v1
#         kind: PodExecOptions
#         command: [sh]
#         stdin: true
#         tty: true
#       operation: CONNECT
#       resource: v1/pods
#       subresource: exec
#       namespace: webservice-01
#       name: shop-0
#       user: jane
deny contains violation if {
	_guards_namespace
	_enters
	violation := {
		"rule": "connect",
		"field": "metadata.namespace",
		"message": sprintf("%s, who is no keeper of Flux's keys, may not use %s/%s of %s: Flux's Pods hold its keys", [
			text.quote(_user),
			_resource,
			_subresource,
			text.quote(_full_name),
		]),
		"fix": _fix,
	}
}

# METADATA
# title: Objects that use the key are made by its keepers
# description: |
#   In Flux's namespaces an object of Flux that names a key sends it, or what it opens, wherever its author says: a
#   GitRepository to its url, a Kustomization into what it makes. An ImageUpdateAutomation pushes with it.
# custom:
#   id: source
#   severity: critical
#   fix: Let one of settings.flux_key.keepers do it.
#   examples:
#     violates:
#       note: The deploy key would be sent to jane's server.
#       object:
#         apiVersion: notification.toolkit.fluxcd.io/v1beta3
#         kind: Provider
#         metadata: {name: mine, namespace: flux-system}
#         spec: {type: generic, address: "https://example.com/jane", secretRef: {name: flux-system}}
#       user: jane
#     passes:
#       object:
#         apiVersion: notification.toolkit.fluxcd.io/v1beta3
#         kind: Provider
#         metadata: {name: mine, namespace: flux-system}
#         spec: {type: slack, secretRef: {name: slack}}
#       user: jane
deny contains violation if {
	_guards_namespace
	_writes_spec_of_flux
	some use in _flux_uses
	violation := {
		"rule": "source",
		"field": path.field(use.path),
		"message": sprintf("%s %s %s; %s, who is no keeper of Flux's keys, may not %s it", [
			_kind,
			text.quote(_full_name),
			use.words,
			text.quote(_user),
			lower(input.request.operation),
		]),
		"fix": _fix,
	}
}

# METADATA
# title: What Flux applies with its own rights is chosen by keepers
# description: |
#   In Flux's namespaces a Kustomization, HelmRelease or ResourceSet that names no ServiceAccount is applied with Flux's
#   own rights, which are enough to read its keys, and so is what a source holds that such an object reads. They are
#   made, changed and deleted by keepers, and by Flux itself.
# custom:
#   id: apply
#   severity: critical
#   fix: Let one of settings.flux_key.keepers do it.
#   examples:
#     violates:
#       note: Flux would apply with its own rights what is in jane's folder.
#       object:
#         apiVersion: kustomize.toolkit.fluxcd.io/v1
#         kind: Kustomization
#         metadata: {name: mine, namespace: flux-system}
#         spec: {interval: 1h, prune: true, path: ./jane, sourceRef: {kind: GitRepository, name: flux-system}}
#       user: jane
#     passes:
#       object:
#         apiVersion: kustomize.toolkit.fluxcd.io/v1
#         kind: Kustomization
#         metadata: {name: mine, namespace: flux-system}
#         spec:
#           serviceAccountName: jane
#           interval: 1h
#           prune: true
#           path: ./jane
#           sourceRef: {kind: GitRepository, name: flux-system}
#       user: jane
deny contains violation if {
	_guards_namespace
	_writes_spec_of_flux
	not _is_by_flux
	some field, words in _applications
	violation := {
		"rule": "apply",
		"field": field,
		"message": sprintf("%s %s %s; %s, who is no keeper of Flux's keys, may not %s it", [
			_kind,
			text.quote(_full_name),
			words,
			text.quote(_user),
			lower(input.request.operation),
		]),
		"fix": _fix,
	}
}

# METADATA
# title: The status of Flux's objects is written by Flux
# description: |
#   In the status of its objects Flux keeps where the artifact of a source is fetched from, and what of the cluster it
#   has made and will prune. In Flux's namespaces nobody but Flux and keepers says so.
# custom:
#   id: status
#   severity: critical
#   fix: Leave the status to Flux's controllers.
#   examples:
#     violates:
#       note: Flux would fetch and apply jane's archive.
#       object: &fetched
#         apiVersion: source.toolkit.fluxcd.io/v1
#         kind: GitRepository
#         metadata: {name: flux-system, namespace: flux-system}
#         spec: {interval: 1h, url: "ssh://git@example.com/fleet"}
#         status: {artifact: {revision: main, url: "http://jane.example.com/fleet.tar.gz"}}
#       oldObject: &before
#         apiVersion: source.toolkit.fluxcd.io/v1
#         kind: GitRepository
#         metadata: {name: flux-system, namespace: flux-system}
#         spec: {interval: 1h, url: "ssh://git@example.com/fleet"}
#       subresource: status
#       user: jane
#     passes:
#       object: *fetched
#       oldObject: *before
#       subresource: status
#       user: system:serviceaccount:flux-system:source-controller
deny contains violation if {
	_guards_namespace
	_is_of_flux
	_subresource == "status"
	not _is_by_flux
	object.get(_new, "status", null) != object.get(_old, "status", null)
	violation := {
		"rule": "status",
		"field": "status",
		"message": sprintf("the status of %s %s tells Flux what to apply and what to prune; %s, %s, may not %s it", [
			_kind,
			text.quote(_full_name),
			text.quote(_user),
			"who is no keeper of Flux's keys",
			lower(input.request.operation),
		]),
		"fix": sprintf("leave it to Flux's controllers; %s", [_fix]),
	}
}

# METADATA
# title: Rights to the key are given by its keepers
# description: |
#   A Role of Flux's namespaces or a ClusterRole gets no rule that opens the key, and no such role is bound, but by
#   keepers: reading of Secrets, making of tokens, going into Pods, impersonation, and escalation.
# custom:
#   id: rbac
#   severity: critical
#   fix: Let one of settings.flux_key.keepers do it.
#   examples:
#     violates:
#       object:
#         apiVersion: rbac.authorization.k8s.io/v1
#         kind: Role
#         metadata: {name: debug, namespace: flux-system}
#         rules: [{apiGroups: [""], resources: [pods, secrets], verbs: [get, list]}]
#       user: jane
#     passes:
#       object:
#         apiVersion: rbac.authorization.k8s.io/v1
#         kind: Role
#         metadata: {name: debug, namespace: flux-system}
#         rules: [{apiGroups: [""], resources: [pods, pods/log], verbs: [get, list]}]
#       user: jane
deny contains violation if {
	_guards
	_group == "rbac.authorization.k8s.io"
	some opening in _openings
	violation := {
		"rule": "rbac",
		"field": opening.field,
		"message": sprintf("%s %s would let %s %s in %s; %s, who is no keeper of Flux's keys, may not give that", [
			_kind,
			text.quote(_full_name),
			opening.whom,
			opening.what,
			_where,
			text.quote(_user),
		]),
		"fix": sprintf("%s; or leave that right out of it", [_fix]),
	}
}

# The request.

default _group := ""

_group := input.request.resource.group

default _resource := ""

_resource := input.request.resource.resource

_subresource := object.get(input.request, "subResource", "")

_namespace := object.get(input.request, "namespace", "")

_user := object.get(input.request, ["userInfo", "username"], "")

default _kind := "object"

_kind := input.request.kind.kind

default _new := {}

_new := input.request.object if is_object(input.request.object)

default _old := {}

_old := input.request.oldObject if is_object(input.request.oldObject)

# Where a collection is deleted, and where a name is generated, the request has none.
default _name := ""

_name := input.request.name if {
	input.request.name != ""
} else := _new.metadata.name if {
	_new.metadata.name != ""
} else := _old.metadata.name

_full_name := sprintf("%s/%s", [_namespace, _name]) if _namespace != ""

_full_name := _name if _namespace == ""

_guards if not _kept

_guards_namespace if {
	_guards
	_namespace in _settings.namespaces
}

_kept if {
	some keepers in [_settings.keepers, _settings.machinery]
	glob.match_any(keepers.users, _user)
}

_kept if {
	some keepers in [_settings.keepers, _settings.machinery]
	some group in input.request.userInfo.groups
	group in keepers.groups
}

# Keys.

_is_key(name) if glob.match_any(_settings.secrets, name)

_is_key(name) if {
	some repository in data.cluster["source.toolkit.fluxcd.io/v1/gitrepositories"][_namespace]
	repository.spec.secretRef.name == name
}

_is_key(name) if {
	is_string(name)
	not data.cluster["source.toolkit.fluxcd.io/v1/gitrepositories"]
}

_is_account(name) if glob.match_any(_settings.service_accounts, name)

# What a Secret holds that it is guarded for. What asks for a token is another matter, of rule token.
_content contains "a key of Flux" if _is_key(_name)

_content contains "a token of Flux" if {
	not _is_key(_name)
	_is_account(_token_of(_old))
}

# Tokens.

_token_of(secret) := secret.metadata.annotations["kubernetes.io/service-account.name"] if {
	secret.type == "kubernetes.io/service-account-token"
}

_token_requests contains request if {
	_resource == "serviceaccounts"
	_subresource == "token"
	_is_account(_name)
	_user != sprintf("system:serviceaccount:%s:%s", [_namespace, _name])
	request := {"account": _name, "field": "metadata.name"}
}

_token_requests contains request if {
	_resource == "secrets"
	account := _token_of(_new)
	_is_account(account)
	not account == object.get(_old, ["metadata", "annotations", "kubernetes.io/service-account.name"], null)
	request := {"account": account, "field": `metadata.annotations["kubernetes.io/service-account.name"]`}
}

# Pods.

_enters if input.request.operation == "CONNECT"

_enters if {
	_subresource == "ephemeralcontainers"
	_new.spec.ephemeralContainers != object.get(_old, ["spec", "ephemeralContainers"], [])
}

# Kubernetes keeps in a ControllerRevision what it patches the StatefulSet with (pkg/controller/statefulset,
# newRevision).
_pod_paths := {["data", "spec", "template"]} if {
	_group == "apps"
	_resource == "controllerrevisions"
} else := workload.pod_paths({"group": _group, "resource": _resource})

_pod_spec(object_, pod) := path.at(object_, array.concat(pod, ["spec"]))

_uses contains use if {
	some pod in _pod_paths
	some secret in _secrets_named(_pod_spec(_new, pod))
	use := {
		"pod": pod,
		"path": array.concat(pod, array.concat(["spec"], secret.path)),
		"words": sprintf("uses Secret %s, a key of Flux", [text.quote(secret.name)]),
	}
}

_uses contains use if {
	some pod in _pod_paths
	some field in ["serviceAccountName", "serviceAccount"]
	name := path.at(_pod_spec(_new, pod), [field])
	_is_account(name)
	not _said_twice(field, pod)
	use := {
		"pod": pod,
		"path": array.concat(pod, ["spec", field]),
		"words": sprintf("runs as Flux's ServiceAccount %s", [text.quote(name)]),
	}
}

# The API server keeps the old field equal to the new one.
_said_twice("serviceAccount", pod) if {
	spec := _pod_spec(_new, pod)
	spec.serviceAccount == spec.serviceAccountName
}

# The keys that a spec names, whatever way: secretName, secretRef.name, secretKeyRef.name, imagePullSecrets[0].name, or
# {kind: Secret, name}.
_secrets_named(spec) := {{"path": steps, "name": name} |
	walk(spec, [steps, name])
	_names_secret(spec, steps)
	_is_key(name)
}

_names_secret(_, steps) if steps[count(steps) - 1] == "secretName"

_names_secret(_, steps) if {
	steps[count(steps) - 1] == "name"
	words := [step | some step in array.slice(steps, 0, count(steps) - 1); is_string(step)]
	contains(lower(words[count(words) - 1]), "secret")
}

_names_secret(spec, steps) if {
	steps[count(steps) - 1] == "name"
	holder := path.at(spec, array.slice(steps, 0, count(steps) - 1))
	holder.kind == "Secret"
}

# Objects of Flux.

_is_of_flux if endswith(_group, ".toolkit.fluxcd.io")

_is_of_flux if _group in {"source.extensions.fluxcd.io", "fluxcd.controlplane.io"}

_writes_spec_of_flux if {
	_is_of_flux
	_subresource == ""
	object.get(_new, "spec", null) != object.get(_old, "spec", null)
}

_is_by_flux if {
	["system", "serviceaccount", namespace, name] = split(_user, ":")
	namespace in _settings.namespaces
	_is_account(name)
}

# What an object of Flux uses, or used.
_flux_uses contains use if {
	some object_ in [_new, _old]
	some secret in _secrets_named(object.get(object_, "spec", {}))
	use := {
		"path": array.concat(["spec"], secret.path),
		"words": sprintf("uses Secret %s, a key of Flux", [text.quote(secret.name)]),
	}
}

_flux_uses contains use if {
	some object_ in [_new, _old]
	walk(object.get(object_, "spec", {}), [steps, name])
	steps[count(steps) - 1] == "serviceAccountName"
	_is_account(name)
	use := {
		"path": array.concat(["spec"], steps),
		"words": sprintf("runs as Flux's ServiceAccount %s", [text.quote(name)]),
	}
}

_flux_uses contains use if {
	_resource == "imageupdateautomations"
	use := {"path": ["spec", "sourceRef"], "words": "pushes with the key of its GitRepository"}
}

# Why Flux applies, with its own rights, what an object says, by the field that says so.
_applications["spec.serviceAccountName"] := "runs with Flux's own rights" if {
	_resource in {"kustomizations", "helmreleases", "resourcesets"}
	some object_ in [_new, _old]
	object_ != {}
	object.get(object_, ["spec", "serviceAccountName"], "") == ""
}

_applications["spec"] := "says what Flux applies" if {
	_group in {"source.toolkit.fluxcd.io", "source.extensions.fluxcd.io"}
}

_applications["spec"] := "says what Flux is" if _resource == "fluxinstances"

# Rights.

_openings contains opening if {
	_resource in {"roles", "clusterroles"}
	_in_reach
	some index, rule in _new.rules
	words := _opened(rule) - _given_before
	count(words) > 0
	opening := {"field": sprintf("rules[%v]", [index]), "whom": "whoever holds it", "what": concat(", ", words)}
}

_openings contains opening if {
	_resource == "clusterroles"
	rule := object.get(_new, "aggregationRule", null)
	rule != null
	rule != object.get(_old, "aggregationRule", null)
	what := "do what the ClusterRoles that it selects will say"
	opening := {"field": "aggregationRule", "whom": "whoever holds it", "what": what}
}

# What a ClusterRole gave before, it gives to more by a label with which others aggregate it.
default _given_before := set()

_given_before := _opened_by(_old) if not _is_aggregated_anew

_is_aggregated_anew if {
	some label, value in _new.metadata.labels
	startswith(label, "rbac.authorization.k8s.io/aggregate-to-")
	value != object.get(_old, ["metadata", "labels", label], null)
}

_openings contains opening if {
	_resource in {"rolebindings", "clusterrolebindings"}
	_in_reach
	_adds_subjects
	words := _opened_by(_bound_role)
	count(words) > 0
	opening := {"field": "roleRef", "whom": "its subjects", "what": concat(", ", words)}
}

_openings contains opening if {
	_resource in {"rolebindings", "clusterrolebindings"}
	_in_reach
	_adds_subjects
	not _bound_role
	opening := {"field": "roleRef", "whom": "its subjects", "what": "do what a role that does not exist yet will say"}
}

_in_reach if _namespace in _settings.namespaces

_in_reach if _resource in {"clusterroles", "clusterrolebindings"}

# One that is aggregated and still empty is filled in a moment, after which nobody is asked.
_openings contains opening if {
	_resource in {"rolebindings", "clusterrolebindings"}
	_in_reach
	_adds_subjects
	_bound_role.aggregationRule
	count([rule | some rule in _bound_role.rules]) == 0
	what := "do what the ClusterRoles that it selects will say"
	opening := {"field": "roleRef", "whom": "its subjects", "what": what}
}

_adds_subjects if {
	some subject in _new.subjects
	not subject in {old | some old in _old.subjects}
}

_bound_role := data.cluster["rbac.authorization.k8s.io/v1/clusterroles"][_new.roleRef.name] if {
	_new.roleRef.kind == "ClusterRole"
}

_bound_role := data.cluster["rbac.authorization.k8s.io/v1/roles"][_namespace][_new.roleRef.name] if {
	_new.roleRef.kind == "Role"
}

_opened_by(role) := {words |
	some rule in role.rules
	some words in _opened(rule)
}

_opened(rule) := {right.words |
	some right in _rights
	some group in rule.apiGroups
	group in {"*", right.group}
	some resource in rule.resources
	_covers(resource, right.resources)
	some verb in rule.verbs
	verb in (right.verbs | {"*"})
	_concerns(rule, right)
}

_covers("*", _) := true

_covers(resource, resources) if resource in resources

# */exec is the exec of every kind.
_covers(resource, resources) if {
	is_string(resource)
	startswith(resource, "*/")
	some covered in resources
	endswith(covered, trim_prefix(resource, "*"))
}

_concerns(rule, _) if {
	names := [name | some name in rule.resourceNames]
	count(names) == 0
}

_concerns(rule, right) if {
	some name in rule.resourceNames
	_named(right.names, name)
}

_named("keys", name) if _is_key(name)

_named("accounts", name) if _is_account(name)

_named("any", _) := true

_rights := [
	{
		"words": "read Secrets",
		"group": "",
		"resources": {"secrets"},
		"verbs": {"get", "list", "watch"},
		"names": "keys",
	},
	{
		"words": "make tokens of ServiceAccounts",
		"group": "",
		"resources": {"serviceaccounts/token"},
		"verbs": {"create"},
		"names": "accounts",
	},
	{
		"words": "go into Pods",
		"group": "",
		"resources": {
			"pods/exec",
			"pods/attach",
			"pods/portforward",
			"pods/proxy",
			"services/proxy",
			"pods/ephemeralcontainers",
			"nodes/proxy",
		},
		"verbs": {"get", "create", "update", "patch", "delete"},
		"names": "any",
	},
	{
		"words": "act as others",
		"group": "",
		"resources": {"serviceaccounts", "users", "groups"},
		"verbs": {"impersonate"},
		"names": "any",
	},
	# Constrained impersonation (k8s.io/apiserver, pkg/endpoints/filters/impersonation).
	{
		"words": "act as others",
		"group": "authentication.k8s.io",
		"resources": {"serviceaccounts", "users", "groups", "nodes"},
		"verbs": {
			"impersonate:user-info",
			"impersonate:serviceaccount",
			"impersonate:arbitrary-node",
			"impersonate:associated-node",
		},
		"names": "any",
	},
	{
		"words": "give themselves rights",
		"group": "rbac.authorization.k8s.io",
		"resources": {"roles", "clusterroles"},
		"verbs": {"escalate", "bind"},
		"names": "any",
	},
]

# Words.

_where := sprintf("Flux's namespaces %s", [concat(", ", _settings.namespaces)]) if _namespace == ""

_where := sprintf("Flux's namespace %s", [text.quote(_namespace)]) if _namespace != ""

_fix := sprintf("let a keeper do it, or add %s to settings.flux_key.keepers.users", [text.quote(_user)])
