# METADATA
# title: Reach of Flux
# description: |
#   Limits in which namespaces, and to which cluster-scoped kinds, Flux may write. Whoever holds Flux's deploy key or a
#   foothold in its pods writes as Flux; this policy bounds what such a write can touch.
#
#   An identity is the username that the API server authenticated; with `*` an entry names the ServiceAccounts of many
#   tenants. Labels, annotations and field managers say nothing, because the author of an object chooses them. A user
#   that no entry of `reach` names is not limited.
#
#   **What counts.** Every write counts by the namespace that it touches: CREATE, UPDATE, DELETE (each object of a
#   deletecollection) and CONNECT (exec, attach, port-forward, proxy), subresources included, so that a token of a
#   ServiceAccount of kube-system is a write into kube-system. A Namespace object belongs to the namespace that it is;
#   `cluster_kinds` has no say in it. Any other object without a namespace counts by its kind.
#
#   **Reach.** Each entry of `reach` adds to the reach of its users, and none takes from what another gives:
#   `except_namespaces` and `except_cluster_kinds` bound only their own entry. Namespaces and cluster-scoped kinds that
#   no entry gives are out of reach. The namespace that a ServiceAccount lives in is always within its reach, as Flux
#   keeps its sources, its leases and itself there: install Flux in a namespace of its own. To tighten, name what Flux
#   deploys instead of `"*"`:
#
#       reach:
#         - users: ["system:serviceaccount:flux-system:kustomize-controller"]
#           namespaces: ["webservice-*", monitoring]
#           cluster_kinds: ["rbac.authorization.k8s.io/*", apiextensions.k8s.io/CustomResourceDefinition]
#         - users: ["system:serviceaccount:flux-system:kustomize-controller"]
#           namespaces: [kube-system]
#           kinds: [apps/DaemonSet]
#           operations: [CREATE, UPDATE]
#         - users: ["system:serviceaccount:*:reconciler"]
#         - users: ["system:serviceaccount:team-a:reconciler"]
#           namespace_selector: {matchLabels: {toolkit.fluxcd.io/tenant: team-a}}
#
#   The last two bound what Flux does under the names of tenants' ServiceAccounts: each writes in its own namespace,
#   and that of team-a in every namespace that is labelled so. Where an entry has both `namespaces` and
#   `namespace_selector`, a namespace must match both. A Namespace object is selected by the labels that it has, not by
#   those that a change gives to it; only a new one comes with its own. `operations` bounds what may be done: without
#   DELETE nothing is pruned.
#
#   **Labels of namespaces** that a `namespace_selector` reads decide what is within reach. So no ServiceAccount changes
#   the labels of a namespace that exists so that it comes within the reach of an entry, but those that
#   `namespace_labellers` names. People are RBAC's to bound.
#
#   In a glob only `*` means something. A kind is written `group/Kind`, or `Kind` in the core group; `*` alone is every
#   kind of every group. A subresource counts by the kind that is sent to it: `PodExecOptions`, `NodeProxyOptions`,
#   `autoscaling/Scale`, `authentication.k8s.io/TokenRequest`.
#
#   **What is let pass beyond the reach**, since Flux breaks without it and nothing can be deployed by it:
#
#   - an update that changes nothing but managedFields, resourceVersion and generation, so that what Flux applied before
#     this policy was there does not turn every Kustomization not ready, but only when it is to change. Ownership of
#     unchanged fields is all that such an update can take;
#   - Events, created and updated: controllers write them beside the object that they tell of;
#   - reviews of tokens and access, which are answered and never stored;
#   - for the kinds that an entry of `controllers` lets its users control: updates of the status subresource, and
#     updates that change nothing but metadata.finalizers. Each controller of Flux does this for the objects of its own
#     API in whatever namespace they live, and it does so as itself where it impersonates a tenant's ServiceAccount;
#   - for the kinds that an entry lets its users manage: everything. By default that is HelmChart for helm-controller,
#     which makes one for each HelmRelease beside its HelmRepository;
#   - a change of nothing but the annotation reconcile.fluxcd.io/requestedAt of a Flux object: a Receiver asks for a
#     reconciliation that way.
#
#   A ServiceAccount's token is not among them, since it gives all that the account may do. Where Flux authenticates to
#   a cloud as a tenant's ServiceAccount, give it that namespace, if need be with
#   `kinds: [authentication.k8s.io/TokenRequest]` alone.
#
#   By default every cluster-scoped kind is within reach, because Flux installs CRDs and ClusterRoles, except
#   NodeProxyOptions, the way through a node into any of its Pods. With a ClusterRoleBinding Flux can still give another
#   identity what it may not write itself: name the kinds that are needed as soon as they are known.
#
#   **What is not seen here.** A request that Flux makes under another name counts as that one's: with
#   `spec.serviceAccountName` it impersonates the tenant's account, which RBAC bounds; name such accounts in `reach` to
#   bound them here too. Flux should hold the right to impersonate no one else.
# custom:
#   match:
#     - apiGroups: ["*"]
#       apiVersions: ["*"]
#       resources: ["*/*"]
#       operations: ["CREATE", "UPDATE", "DELETE", "CONNECT"]
#       scope: "*"
#   matchConditions:
#     - name: by-flux-or-labels-a-namespace
#       expression: >-
#         has(request.userInfo.username) &&
#         ({{ range .settings.flux.reach }}{{ if index . "namespace_selector" }}request.operation == "UPDATE" &&
#         request.resource.group == "" && request.resource.resource == "namespaces" &&
#         request.userInfo.username.startsWith("system:serviceaccount:") &&
#         object.?metadata.?labels != oldObject.?metadata.?labels ||
#         {{ end }}{{ json .users }}.exists(user, request.userInfo.username == user ||
#         user.contains("*") &&
#         request.userInfo.username.matches("(?s)\\A\\Q" + user.replace("*", "\\E.*\\Q") + "\\E\\z")) || {{ end }}false)
#     - name: outside-own-namespace
#       expression: >-
#         request.resource.resource == "namespaces" || !has(request.namespace) || !has(request.userInfo.username) ||
#         !request.userInfo.username.startsWith("system:serviceaccount:" + request.namespace + ":")
#     - name: no-event
#       expression: >-
#         !(request.operation in ["CREATE", "UPDATE"] && request.resource.resource == "events" &&
#         request.resource.group in ["", "events.k8s.io"])
#     - name: no-review
#       expression: >-
#         !(request.resource.group == "authentication.k8s.io" &&
#         request.resource.resource in ["selfsubjectreviews", "tokenreviews"]) &&
#         !(request.resource.group == "authorization.k8s.io" && request.resource.resource in
#         ["localsubjectaccessreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews", "subjectaccessreviews"])
#   failurePolicy: Fail
#   needs:
#     - apiVersion: v1
#       resource: namespaces
#       metadataOnly: true
#   settings:
#     type: object
#     description: Where Flux may write.
#     additionalProperties: false
#     required: [reach, controllers, namespace_labellers]
#     properties:
#       reach:
#         description: Who is limited, and what each may write. Entries for the same user add up; none limits no one.
#         type: array
#         items:
#           type: object
#           additionalProperties: false
#           required: [users]
#           properties:
#             users:
#               description: |
#                 Usernames; a ServiceAccount is system:serviceaccount:<namespace>:<name>, and either may hold `*`.
#               type: array
#               minItems: 1
#               items: {type: string, pattern: '^([^*\\]+|system:serviceaccount:[a-z0-9.*-]+:[a-z0-9.*-]+)$'}
#             namespaces:
#               description: Globs of the namespaces that they may write in; none if absent.
#               type: array
#               items: {type: string, pattern: "^[a-z0-9*-]+$"}
#             except_namespaces:
#               description: Globs of the namespaces that this entry does not give although `namespaces` matches.
#               type: array
#               items: {type: string, pattern: "^[a-z0-9*-]+$"}
#             namespace_selector:
#               description: The labels of the namespaces that they may write in, as in Kubernetes.
#               type: object
#               additionalProperties: false
#               minProperties: 1
#               properties:
#                 matchLabels: {type: object, minProperties: 1, additionalProperties: {type: string}}
#                 matchExpressions:
#                   type: array
#                   minItems: 1
#                   items:
#                     type: object
#                     additionalProperties: false
#                     required: [key, operator]
#                     properties:
#                       key: {type: string, minLength: 1}
#                       operator: {enum: [In, NotIn, Exists, DoesNotExist]}
#                       values: {type: array, items: {type: string}}
#                     if: {properties: {operator: {enum: [In, NotIn]}}}
#                     then: {required: [values]}
#             operations:
#               description: What they may do, by this entry; everything if absent.
#               type: array
#               minItems: 1
#               items: {enum: [CREATE, UPDATE, DELETE, CONNECT]}
#             kinds:
#               description: Globs of the kinds that this entry gives in its namespaces; every kind if absent.
#               type: array
#               items: {type: string, pattern: "^([a-z0-9.*-]+/)?[A-Za-z0-9*-]+$"}
#             cluster_kinds:
#               description: Globs of the cluster-scoped kinds that they may write; none if absent.
#               type: array
#               items: {type: string, pattern: "^([a-z0-9.*-]+/)?[A-Za-z0-9*-]+$"}
#             except_cluster_kinds:
#               description: Globs of the kinds that this entry does not give although `cluster_kinds` matches.
#               type: array
#               items: {type: string, pattern: "^([a-z0-9.*-]+/)?[A-Za-z0-9*-]+$"}
#       controllers:
#         description: What Flux's controllers must be able to write wherever an object of their API lives.
#         type: array
#         items:
#           type: object
#           additionalProperties: false
#           required: [users]
#           properties:
#             users:
#               description: Exact usernames.
#               type: array
#               minItems: 1
#               items: {type: string, pattern: "^[^*]+$"}
#             controls:
#               description: Globs of the kinds whose status and finalizers they may update in any namespace.
#               type: array
#               items: {type: string, pattern: "^([a-z0-9.*-]+/)?[A-Za-z0-9*-]+$"}
#             manages:
#               description: Globs of the kinds that they may create, change and delete in any namespace.
#               type: array
#               items: {type: string, pattern: "^([a-z0-9.*-]+/)?[A-Za-z0-9*-]+$"}
#       namespace_labellers:
#         description: |
#           Globs of the ServiceAccounts, as usernames, that may give a namespace labels with which it is within a reach.
#         type: array
#         items: {type: string, pattern: '^system:serviceaccount:[a-z0-9.*-]+:[a-z0-9.*-]+$'}
package eksguard.flux

