# METADATA
# title: Tenancy of Flux
# description: |
#   Flux v2's controllers hold every right, and what names no ServiceAccount is applied with theirs. This policy keeps a
#   tenant's objects within that tenant: outside Flux's own namespaces a Kustomization, HelmRelease or ResourceSet (of
#   Flux Operator) runs as a ServiceAccount of its namespace, no object of Flux points at another tenant's namespace, and
#   what Flux makes under a ServiceAccount's name reaches no further than that ServiceAccount.
#
#   **A tenant** is a namespace, or all namespaces that bear the same value of `tenant_label`, which
#   `flux create tenant` sets. A reference within a tenant is free. Beyond it, `shared_sources` lets others read
#   sources, and `links` lets objects of some namespaces depend on, apply to or tell of what is in others:
#
#       shared_sources:
#         - {kinds: [HelmRepository, OCIRepository], namespaces: [flux-system], names: ["*"], with: ["*"]}
#       links:
#         - {from: ["team-a-*"], to: [flux-system], for: [dependency, notification]}
#
#   **Flux's own namespaces** are the platform team's. What is in them may refer to everything.
#
#   **Nesting.** A Kustomization makes whatever its source holds, so also another Kustomization. What is made under the
#   name of a ServiceAccount must be in the namespace of that ServiceAccount, and a Kustomization, HelmRelease or
#   ResourceSet must run as the same one, wherever it is: in Flux's own namespace too, where it could do without. This
#   holds for every ServiceAccount but those that `trusted` names, since an impersonated one cannot be told from one that
#   a Pod runs as.
#   `delegates` lists what else some may make:
#
#       delegates:
#         - {users: ["system:serviceaccount:portal:portal"], namespaces: ["team-*"], service_accounts: [reconciler]}
#
#   An update counts where it changes the spec: whoever points another ServiceAccount's Kustomization at other manifests
#   has them applied by that one.
#
#   **What is not seen here.** RBAC bounds what a ServiceAccount may do, and whether a person may write in a namespace.
#   A kubeConfig is no substitute for serviceAccountName, since with both Flux impersonates in the other cluster.
# custom:
#   match:
#     - apiGroups: [kustomize.toolkit.fluxcd.io]
#       apiVersions: ["*"]
#       resources: [kustomizations]
#       operations: [CREATE, UPDATE]
#       scope: Namespaced
#     - apiGroups: [helm.toolkit.fluxcd.io]
#       apiVersions: ["*"]
#       resources: [helmreleases, helmreleases/status]
#       operations: [CREATE, UPDATE]
#       scope: Namespaced
#     - apiGroups: [source.toolkit.fluxcd.io, image.toolkit.fluxcd.io, notification.toolkit.fluxcd.io]
#       apiVersions: ["*"]
#       resources: ["*"]
#       operations: [CREATE, UPDATE]
#       scope: Namespaced
#     - apiGroups: [fluxcd.controlplane.io]
#       apiVersions: ["*"]
#       resources: [resourcesets]
#       operations: [CREATE, UPDATE]
#       scope: Namespaced
#     - apiGroups: [source.extensions.fluxcd.io]
#       apiVersions: ["*"]
#       resources: [artifactgenerators]
#       operations: [CREATE, UPDATE]
#       scope: Namespaced
#     - apiGroups: [""]
#       apiVersions: ["v1"]
#       resources: [namespaces, namespaces/status, namespaces/finalize]
#       operations: [CREATE, UPDATE]
#   matchConditions:
#     # Controllers write status, finalizers and annotations all the time.
#     - name: changes-the-spec
#       expression: |
#         request.resource.resource == "namespaces" || request.?subResource.orValue("") == "status" ||
#         oldObject == null || object == null || object.?spec != oldObject.?spec
#     - name: changes-the-chart-of-a-release
#       expression: |
#         request.resource.resource == "namespaces" || request.?subResource.orValue("") != "status" ||
#         oldObject == null || object == null ||
#         type(object.?status.orValue({})) != map || object.?status.?helmChart != oldObject.?status.?helmChart
#     - name: changes-the-tenant-of-a-namespace
#       expression: |
#         request.resource.resource != "namespaces" || object == null ||
#         [optional.of(object), oldObject == null ? optional.none() : optional.of(oldObject)].exists(it,
#           it.?metadata.?labels[?{{ json .settings.flux_tenancy.tenant_label }}].hasValue()
#         ) && (
#           oldObject == null ||
#           object.?metadata.?labels[?{{ json .settings.flux_tenancy.tenant_label }}] !=
#           oldObject.?metadata.?labels[?{{ json .settings.flux_tenancy.tenant_label }}]
#         )
#     # What the platform team writes in Flux's own namespaces, people and Flux itself among it.
#     - name: by-a-tenant-or-for-one
#       expression: |
#         request.resource.resource != "namespaces" &&
#         !(request.namespace in {{ json .settings.flux_tenancy.flux_namespaces }}) ||
#         request.?userInfo.?username.orValue("").startsWith("system:serviceaccount:")
#   failurePolicy: Fail
#   needs:
#     - apiVersion: v1
#       resource: namespaces
#       metadataOnly: true
#   settings:
#     type: object
#     description: What objects of Flux may point at.
#     additionalProperties: false
#     required: [flux_namespaces, tenant_label, trusted, delegates, shared_sources, links]
#     properties:
#       flux_namespaces:
#         description: Flux's own namespaces, which are no tenant's.
#         type: array
#         items: {type: string, pattern: "^[a-z0-9-]+$"}
#       tenant_label:
#         description: The Namespace label whose value is the same in all namespaces of a tenant.
#         type: string
#         minLength: 1
#       trusted:
#         description: Globs of the ServiceAccounts, as usernames, that may make objects of Flux for everyone.
#         type: array
#         items: {type: string, pattern: "^system:serviceaccount:[a-z0-9.*-]+:[a-z0-9.*-]+$"}
#       delegates:
#         description: What ServiceAccounts may make besides what reaches as far as themselves.
#         type: array
#         items:
#           type: object
#           additionalProperties: false
#           required: [users, namespaces]
#           properties:
#             users:
#               description: Globs of usernames.
#               type: array
#               minItems: 1
#               items: {type: string, pattern: "^system:serviceaccount:[a-z0-9.*-]+:[a-z0-9.*-]+$"}
#             namespaces:
#               description: Globs of the namespaces that they may make objects of Flux in.
#               type: array
#               items: {type: string, pattern: "^[a-z0-9*-]+$"}
#             service_accounts:
#               description: Globs of the ServiceAccounts that these may run as; none if absent.
#               type: array
#               items: {type: string, pattern: "^[a-z0-9.*-]+$"}
#       shared_sources:
#         description: Sources that other namespaces may read.
#         type: array
#         items:
#           type: object
#           additionalProperties: false
#           required: [kinds, namespaces, with]
#           properties:
#             kinds:
#               description: Globs of kinds, such as HelmRepository; ImageRepository is one as well.
#               type: array
#               items: {type: string, pattern: "^[A-Za-z*]+$"}
#             namespaces:
#               description: Globs of the namespaces that the sources are in.
#               type: array
#               items: {type: string, pattern: "^[a-z0-9*-]+$"}
#             names:
#               description: Globs of the names of the sources; all if absent.
#               type: array
#               items: {type: string, pattern: "^[a-z0-9.*-]+$"}
#             with:
#               description: Globs of the namespaces that may read them.
#               type: array
#               items: {type: string, pattern: "^[a-z0-9*-]+$"}
#       links:
#         description: References to other namespaces that are no reading of sources.
#         type: array
#         items:
#           type: object
#           additionalProperties: false
#           required: [from, to, for]
#           properties:
#             from:
#               description: Globs of the namespaces that the objects are in.
#               type: array
#               items: {type: string, pattern: "^[a-z0-9*-]+$"}
#             to:
#               description: Globs of the namespaces that they point at.
#               type: array
#               items: {type: string, pattern: "^[a-z0-9*-]+$"}
#             for:
#               description: |
#                 By what rules: target (applies to), dependency (depends on, waits for), notification (tells of,
#                 triggers), push (writes to the repository of).
#               type: array
#               items: {enum: [target, dependency, notification, push]}
package eksguard.flux_tenancy

