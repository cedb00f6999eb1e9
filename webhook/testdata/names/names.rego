# METADATA
# title: Names
# custom:
#   match: [{apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], operations: ["CREATE"]}]
package eksguard.names

# METADATA
# title: Every object is told its name
# custom: {id: name, severity: low}
deny contains violation if {
	violation := {"rule": "name", "message": sprintf("it is %s", [input.request.object.metadata.name])}
}
