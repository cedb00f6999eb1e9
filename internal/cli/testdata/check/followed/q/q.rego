# METADATA
# title: Every kind there is
# custom:
#   match:
#     - {apiGroups: ["*"], apiVersions: ["*"], resources: ["*"], operations: ["*"]}
#     - {apiGroups: [apps], apiVersions: [v1], resources: [deployment], operations: [DELETE]}
package eksguard.q

# METADATA
# title: Misspelt
# custom: {id: misspelt, severity: low}
deny contains {"rule": "misspelt", "field": "metadata", "message": "it is misspelt"} if {
	_owned(input.request.object)
	input.request.object.metdata.name == "red"
	input.request.object.spec.anything == "red"
	input.request.userInfo.usrname == "red"
}

_owned(object_) if {
	some owner in object_.metadata.ownerReferences
	owner.knd == "Deployment"
}
