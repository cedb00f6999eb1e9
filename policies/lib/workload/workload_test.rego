package eksguard.lib.workload_test

import data.eksguard.lib.workload

_request(group, resource) := {"resource": {"group": group, "version": "v1", "resource": resource}}

test_a_pod_and_a_binding_are_the_pod_themselves if {
	workload.pod_path(_request("", "pods")) == []
	workload.pod_path(_request("", "bindings")) == []
}

test_every_built_in_kind_with_a_pod_template_is_known if {
	workload.pod_path(_request("", "podtemplates")) == ["template"]
	workload.pod_path(_request("", "replicationcontrollers")) == ["spec", "template"]
	every resource in ["deployments", "replicasets", "statefulsets", "daemonsets"] {
		workload.pod_path(_request("apps", resource)) == ["spec", "template"]
	}
	workload.pod_path(_request("batch", "jobs")) == ["spec", "template"]
	workload.pod_path(_request("batch", "cronjobs")) == ["spec", "jobTemplate", "spec", "template"]
}

test_other_resources_hold_no_pod if {
	not workload.pod_path(_request("", "services"))
	not workload.pod_path(_request("example.com", "deployments"))
	not workload.pod_path({})
}
