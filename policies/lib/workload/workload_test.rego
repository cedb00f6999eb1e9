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

test_the_pod_of_a_cron_job_is_its_template if {
	template := {"metadata": {"name": "a"}, "spec": {"containers": []}}
	job := {"spec": {"jobTemplate": {"spec": {"template": template}}}}
	workload.pod(_request("batch", "cronjobs"), job) == template
}

test_an_object_without_a_template_has_no_pod if {
	workload.pod(_request("apps", "deployments"), {"spec": {}}) == null
	workload.pod(_request("apps", "deployments"), null) == null
}
