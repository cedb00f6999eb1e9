# METADATA
# title: Paths that lead nowhere
# custom:
#   match:
#     - {apiGroups: [""], apiVersions: [v1], resources: [pods, pods/exec], operations: [CREATE, UPDATE, CONNECT]}
#     - {apiGroups: [apps], apiVersions: [v1], resources: [deployments], operations: [CREATE, UPDATE]}
#   matchConditions:
#     - {name: fine, expression: "true"}
#     - {name: misspelt, expression: has(objct.metadata)}
#   settings: {type: object, additionalProperties: false, properties: {most: {type: integer}}}
package eksguard.p

# METADATA
# title: Misspelt
# custom: {id: misspelt, severity: low}
deny contains {"rule": "misspelt", "field": "spec", "message": "it is misspelt"} if {
	some container in input.request.object.spec.contaners
	container.image == "red"
	some other in object.get(_object, ["spec", "containers"], [])
	other.securityContext.priviledged
	_object.spec.hostnetwork
	count([1 | object.get(_object, ["spec", "template", "spc"], false)]) > data.eksguard.settings.p.mots
	data.cluster["v1/namespaces"].here
	every volume in _object.spec.volumes { volume.hostpath.path == "/" }
	input.request.userInfo.user == "jane"
	object.get(object.get(_object, "spec", {}), "hostPid", false)
	input.request.object.comand == "sh"
}

# METADATA
# title: All that is there
# custom: {id: fine, severity: low}
deny contains {"rule": "fine", "field": "spec", "message": "it is fine"} if {
	input.request.object.spec.template.spec.hostNetwork
	input.request.object.spec.hostNetwork
	input.request.object.command == "sh"
	input.request.object.metadata.labels["any/thing"].at.all
	input.request.oldObject.spec.containers[0].resources.limits.cpu
	input.request.options.dryRun
	input.request.userInfo.extra.anything
	data.eksguard.settings.p.most > 1
	object.get(input.request.object, ["metadata", "annotations", "x"], null) == null
}

_object := input.request.object
