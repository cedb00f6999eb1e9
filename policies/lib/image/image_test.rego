package eksguard.lib.image_test

import data.eksguard.lib.image

test_a_reference_is_taken_apart if {
	every case in [
		["a", "a", "", ""],
		["a:v1", "a", "v1", ""],
		["quay.io/a/b:v0.93.0", "quay.io/a/b", "v0.93.0", ""],
		["quay.io/a/b:v0.93.0@sha256:0a", "quay.io/a/b", "v0.93.0", "sha256:0a"],
		["quay.io/a/b@sha256:0a", "quay.io/a/b", "", "sha256:0a"],
		["localhost:5000/b", "localhost:5000/b", "", ""],
		["localhost:5000/b:1.2", "localhost:5000/b", "1.2", ""],
		["", "", "", ""],
		["a\nb", "a\nb", "", ""],
		["a@b@c", "a", "", "b@c"],
	] {
		image.parse(case[0]) == {"repository": case[1], "tag": case[2], "digest": case[3]}
	}
}

test_what_is_no_string_is_no_reference if {
	{value | some value in [null, 1, [], {}]; image.parse(value)} == set()
}
