# METADATA
# title: Guarded
# custom:
#   match:
#     - apiGroups: [""]
#       apiVersions: ["v1"]
#       resources: ["configmaps"]
#       operations: ["CREATE", "UPDATE"]
#       scope: Namespaced
#     - apiGroups: ["apps"]
#       apiVersions: ["*"]
#       resources: ["deployments", "deployments/scale"]
#       operations: ["*"]
#   matchConditions:
#     - name: labelled
#       expression: object != null && {{ json .settings.guarded.label }} in object.?metadata.?labels.orValue({})
#   needs:
#     - apiVersion: v1
#       resource: namespaces
#       metadataOnly: true
#   settings:
#     type: object
#     additionalProperties: false
#     required: [label]
#     properties:
#       label: {type: string}
package eksguard.guarded

_label := data.eksguard.settings.guarded.label

_value := input.request.object.metadata.labels[_label]

# METADATA
# title: Forbidden
# custom: {id: forbidden, severity: high}
deny contains violation if {
	_value == "forbidden"
	namespace := data.cluster["v1/namespaces"][input.request.namespace].metadata.name
	violation := {"rule": "forbidden", "field": "metadata.labels", "message": sprintf("forbidden in %s", [namespace])}
}

# METADATA
# title: Completed
# custom: {id: completed, severity: low}
mutate contains mutation if {
	_value == "complete"
	mutation := {
		"rule": "completed",
		"patch": [{"op": "add", "path": sprintf("/metadata/labels/%s", [_label]), "value": "completed"}],
	}
}
