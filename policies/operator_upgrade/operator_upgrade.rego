# METADATA
# title: Upgrades of Prometheus Operator
# description: |
#   prometheus-operator needs its CRDs at its own version. Where one is missing it only logs that and leaves the
#   kind alone, and where one is older the API server drops the fields that it does not know: nothing fails, and
#   monitoring is silently gone. This policy lets an operator roll only after its CRDs, and keeps the CRDs while
#   they are in use.
#
#   **The operator** is every container, in a Deployment, StatefulSet or DaemonSet, whose image is of a repository
#   in settings.operator_upgrade.images. Its version is the one that the image's tag begins with; where the tag has
#   none, or there is only a digest, the one of the image in `--prometheus-config-reloader`. Labels say nothing. It
#   is judged when it rolls, that is on creation and when its image, command or arguments change. Replicas,
#   resources and everything else may change whatever the CRDs are, and so may the version go down. Versions before
#   0.39.0 bring their CRDs themselves.
#
#   **The CRDs.** What version X needs is each CRD that X comes with, at X or newer by its annotation
#   operator.prometheus.io/version. CRDs before 0.69.0 have no annotation, nor have the full CRDs before 0.89.0: the
#   fields of spec that they serve may still tell that they are older, and where they do not, there is a warning.
#
#   **CRDs in use.** A CRD of group monitoring.coreos.com is not deleted, and does not go back to an older version,
#   while there are objects of its kind, or while it is not known whether there are: deletion takes them along, and
#   an older schema drops fields of them. It goes back where the version in its annotation does, where the
#   annotation is lost, and where fields of spec are no longer served although the version does not rise.
#
#   A Pod or ReplicaSet is not judged: what the Deployment has been let do must be able to run.
# custom:
#   match:
#     - apiGroups: ["apps"]
#       apiVersions: ["v1"]
#       resources: ["deployments", "statefulsets", "daemonsets"]
#       operations: ["CREATE", "UPDATE"]
#     - apiGroups: ["apiextensions.k8s.io"]
#       apiVersions: ["v1"]
#       resources: ["customresourcedefinitions"]
#       operations: ["UPDATE", "DELETE"]
#   matchConditions:
#     - name: operator-or-crd
#       expression: |
#         request.resource.resource == "customresourcedefinitions"
#         ? oldObject == null || oldObject.metadata.name.endsWith(".monitoring.coreos.com")
#         : object != null && [
#             object.?spec.?template.?spec.?containers, object.?spec.?template.?spec.?initContainers
#           ].exists(containers, containers.orValue([]).exists(c,
#             {{ json .settings.operator_upgrade.images }}.exists(glob,
#               c.?image.orValue("").matches("(?s)" + glob.replace("*", ".*"))
#             )
#           ))
#     - name: rolls
#       expression: |
#         request.resource.resource == "customresourcedefinitions" || oldObject == null ||
#         object.?spec.?template.?spec != oldObject.?spec.?template.?spec
#   failurePolicy: Fail
#   needs:
#     - apiVersion: apiextensions.k8s.io/v1
#       resource: customresourcedefinitions
#       fields:
#         - [metadata, deletionTimestamp]
#         - [metadata, annotations, operator.prometheus.io/version]
#         - [spec, versions, "*", served]
#         - [spec, versions, "*", schema, openAPIV3Schema, properties, spec, properties, "*", type]
#     # Whether there are objects of these kinds, and their names.
#     - apiVersion: monitoring.coreos.com/v1
#       resource: alertmanagers
#       metadataOnly: true
#       optional: true
#       fields: [[kind]]
#     - apiVersion: monitoring.coreos.com/v1
#       resource: podmonitors
#       metadataOnly: true
#       optional: true
#       fields: [[kind]]
#     - apiVersion: monitoring.coreos.com/v1
#       resource: probes
#       metadataOnly: true
#       optional: true
#       fields: [[kind]]
#     - apiVersion: monitoring.coreos.com/v1
#       resource: prometheuses
#       metadataOnly: true
#       optional: true
#       fields: [[kind]]
#     - apiVersion: monitoring.coreos.com/v1
#       resource: prometheusrules
#       metadataOnly: true
#       optional: true
#       fields: [[kind]]
#     - apiVersion: monitoring.coreos.com/v1
#       resource: servicemonitors
#       metadataOnly: true
#       optional: true
#       fields: [[kind]]
#     - apiVersion: monitoring.coreos.com/v1
#       resource: thanosrulers
#       metadataOnly: true
#       optional: true
#       fields: [[kind]]
#     - apiVersion: monitoring.coreos.com/v1alpha1
#       resource: alertmanagerconfigs
#       metadataOnly: true
#       optional: true
#       fields: [[kind]]
#     - apiVersion: monitoring.coreos.com/v1alpha1
#       resource: prometheusagents
#       metadataOnly: true
#       optional: true
#       fields: [[kind]]
#     - apiVersion: monitoring.coreos.com/v1alpha1
#       resource: scrapeconfigs
#       metadataOnly: true
#       optional: true
#       fields: [[kind]]
#   settings:
#     type: object
#     description: What an operator is.
#     additionalProperties: false
#     required: [images]
#     properties:
#       images:
#         description: Globs of the repositories, registry included and tag not, that hold prometheus-operator.
#         type: array
#         items: {type: string, pattern: "^[a-z0-9._:/*-]+$"}
package eksguard.operator_upgrade

