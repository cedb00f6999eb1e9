# METADATA
# title: First
# custom:
#   match:
#     - apiGroups: [""]
#       apiVersions: ["v1"]
#       resources: ["configmaps"]
#       operations: ["CREATE"]
#   matchConditions:
#     - name: coloured
#       expression: '"colour" in object.?data.orValue({})'
#   needs:
#     - {apiVersion: v1, resource: namespaces, metadataOnly: true, fields: [[metadata, labels]]}
#   settings:
#     type: object
#     additionalProperties: false
#     required: [forbidden]
#     properties:
#       forbidden: {type: string}
package eksguard.first

# METADATA
# title: Forbidden
# custom: {id: forbidden, severity: high}
deny contains violation if {
	input.request.object.data.colour == data.eksguard.settings.first.forbidden
	is_object(data.cluster["v1/namespaces"][input.request.namespace])
	violation := {"rule": "forbidden", "field": "data.colour", "message": "is forbidden"}
}
