# METADATA
# title: Paint
# description: |
#   What is painted <how>, as in `<colour>`:
#
#       colour: <colour> of the label
# custom:
#   match:
#     - {apiGroups: [""], apiVersions: ["v1"], resources: ["pods", "pods/exec"], operations: ["*"], scope: Namespaced}
#     - {apiGroups: ["apps"], apiVersions: ["v1", "v1beta1"], resources: ["deployments"], operations: [DELETE]}
#   matchConditions:
#     - {name: not-by-painters, expression: "!('painters' in request.userInfo.groups)"}
#   failurePolicy: Ignore
#   needs:
#     - {apiVersion: v1, resource: namespaces, metadataOnly: true}
#     - {apiVersion: example.com/v1, resource: pots, fields: [[spec, colour]], optional: true}
#   settings:
#     type: object
#     required: [bad]
#     properties:
#       bad: {description: Colours that are | or may be bad., type: array, items: {type: string}}
#       mend: {description: "Mends <them>.", type: boolean}
#       shades:
#         type: array
#         items:
#           type: object
#           properties:
#             name: {type: string, description: How it is called.}
#             of: {enum: [red, blue]}
#       by_room: {type: object, additionalProperties: {type: object, properties: {colours: {type: array, items: {type: string}}}}}
package eksguard.paint

# METADATA
# title: No bad colour
# description: A colour is not one of `bad`.
# custom:
#   id: bad
#   severity: high
#   fix: take another colour
#   examples:
#     violates:
#       note: Red is bad.
#       object: &red {apiVersion: v1, kind: Pod, metadata: {name: door, namespace: hall, labels: {colour: red}}}
#     passes:
#       object: *red
#       settings: {paint: {bad: [blue]}}
deny contains violation if {
	input.request.object.metadata.labels.colour in data.eksguard.settings.paint.bad
	violation := {"rule": "bad", "field": "metadata.labels.colour", "message": "it is `bad`"}
}

# METADATA
# title: Doors are not repainted
# custom:
#   id: again
#   severity: critical
#   examples:
#     violates:
#       oldObject: &white {apiVersion: v1, kind: Pod, metadata: {name: door, namespace: hall, labels: {colour: white}}}
#       object: &grey {apiVersion: v1, kind: Pod, metadata: {name: door, namespace: hall, labels: {colour: grey}}}
#       user: jane
#     passes:
#       oldObject: *white
#       object: *grey
#       user: jane
#       groups: [painters]
deny contains violation if {
	input.request.operation == "UPDATE"
	input.request.oldObject.metadata.labels.colour != input.request.object.metadata.labels.colour
	not "painters" in input.request.userInfo.groups
	violation := {"rule": "again", "field": "metadata.labels.colour", "message": "it had a colour"}
}

# METADATA
# title: Nobody goes in while the paint is wet
# custom:
#   id: wet
#   severity: low
#   examples:
#     violates:
#       operation: CONNECT
#       resource: v1/pods
#       subresource: exec
#       namespace: hall
#       name: door
#       object: &exec {apiVersion: v1, kind: PodExecOptions, command: [sh]}
#       cluster: [{apiVersion: example.com/v1, kind: Pot, metadata: {name: a}, spec: {colour: red}}]
#     passes:
#       operation: CONNECT
#       resource: v1/pods
#       subresource: exec
#       namespace: hall
#       name: door
#       object: *exec
#       unknown: [example.com/v1/pots]
warn contains violation if {
	input.request.operation == "CONNECT"
	data.cluster["example.com/v1/pots"].a.spec.colour
	violation := {"rule": "wet", "field": "", "message": "the paint is wet"}
}

# METADATA
# title: Nothing drips
# custom:
#   id: drips
#   severity: low
#   examples:
#     violates:
#       oldObject: {apiVersion: apps/v1, kind: Deployment, metadata: {name: brush, namespace: hall}}
#     passes:
#       oldObject: {apiVersion: apps/v1, kind: Deployment, metadata: {name: brush, namespace: hall}}
#       settings: {paint: {bad: [vermilion, burgundy, crimson, scarlet, maroon, magenta, carmine, ruby, cherry]}}
deny contains violation if {
	input.request.operation == "DELETE"
	count(data.eksguard.settings.paint.bad) < 3
	violation := {"rule": "drips", "field": "metadata", "message": "it drips"}
}

# METADATA
# title: Colours are mended
# custom:
#   id: mend
#   severity: low
#   when: "{{ .settings.paint.mend }}"
#   examples:
#     mutates:
#       object: {apiVersion: v1, kind: Pod, metadata: {name: door, namespace: hall, labels: {color: blue}}}
#       settings: {paint: {mend: true}}
#     passes:
#       object: {apiVersion: v1, kind: Pod, metadata: {name: door, namespace: hall, labels: {color: blue, colour: red}}}
#       settings: {paint: {mend: true}}
mutate contains mutation if {
	colour := input.request.object.metadata.labels.color
	mutation := {"rule": "mend", "patch": [
		{"op": "add", "path": "/metadata/labels/colour", "value": colour},
		{"op": "remove", "path": "/metadata/labels/color"},
	]}
}

# METADATA
# title: Rules without examples are told, too
# custom: {id: untold, severity: low}
deny contains violation if {
	input.request.name == "untold"
	violation := {"rule": "untold", "field": "", "message": "it is"}
}
