package eksguard.lib.path_test

import data.eksguard.lib.path

_pod := {"metadata": {"labels": null}, "spec": {"containers": [{"image": "nginx"}], "nodeName": "a"}}

test_the_value_at_the_end_of_a_path if {
	path.at(_pod, []) == _pod
	path.at(_pod, ["spec", "nodeName"]) == "a"
	path.at(_pod, ["spec", "containers", 0, "image"]) == "nginx"
}

test_a_path_that_leads_nowhere_ends_in_null if {
	path.at(_pod, ["status"]) == null
	path.at(_pod, ["metadata", "labels", "app"]) == null
	path.at(_pod, ["spec", "containers", "0"]) == null
	path.at(_pod, ["spec", "containers", 1]) == null
	path.at(_pod, ["spec", "nodeName", "x"]) == null
}

test_what_is_no_object_has_no_fields_but_is_itself if {
	every value in [null, "text", 1, true, ["a"]] {
		path.at(value, []) == value
		path.at(value, ["a"]) == null
	}
}

test_a_field_is_printed_as_kubectl_does if {
	path.field([]) == "object"
	path.field(["spec", "containers", 0, "image"]) == "spec.containers[0].image"
	path.field(["metadata", "annotations", "example.com/role"]) == `metadata.annotations["example.com/role"]`
	path.field(["data", `a"b`]) == `data["a\"b"]`
}

test_a_step_is_printed_as_it_stands_after_another if {
	path.step("spec") == ".spec"
	path.step(0) == "[0]"
	path.step("example.com/role") == `["example.com/role"]`
}

test_a_pointer_is_escaped if {
	path.pointer([]) == ""
	path.pointer(["spec", "containers", 0]) == "/spec/containers/0"
	path.pointer(["metadata", "annotations", "example.com/a~b"]) == "/metadata/annotations/example.com~1a~0b"
}