import data.eksguard.lib.glob
import data.eksguard.lib.path
import data.eksguard.lib.text

_settings := data.eksguard.settings.flux_tenancy

# METADATA
# title: Fields of Flux objects can be read
# description: What decides where an object of Flux reaches must be of the type that Flux reads.
# custom:
#   id: form
#   severity: high
#   fix: Give the field the type that Flux's documentation says.
#   examples:
#     violates:
#       note: A list with a dash too few is an object.
#       object:
#         apiVersion: kustomize.toolkit.fluxcd.io/v1
#         kind: Kustomization
#         metadata: {name: apps, namespace: team-a}
#         spec: {serviceAccountName: reconciler, path: ./apps, dependsOn: {name: infra}}
#     passes:
#       object:
#         apiVersion: kustomize.toolkit.fluxcd.io/v1
#         kind: Kustomization
#         metadata: {name: apps, namespace: team-a}
#         spec: {serviceAccountName: reconciler, path: ./apps, dependsOn: [{name: infra}]}
deny contains violation if {
	_is_tenants
	some misfit in (_misfits(_new) - _misfits(_old))
	violation := {
		"rule": "form",
		"field": path.field(misfit.path),
		"message": sprintf("%s is of type %s, expected %s", [
			text.quote(misfit.value),
			type_name(misfit.value),
			misfit.expected,
		]),
		"fix": sprintf("make it %s", [misfit.expected]),
	}
}

