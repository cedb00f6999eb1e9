# METADATA
# title: A policy that takes longer than it may
# custom:
#   match:
#     - apiGroups: [""]
#       apiVersions: ["v1"]
#       resources: ["configmaps"]
#       operations: ["CREATE"]
#   matchConditions:
#     - name: named
#       expression: object.metadata.name == 'slow'
#   failurePolicy: Fail
package eksguard.slow

# METADATA
# title: Number
# custom: {id: number, severity: high}
deny contains violation if {
	some x in numbers.range(1, 100000)
	some y in numbers.range(1, 100000)
	x * y == -1
	violation := {"rule": "number", "field": "data.number", "message": "is slow"}
}
