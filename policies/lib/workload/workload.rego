# METADATA
# title: Workloads
# description: Where the Pod lies in an object of a kind that is a Pod or makes Pods.
package eksguard.lib.workload

# METADATA
# description: |
#   The path to the Pod in the object of a request, of which only `resource` is looked at: {"resource":
#   input.request.resource} will do, and reads nothing else of the input. Undefined for resources that hold no Pod.
pod_path(request) := pod_paths[request.resource.group][request.resource.resource]

# METADATA
# description: |
#   By group and resource, the path to the Pod in an object, that is to what has the Pod's metadata and spec: the pod
#   template of every built-in kind that has one, and the object itself where that is a Pod. A Binding counts as the
#   Pod, because the API server copies its annotations and labels onto the Pod.
pod_paths := {
	"": {
		"pods": [],
		"bindings": [],
		"podtemplates": ["template"],
		"replicationcontrollers": ["spec", "template"],
	},
	"apps": {
		"deployments": ["spec", "template"],
		"replicasets": ["spec", "template"],
		"statefulsets": ["spec", "template"],
		"daemonsets": ["spec", "template"],
	},
	"batch": {
		"jobs": ["spec", "template"],
		"cronjobs": ["spec", "jobTemplate", "spec", "template"],
	},
}