# METADATA
# title: Tenants' objects run as a ServiceAccount of their own
# description: |
#   A Kustomization, HelmRelease or ResourceSet outside Flux's own namespaces needs spec.serviceAccountName: without it
#   the controller applies it with its own rights, which are usually all.
# custom:
#   id: service-account
#   severity: critical
#   fix: Name in spec.serviceAccountName a ServiceAccount of the namespace that may do no more than is needed.
#   examples:
#     violates:
#       object:
#         apiVersion: kustomize.toolkit.fluxcd.io/v1
#         kind: Kustomization
#         metadata: {name: apps, namespace: team-a}
#         spec: {path: ./apps, prune: true, sourceRef: {kind: GitRepository, name: team-a}}
#     passes:
#       object:
#         apiVersion: kustomize.toolkit.fluxcd.io/v1
#         kind: Kustomization
#         metadata: {name: apps, namespace: team-a}
#         spec:
#           serviceAccountName: reconciler
#           path: ./apps
#           prune: true
#           sourceRef: {kind: GitRepository, name: team-a}
deny contains violation if {
	_is_tenants
	_runs
	_account(_new) == ""
	not _ran_so_before
	violation := {
		"rule": "service-account",
		"field": "spec.serviceAccountName",
		"message": sprintf(
			"%s in namespace %s names no ServiceAccount, so that Flux would apply it with its own rights",
			[_what, text.quote(_namespace)],
		),
		"fix": sprintf(
			"name a ServiceAccount of namespace %s there that may do no more than is needed, or move it to %s",
			[text.quote(_namespace), _flux_namespaces_in_words],
		),
	}
}

# METADATA
# title: Sources are read where they are shared
# description: |
#   A source of another tenant is read only where shared_sources says so, since whoever reads it sees all that is in it,
#   and may let Flux read it with that tenant's credentials.
# custom:
#   id: source
#   severity: high
#   fix: Use a source of the same namespace, or share that one in settings.flux_tenancy.shared_sources.
#   examples:
#     violates:
#       object:
#         apiVersion: kustomize.toolkit.fluxcd.io/v1
#         kind: Kustomization
#         metadata: {name: apps, namespace: team-a}
#         spec:
#           serviceAccountName: reconciler
#           sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}
#     passes:
#       note: By default HelmRepositories of flux-system are shared with everyone.
#       object:
#         apiVersion: helm.toolkit.fluxcd.io/v2
#         kind: HelmRelease
#         metadata: {name: podinfo, namespace: team-a}
#         spec:
#           serviceAccountName: reconciler
#           chart: {spec: {chart: podinfo, sourceRef: {kind: HelmRepository, name: podinfo, namespace: flux-system}}}
deny contains violation if {
	some reference in _new_references("source")
	not _shared(reference)
	kind := object.get(reference.holder, "kind", _implied_kind)
	violation := {
		"rule": "source",
		"field": path.field(reference.path),
		"message": sprintf("%s may not read %s %s of namespace %s, which %s", [
			_itself,
			_bounded(kind),
			text.quote(object.get(reference.holder, "name", "")),
			text.quote(reference.namespace),
			_stranger,
		]),
		"fix": sprintf(
			"%s, or add {kinds: [%s], namespaces: [%s], with: [%s]} to settings.flux_tenancy.shared_sources",
			["use a source of the same namespace", _bounded(kind), text.quote(reference.namespace), text.quote(_namespace)],
		),
	}
}