import data.eksguard.lib.glob
import data.eksguard.lib.selector
import data.eksguard.lib.text

# METADATA
# title: Flux writes only in the namespaces of its reach
# description: A write in, or of, a namespace that no entry of `reach` gives to the Flux identity that makes it.
# custom:
#   id: namespace
#   severity: high
#   fix: Move the object to a namespace within Flux's reach, or add the namespace to settings.flux.reach.
#   examples:
#     violates:
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: coredns, namespace: kube-system}
#       user: system:serviceaccount:flux:flux
#     passes:
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: shop, namespace: webservice-01}
#       user: system:serviceaccount:flux:flux
deny contains violation if {
	_limited
	_touches_a_namespace
	not _namespace_within_reach
	not _let_pass
	violation := {
		"rule": "namespace",
		"field": _namespace_field,
		"message": sprintf(
			"Flux, as %s, may not %s %s: %s is out of its reach, which is %s",
			[text.quote(_user), _verb, _target, _offence, _namespaces_in_words],
		),
		"fix": sprintf(
			"%s, or add {users: [%s], namespaces: [%s], kinds: [%s]%s} to settings.flux.reach",
			[_way_out, text.quote(_user), text.quote(_namespace), text.quote(_kind), _operations_in_fix],
		),
	}
}

# METADATA
# title: Flux writes only the cluster-scoped kinds of its reach
# description: A write of an object without a namespace whose kind no entry of `reach` gives to the Flux identity.
# custom:
#   id: cluster-kind
#   severity: high
#   fix: Do it by other means than Flux, or add its kind to cluster_kinds in settings.flux.reach.
#   examples:
#     violates:
#       note: Flux is given CRDs, and no other kind without a namespace.
#       object:
#         apiVersion: rbac.authorization.k8s.io/v1
#         kind: ClusterRoleBinding
#         metadata: {name: shop-admin}
#         roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}
#         subjects: [{kind: ServiceAccount, name: shop, namespace: webservice-01}]
#       user: system:serviceaccount:flux-system:kustomize-controller
#       settings: &settings
#         flux:
#           reach:
#             - users: ["system:serviceaccount:flux-system:kustomize-controller"]
#               namespaces: [webservice-*]
#               cluster_kinds: [apiextensions.k8s.io/CustomResourceDefinition]
#     passes:
#       object:
#         apiVersion: apiextensions.k8s.io/v1
#         kind: CustomResourceDefinition
#         metadata: {name: probes.monitoring.coreos.com}
#       user: system:serviceaccount:flux-system:kustomize-controller
#       settings: *settings
deny contains violation if {
	_limited
	not _touches_a_namespace
	not _cluster_kind_within_reach
	not _let_pass
	violation := {
		"rule": "cluster-kind",
		"field": "kind",
		"message": sprintf(
			"Flux, as %s, may not %s %s: %scluster-scoped kind %s is out of its reach, which is %s",
			[text.quote(_user), _verb, _target, _operation_in_words, text.quote(_kind), _cluster_kinds_in_words],
		),
		"fix": sprintf(
			"do it by other means than Flux, or add {users: [%s], cluster_kinds: [%s]%s} to settings.flux.reach",
			[text.quote(_user), text.quote(_kind), _operations_in_fix],
		),
	}
}

