# METADATA
# title: A condition that is too narrow
# custom:
#   match:
#     - {apiGroups: [""], apiVersions: [v1], resources: [configmaps], operations: [CREATE]}
#   matchConditions:
#     - {name: has-data, expression: has(object.data)}
package eksguard.narrow

# METADATA
# title: Red is denied
# custom:
#   id: red
#   severity: low
#   examples:
#     violates:
#       object: {apiVersion: v1, kind: ConfigMap, metadata: {name: red, namespace: here, labels: {colour: red}}, data: {a: b}}
#     passes:
#       object: {apiVersion: v1, kind: ConfigMap, metadata: {name: blue, namespace: here}, data: {a: b}}
deny contains {"rule": "red", "field": "metadata.labels.colour", "message": "it is red"} if {
	object.get(input.request.object, ["metadata", "labels", "colour"], "") == "red"
}
