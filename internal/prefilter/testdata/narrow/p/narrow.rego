# METADATA
# title: A condition that is too narrow
# custom:
#   match:
#     - {apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], operations: ["CREATE", "UPDATE"]}
#   matchConditions:
#     - {name: in-one-namespace, expression: request.namespace == "only"}
package eksguard.narrow

# METADATA
# title: Every Pod is wrong
# custom: {id: name, severity: low}
deny contains {"rule": "name", "field": "metadata.name", "message": "every Pod is wrong"}