# METADATA
# title: ServiceAccounts do not label namespaces into a reach
# description: |
#   A change of the labels of a namespace by which an entry's `namespace_selector` comes to select it, under the name of
#   a ServiceAccount that `namespace_labellers` does not name.
# custom:
#   id: namespace-label
#   severity: high
#   fix: Let the platform team set the label, or add the ServiceAccount to settings.flux.namespace_labellers.
#   examples:
#     violates:
#       object: &labelled
#         apiVersion: v1
#         kind: Namespace
#         metadata: {name: shop, labels: {toolkit.fluxcd.io/tenant: team-a}}
#       oldObject: &bare
#         apiVersion: v1
#         kind: Namespace
#         metadata: {name: shop}
#       user: system:serviceaccount:portal:portal
#       settings: &tenants
#         flux:
#           reach:
#             - users: ["system:serviceaccount:team-a:reconciler"]
#               namespace_selector: {matchLabels: {toolkit.fluxcd.io/tenant: team-a}}
#     passes:
#       note: People are RBAC's to bound.
#       object: *labelled
#       oldObject: *bare
#       user: jane
#       settings: *tenants
deny contains violation if {
	_is_namespace
	input.request.operation == "UPDATE"
	_is_service_account
	not glob.match_any(data.eksguard.settings.flux.namespace_labellers, _user)
	some entry in data.eksguard.settings.flux.reach
	_labelled_into(entry)
	violation := {
		"rule": "namespace-label",
		"field": "metadata.labels",
		"message": sprintf(
			"%s may not give namespace %s labels by which it comes within the reach of %s: namespaces %s%s",
			[
				text.quote(_user),
				text.quote(_name),
				_list([text.quote(user) | some user in entry.users]),
				_list(object.get(entry, "namespaces", ["*"])),
				_selector_in_words(entry),
			],
		),
		"fix": sprintf(
			"let the platform team set the labels, or add %s to settings.flux.namespace_labellers",
			[text.quote(_user)],
		),
	}
}

