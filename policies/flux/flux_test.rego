package eksguard.flux_test

import data.eksguard.flux

# What the default settings hold

test_flux_may_not_write_into_kube_system if {
	denials := flux.deny with input as _by(_kustomize, _create("ConfigMap", "kube-system", "aws-auth"))
	denials == {{
		"rule": "namespace",
		"field": "metadata.namespace",
		"message": concat("", [
			`Flux, as "system:serviceaccount:flux-system:kustomize-controller", may not create ConfigMap `,
			`"kube-system/aws-auth": namespace "kube-system" is out of its reach, which is its own namespace flux-system, `,
			"and namespaces * except kube-system, kube-public, kube-node-lease, eksguard-system",
		]),
		"fix": concat("", [
			`move it to a namespace within reach, or add {users: ["system:serviceaccount:flux-system:kustomize-controller"], `,
			`namespaces: ["kube-system"], kinds: ["ConfigMap"]} to settings.flux.reach`,
		]),
	}}
}

test_every_identity_of_flux_is_limited_by_default if {
	every name in [
		"flux:flux", "flux-system:kustomize-controller", "flux-system:helm-controller", "flux-system:source-controller",
		"flux-system:notification-controller", "flux-system:image-automation-controller",
		"flux-system:image-reflector-controller",
	] {
		user := sprintf("system:serviceaccount:%s", [name])
		every namespace in ["kube-system", "kube-public", "kube-node-lease", "eksguard-system"] {
			denials := flux.deny with input as _by(user, _create("Secret", namespace, "x"))
			count(denials) == 1
		}
	}
}

test_flux_may_write_its_own_namespace_and_the_teams_by_default if {
	_allowed(_by(_kustomize, _create("Secret", "flux-system", "flux-system")))
	_allowed(_by("system:serviceaccount:flux:flux", _create("Secret", "flux", "flux-git-deploy")))
	_allowed(_by(_kustomize, _create("Secret", "payments", "x")))
	_allowed(_by(_kustomize, _cluster("CREATE", "rbac.authorization.k8s.io", "clusterroles", "ClusterRole", "x")))
}

test_flux_may_not_go_through_the_proxy_of_a_node_by_default if {
	proxy := {"subResource": "proxy", "kind": {"group": "", "version": "v1", "kind": "NodeProxyOptions"}}
	review := _by(_kustomize, _with(_cluster("CONNECT", "", "nodes", "Node", "ip-10-0-0-1"), proxy))
	denials := flux.deny with input as review
	some denial in denials
	endswith(denial.message, `kind "NodeProxyOptions" is out of its reach, which is kinds * except NodeProxyOptions`)
}

test_controllers_keep_status_and_finalizers_of_their_own_kinds_by_default if {
	every case in [
		["kustomize", "kustomize.toolkit.fluxcd.io", "kustomizations", "Kustomization"],
		["helm", "helm.toolkit.fluxcd.io", "helmreleases", "HelmRelease"],
		["source", "source.toolkit.fluxcd.io", "gitrepositories", "GitRepository"],
		["source", "source.toolkit.fluxcd.io", "helmcharts", "HelmChart"],
		["notification", "notification.toolkit.fluxcd.io", "receivers", "Receiver"],
		["image-automation", "image.toolkit.fluxcd.io", "imageupdateautomations", "ImageUpdateAutomation"],
		["image-reflector", "image.toolkit.fluxcd.io", "imagepolicies", "ImagePolicy"],
	] {
		user := sprintf("system:serviceaccount:flux-system:%s-controller", [case[0]])
		review := _namespaced("UPDATE", case[1], case[2], case[3], "kube-system", "x")
		_allowed(_by(user, _with(review, {"subResource": "status", "object": {"status": {"ready": true}}})))
		_allowed(_by(user, _with(review, {"object": {"metadata": {"finalizers": ["finalizers.fluxcd.io"]}}})))
		_denied(_by(user, _with(review, {"object": {"spec": {"suspend": true}}})), "namespace")
	}
}

# Who is limited

test_a_user_that_reach_does_not_name_is_not_limited if {
	review := _create("ConfigMap", "kube-system", "aws-auth")
	_admitted(_by("alice", review))
	_admitted(_by("system:serviceaccount:flux-system:other", review))
	_admitted(_by("system:serviceaccount:team-a:kustomize-controller", review))
	_admitted(_with(review, {"userInfo": {}}))
}