# METADATA
# title: Image automation pushes to repositories of its tenant
# description: |
#   An ImageUpdateAutomation pushes commits with the deploy key of the GitRepository that it names. With that of another
#   namespace, Flux's own above all, it writes what that namespace deploys. shared_sources shares reading only.
# custom:
#   id: push
#   severity: critical
#   fix: Use a GitRepository of the same namespace.
#   examples:
#     violates:
#       object:
#         apiVersion: image.toolkit.fluxcd.io/v1
#         kind: ImageUpdateAutomation
#         metadata: {name: shop, namespace: team-a}
#         spec:
#           sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}
#           git: {push: {branch: main}}
#     passes:
#       object:
#         apiVersion: image.toolkit.fluxcd.io/v1
#         kind: ImageUpdateAutomation
#         metadata: {name: shop, namespace: team-a}
#         spec:
#           sourceRef: {kind: GitRepository, name: team-a}
#           git: {push: {branch: main}}
deny contains violation if {
	some reference in _new_references("push")
	violation := {
		"rule": "push",
		"field": path.field(reference.path),
		"message": sprintf("%s may not push to GitRepository %s of namespace %s with its deploy key; that namespace %s", [
			_itself,
			text.quote(object.get(reference.holder, "name", "")),
			text.quote(reference.namespace),
			_stranger,
		]),
		"fix": sprintf("use a GitRepository of the same namespace, %s", [_or_link(reference)]),
	}
}

# METADATA
# title: Objects are applied to namespaces of the same tenant
# description: |
#   Target and storage namespace of a Kustomization or HelmRelease, and where an ArtifactGenerator writes, must belong
#   to the tenant.
# custom:
#   id: target
#   severity: high
#   fix: Apply to the same namespace.
#   examples:
#     violates:
#       object: &stage
#         apiVersion: kustomize.toolkit.fluxcd.io/v1
#         kind: Kustomization
#         metadata: {name: apps, namespace: team-a}
#         spec: {serviceAccountName: reconciler, targetNamespace: team-a-stage}
#     passes:
#       note: Both namespaces are of the same tenant.
#       object: *stage
#       cluster:
#         - apiVersion: v1
#           kind: Namespace
#           metadata: {name: team-a, labels: {toolkit.fluxcd.io/tenant: team-a}}
#         - apiVersion: v1
#           kind: Namespace
#           metadata: {name: team-a-stage, labels: {toolkit.fluxcd.io/tenant: team-a}}
deny contains violation if {
	some reference in _new_references("target")
	violation := {
		"rule": "target",
		"field": path.field(reference.path),
		"message": sprintf("%s may not apply to namespace %s, which %s", [
			_itself,
			text.quote(reference.namespace),
			_stranger,
		]),
		"fix": sprintf("remove the field, so that it is %s, %s", [text.quote(_namespace), _or_link(reference)]),
	}
}

# METADATA
# title: Tenants do not manage namespaces
# description: |
#   spec.managedNamespaces lets an ArtifactGenerator create, label and delete Namespaces by expressions of its author's.
# custom:
#   id: managed-namespaces
#   severity: high
#   fix: Leave it to the platform team to make the namespaces.
#   examples:
#     violates:
#       object:
#         apiVersion: source.extensions.fluxcd.io/v1beta1
#         kind: ArtifactGenerator
#         metadata: {name: apps, namespace: team-a}
#         spec:
#           sources: [{alias: apps, kind: GitRepository, name: team-a}]
#           managedNamespaces: {prune: true}
#     passes:
#       object:
#         apiVersion: source.extensions.fluxcd.io/v1beta1
#         kind: ArtifactGenerator
#         metadata: {name: apps, namespace: team-a}
#         spec:
#           sources: [{alias: apps, kind: GitRepository, name: team-a}]
deny contains violation if {
	_is_tenants
	_resource == "artifactgenerators"
	managed := object.get(_new, ["spec", "managedNamespaces"], null)
	managed != null
	managed != object.get(_old, ["spec", "managedNamespaces"], null)
	violation := {
		"rule": "managed-namespaces",
		"field": "spec.managedNamespaces",
		"message": sprintf("%s may not create and delete Namespaces", [_itself]),
		"fix": sprintf("remove the field, or move the object to %s", [_flux_namespaces_in_words]),
	}
}

