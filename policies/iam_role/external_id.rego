package eksguard.iam_role

import data.eksguard.lib.glob
import data.eksguard.lib.text
import data.eksguard.lib.workload

# METADATA
# title: The external id can be one
# description: |
#   AWS takes 2 to 1224 letters, digits and any of _+=,.@:/- for an external id. kube2iam and kiam pass on what the
#   annotation says, so that anything else fails in the running Pod only; an empty one they leave out.
# custom:
#   id: external-id-form
#   severity: low
#   fix: give 2 to 1224 letters, digits and any of _+=,.@:/-, or remove the annotation
#   examples:
#     violates:
#       object:
#         apiVersion: v1
#         kind: Pod
#         metadata:
#           name: invoices
#           namespace: billing
#           annotations:
#             iam.amazonaws.com/role: "arn:aws:iam::555555555555:role/eks-billing-prod"
#             iam.amazonaws.com/external-id: "acme 7"
#       settings: {iam_role: {external_ids: {billing: ["acme-*"]}}}
#     passes:
#       object:
#         apiVersion: v1
#         kind: Pod
#         metadata:
#           name: invoices
#           namespace: billing
#           annotations:
#             iam.amazonaws.com/role: "arn:aws:iam::555555555555:role/eks-billing-prod"
#             iam.amazonaws.com/external-id: acme-7
#       settings: {iam_role: {external_ids: {billing: ["acme-*"]}}}
deny contains violation if {
	some found in _external_ids
	not _kept_external_id(found)
	not _is_external_id(found.value)
	violation := {
		"rule": "external-id-form",
		"field": _external_id_field(found.metadata),
		"message": sprintf("%s is no external id, expected 2 to 1224 letters, digits and any of _+=,.@:/-", [
			text.quote(found.value),
		]),
	}
}

# METADATA
# title: The external id may be used in the namespace
# description: |
#   Who trusts another account's roles with an external id tells by it on whose behalf a role is used. So a namespace
#   may use only the external ids that the settings give it; by default none.
# custom:
#   id: external-id
#   severity: high
#   fix: remove the annotation, or have an administrator give the external id to the namespace in the settings
#   examples:
#     violates:
#       note: The settings give the namespace other external ids.
#       object:
#         apiVersion: v1
#         kind: Pod
#         metadata:
#           name: invoices
#           namespace: billing
#           annotations:
#             iam.amazonaws.com/role: "arn:aws:iam::555555555555:role/eks-billing-prod"
#             iam.amazonaws.com/external-id: globex-1
#       settings: {iam_role: {external_ids: {billing: ["acme-*"]}}}
#     passes:
#       object:
#         apiVersion: v1
#         kind: Pod
#         metadata:
#           name: invoices
#           namespace: billing
#           annotations:
#             iam.amazonaws.com/role: "arn:aws:iam::555555555555:role/eks-billing-prod"
#             iam.amazonaws.com/external-id: acme-7
#       settings: {iam_role: {external_ids: {billing: ["acme-*"]}}}
deny contains violation if {
	some found in _external_ids
	not _kept_external_id(found)
	_is_external_id(found.value)
	not glob.match_any(object.get(_settings.iam_role.external_ids, _namespace, []), found.value)
	violation := {
		"rule": "external-id",
		"field": _external_id_field(found.metadata),
		"message": sprintf("%s is not an external id that namespace %q may use", [text.quote(found.value), _namespace]),
		"fix": sprintf("remove the annotation, or have an administrator list it for %q in %s", [
			_namespace,
			"settings.iam_role.external_ids",
		]),
	}
}

# METADATA
# title: An external id goes with a role
# description: |
#   Without a role of its own, a Pod would use the external id with the default role of kube2iam, or not at all.
# custom:
#   id: external-id-alone
#   severity: medium
#   fix: name the role that the external id is for, or remove the annotation
#   examples:
#     violates:
#       object:
#         apiVersion: v1
#         kind: Pod
#         metadata:
#           name: invoices
#           namespace: billing
#           annotations:
#             iam.amazonaws.com/external-id: acme-7
#       settings: {iam_role: {external_ids: {billing: ["acme-*"]}}}
#     passes:
#       object:
#         apiVersion: v1
#         kind: Pod
#         metadata:
#           name: invoices
#           namespace: billing
#           annotations:
#             iam.amazonaws.com/role: "arn:aws:iam::555555555555:role/eks-billing-prod"
#             iam.amazonaws.com/external-id: acme-7
#       settings: {iam_role: {external_ids: {billing: ["acme-*"]}}}
deny contains violation if {
	some found in _external_ids
	not _is_binding
	_asked(found.index) == _nothing
	not _was_alone(found.index)
	violation := {
		"rule": "external-id-alone",
		"field": _external_id_field(found.metadata),
		"message": sprintf("external id %s stands alone: it goes with the role in annotation %q, which is not there", [
			text.quote(found.value),
			_settings.iam_role.annotation,
		]),
	}
}

# A Binding's annotations are added to those of its Pod.
_is_binding if input.request.resource.resource == "bindings"

_is_binding if input.request.subResource == "binding"

_was_alone(index) if {
	input.request.operation == "UPDATE"
	_external_id_before(index) != _nothing
	_asked_before(index) == _nothing
}

# The external ids after the write, by the index of the metadata that they are in.
_external_ids contains {"value": value, "metadata": metadata, "index": index} if {
	some index, metadata in _settings.workloads.pod_metadata[_kind]
	value := _external_id(index)
	value != _nothing
}

_kept_external_id(found) if {
	input.request.operation == "UPDATE"
	_external_id_before(found.index) == found.value
}

_external_id(index) := object.get(
	input.request,
	array.concat(
		array.concat(["object"], data.eksguard.settings.workloads.pod_metadata[_kind][index]),
		["annotations", data.eksguard.settings.iam_role.external_id_annotation],
	),
	_nothing,
)

_external_id_before(index) := object.get(
	input.request,
	array.concat(
		array.concat(["oldObject"], data.eksguard.settings.workloads.pod_metadata[_kind][index]),
		["annotations", data.eksguard.settings.iam_role.external_id_annotation],
	),
	_nothing,
)

_is_external_id(value) if {
	is_string(value)
	count(value) <= 1224
	regex.match(`^[A-Za-z0-9_+=,.@:/-]{2,}$`, value)
}

_external_id_field(metadata) := workload.annotation_field(metadata, _settings.iam_role.external_id_annotation)
