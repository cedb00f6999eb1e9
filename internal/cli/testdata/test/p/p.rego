# METADATA
# title: Colours
# custom:
#   match:
#     - {apiGroups: [""], apiVersions: [v1], resources: [configmaps], operations: [CREATE]}
package eksguard.p

# METADATA
# title: Red is denied
# custom:
#   id: red
#   severity: low
#   examples:
#     violates: {object: {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: b, labels: {colour: red}}}}
#     passes: {object: {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: b, labels: {colour: red}}}}
deny contains {"rule": "red", "field": "metadata.labels.colour", "message": "it is red"} if {
	startswith(_colour, "red")
}

_colour := object.get(input.request.object, ["metadata", "labels", "colour"], "")

_never if {
	input.request.operation == "DELETE"
}
