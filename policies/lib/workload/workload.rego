# METADATA
# title: Workloads
# description: Where the Pod lies in an object of a kind that is a Pod or makes Pods.
package eksguard.lib.workload

import data.eksguard.lib.path

# METADATA
# description: |
#   The path from the request's object to the Pod in it, that is to what has the Pod's metadata and spec: the pod
#   template of every built-in kind that has one, and the object itself where that is a Pod. A Binding counts as the
#   Pod, because the API server copies its annotations and labels onto the Pod. Undefined for other resources.
pod_path(request) := _pod_paths[request.resource.group][request.resource.resource]

# METADATA
# description: The Pod or pod template in an object of the request (object or oldObject), null where there is none.
pod(request, object) := path.at(object, pod_path(request))

_pod_paths := {
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