# METADATA
# title: Objects depend on objects of the same tenant
# description: |
#   What an object depends on and whose health it waits for tells its author of the state of that object.
# custom:
#   id: dependency
#   severity: medium
#   fix: Depend on objects of the same namespace.
#   examples:
#     violates:
#       object: &infra
#         apiVersion: kustomize.toolkit.fluxcd.io/v1
#         kind: Kustomization
#         metadata: {name: apps, namespace: team-a}
#         spec:
#           serviceAccountName: reconciler
#           dependsOn: [{name: infra, namespace: flux-system}]
#     passes:
#       note: The settings let the tenants wait for what is in flux-system.
#       object: *infra
#       settings: {flux_tenancy: {links: [{from: [team-*], to: [flux-system], for: [dependency]}]}}
deny contains violation if {
	some reference in _new_references("dependency")
	violation := {
		"rule": "dependency",
		"field": path.field(reference.path),
		"message": sprintf("%s may not wait for %s of namespace %s, which %s", [
			_itself,
			text.quote(object.get(reference.holder, "name", "")),
			text.quote(reference.namespace),
			_stranger,
		]),
		"fix": sprintf("depend on an object of the same namespace, %s", [_or_link(reference)]),
	}
}

# METADATA
# title: Notifications are about objects of the same tenant
# description: |
#   An Alert sends out what happens to the objects that it names, and a Receiver lets whoever knows its URL trigger
#   them.
# custom:
#   id: notification
#   severity: medium
#   fix: Name objects of the same namespace.
#   examples:
#     violates:
#       object:
#         apiVersion: notification.toolkit.fluxcd.io/v1beta3
#         kind: Alert
#         metadata: {name: all, namespace: team-a}
#         spec: {providerRef: {name: chat}, eventSources: [{kind: Kustomization, name: "*", namespace: flux-system}]}
#     passes:
#       object:
#         apiVersion: notification.toolkit.fluxcd.io/v1beta3
#         kind: Alert
#         metadata: {name: all, namespace: team-a}
#         spec: {providerRef: {name: chat}, eventSources: [{kind: Kustomization, name: "*"}]}
deny contains violation if {
	some reference in _new_references("notification")
	violation := {
		"rule": "notification",
		"field": path.field(reference.path),
		"message": sprintf("%s may not watch or trigger %s %s of namespace %s, which %s", [
			_itself,
			_bounded(object.get(reference.holder, "kind", "object")),
			text.quote(object.get(reference.holder, "name", "")),
			text.quote(reference.namespace),
			_stranger,
		]),
		"fix": sprintf("name objects of the same namespace, %s", [_or_link(reference)]),
	}
}

# METADATA
# title: A release keeps its chart in its tenant
# description: |
#   helm-controller deletes the HelmChart that status.helmChart names, with its own rights, when a release goes or
#   changes its chart. Nobody but Flux writes another namespace there.
# custom:
#   id: chart
#   severity: high
#   fix: Leave the status to helm-controller.
#   examples:
#     violates:
#       object:
#         apiVersion: helm.toolkit.fluxcd.io/v2
#         kind: HelmRelease
#         metadata: {name: podinfo, namespace: team-a}
#         status: {helmChart: team-b/shop}
#       oldObject: &podinfo
#         apiVersion: helm.toolkit.fluxcd.io/v2
#         kind: HelmRelease
#         metadata: {name: podinfo, namespace: team-a}
#         status: {helmChart: team-a/team-a-podinfo}
#       subresource: status
#       user: system:serviceaccount:team-a:reconciler
#     passes:
#       object:
#         apiVersion: helm.toolkit.fluxcd.io/v2
#         kind: HelmRelease
#         metadata: {name: podinfo, namespace: team-a}
#         status: {helmChart: flux-system/team-a-podinfo}
#       oldObject: *podinfo
#       subresource: status
#       user: system:serviceaccount:flux-system:helm-controller
deny contains violation if {
	_resource == "helmreleases"
	_subresource == "status"
	not _namespace in _settings.flux_namespaces
	not _trusted
	value := object.get(_new, ["status", "helmChart"], "")
	value != object.get(_old, ["status", "helmChart"], "")
	not _own_chart(value)
	violation := {
		"rule": "chart",
		"field": "status.helmChart",
		"message": sprintf("%s is set by %s, but Flux would delete that HelmChart with its own rights", [
			text.quote(value),
			text.quote(_user),
		]),
	}
}