import data.eksguard.lib.glob
import data.eksguard.lib.image
import data.eksguard.lib.path
import data.eksguard.lib.prometheus_operator
import data.eksguard.lib.text

# METADATA
# title: The CRDs are upgraded before the operator
# description: A CRD that the operator's version comes with is missing, being deleted, or of an older version.
# custom:
#   id: crds-first
#   severity: high
#   fix: apply the CRDs of the operator's version first, with kubectl apply --server-side
#   examples:
#     violates:
#       note: The operator comes first to a cluster without any of its CRDs.
#       object: &operator
#         apiVersion: apps/v1
#         kind: Deployment
#         metadata: {name: prometheus-operator, namespace: monitoring}
#         spec:
#           template:
#             spec:
#               containers:
#                 - name: prometheus-operator
#                   image: quay.io/prometheus-operator/prometheus-operator:v0.93.0
#     passes:
#       object: *operator
#       cluster:
#         - apiVersion: apiextensions.k8s.io/v1
#           kind: CustomResourceDefinition
#           metadata: {name: probes.monitoring.coreos.com, annotations: &v {operator.prometheus.io/version: 0.93.0}}
#         - apiVersion: apiextensions.k8s.io/v1
#           kind: CustomResourceDefinition
#           metadata: {name: alertmanagerconfigs.monitoring.coreos.com, annotations: *v}
#         - apiVersion: apiextensions.k8s.io/v1
#           kind: CustomResourceDefinition
#           metadata: {name: podmonitors.monitoring.coreos.com, annotations: *v}
#         - apiVersion: apiextensions.k8s.io/v1
#           kind: CustomResourceDefinition
#           metadata: {name: alertmanagers.monitoring.coreos.com, annotations: *v}
#         - apiVersion: apiextensions.k8s.io/v1
#           kind: CustomResourceDefinition
#           metadata: {name: prometheusagents.monitoring.coreos.com, annotations: *v}
#         - apiVersion: apiextensions.k8s.io/v1
#           kind: CustomResourceDefinition
#           metadata: {name: prometheuses.monitoring.coreos.com, annotations: *v}
#         - apiVersion: apiextensions.k8s.io/v1
#           kind: CustomResourceDefinition
#           metadata: {name: prometheusrules.monitoring.coreos.com, annotations: *v}
#         - apiVersion: apiextensions.k8s.io/v1
#           kind: CustomResourceDefinition
#           metadata: {name: scrapeconfigs.monitoring.coreos.com, annotations: *v}
#         - apiVersion: apiextensions.k8s.io/v1
#           kind: CustomResourceDefinition
#           metadata: {name: servicemonitors.monitoring.coreos.com, annotations: *v}
#         - apiVersion: apiextensions.k8s.io/v1
#           kind: CustomResourceDefinition
#           metadata: {name: thanosrulers.monitoring.coreos.com, annotations: *v}
deny contains violation if {
	some operator in _rolling
	behind := _behind(operator.version)
	count(behind) > 0
	violation := {
		"rule": "crds-first",
		"field": path.field(operator.path),
		"message": sprintf("prometheus-operator %s (image %s) needs its CRDs at %s or newer, but %s", [
			operator.version,
			text.quote(operator.image),
			operator.version,
			concat(", ", [sprintf("%s %s", [name, lack]) | some [name, lack] in behind]),
		]),
		"fix": sprintf("%s, then roll the operator; %s", [
			_apply(operator.version, [name | some [name, _] in behind]),
			"with Flux, put them into a Kustomization that the operator's one depends on",
		]),
	}
}