_is_service_account if {
	is_string(_user)
	startswith(_user, "system:serviceaccount:")
}

_labelled_into(entry) if {
	selector.matches(entry.namespace_selector, object.get(input.request.object, ["metadata", "labels"], {}))
	_gives_by_glob(entry)
	not glob.match_any(object.get(entry, "except_namespaces", []), _name)
	before := object.get(input.request.oldObject, ["metadata", "labels"], {})
	not selector.matches(entry.namespace_selector, before)
}

# Who writes.

_user := input.request.userInfo.username

_entries := [entry | some entry in data.eksguard.settings.flux.reach; glob.match_any(entry.users, _user)]

_limited if count(_entries) > 0

_own_namespace := parts[2] if {
	parts := split(_user, ":")
	count(parts) == 4
	array.slice(parts, 0, 2) == ["system", "serviceaccount"]
}

# What is written.

default _kind := ""

_kind := input.request.kind.kind if input.request.kind.group == ""

_kind := sprintf("%s/%s", [input.request.kind.group, input.request.kind.kind]) if input.request.kind.group != ""

default _resource := {}

_resource := input.request.resource

default _subresource := ""

_subresource := input.request.subResource

# The API server knows the name, except where it deletes a collection.
default _name := ""

_name := input.request.name if {
	input.request.name != ""
} else := input.request.oldObject.metadata.name

_is_namespace if {
	_resource.group == ""
	_resource.resource == "namespaces"
}

