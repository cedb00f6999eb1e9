# METADATA
# title: Watched
# custom:
#   match:
#     - apiGroups: [""]
#       apiVersions: ["v1"]
#       resources: ["namespaces"]
#       operations: ["DELETE"]
#   failurePolicy: Ignore
package eksguard.watched

# METADATA
# title: Deleted
# custom: {id: deleted, severity: low}
warn contains {"rule": "deleted", "field": "metadata.name", "message": "deleted"} if {
	input.request.oldObject.metadata.name == "unloved"
}
