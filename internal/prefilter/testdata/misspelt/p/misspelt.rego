# METADATA
# title: A misspelt condition
# custom:
#   match:
#     - {apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], operations: ["CREATE", "UPDATE"]}
#   matchConditions:
#     - {name: first, expression: has(object.metadata)}
#     - {name: second, expression: has(objct.metadata)}
package eksguard.misspelt

# METADATA
# title: Every Pod is wrong
# custom: {id: name, severity: low}
deny contains {"rule": "name", "field": "metadata.name", "message": "every Pod is wrong"}
