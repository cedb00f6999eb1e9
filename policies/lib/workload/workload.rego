# METADATA
# title: Workloads
# description: |
#   Where the Pod lies in an object of a kind that is a Pod or makes Pods. settings.workloads.pod_metadata tells where
#   the metadata of its Pods is: that of Kubernetes' own kinds, and that of custom resources.
package eksguard.lib.workload

import data.eksguard.lib.path

# METADATA
# description: |
#   The kind of a resource, {"group": "argoproj.io", "resource": "rollouts"}, as the settings name it:
#   rollouts.argoproj.io, pods.
kind(resource) := resource.resource if {
	resource.group == ""
} else := concat(".", [resource.resource, resource.group])

# METADATA
# description: |
#   The paths to the Pods in an object of the resource, that is to what has a Pod's metadata and spec. Empty for one
#   that holds no Pod. Metadata that has no spec beside it, as podMetadata of a Prometheus, is no Pod.
pod_paths(resource) := {array.slice(metadata, 0, count(metadata) - 1) |
	some metadata in data.eksguard.settings.workloads.pod_metadata[kind(resource)]
	metadata[count(metadata) - 1] == "metadata"
}

# METADATA
# description: An annotation of a Pod's metadata at that path, as kubectl would print it.
annotation_field(metadata, key) := concat("", [path.field(metadata), ".annotations", path.step(key)])
