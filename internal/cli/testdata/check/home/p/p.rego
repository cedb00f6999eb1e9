# METADATA
# title: What a policy may not do
# custom:
#   match:
#     - {apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}
package eksguard.p

# METADATA
# title: Calls home
# custom: {id: home, severity: low}
deny contains {"rule": "home", "field": "spec", "message": "it is not at home"} if {
	http.send({"url": "http://home", "method": "GET"}).status_code != 200
}