# METADATA
# title: The version of the operator is known
# description: An operator rolls to an image that does not tell its version, so that its CRDs are not checked.
# custom:
#   id: operator-version
#   severity: medium
#   fix: keep the version in the tag beside the digest, as in :v0.93.0@sha256:…
#   examples:
#     violates:
#       object:
#         apiVersion: apps/v1
#         kind: Deployment
#         metadata: {name: prometheus-operator, namespace: monitoring}
#         spec:
#           template:
#             spec:
#               containers:
#                 - name: prometheus-operator
#                   image: quay.io/prometheus-operator/prometheus-operator@sha256:0c2b5a3f8e1d
#     passes:
#       note: The tag tells the version beside the digest; versions before 0.39.0 bring their CRDs themselves.
#       object:
#         apiVersion: apps/v1
#         kind: Deployment
#         metadata: {name: prometheus-operator, namespace: monitoring}
#         spec:
#           template:
#             spec:
#               containers:
#                 - name: prometheus-operator
#                   image: quay.io/coreos/prometheus-operator:v0.27.0@sha256:0c2b5a3f8e1d
warn contains violation if {
	some operator in _rolling
	not operator.version
	violation := {
		"rule": "operator-version",
		"field": path.field(operator.path),
		"message": sprintf("image %s does not tell its version of prometheus-operator, so its CRDs were not checked", [
			text.quote(operator.image),
		]),
	}
}

# METADATA
# title: The versions of the CRDs are known
# description: |
#   A CRD that the operator needs has no annotation operator.prometheus.io/version, and the fields that it serves do not
#   tell either that it is older. Or it is not known at all what CRDs the cluster has, as in eksguard review.
# custom:
#   id: crd-version
#   severity: medium
#   fix: apply the CRDs of the operator's version first, with kubectl apply --server-side
#   examples:
#     violates:
#       object: &rolls
#         apiVersion: apps/v1
#         kind: Deployment
#         metadata: {name: prometheus-operator, namespace: monitoring}
#         spec:
#           template:
#             spec:
#               containers:
#                 - name: prometheus-operator
#                   image: quay.io/prometheus-operator/prometheus-operator:v0.93.0
#       unknown: [apiextensions.k8s.io/v1/customresourcedefinitions]
#     passes:
#       note: An update that does not roll the operator needs no CRDs.
#       object:
#         apiVersion: apps/v1
#         kind: Deployment
#         metadata: {name: prometheus-operator, namespace: monitoring}
#         spec:
#           replicas: 0
#           template:
#             spec:
#               containers:
#                 - name: prometheus-operator
#                   image: quay.io/prometheus-operator/prometheus-operator:v0.93.0
#       oldObject: *rolls
#       unknown: [apiextensions.k8s.io/v1/customresourcedefinitions]
warn contains violation if {
	some operator in _rolling
	doubtful := _doubtful(operator.version)
	count(doubtful) > 0
	violation := {
		"rule": "crd-version",
		"field": path.field(operator.path),
		"message": sprintf("prometheus-operator %s needs its CRDs at %s or newer, and that cannot be told of %s: %s", [
			operator.version,
			operator.version,
			concat(", ", doubtful),
			_doubt,
		]),
		"fix": sprintf("%s, before the operator rolls", [_apply(operator.version, doubtful)]),
	}
}

# METADATA
# title: A CRD in use is not deleted
# description: Deleting the CRD deletes every object of its kind, in all namespaces.
# custom:
#   id: crd-delete
#   severity: critical
#   fix: keep the CRD, or delete the objects first
#   examples:
#     violates:
#       oldObject: &crd
#         apiVersion: apiextensions.k8s.io/v1
#         kind: CustomResourceDefinition
#         metadata: {name: servicemonitors.monitoring.coreos.com}
#       cluster:
#         - apiVersion: monitoring.coreos.com/v1
#           kind: ServiceMonitor
#           metadata: {name: shop, namespace: webservice-01}
#     passes:
#       note: There is no ServiceMonitor any more.
#       oldObject: *crd
deny contains violation if {
	input.request.operation == "DELETE"
	use := _use
	violation := {
		"rule": "crd-delete",
		"field": "metadata.name",
		"message": sprintf("deleting CRD %s would delete every %s in the cluster, and %s", [
			text.quote(_crd),
			_kind,
			use,
		]),
		"fix": sprintf("keep the CRD (with Flux: annotate it %s), or delete those objects first if nobody needs them", [
			"kustomize.toolkit.fluxcd.io/prune: disabled",
		]),
	}
}

