# METADATA
# title: A policy that fails on what is no number
# custom:
#   match:
#     - apiGroups: [""]
#       apiVersions: ["v1"]
#       resources: ["configmaps"]
#       operations: ["CREATE"]
#   matchConditions:
#     - name: named
#       expression: object.metadata.name == 'erring'
#   failurePolicy: Fail
package eksguard.erring

# METADATA
# title: Number
# custom: {id: number, severity: high}
deny contains violation if {
	# Not a number, which is an error and not a violation.
	to_number(input.request.object.data.number) > 1
	violation := {"rule": "number", "field": "data.number", "message": "is more than 1"}
}