test_labels_and_field_managers_of_flux_mean_nothing if {
	labelled := {"object": {"metadata": {"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}}}
	_admitted(_by("alice", _with(_create("ConfigMap", "kube-system", "x"), labelled)))
}

test_an_empty_reach_limits_no_one if {
	review := _by(_kustomize, _create("ConfigMap", "kube-system", "aws-auth"))
	denials := flux.deny with input as review with data.eksguard.settings.flux.reach as []
	denials == set()
}

test_a_user_that_is_no_service_account_has_no_namespace_of_its_own if {
	denials := flux.deny with input as _by("ci", _create("Pod", "ci", "x"))
		with data.eksguard.settings.flux.reach as [{"users": ["ci"]}]
	some denial in denials
	endswith(denial.message, `namespace "ci" is out of its reach, which is empty`)
}

# Namespaces

test_globs_give_namespaces_and_except_takes_them_away if {
	_admitted(_by(_kustomize, _create("Pod", "team-a", "x")))
	_admitted(_by(_kustomize, _create("Pod", "monitoring", "x")))
	_rejected(_by(_kustomize, _create("Pod", "team-secret", "x")), "namespace")
	_rejected(_by(_kustomize, _create("Pod", "monitoring-2", "x")), "namespace")
	_rejected(_by(_kustomize, _create("Pod", "x-team-a", "x")), "namespace")
}

test_entries_for_the_same_user_add_up if {
	settings := array.concat(_reach, [{"users": [_kustomize], "namespaces": ["team-secret"]}])
	denials := flux.deny with input as _by(_kustomize, _create("Pod", "team-secret", "x"))
		with data.eksguard.settings.flux.reach as settings
	denials == set()
}

test_an_entry_gives_nothing_to_others if {
	_admitted(_by(_helm, _create("Pod", "charts", "x")))
	_rejected(_by(_kustomize, _create("Pod", "charts", "x")), "namespace")
}

test_an_entry_gives_only_its_kinds if {
	_admitted(_by(_kustomize, _namespaced("CREATE", "apps", "daemonsets", "DaemonSet", "kube-system", "x")))
	_rejected(_by(_kustomize, _namespaced("CREATE", "apps", "deployments", "Deployment", "kube-system", "x")), "namespace")
	_rejected(_by(_kustomize, _create("DaemonSet", "kube-system", "x")), "namespace")
}

test_a_kind_that_is_not_given_in_a_given_namespace_is_told_so if {
	denials := _judged(_by(_kustomize, _create("ConfigMap", "kube-system", "aws-auth")))
	{denial.message | some denial in denials} == {concat("", [
		`Flux, as "system:serviceaccount:flux-system:kustomize-controller", may not create ConfigMap `,
		`"kube-system/aws-auth": kind "ConfigMap" in namespace "kube-system" is out of its reach, which is its own `,
		"namespace flux-system, and namespaces team-*, monitoring except team-secret, and kinds apps/DaemonSet in ",
		"namespaces kube-system",
	])}
}

test_its_own_namespace_is_always_within_reach if {
	_admitted(_by(_kustomize, _create("Secret", "flux-system", "flux-system")))
	_admitted(_by(_kustomize, _namespaced("UPDATE", "coordination.k8s.io", "leases", "Lease", "flux-system", "x")))
	_admitted(_by(_kustomize, _with(_create("", "flux-system", "x"), _token)))
	_admitted(_by(_kustomize, _namespace_object("UPDATE", "flux-system")))
	_rejected(_by(_kustomize, _create("Secret", "flux-system-2", "x")), "namespace")
	_rejected(_by(_kustomize, _create("Secret", "flux", "x")), "namespace")
}

test_every_operation_counts if {
	_rejected(_by(_kustomize, _namespaced("CREATE", "", "secrets", "Secret", "kube-system", "x")), "namespace")
	_rejected(_by(_kustomize, _changed(_namespaced("UPDATE", "", "secrets", "Secret", "kube-system", "x"))), "namespace")
	_rejected(_by(_kustomize, _namespaced("DELETE", "", "secrets", "Secret", "kube-system", "x")), "namespace")
	_rejected(_by(_kustomize, _namespaced("OTHER", "", "secrets", "Secret", "kube-system", "x")), "namespace")
}

test_an_object_with_a_deletion_timestamp_is_judged_like_any_other if {
	review := _changed(_namespaced("UPDATE", "", "secrets", "Secret", "kube-system", "x"))
	dying := {"metadata": {"deletionTimestamp": "2024-01-01T00:00:00Z"}}
	_rejected(_by(_kustomize, _with(review, {"object": dying, "oldObject": dying})), "namespace")
}

test_exec_into_a_pod_out_of_reach_is_denied if {
	exec := {"subResource": "exec", "kind": {"group": "", "version": "v1", "kind": "PodExecOptions"}}
	review := _by(_kustomize, _with(_namespaced("CONNECT", "", "pods", "Pod", "kube-system", "coredns-1"), exec))
	some denial in _judged(review)
	contains(denial.message, `may not connect to pods/exec "kube-system/coredns-1": kind "PodExecOptions" in`)
}

test_a_token_of_a_service_account_out_of_reach_is_denied if {
	review := _by(_kustomize, _with(_create("", "kube-system", "clusterrole-aggregation-controller"), _token))
	some denial in _judged(review)
	contains(denial.message, `create serviceaccounts/token "kube-system/clusterrole-aggregation-controller": kind`)
	startswith(denial.fix, "do it by other means than Flux, or add {users: ")
	contains(denial.fix, `kinds: ["authentication.k8s.io/TokenRequest"]`)
}

test_scaling_out_of_reach_is_denied if {
	scale := {"subResource": "scale", "kind": {"group": "autoscaling", "version": "v1", "kind": "Scale"}}
	review := _namespaced("UPDATE", "apps", "deployments", "Deployment", "kube-system", "coredns")
	_rejected(_by(_kustomize, _changed(_with(review, scale))), "namespace")
}

test_a_generated_name_out_of_reach_is_denied if {
	review := _with(_create("Pod", "kube-system", ""), {"object": {"metadata": {"generateName": "x-"}}})
	some denial in _judged(_by(_kustomize, review))
	contains(denial.message, `may not create Pod "kube-system/"`)
}

test_an_object_of_a_deleted_collection_is_named if {
	review := _namespaced("DELETE", "", "secrets", "Secret", "kube-system", "")
	some denial in _judged(_by(_kustomize, _with(review, {"oldObject": {"metadata": {"name": "sealed"}}})))
	contains(denial.message, `may not delete Secret "kube-system/sealed"`)
}

test_the_namespace_in_the_object_means_nothing if {
	review := _create("Pod", "kube-system", "x")
	_rejected(_by(_kustomize, _with(review, {"object": {"metadata": {"namespace": "team-a"}}})), "namespace")
	clusterwide := _cluster("CREATE", "storage.k8s.io", "storageclasses", "StorageClass", "x")
	_rejected(_by(_kustomize, _with(clusterwide, {"object": {"metadata": {"namespace": "team-a"}}})), "cluster-kind")
}

test_a_long_reach_is_shortened if {
	many := [sprintf("team-%d", [i]) | some i in numbers.range(1, 12)]
	denials := flux.deny with input as _by("ci", _create("Pod", "kube-system", "x"))
		with data.eksguard.settings.flux.reach as [{"users": ["ci"], "namespaces": many}]
	some denial in denials
	endswith(denial.message, concat("", [
		"which is namespaces team-1, team-2, team-3, team-4, team-5, team-6, team-7, team-8, team-9, ",
		"team-10 and 2 more",
	]))
}

# Labels of namespaces

test_a_selector_gives_the_namespaces_that_bear_its_labels if {
	_labels_judged(_by(_tenant, _create("Pod", "team-a-prod", "x"))) == set()
	_labels_judged(_by(_tenant, _create("Pod", "team-a", "x"))) == set()
	some denial in _labels_judged(_by(_tenant, _create("Pod", "team-b", "x")))
	denial.message == concat("", [
		`Flux, as "system:serviceaccount:team-a:reconciler", may not create Pod "team-b/x": namespace "team-b" is out of `,
		"its reach, which is its own namespace team-a, and namespaces * labelled tenant=team-a",
	])
}

test_a_namespace_that_is_not_known_or_has_no_labels_is_not_selected if {
	every namespace in ["unknown", "bare"] {
		count(_labels_judged(_by(_tenant, _create("Pod", namespace, "x")))) == 1
	}
}

test_a_namespace_must_match_globs_and_selector_where_an_entry_has_both if {
	entry := object.union(_labels_entry, {"namespaces": ["*-prod"]})
	_labels_judged_by([entry], _by(_tenant, _create("Pod", "team-a-prod", "x"))) == set()
	some denial in _labels_judged_by([entry], _by(_tenant, _create("Pod", "team-a-dev", "x")))
	endswith(denial.message, "and namespaces *-prod labelled tenant=team-a")
}

test_a_namespace_is_selected_by_the_labels_that_it_had if {
	labelled := {"metadata": {"labels": {"tenant": "team-a"}}}
	updated := _by(_tenant, _namespace_object("UPDATE", "kube-system"))
	into_reach := _labels_judged(_with(updated, {"object": labelled}))
	{denial.rule | some denial in into_reach} == {"namespace", "namespace-label"}
	_labels_judged(_with(updated, {"oldObject": labelled})) == set()
	deleted := _by(_tenant, _namespace_object("DELETE", "team-a-prod"))
	_labels_judged(_with(deleted, {"oldObject": labelled})) == set()
	count(_labels_judged(deleted)) == 1
}

test_a_new_namespace_is_selected_by_its_own_labels if {
	created := _by(_tenant, _namespace_object("CREATE", "team-a-test"))
	_labels_judged(_with(created, {"object": {"metadata": {"labels": {"tenant": "team-a"}}}})) == set()
	count(_labels_judged(created)) == 1
	count(_labels_judged(_with(created, {"object": {"metadata": {"labels": "tenant"}}}))) == 1
}

# Tenants

test_service_accounts_do_not_label_a_namespace_into_a_reach if {
	relabelled := _labels_of("team-a-dev", {"tenant": "team-b"}, {"tenant": "team-a"})
	_labels_judged(_by(_portal, relabelled)) == {{
		"rule": "namespace-label",
		"field": "metadata.labels",
		"message": concat("", [
			`"system:serviceaccount:portal:portal" may not give namespace "team-a-dev" labels by which it comes within the `,
			`reach of "system:serviceaccount:team-a:reconciler": namespaces * labelled tenant=team-a`,
		]),
		"fix": concat("", [
			`let the platform team set the labels, or add "system:serviceaccount:portal:portal" to `,
			"settings.flux.namespace_labellers",
		]),
	}}
	every user in ["alice", _kustomize, "system:serviceaccount:kube-system:labeller"] {
		_labels_judged(_by(user, relabelled)) == set()
	}
	_labels_judged(_by(_portal, _labels_of("x", {"tenant": "team-a"}, {"tenant": "team-a", "b": "c"}))) == set()
	_labels_judged(_by(_portal, _labels_of("x", {"tenant": "team-a"}, {"tenant": "team-b"}))) == set()
	_labels_judged(_by(_portal, _with(relabelled, {"operation": "CREATE"}))) == set()
	some finalized in _labels_judged(_by(_portal, _with(relabelled, {"subResource": "finalize"})))
	finalized.rule == "namespace-label"
}

test_a_label_counts_where_the_namespace_comes_within_the_whole_entry if {
	entry := object.union(_labels_entry, {"namespaces": ["team-*"], "except_namespaces": ["team-x"]})
	names := ["team-b", "other", "team-x"]
	labelled := {name: _by(_portal, _labels_of(name, {}, {"tenant": "team-a"})) | some name in names}
	count(_labels_judged_by([entry], labelled["team-b"])) == 1
	_labels_judged_by([entry], labelled.other) == set()
	_labels_judged_by([entry], labelled["team-x"]) == set()
	open := {"matchExpressions": [{"key": "closed", "operator": "DoesNotExist"}]}
	absent := {"users": [_tenant], "namespace_selector": open}
	count(_labels_judged_by([absent], _by(_portal, _labels_of("x", {"closed": ""}, {})))) == 1
	_labels_judged_by([{"users": [_tenant], "namespaces": ["*"]}], labelled["team-b"]) == set()
}

test_a_glob_of_users_holds_each_to_its_own_namespace if {
	reach := [{"users": ["system:serviceaccount:*:reconciler"]}]
	_labels_judged_by(reach, _by(_tenant, _create("Pod", "team-a", "x"))) == set()
	some denial in _labels_judged_by(reach, _by(_tenant, _create("Pod", "team-a-prod", "x")))
	endswith(denial.message, "is out of its reach, which is its own namespace team-a")
	count(_labels_judged_by(reach, _by(_tenant, _cluster("CREATE", "", "nodes", "Node", "x")))) == 1
	other := "system:serviceaccount:team-a:deployer"
	_labels_judged_by(reach, _by(other, _create("Pod", "team-b", "x"))) == set()
}

# Operations

test_an_entry_gives_only_its_operations if {
	reach := [{"users": [_tenant], "namespaces": ["apps"], "operations": ["CREATE", "UPDATE"]}]
	_labels_judged_by(reach, _by(_tenant, _create("Pod", "apps", "x"))) == set()
	_labels_judged_by(reach, _by(_tenant, _namespaced("DELETE", "", "pods", "Pod", "apps", "x"))) == {{
		"rule": "namespace",
		"field": "metadata.namespace",
		"message": concat("", [
			`Flux, as "system:serviceaccount:team-a:reconciler", may not delete Pod "apps/x": operation DELETE on kind "Pod" `,
			`in namespace "apps" is out of its reach, which is its own namespace team-a, and CREATE, UPDATE in namespaces apps`,
		]),
		"fix": concat("", [
			`do it by other means than Flux, or add {users: ["system:serviceaccount:team-a:reconciler"], `,
			`namespaces: ["apps"], kinds: ["Pod"], operations: [DELETE]} to settings.flux.reach`,
		]),
	}}
}

test_operations_are_told_with_kinds if {
	reach := [{"users": [_tenant], "namespaces": ["apps"], "kinds": ["Pod"], "operations": ["CREATE"]}]
	some denial in _labels_judged_by(reach, _by(_tenant, _create("Secret", "apps", "x")))
	endswith(denial.message, "its own namespace team-a, and CREATE of kinds Pod in namespaces apps")
}

test_an_entry_gives_only_its_operations_on_cluster_kinds if {
	reach := [{"users": [_tenant], "cluster_kinds": ["PersistentVolume"], "operations": ["CREATE"]}]
	volume := _cluster("CREATE", "", "persistentvolumes", "PersistentVolume", "x")
	_labels_judged_by(reach, _by(_tenant, volume)) == set()
	deleted := _cluster("DELETE", "", "persistentvolumes", "PersistentVolume", "x")
	some denial in _labels_judged_by(reach, _by(_tenant, deleted))
	endswith(denial.message, concat("", [
		`: operation DELETE on cluster-scoped kind "PersistentVolume" is out of its reach, which is CREATE of kinds `,
		"PersistentVolume",
	]))
	endswith(denial.fix, `cluster_kinds: ["PersistentVolume"], operations: [DELETE]} to settings.flux.reach`)
}

# Namespace objects

test_a_namespace_belongs_to_itself if {
	every operation in ["CREATE", "UPDATE", "DELETE"] {
		_admitted(_by(_kustomize, _changed(_namespace_object(operation, "team-a"))))
		_rejected(_by(_kustomize, _changed(_namespace_object(operation, "kube-system"))), "namespace")
	}
}

test_the_message_for_a_namespace_names_it if {
	denials := _judged(_by(_helm, _changed(_namespace_object("UPDATE", "kube-system"))))
	denials == {{
		"rule": "namespace",
		"field": "metadata.name",
		"message": concat("", [
			`Flux, as "system:serviceaccount:flux-system:helm-controller", may not update Namespace "kube-system": `,
			`namespace "kube-system" is out of its reach, which is its own namespace flux-system, and namespaces charts`,
		]),
		"fix": concat("", [
			`do it by other means than Flux, or add {users: ["system:serviceaccount:flux-system:helm-controller"], `,
			`namespaces: ["kube-system"], kinds: ["Namespace"]} to settings.flux.reach`,
		]),
	}}
}

test_finalize_and_status_of_a_namespace_count_as_well if {
	every subresource in ["finalize", "status"] {
		review := _with(_changed(_namespace_object("UPDATE", "kube-system")), {"subResource": subresource})
		_rejected(_by(_kustomize, review), "namespace")
	}
}

test_cluster_kinds_have_no_say_in_namespaces if {
	_rejected(_by(_kustomize, _namespace_object("CREATE", "other")), "namespace")
	_admitted(_by(_kustomize, _namespace_object("CREATE", "team-b")))
}

test_a_namespace_without_a_name_is_within_no_reach if {
	reach := [{"users": [_kustomize], "namespaces": ["*"]}]
	denials := flux.deny with input as _by(_kustomize, _namespace_object("CREATE", ""))
		with data.eksguard.settings.flux.reach as reach
	count(denials) == 1
}

test_a_namespace_that_a_collection_deletes_is_judged_by_its_old_object if {
	review := _with(_namespace_object("DELETE", ""), {"oldObject": {"metadata": {"name": "kube-system"}}})
	_rejected(_by(_kustomize, review), "namespace")
}

test_a_kind_called_namespace_of_another_group_is_no_namespace if {
	review := _cluster("CREATE", "example.com", "namespaces", "Namespace", "team-a")
	_rejected(_by(_kustomize, review), "cluster-kind")
}

# Cluster-scoped kinds

test_cluster_kinds_are_given_by_group_and_kind if {
	_admitted(_by(_kustomize, _cluster("CREATE", "rbac.authorization.k8s.io", "clusterroles", "ClusterRole", "x")))
	_admitted(_by(_kustomize, _cluster("CREATE", "", "persistentvolumes", "PersistentVolume", "x")))
	_rejected(_by(_kustomize, _cluster("CREATE", "example.com", "x", "PersistentVolume", "x")), "cluster-kind")
	_rejected(_by(_helm, _cluster("CREATE", "", "persistentvolumes", "PersistentVolume", "x")), "cluster-kind")
}

test_the_message_for_a_cluster_kind_tells_the_reach_and_the_fix if {
	review := _cluster("DELETE", "apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition", "x.y")
	_judged(_by(_kustomize, review)) == {{
		"rule": "cluster-kind",
		"field": "kind",
		"message": concat("", [
			`Flux, as "system:serviceaccount:flux-system:kustomize-controller", may not delete `,
			`apiextensions.k8s.io/CustomResourceDefinition "x.y": cluster-scoped kind `,
			`"apiextensions.k8s.io/CustomResourceDefinition" is out of its reach, which is kinds `,
			"rbac.authorization.k8s.io/*, PersistentVolume",
		]),
		"fix": concat("", [
			"do it by other means than Flux, or add ",
			`{users: ["system:serviceaccount:flux-system:kustomize-controller"], `,
			`cluster_kinds: ["apiextensions.k8s.io/CustomResourceDefinition"]} to settings.flux.reach`,
		]),
	}}
}

test_a_request_that_does_not_tell_its_kind_is_within_no_reach if {
	bare := {"request": {"operation": "CREATE", "name": "x", "userInfo": {"username": _kustomize}}}
	_rejected(bare, "cluster-kind")
	_rejected(_with(bare, {"namespace": "kube-system"}), "namespace")
}

test_no_cluster_kind_is_told_as_an_empty_reach if {
	some denial in _judged(_by(_helm, _cluster("CREATE", "", "persistentvolumes", "PersistentVolume", "x")))
	endswith(denial.message, "is out of its reach, which is empty")
}

test_the_proxy_of_a_node_is_a_kind_of_its_own if {
	proxy := {"subResource": "proxy", "kind": {"group": "", "version": "v1", "kind": "NodeProxyOptions"}}
	review := _by(_kustomize, _with(_cluster("CONNECT", "", "nodes", "Node", "ip-10-0-0-1"), proxy))
	some denial in _judged(review)
	contains(denial.message, `may not connect to nodes/proxy "ip-10-0-0-1": cluster-scoped kind "NodeProxyOptions" is`)
}

# What is let pass beyond the reach

test_an_update_that_changes_nothing_is_let_pass if {
	review := _namespaced("UPDATE", "", "secrets", "Secret", "kube-system", "x")
	_admitted(_by(_kustomize, review))
	_admitted(_by(_kustomize, _with(review, {"object": {"metadata": {
		"managedFields": [{"manager": "kustomize-controller"}],
		"resourceVersion": "8",
		"generation": 3,
		"annotations": {},
	}}})))
	_admitted(_by(_kustomize, _cluster("UPDATE", "storage.k8s.io", "storageclasses", "StorageClass", "x")))
	_admitted(_by(_kustomize, _namespace_object("UPDATE", "kube-system")))
}

test_an_update_that_changes_anything_else_is_denied if {
	review := _namespaced("UPDATE", "", "secrets", "Secret", "kube-system", "x")
	every change in [
		{"data": {"a": "b"}},
		{"status": {}},
		{"metadata": {"labels": {"a": "b"}}},
		{"metadata": {"annotations": {"a": "b"}}},
		{"metadata": {"finalizers": ["a"]}},
		{"metadata": {"ownerReferences": []}},
		{"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "now"}}},
	] {
		_rejected(_by(_kustomize, _with(review, {"object": change})), "namespace")
		_rejected(_by(_kustomize, _with(review, {"oldObject": change})), "namespace")
	}
}

test_objects_of_another_type_than_expected_do_not_pass_for_unchanged if {
	review := _namespaced("UPDATE", "", "secrets", "Secret", "kube-system", "x")
	every odd in [null, "x", 7, [], {"metadata": "x"}, {"metadata": null}, {"metadata": {"annotations": ["x"]}}] {
		replaced := json.patch(review, [{"op": "replace", "path": "request/object", "value": odd}])
		_rejected(_by(_kustomize, replaced), "namespace")
	}
	_rejected(
		_by(_kustomize, json.patch(review, [
			{"op": "replace", "path": "request/object", "value": null},
			{"op": "replace", "path": "request/oldObject", "value": null},
		])),
		"namespace",
	)
}

test_only_updates_pass_for_unchanged if {
	same := {"object": {"metadata": {"name": "x"}}, "oldObject": {"metadata": {"name": "x"}}}
	every operation in ["CREATE", "DELETE", "CONNECT"] {
		review := _namespaced(operation, "", "secrets", "Secret", "kube-system", "x")
		_rejected(_by(_kustomize, _with(review, same)), "namespace")
	}
}

test_events_are_created_and_updated_anywhere if {
	every group in ["", "events.k8s.io"] {
		_admitted(_by(_kustomize, _namespaced("CREATE", group, "events", "Event", "kube-system", "x")))
		_admitted(_by(_kustomize, _changed(_namespaced("UPDATE", group, "events", "Event", "kube-system", "x"))))
		_rejected(_by(_kustomize, _namespaced("DELETE", group, "events", "Event", "kube-system", "x")), "namespace")
	}
	_rejected(_by(_kustomize, _namespaced("CREATE", "example.com", "events", "Event", "kube-system", "x")), "namespace")
}

test_reviews_are_answered_anywhere if {
	every case in [
		["authentication.k8s.io", "selfsubjectreviews"],
		["authentication.k8s.io", "tokenreviews"],
		["authorization.k8s.io", "selfsubjectaccessreviews"],
		["authorization.k8s.io", "selfsubjectrulesreviews"],
		["authorization.k8s.io", "subjectaccessreviews"],
	] {
		_admitted(_by(_helm, _cluster("CREATE", case[0], case[1], "Review", "")))
	}
	local := _namespaced("CREATE", "authorization.k8s.io", "localsubjectaccessreviews", "Review", "kube-system", "")
	_admitted(_by(_helm, local))
	_rejected(_by(_helm, _cluster("CREATE", "example.com", "tokenreviews", "TokenReview", "x")), "cluster-kind")
}

test_the_status_of_a_controlled_kind_is_updated_anywhere if {
	review := _kustomization("UPDATE", {"status": {"observedGeneration": 2}})
	_admitted(_by(_kustomize, _with(review, {"subResource": "status"})))
	_rejected(_by(_kustomize, review), "namespace")
	_rejected(_by(_kustomize, _with(review, {"subResource": "scale"})), "namespace")
	_rejected(_by(_helm, _with(review, {"subResource": "status"})), "namespace")
}

test_a_controller_of_a_cluster_scoped_kind_gets_nothing_by_controlling_it if {
	review := _cluster("UPDATE", "kustomize.toolkit.fluxcd.io", "clusters", "Kustomization", "x")
	_rejected(_by(_kustomize, _with(_changed(review), {"subResource": "status"})), "cluster-kind")
}

test_the_finalizers_of_a_controlled_kind_are_updated_anywhere if {
	_admitted(_by(_kustomize, _kustomization("UPDATE", {"metadata": {"finalizers": ["finalizers.fluxcd.io"]}})))
	_rejected(_by(_helm, _kustomization("UPDATE", {"metadata": {"finalizers": ["finalizers.fluxcd.io"]}})), "namespace")
	_rejected(
		_by(_kustomize, _kustomization("UPDATE", {"metadata": {"finalizers": ["x"]}, "spec": {"path": "./x"}})),
		"namespace",
	)
}

test_a_controlled_kind_is_not_created_or_deleted_out_of_reach if {
	_rejected(_by(_kustomize, _kustomization("CREATE", {})), "namespace")
	_rejected(_by(_kustomize, _kustomization("DELETE", {})), "namespace")
}

test_a_receiver_requests_reconciliations_anywhere if {
	requested := {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "2024-01-01T00:00:00Z"}}}
	_admitted(_by(_helm, _kustomization("UPDATE", requested)))
	forced := {"metadata": {"annotations": {"reconcile.fluxcd.io/forceAt": "2024-01-01T00:00:00Z"}}}
	_rejected(_by(_helm, _kustomization("UPDATE", forced)), "namespace")
	_rejected(_by(_helm, _kustomization("UPDATE", object.union(requested, {"spec": {"path": "./x"}}))), "namespace")
	_rejected(_by(_helm, _with(_kustomization("UPDATE", requested), {"subResource": "status"})), "namespace")
}

test_a_managed_kind_is_written_anywhere if {
	every operation in ["CREATE", "UPDATE", "DELETE"] {
		review := _changed(_namespaced(operation, "source.toolkit.fluxcd.io", "helmcharts", "HelmChart", "kube-system", "x"))
		_admitted(_by(_helm, review))
		_rejected(_by(_kustomize, review), "namespace")
		_rejected(_by(_helm, _with(review, {"subResource": "status"})), "namespace")
	}
}

# Settings of the tests, and builders of reviews.

_kustomize := "system:serviceaccount:flux-system:kustomize-controller"

_helm := "system:serviceaccount:flux-system:helm-controller"

_reach := [
	{
		"users": [_kustomize],
		"namespaces": ["team-*", "monitoring"],
		"except_namespaces": ["team-secret"],
		"cluster_kinds": ["rbac.authorization.k8s.io/*", "PersistentVolume"],
	},
	{"users": [_kustomize], "namespaces": ["kube-system"], "kinds": ["apps/DaemonSet"]},
	{"users": [_helm], "namespaces": ["charts"]},
]

_tenant := "system:serviceaccount:team-a:reconciler"

_labels_entry := {"users": [_tenant], "namespace_selector": {"matchLabels": {"tenant": "team-a"}}}

_portal := "system:serviceaccount:portal:portal"

_labels_of(name, before, after) := _with(_namespace_object("UPDATE", name), {
	"oldObject": {"metadata": {"labels": before}},
	"object": {"metadata": {"labels": after}},
})

_labels_judged(review) := _labels_judged_by([_labels_entry], review)

_labels_judged_by(reach, review) := denials if {
	denials := flux.deny with input as review
		with data.eksguard.settings.flux.reach as reach
		with data.cluster as {"v1/namespaces": {
			"team-a-prod": {"metadata": {"labels": {"tenant": "team-a"}}},
			"team-a-dev": {"metadata": {"labels": {"tenant": "team-a"}}},
			"team-b": {"metadata": {"labels": {"tenant": "team-b"}}},
			"bare": {"metadata": {}},
		}}
}

_controllers := [
	{"users": [_kustomize], "controls": ["kustomize.toolkit.fluxcd.io/*"]},
	{"users": [_helm], "manages": ["source.toolkit.fluxcd.io/HelmChart"]},
]

_judged(review) := denials if {
	denials := flux.deny with input as review
		with data.eksguard.settings.flux as {"reach": _reach, "controllers": _controllers, "namespace_labellers": []}
}

_admitted(review) if _judged(review) == set()

_rejected(review, rule) if [denial.rule | some denial in _judged(review)] == [rule]

# By the default settings.
_allowed(review) if {
	denials := flux.deny with input as review
	denials == set()
}

_denied(review, rule) if {
	denials := flux.deny with input as review
	[denial.rule | some denial in denials] == [rule]
}

_token := {
	"resource": {"group": "", "version": "v1", "resource": "serviceaccounts"},
	"subResource": "token",
	"kind": {"group": "authentication.k8s.io", "version": "v1", "kind": "TokenRequest"},
}

_by(user, review) := _with(review, {"userInfo": {"username": user}})

_with(review, fields) := object.union(review, {"request": fields})

_changed(review) := _with(review, {"oldObject": {"metadata": {"labels": {"old": "value"}}}})

_create(kind, namespace, name) := _namespaced("CREATE", "", sprintf("%ss", [lower(kind)]), kind, namespace, name)

_kustomization(operation, change) := _with(
	_namespaced(operation, "kustomize.toolkit.fluxcd.io", "kustomizations", "Kustomization", "kube-system", "apps"),
	{"object": change},
)

# The API server takes a Namespace's name for its namespace.
_namespace_object(operation, name) := _namespaced(operation, "", "namespaces", "Namespace", name, name)

_namespaced(operation, group, resource, kind, namespace, name) := _with(
	_cluster(operation, group, resource, kind, name),
	{"namespace": namespace},
)

_cluster(operation, group, resource, kind, name) := {"request": {
	"operation": operation,
	"kind": {"group": group, "version": "v1", "kind": kind},
	"resource": {"group": group, "version": "v1", "resource": resource},
	"name": name,
	"object": _object(operation, ["CREATE", "UPDATE"], "2"),
	"oldObject": _object(operation, ["UPDATE", "DELETE"], "1"),
}}

_object(operation, operations, version) := {"metadata": {"resourceVersion": version}} if operation in operations

_object(operation, operations, _) := null if not operation in operations