# METADATA
# title: What a ServiceAccount makes reaches no further than itself
# description: |
#   An object of Flux that is made, or whose spec is changed, under the name of a ServiceAccount is in the namespace of
#   that ServiceAccount; and a Kustomization, HelmRelease or ResourceSet runs as the same one.
# custom:
#   id: nested
#   severity: critical
#   fix: Let the nested object run as the ServiceAccount that makes it, in its namespace.
#   examples:
#     violates:
#       note: What Flux applies as team-a's reconciler would make Flux apply something as another ServiceAccount.
#       object:
#         apiVersion: kustomize.toolkit.fluxcd.io/v1
#         kind: Kustomization
#         metadata: {name: more, namespace: team-a}
#         spec: {serviceAccountName: admin, path: ./more, sourceRef: {kind: GitRepository, name: team-a}}
#       user: system:serviceaccount:team-a:reconciler
#     passes:
#       object:
#         apiVersion: kustomize.toolkit.fluxcd.io/v1
#         kind: Kustomization
#         metadata: {name: more, namespace: team-a}
#         spec: {serviceAccountName: reconciler, path: ./more, sourceRef: {kind: GitRepository, name: team-a}}
#       user: system:serviceaccount:team-a:reconciler
deny contains violation if {
	_makes
	not _within_maker
	not _delegated
	violation := {
		"rule": "nested",
		"field": _nested_field,
		"message": sprintf("%s may not make %s %s in namespace %s%s: it would reach further than its maker", [
			text.quote(_user),
			_what,
			text.quote(_name),
			text.quote(_namespace),
			_as_in_words,
		]),
		"fix": concat("", [_nested_fix, _or_delegate]),
	}
}

# METADATA
# title: ServiceAccounts do not move namespaces between tenants
# description: |
#   The label that tells whose a namespace is decides what may point at it, so that no ServiceAccount sets, changes or
#   removes it, but those that are trusted.
# custom:
#   id: tenant-label
#   severity: high
#   fix: Let the platform team set the label.
#   examples:
#     violates:
#       object: &joins
#         apiVersion: v1
#         kind: Namespace
#         metadata: {name: team-a, labels: {toolkit.fluxcd.io/tenant: team-b}}
#       oldObject: &alone
#         apiVersion: v1
#         kind: Namespace
#         metadata: {name: team-a, labels: {toolkit.fluxcd.io/tenant: team-a}}
#       user: system:serviceaccount:team-a:reconciler
#     passes:
#       note: Flux itself applies what the platform team has in its repository.
#       object: *joins
#       oldObject: *alone
#       user: system:serviceaccount:flux-system:kustomize-controller
deny contains violation if {
	_resource == "namespaces"
	_is_service_account
	not _trusted
	value := _label(_new)
	before := _label(_old)
	value != before
	violation := {
		"rule": "tenant-label",
		"field": sprintf("metadata.labels[%q]", [_settings.tenant_label]),
		"message": sprintf("%s may not change it from %s to %s: it tells which tenant namespace %s belongs to", [
			text.quote(_user),
			_or_absent(before),
			_or_absent(value),
			text.quote(_name),
		]),
		"fix": "let the platform team set the label, or add the ServiceAccount to settings.flux_tenancy.trusted",
	}
}

# The request.

_resource := input.request.resource.resource

_subresource := object.get(input.request, "subResource", "")

_namespace := object.get(input.request, "namespace", "")

_user := object.get(input.request, ["userInfo", "username"], "")

default _kind := "object"

_kind := input.request.kind.kind

default _name := ""

_name := input.request.name if {
	input.request.name != ""
} else := _new.metadata.name

default _new := {}

_new := input.request.object if is_object(input.request.object)

default _old := {}

_old := input.request.oldObject if is_object(input.request.oldObject)

_is_write if {
	_subresource == ""
	_resource != "namespaces"
}

