package eksguard.lib.rbac_test

import data.eksguard.lib.rbac

_binding := {
	"roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
	"subjects": [
		{"kind": "Group", "name": "platform"},
		{"kind": "User", "name": "alice"},
		{"kind": "ServiceAccount", "name": "flux", "namespace": "flux-system"},
	],
}

test_groups_and_users_that_are_bound_to_cluster_admin_are_administrators if {
	rbac.administrators(_binding) == {["Group", "platform"], ["User", "alice"]}
}

test_other_bindings_make_no_administrators if {
	every change in [
		{"roleRef": {"name": "view"}},
		{"roleRef": {"kind": "Role"}},
		{"roleRef": null},
		{"subjects": null},
		{"subjects": "x"},
		{"subjects": ["x", {"kind": 5, "name": "x"}, {"kind": "Group", "name": 5}]},
	] {
		rbac.administrators(object.union(_binding, change)) == set()
	}
	rbac.administrators(null) == set()
}