# METADATA
# title: A CRD in use does not go back to an older version
# description: An older schema drops the fields that it does not know from the objects that have them.
# custom:
#   id: crd-downgrade
#   severity: high
#   fix: apply a CRD that is as new as the one in the cluster
#   examples:
#     violates:
#       oldObject: &newer
#         apiVersion: apiextensions.k8s.io/v1
#         kind: CustomResourceDefinition
#         metadata: {name: probes.monitoring.coreos.com, annotations: {operator.prometheus.io/version: 0.93.0}}
#       object: &older
#         apiVersion: apiextensions.k8s.io/v1
#         kind: CustomResourceDefinition
#         metadata: {name: probes.monitoring.coreos.com, annotations: {operator.prometheus.io/version: 0.69.0}}
#       cluster:
#         - apiVersion: monitoring.coreos.com/v1
#           kind: Probe
#           metadata: {name: shop, namespace: webservice-01}
#     passes:
#       note: There is no Probe that could lose a field.
#       oldObject: *newer
#       object: *older
deny contains violation if {
	input.request.operation == "UPDATE"
	use := _use
	some [field, step_back] in _steps_back
	violation := {
		"rule": "crd-downgrade",
		"field": field,
		"message": sprintf("CRD %s %s, so that objects may lose fields, and %s", [text.quote(_crd), step_back, use]),
		"fix": _way_forward,
	}
}

# The operators.

_rolling := {operator |
	some operator in _operators
	not operator.run in _old_runs
	not _goes_down(operator)
}

_operators contains operator if {
	some index, container in input.request.object.spec.template.spec.containers
	operator := _operator("containers", index, container)
}

_operators contains operator if {
	some index, container in input.request.object.spec.template.spec.initContainers
	operator := _operator("initContainers", index, container)
}

_old_operators contains operator if {
	some index, container in input.request.oldObject.spec.template.spec.containers
	operator := _operator("containers", index, container)
}

_old_operators contains operator if {
	some index, container in input.request.oldObject.spec.template.spec.initContainers
	operator := _operator("initContainers", index, container)
}

_old_runs := {operator.run | some operator in _old_operators}

# What is older than all that ran before needs no more of the CRDs than they did.
_goes_down(operator) if {
	some old in _old_operators
	prometheus_operator.older(operator.version, old.version)
	every other in _old_operators { prometheus_operator.older(operator.version, other.version) }
}

_operator(list, index, container) := object.union(known, operator) if {
	is_object(container)
	reference := image.parse(container.image)
	glob.match_any(data.eksguard.settings.operator_upgrade.images, reference.repository)
	run := {name: value | some name, value in container; name in {"image", "command", "args"}}
	operator := {"path": ["spec", "template", "spec", list, index, "image"], "image": container.image, "run": run}
	known := {"version": version | version := _version(reference.tag, run)}
}

_version(tag, _) := prometheus_operator.version(tag)

# The operator and its reloader are released together. Go's flags may be written in four ways, and the last one counts.
_version(tag, run) := prometheus_operator.version(image.parse(reloaders[count(reloaders) - 1]).tag) if {
	not prometheus_operator.version(tag)
	words := array.concat(_words(run, "command"), _words(run, "args"))
	reloaders := [reloader | some index, word in words; reloader := _reloader(word, words, index)]
	count(reloaders) > 0
}

_words(run, list) := run[list] if is_array(run[list])

_words(run, list) := [] if not is_array(object.get(run, list, null))

_reloader(word, _, _) := trim_prefix(trim_left(word, "-"), "prometheus-config-reloader=") if {
	is_string(word)
	regex.match(`\A--?prometheus-config-reloader=`, word)
}

_reloader(word, words, index) := words[index + 1] if {
	word in {"-prometheus-config-reloader", "--prometheus-config-reloader"}
}

# The CRDs that an operator needs.

_crds := data.cluster["apiextensions.k8s.io/v1/customresourcedefinitions"]

# Each CRD that is certainly not what the version needs, with why.
_behind(version) := [[name, lack] |
	_crds
	some name in prometheus_operator.needed(version)
	lack := _lack(name, version)
]

_lack(name, _) := "is missing" if {
	not _crds[name]
} else := "is being deleted" if {
	_is_going(name)
}