# Whether an object has a namespace, and which, is the API server's word and never the object's.
default _namespace := ""

_namespace := _name if _is_namespace

_namespace := input.request.namespace if not _is_namespace

_touches_a_namespace if _is_namespace

_touches_a_namespace if _namespace != ""

_namespace_field := "metadata.name" if _is_namespace

_namespace_field := "metadata.namespace" if not _is_namespace

# What is within reach.

_namespace_within_reach if _namespace == _own_namespace

_namespace_within_reach if {
	some entry in _entries
	_gives_namespace(entry)
	_gives_kind(entry)
	_gives_operation(entry)
}

_gives_namespace(entry) if {
	_namespace != ""
	_names_namespaces(entry)
	_gives_by_glob(entry)
	_gives_by_label(entry)
	not glob.match_any(object.get(entry, "except_namespaces", []), _namespace)
}

_names_namespaces(entry) if entry.namespaces

_names_namespaces(entry) if entry.namespace_selector

_gives_by_glob(entry) if not entry.namespaces

_gives_by_glob(entry) if glob.match_any(entry.namespaces, _namespace)

_gives_by_label(entry) if not entry.namespace_selector

_gives_by_label(entry) if selector.matches(entry.namespace_selector, _namespace_labels)

# The labels that the namespace has before the request; an absent object of labels is an empty one.
default _namespace_labels := null

_namespace_labels := object.get(namespace.metadata, "labels", {}) if {
	not _is_namespace
	namespace := data.cluster["v1/namespaces"][_namespace]
}

_namespace_labels := object.get(input.request.oldObject, ["metadata", "labels"], {}) if {
	_is_namespace
	input.request.operation != "CREATE"
	is_object(input.request.oldObject)
}

_namespace_labels := object.get(input.request.object, ["metadata", "labels"], {}) if {
	_is_namespace
	input.request.operation == "CREATE"
	is_object(input.request.object)
}

_gives_kind(entry) if not entry.kinds

_gives_kind(entry) if glob.match_any(entry.kinds, _kind)

_gives_operation(entry) if not entry.operations

_gives_operation(entry) if input.request.operation in entry.operations

_cluster_kind_within_reach if {
	some entry in _entries
	_gives_cluster_kind(entry)
	_gives_operation(entry)
}

_gives_cluster_kind(entry) if {
	glob.match_any(entry.cluster_kinds, _kind)
	not glob.match_any(object.get(entry, "except_cluster_kinds", []), _kind)
}

# What is let pass beyond it. The first two are also in matchConditions.

_let_pass if {
	input.request.operation in {"CREATE", "UPDATE"}
	_resource.resource == "events"
	_resource.group in {"", "events.k8s.io"}
}

_let_pass if _resource.resource in _reviews[_resource.group]

_let_pass if _changes_nothing_but(set())

_let_pass if {
	_controls
	_subresource == "status"
	input.request.operation == "UPDATE"
}

_let_pass if {
	_controls
	_subresource == ""
	_changes_nothing_but({["metadata", "finalizers"]})
}

_let_pass if {
	endswith(_resource.group, ".toolkit.fluxcd.io")
	_subresource == ""
	_changes_nothing_but({["metadata", "annotations", "reconcile.fluxcd.io/requestedAt"]})
}

_let_pass if {
	_touches_a_namespace
	_subresource == ""
	some controller in data.eksguard.settings.flux.controllers
	_user in controller.users
	glob.match_any(controller.manages, _kind)
}

_controls if {
	_touches_a_namespace
	some controller in data.eksguard.settings.flux.controllers
	_user in controller.users
	glob.match_any(controller.controls, _kind)
}

_reviews := {
	"authentication.k8s.io": {"selfsubjectreviews", "tokenreviews"},
	"authorization.k8s.io": {
		"localsubjectaccessreviews",
		"selfsubjectaccessreviews",
		"selfsubjectrulesreviews",
		"subjectaccessreviews",
	},
}

_changes_nothing_but(paths) if {
	input.request.operation == "UPDATE"
	_without(input.request.object, paths) == _without(input.request.oldObject, paths)
}

# Annotations that are absent and annotations that are empty are the same.
_without(value, paths) := json.remove(annotated, _kept_by_server | paths) if {
	is_object(value)
	annotated := object.union({"metadata": {"annotations": {}}}, value)
}