_is_tenants if {
	_is_write
	not _namespace in _settings.flux_namespaces
}

# Where it runs.

_runs if _resource in _running

_running := {"kustomizations", "helmreleases", "resourcesets"}

_account(object_) := name if {
	name := object.get(object_, ["spec", "serviceAccountName"], "")
	is_string(name)
} else := ""

_ran_so_before if {
	input.request.operation == "UPDATE"
	_account(_old) == ""
}

# What it points at. Each field that Flux reads, and all that lead to it, with the type that it must have; "#" is an
# index. A string at the end of a reference is a namespace.

_types[resource][field] := expected if {
	some resource, fields in _references
	some reference in object.keys(fields)
	steps := split(reference, "/")
	some length in numbers.range(1, count(steps))
	field := concat("/", array.slice(steps, 0, length))
	expected := _type(array.slice(steps, length, length + 1))
}

_types[resource]["spec/serviceAccountName"] := "a string" if some resource in _running

# What a field must be for the next step to lead on.
_type([]) := "a string"

_type(["#"]) := "a list"

_type([step]) := "an object" if step != "#"

_references := {
	"kustomizations": {
		"spec/sourceRef/namespace": "source",
		"spec/dependsOn/#/namespace": "dependency",
		"spec/healthChecks/#/namespace": "dependency",
		"spec/targetNamespace": "target",
	},
	"helmreleases": {
		"spec/chart/spec/sourceRef/namespace": "source",
		"spec/chartRef/namespace": "source",
		"spec/dependsOn/#/namespace": "dependency",
		"spec/targetNamespace": "target",
		"spec/storageNamespace": "target",
	},
	"resourcesets": {"spec/dependsOn/#/namespace": "dependency"},
	"imagepolicies": {"spec/imageRepositoryRef/namespace": "source"},
	"imageupdateautomations": {"spec/sourceRef/namespace": "push"},
	"alerts": {"spec/eventSources/#/namespace": "notification"},
	"receivers": {"spec/resources/#/namespace": "notification"},
	"artifactgenerators": {
		"spec/sources/#/namespace": "source",
		"spec/artifacts/#/namespace": "target",
	},
}

# All values of the object that the table names, by their path.
_values(object_) := {{"path": steps, "field": field, "value": value} |
	walk({"spec": object.get(object_, "spec", {})}, [steps, value])
	field := concat("/", [_word(step) | some step in steps])
	_types[_resource][field]
}

_word(step) := "#" if is_number(step)

_word(step) := step if is_string(step)

_misfits(object_) := {misfit |
	some entry in _values(object_)
	expected := _types[_resource][entry.field]
	entry.value != null
	not _type_words[type_name(entry.value)] == expected
	misfit := {"path": entry.path, "value": entry.value, "expected": expected}
}

_type_words := {"object": "an object", "array": "a list", "string": "a string"}

# References out of the tenant, less those that the old object had, wherever in a list.
_new_references(purpose) := {reference |
	_is_tenants
	some reference in _crossing(purpose, _new)
	not _without_path(reference) in {_without_path(old) | some old in _crossing(purpose, _old)}
}

_without_path(reference) := object.remove(reference, ["path"])

_crossing(purpose, object_) := {reference |
	some entry in _values(object_)
	_references[_resource][entry.field] == purpose
	is_string(entry.value)
	not entry.value in {"", _namespace}
	not _same_tenant(entry.value)
	not _linked(purpose, entry.value)
	reference := {
		"path": entry.path,
		"field": entry.field,
		"namespace": entry.value,
		"purpose": purpose,
		"holder": _identity(object.get(object_, array.slice(entry.path, 0, count(entry.path) - 1), {})),
	}
}

# What is referred to; two references that differ in nothing of it are the same.
_identity(holder) := {key: value |
	some key in ["kind", "name", "apiVersion", "matchLabels"]
	value := holder[key]
}

_same_tenant(other) if {
	tenant := _tenant(_namespace)
	tenant != ""
	tenant == _tenant(other)
}

_tenant(namespace) := data.cluster["v1/namespaces"][namespace].metadata.labels[_settings.tenant_label]

_linked(purpose, other) if {
	some link in _settings.links
	purpose in link.for
	glob.match_any(link.from, _namespace)
	glob.match_any(link.to, other)
}

