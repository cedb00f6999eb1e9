# METADATA
# title: Second
# custom:
#   match:
#     - apiGroups: [""]
#       apiVersions: ["v1"]
#       resources: ["secrets"]
#       operations: ["CREATE"]
#   matchConditions:
#     - name: coloured
#       expression: '"colour" in object.?metadata.?annotations.orValue({})'
#   needs:
#     - {apiVersion: v1, resource: namespaces, metadataOnly: true, fields: [[metadata, annotations]]}
#     - {apiVersion: v1, resource: serviceaccounts, metadataOnly: true}
package eksguard.second

# METADATA
# title: Forbidden
# custom: {id: forbidden, severity: high}
deny contains violation if {
	input.request.object.metadata.annotations.colour == "red"
	is_object(data.cluster["v1/serviceaccounts"][input.request.namespace])
	violation := {"rule": "forbidden", "field": "metadata.annotations.colour", "message": "is forbidden"}
}
