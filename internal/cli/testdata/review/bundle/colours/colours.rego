# METADATA
# title: Colours
# custom:
#   match:
#     - {apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], operations: ["*"]}
#   needs:
#     - {apiVersion: v1, resource: namespaces, metadataOnly: true}
package eksguard.colours

# METADATA
# title: No bad colour
# custom: {id: bad, severity: high, fix: Take another colour.}
deny contains violation if {
	input.request.object.metadata.labels.colour == "red"
	violation := {"rule": "bad", "field": "metadata.labels.colour", "message": `"red" is bad`}
}

# METADATA
# title: The namespace's colour
# custom: {id: namespace, severity: low}
deny contains violation if {
	input.request.object.metadata.labels.colour == "chameleon"
	not data.cluster["v1/namespaces"][input.request.namespace].metadata.labels.colour
	violation := {
		"rule": "namespace",
		"field": "metadata.labels.colour",
		"message": sprintf("namespace %q has no colour", [input.request.namespace]),
	}
}

# METADATA
# title: Grey is dull
# custom: {id: dull, severity: low}
warn contains violation if {
	input.request.object.metadata.labels.colour == "grey"
	violation := {"rule": "dull", "field": "metadata.labels.colour", "message": "grey is dull", "fix": "paint it"}
}

# METADATA
# title: Shades
# custom: {id: shade, severity: low}
deny contains violation if {
	startswith(input.request.object.metadata.labels.colour, "dark")
	violation := {"rule": "shade", "field": "metadata.labels.colour", "message": "a dark shade"}
}

# METADATA
# title: Only who painted it takes it away
# custom: {id: gone, severity: low}
deny contains violation if {
	input.request.operation == "DELETE"
	input.request.userInfo.username != "painter"
	violation := {
		"rule": "gone",
		"field": "",
		"message": sprintf("%s of %v is no painter", [input.request.userInfo.username, input.request.userInfo.groups]),
	}
}

# METADATA
# title: A colour does not change
# custom: {id: change, severity: low}
deny contains violation if {
	old := input.request.oldObject.metadata.labels.colour
	new := input.request.object.metadata.labels.colour
	old != new
	violation := {"rule": "change", "field": "metadata.labels.colour", "message": sprintf("was %q", [old])}
}

# METADATA
# title: British spelling
# custom: {id: spelling, severity: low}
mutate contains mutation if {
	colour := input.request.object.metadata.labels.color
	mutation := {"rule": "spelling", "patch": [
		{"op": "add", "path": "/metadata/labels/colour", "value": colour},
		{"op": "remove", "path": "/metadata/labels/color"},
	]}
}