_lack(name, version) := sprintf("is at %s", [found]) if {
	not _is_going(name)
	found := prometheus_operator.annotated(_crds[name])
	prometheus_operator.older(found, version)
}

_lack(name, version) := sprintf("is older than %s, as it serves no spec.%s", [lag.version, lag.field]) if {
	not _is_going(name)
	not prometheus_operator.annotated(_crds[name])
	lag := prometheus_operator.lags(name, _crds[name])
	not prometheus_operator.older(version, lag.version)
}

_is_going(name) if _crds[name].metadata.deletionTimestamp

# Those of which nothing certain is known.
_doubtful(version) := [name |
	some name in prometheus_operator.needed(version)
	_crds[name]
	not prometheus_operator.annotated(_crds[name])
	not _lack(name, version)
] if {
	_crds
}

_doubtful(version) := prometheus_operator.needed(version) if not _crds

_doubt := "they have no annotation operator.prometheus.io/version" if _crds

_doubt := "the CRDs of the cluster are not known here" if not _crds

_apply(version, names) := concat(" ", array.concat([command], files)) if {
	place := sprintf("in example/prometheus-operator-crd of prometheus-operator v%s", [version])
	command := sprintf("%s run kubectl apply --server-side", [place])
	files := [sprintf("-f %s", [prometheus_operator.file(name)]) | some name in names]
}

# A CRD in use.

_crd := name if {
	input.request.resource.resource == "customresourcedefinitions"
	name := input.request.oldObject.metadata.name
	is_string(name)
	regex.match(`\A[^.]+\.monitoring\.coreos\.com\z`, name)
}

default _kind := "object of its kind"

_kind := prometheus_operator.crds[_crd].kind

# In words what there is of its kind; undefined where there is certainly nothing.
_use := "whether there are any is not known" if not _objects

_use := sprintf("there is 1 (%s)", _objects) if count(_objects) == 1

_use := sprintf("there are %d (%s)", [count(_objects), concat(", ", array.concat(shown, more))]) if {
	count(_objects) > 1
	shown := array.slice(_objects, 0, _most)
	more := ["…" | count(_objects) > _most]
}

_objects := [text.quote(sprintf("%s/%s", [namespace, name])) |
	some namespace, objects in data.cluster[prometheus_operator.crds[_crd].objects]
	some name, _ in objects
] if {
	data.cluster[prometheus_operator.crds[_crd].objects]
}

_most := 3

# Each way in which the update takes the CRD back, with the field that shows it.
_steps_back contains [_annotation, step_back] if {
	prometheus_operator.older(_new_version, _old_version)
	step_back := sprintf("would go back from version %s to %s", [_old_version, _new_version])
}

_steps_back contains [_annotation, step_back] if {
	_old_version
	not _new_version
	step_back := sprintf("at version %s would become one of unknown version, as those before 0.69.0", [_old_version])
}

_steps_back contains ["spec.versions", step_back] if {
	not _rises
	lost := (prometheus_operator.fields(_old) - prometheus_operator.fields(_new)) - prometheus_operator.renamed
	count(lost) > 0
	names := [sprintf("spec.%s", [field]) | some field in lost]
	more := [sprintf("and %d more", [count(names) - _most]) | count(names) > _most]
	step_back := sprintf("would no longer serve %s", [concat(", ", array.concat(array.slice(names, 0, _most), more))])
}

_old := {"metadata": {"annotations": _old_annotations}, "spec": {"versions": _old_versions}}

_new := {"metadata": {"annotations": _new_annotations}, "spec": {"versions": _new_versions}}

default _old_annotations := {}

_old_annotations := input.request.oldObject.metadata.annotations

default _new_annotations := {}

_new_annotations := input.request.object.metadata.annotations

default _old_versions := []

_old_versions := input.request.oldObject.spec.versions

default _new_versions := []

_new_versions := input.request.object.spec.versions

_old_version := prometheus_operator.annotated(_old)

_new_version := prometheus_operator.annotated(_new)

_rises if prometheus_operator.older(_old_version, _new_version)

_annotation := `metadata.annotations["operator.prometheus.io/version"]`

_way_forward := sprintf("apply %s of prometheus-operator v%s or newer, or delete the objects first", [
	prometheus_operator.file(_crd),
	_old_version,
]) if {
	_old_version
} else := "apply a CRD that is as new as the one in the cluster, or delete the objects first"