_kept_by_server := {["metadata", "managedFields"], ["metadata", "resourceVersion"], ["metadata", "generation"]}

# Words.

default _verb := "write"

_verb := {"CREATE": "create", "UPDATE": "update", "DELETE": "delete", "CONNECT": "connect to"}[input.request.operation]

default _way_out := "do it by other means than Flux"

_way_out := "move it to a namespace within reach" if {
	input.request.operation in {"CREATE", "UPDATE"}
	_subresource == ""
	not _is_namespace
}

_target := sprintf("%s %s", [_what, text.quote(_path)])

_what := _kind if _subresource == ""

_what := sprintf("%s/%s", [_resource.resource, _subresource]) if _subresource != ""

_path := _name if _is_namespace

_path := _name if not _touches_a_namespace

_path := sprintf("%s/%s", [_namespace, _name]) if {
	not _is_namespace
	_touches_a_namespace
}

# Where the namespace is given, and so the kind is not, or the operation, say so.
_offence := sprintf("namespace %s", [text.quote(_namespace)]) if not _gives_some_kind

_offence := sprintf("%skind %s in namespace %s", [_operation_in_words, text.quote(_kind), text.quote(_namespace)]) if {
	_gives_some_kind
}

default _operation_in_words := ""

_operation_in_words := sprintf("operation %s on ", [input.request.operation]) if _gives_some_operation

default _operations_in_fix := ""

_operations_in_fix := sprintf(", operations: [%s]", [input.request.operation]) if _gives_some_operation

# An entry that gives all but the operation.
_gives_some_operation if {
	_touches_a_namespace
	some entry in _entries
	_gives_namespace(entry)
	_gives_kind(entry)
}

_gives_some_operation if {
	not _touches_a_namespace
	some entry in _entries
	_gives_cluster_kind(entry)
}

_gives_some_kind if {
	some entry in _entries
	_gives_namespace(entry)
}

_namespaces_in_words := concat(", and ", array.concat(own, given)) if {
	own := [sprintf("its own namespace %s", [_own_namespace]) | _own_namespace]
	given := [_entry_in_words(entry) | some entry in _entries; _gives_namespaces(entry)]
	count(own) + count(given) > 0
} else := "empty"

_gives_namespaces(entry) if count(entry.namespaces) > 0

_gives_namespaces(entry) if {
	entry.namespace_selector
	not entry.namespaces
}

_entry_in_words(entry) := concat("", [
	_operations_in_words(entry),
	_kinds_in_words(entry),
	"namespaces ",
	_list(object.get(entry, "namespaces", ["*"])),
	_selector_in_words(entry),
	except,
]) if {
	except := concat("", [sprintf(" except %s", [_list(entry.except_namespaces)]) | count(entry.except_namespaces) > 0])
}

_operations_in_words(entry) := sprintf("%s in ", [concat(", ", entry.operations)]) if {
	entry.operations
	not entry.kinds
}

_operations_in_words(entry) := sprintf("%s of ", [concat(", ", entry.operations)]) if {
	entry.operations
	entry.kinds
}

_operations_in_words(entry) := "" if not entry.operations

_kinds_in_words(entry) := sprintf("kinds %s in ", [_list(entry.kinds)]) if entry.kinds

_kinds_in_words(entry) := "" if not entry.kinds

_selector_in_words(entry) := sprintf(" labelled %s", [selector.words(entry.namespace_selector)]) if {
	entry.namespace_selector
}

_selector_in_words(entry) := "" if not entry.namespace_selector

_cluster_kinds_in_words := concat(", and ", given) if {
	given := [_cluster_entry_in_words(entry) | some entry in _entries; count(entry.cluster_kinds) > 0]
	count(given) > 0
} else := "empty"

_cluster_entry_in_words(entry) := concat("", [operations, "kinds ", _list(entry.cluster_kinds), except]) if {
	excepted := object.get(entry, "except_cluster_kinds", [])
	operations := concat("", [sprintf("%s of ", [concat(", ", entry.operations)]) | entry.operations])
	except := concat("", [sprintf(" except %s", [_list(excepted)]) | count(excepted) > 0])
}

# As many as a message can bear.
_list(globs) := concat(", ", globs) if count(globs) <= _most

_list(globs) := sprintf("%s and %d more", [concat(", ", array.slice(globs, 0, _most)), count(globs) - _most]) if {
	count(globs) > _most
}

_most := 10