_shared(reference) if {
	some share in _settings.shared_sources
	glob.match_any(share.kinds, object.get(reference.holder, "kind", _implied_kind))
	glob.match_any(share.namespaces, reference.namespace)
	glob.match_any(object.get(share, "names", ["*"]), object.get(reference.holder, "name", ""))
	glob.match_any(share["with"], _namespace)
}

# A reference of these kinds says no kind.
default _implied_kind := ""

_implied_kind := "ImageRepository" if _resource == "imagepolicies"

_own_chart("") := true

_own_chart(value) if {
	is_string(value)
	namespace := split(value, "/")[0]
	namespace == _namespace
}

# Who makes it.

_is_service_account if {
	is_string(_user)
	startswith(_user, "system:serviceaccount:")
}

# A username that only looks like a ServiceAccount's makes nothing.
default _maker := {"namespace": "", "name": ""}

_maker := {"namespace": parts[2], "name": parts[3]} if {
	_is_service_account
	parts := split(_user, ":")
	count(parts) == 4
}

_trusted if glob.match_any(_settings.trusted, _user)

_makes if {
	_is_write
	_is_service_account
	not _trusted
	object.get(_new, "spec", null) != object.get(_old, "spec", null)
}

_makes if {
	_is_write
	_is_service_account
	not _trusted
	input.request.operation == "CREATE"
}

_within_maker if {
	_maker.namespace == _namespace
	not _runs
}

_within_maker if {
	_maker.namespace == _namespace
	_maker.name == _account(_new)
}

_delegated if {
	some delegate in _settings.delegates
	glob.match_any(delegate.users, _user)
	glob.match_any(delegate.namespaces, _namespace)
	_delegates_account(delegate)
}

_delegates_account(_) if not _runs

_delegates_account(delegate) if {
	name := _account(_new)
	name != ""
	glob.match_any(delegate.service_accounts, name)
}

_label(object_) := object.get(object_, ["metadata", "labels", _settings.tenant_label], null)

# Words.

_what := _bounded(_kind)

_itself := sprintf("%s %s of namespace %s", [_what, text.quote(_name), text.quote(_namespace)])

_stranger := sprintf("is not of its tenant (label %s)", [_settings.tenant_label])

_or_link(reference) := sprintf(
	"or add {from: [%s], to: [%s], for: [%s]} to settings.flux_tenancy.links",
	[text.quote(_namespace), text.quote(reference.namespace), reference.purpose],
)

# A kind is a word; what is none is quoted.
_bounded(kind) := kind if {
	is_string(kind)
	regex.match(`^[A-Za-z]{1,63}$`, kind)
} else := text.quote(kind)

_flux_namespaces_in_words := sprintf("a namespace of Flux's own (%s)", [concat(", ", _settings.flux_namespaces)])

_or_absent(value) := "none" if value == null

_or_absent(value) := text.quote(value) if value != null

_nested_field := "metadata.namespace" if not _maker.namespace == _namespace

_nested_field := "spec.serviceAccountName" if _maker.namespace == _namespace

default _as_in_words := ""

_as_in_words := " to run with Flux's own rights" if _runs_as_flux

_as_in_words := sprintf(" to run as ServiceAccount %s", [text.quote(_account(_new))]) if {
	_runs
	_account(_new) != ""
}

_nested_fix := sprintf("move it to namespace %s%s", [text.quote(_maker.namespace), _as_its_maker]) if {
	not _maker.namespace == _namespace
}

_nested_fix := sprintf("set it to %s", [text.quote(_maker.name)]) if _maker.namespace == _namespace

default _as_its_maker := ""

_as_its_maker := sprintf(" with spec.serviceAccountName %s", [text.quote(_maker.name)]) if _runs

# What runs with Flux's own rights is delegated to no one.
default _or_delegate := ""

_or_delegate := sprintf(", or add {users: [%s], namespaces: [%s]%s} to settings.flux_tenancy.delegates", [
	text.quote(_user),
	text.quote(_namespace),
	_accounts_in_fix,
]) if {
	not _runs_as_flux
}

default _accounts_in_fix := ""

_accounts_in_fix := sprintf(", service_accounts: [%s]", [text.quote(_account(_new))]) if _runs

_runs_as_flux if {
	_runs
	_account(_new) == ""
}
