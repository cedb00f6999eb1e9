# METADATA
# title: Paths that are followed
# custom:
#   match:
#     - {apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE, UPDATE]}
#     - {apiGroups: [apps], apiVersions: [v1], resources: [deployments], operations: [CREATE, UPDATE]}
package eksguard.p

import data.eksguard.lib.pod

# METADATA
# title: Misspelt behind something
# custom: {id: misspelt, severity: low}
deny contains {"rule": "misspelt", "field": "spec", "message": "it is misspelt"} if {
	_is_red(input.request.object)
	some volume in pod.volumes(input.request.object)
	volume.hostPaht.path == "/"
	some image in [container.imagee | some container in _containers]
	image == "red"
	some [_, probe] in [[container.name, container.livenessProb] | some container in _containers]
	probe
	{"spec": {"replica": _}} = input.request.object
	input.request.object.spec.containers.image == "red"
	object.get(_merged, ["spec", "nodename"], "") == "red"
	old := object.get(input.request, "oldObject", {})
	old.spec.nodenam == "red"
	label := "colour"
	_at(input.request.object, ["metadata", "labels"])[label] == "red"
	pod.meta({"object": input.request.object}).nmae == "red"
}

# METADATA
# title: All that is there, or may be
# custom: {id: fine, severity: low}
deny contains {"rule": "fine", "field": "spec", "message": "it is fine"} if {
	_of_any_kind(input.request.object.spec)
	_of_any_kind(input.request.object.spec.template.spec)
	some container in array.concat(_containers, [{"made": "here"}])
	container.made == "here"
	walk(input.request.object, [_, value])
	value.anything.at.all
	json.unmarshal(input.request.object.metadata.annotations.json).any.thing
	object.union(input.request.object, {"mine": {"own": 1}}).mine.own
	_at(input.request.object, ["spec", "what"]).ever
	some key, setting in {"a": input.request.object.spec, "b": {"own": 1}}
	setting.own == 1
	key == "b"
	_read with input as {"request": {"mine": 1}}
}

# What a kind does not have another one has.
_of_any_kind(spec) if spec.replicas > 1

_of_any_kind(spec) if spec.nodeName == "red"

_read if input.request.mine == 1

_containers := input.request.object.spec.containers

_merged := object.union(input.request.object, {"mine": 1})

_is_red(object_) if {
	every container in object_.spec.initContainer { container.image == "red" }
}

_at(value, path) := object.get(value, path, {})
