# METADATA
# title: A custom kind
# custom:
#   match:
#     - {apiGroups: [example.com], apiVersions: [v1], resources: [gadgets, gadgets/status], operations: [CREATE, UPDATE]}
package eksguard.custom

# METADATA
# title: Too many
# custom:
#   id: many
#   severity: low
#   examples:
#     violates: {object: {apiVersion: example.com/v1, kind: Gadget, metadata: {name: a, namespace: b}, spec: {weels: 9}}}
#     passes: {object: {apiVersion: example.com/v1, kind: Gadget, metadata: {name: a, namespace: b}, spec: {wheels: 4}}}
deny contains {"rule": "many", "field": "spec.wheels", "message": "it has too many"} if {
	input.request.object.spec.weels > 4
}
