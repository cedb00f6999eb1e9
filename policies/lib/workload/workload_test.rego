package eksguard.lib.workload_test

import data.eksguard.lib.workload

_resource(group, resource) := {"group": group, "version": "v1", "resource": resource}

test_a_kind_is_named_by_plural_and_group if {
	workload.kind(_resource("", "pods")) == "pods"
	workload.kind(_resource("apps", "deployments")) == "deployments.apps"
	workload.kind(_resource("argoproj.io", "rollouts")) == "rollouts.argoproj.io"
}

test_a_pod_and_a_binding_are_the_pod_themselves if {
	workload.pod_paths(_resource("", "pods")) == {[]}
	workload.pod_paths(_resource("", "bindings")) == {[]}
}

test_every_built_in_kind_with_a_pod_template_is_known if {
	workload.pod_paths(_resource("", "podtemplates")) == {["template"]}
	workload.pod_paths(_resource("", "replicationcontrollers")) == {["spec", "template"]}
	every resource in ["deployments", "replicasets", "statefulsets", "daemonsets"] {
		workload.pod_paths(_resource("apps", resource)) == {["spec", "template"]}
	}
	workload.pod_paths(_resource("batch", "jobs")) == {["spec", "template"]}
	workload.pod_paths(_resource("batch", "cronjobs")) == {["spec", "jobTemplate", "spec", "template"]}
}

test_custom_resources_may_hold_several_pods if {
	workload.pod_paths(_resource("argoproj.io", "rollouts")) == {["spec", "template"]}
	workload.pod_paths(_resource("serving.knative.dev", "revisions")) == {[]}
	workload.pod_paths(_resource("apps.kruise.io", "advancedcronjobs")) == {
		["spec", "template", "jobTemplate", "spec", "template"],
		["spec", "template", "broadcastJobTemplate", "spec", "template"],
	}
}

test_metadata_without_a_spec_beside_it_is_no_pod if {
	workload.pod_paths(_resource("monitoring.coreos.com", "prometheuses")) == set()
}

test_other_resources_hold_no_pod if {
	workload.pod_paths(_resource("", "services")) == set()
	workload.pod_paths(_resource("example.com", "deployments")) == set()
}

test_the_field_of_an_annotation_is_printed_as_kubectl_does if {
	workload.annotation_field(["metadata"], "example.com/a") == `metadata.annotations["example.com/a"]`
	workload.annotation_field(["spec", "template", "metadata"], "a") == "spec.template.metadata.annotations.a"
}
