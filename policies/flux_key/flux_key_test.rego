package eksguard.flux_key_test

import data.eksguard.flux_key

# The Secret

test_the_deploy_key_is_written_by_its_keepers_only if {
	every operation in ["CREATE", "UPDATE", "DELETE"] {
		_rules(_changed(_secret(operation, "flux", "flux-git-deploy"))) == {"secret"}
		_rules(_changed(_secret(operation, "flux-system", "flux-system"))) == {"secret"}
	}
	_judged(_changed(_secret("UPDATE", "flux", "flux-git-deploy"))) == {{
		"rule": "secret",
		"field": "metadata.name",
		"message": `Secret "flux/flux-git-deploy" holds a key of Flux; "mallory", who is no keeper of it, may not update it`,
		"fix": `let a keeper do it, or add "mallory" to settings.flux_key.keepers.users`,
	}}
}

test_a_secret_that_a_git_repository_names_is_a_key if {
	_rules(_secret("CREATE", "flux-system", "apps-key")) == {"secret"}
	_rules(_secret("CREATE", "flux-system", "other")) == set()
	_rules(_secret("CREATE", "flux", "apps-key")) == set()
	_rules(_secret("CREATE", "team-a", "apps-key")) == set()
}

test_every_secret_is_a_key_until_the_git_repositories_are_known if {
	denials := flux_key.deny with input as _secret("CREATE", "flux-system", "other") with data.cluster as {}
	count(denials) == 1
}

test_a_key_elsewhere_is_not_fluxs if {
	_rules(_secret("CREATE", "team-a", "flux-git-deploy")) == set()
}

test_an_update_that_changes_nothing_is_denied_because_its_answer_holds_the_key if {
	review := _secret("UPDATE", "flux", "flux-git-deploy")
	_rules(review) == {"secret"}
	applied := {"object": {"metadata": {"resourceVersion": "9", "managedFields": [{"manager": "x"}]}}}
	_rules(_with(review, applied)) == {"secret"}
	_rules(_secret("UPDATE", "flux-system", "other")) == set()
	shared := {"object": {"metadata": {"annotations": {"reflector.v1.k8s.emberstack.com/reflection-allowed": "true"}}}}
	_rules(_with(review, shared)) == {"secret"}
	_rules(_with(review, {"object": {"metadata": {"deletionTimestamp": "2024-01-01T00:00:00Z"}}})) == {"secret"}
}

test_a_key_in_a_deleted_collection_or_with_a_generated_name_is_named_by_its_object if {
	deleted := _with(_secret("DELETE", "flux", ""), {"oldObject": {"metadata": {"name": "flux-git-deploy"}}})
	some denial in _judged(deleted)
	startswith(denial.message, `Secret "flux/flux-git-deploy"`)
	created := _with(_secret("CREATE", "flux", ""), {"object": {"metadata": {"name": "sops-x7"}}})
	_rules(created) == {"secret"}
}

# Keepers

test_keepers_and_machinery_do_as_they_must if {
	review := _changed(_secret("UPDATE", "flux-system", "flux-system"))
	every user in [
		"system:serviceaccount:flux:flux",
		"system:serviceaccount:flux-system:kustomize-controller",
		"system:serviceaccount:flux-system:helm-controller",
		"system:serviceaccount:kube-system:namespace-controller",
		"arn:aws:sts::123456789012:assumed-role/admin/alice",
		"eks:addon-manager",
	] {
		_rules(_by(user, review)) == set()
	}
	_rules(_with(review, {"userInfo": {"groups": ["system:authenticated", "system:masters"]}})) == set()
	_rules(_with(review, {"userInfo": {"groups": ["system:authenticated"]}})) == {"secret"}
	_rules(_by("system:serviceaccount:kube-system:aws-node", review)) == {"secret"}
	_rules(_with(review, {"userInfo": null})) == {"secret"}
}

# Tokens

test_tokens_of_fluxs_accounts_are_made_for_no_one_else if {
	_judged(_token("flux-system", "kustomize-controller")) == {{
		"rule": "token",
		"field": "metadata.name",
		"message": concat("", [
			`"mallory" may not have a token of Flux's ServiceAccount "flux-system/kustomize-controller" made: it is no `,
			"keeper of Flux's keys",
		]),
		"fix": `let a keeper do it, or add "mallory" to settings.flux_key.keepers.users`,
	}}
	_rules(_token("flux-system", "default")) == set()
	_rules(_token("team-a", "kustomize-controller")) == set()
}

test_kubelets_get_tokens_and_accounts_their_own if {
	kubelet := {"userInfo": {"username": "system:node:ip-10-0-0-1", "groups": ["system:nodes"]}}
	_rules(_with(_token("flux-system", "source-controller"), kubelet)) == set()
	source := "system:serviceaccount:flux-system:source-controller"
	_rules(_by(source, _token("flux-system", "source-controller"))) == set()
	_rules(_by(source, _token("flux-system", "kustomize-controller"))) == {"token"}
}

test_a_secret_does_not_ask_for_a_token_of_fluxs_accounts if {
	asking := {
		"type": "kubernetes.io/service-account-token",
		"metadata": {"annotations": {"kubernetes.io/service-account.name": "kustomize-controller"}},
	}
	review := _with(_secret("CREATE", "flux-system", "x"), {"object": asking})
	some denial in _judged(review)
	denial.rule == "token"
	denial.field == `metadata.annotations["kubernetes.io/service-account.name"]`
	_rules(_with(review, {"object": {"type": "Opaque"}})) == set()
}

test_a_secret_with_a_token_of_flux_is_a_key if {
	asking := {
		"type": "kubernetes.io/service-account-token",
		"metadata": {"annotations": {"kubernetes.io/service-account.name": "kustomize-controller"}},
	}
	every operation in ["UPDATE", "DELETE"] {
		some denial in _judged(_with(_secret(operation, "flux-system", "x"), {"oldObject": asking}))
		denial.rule == "secret"
		startswith(denial.message, `Secret "flux-system/x" holds a token of Flux; "mallory"`)
	}
	others := object.union(asking, {"metadata": {"annotations": {"kubernetes.io/service-account.name": "default"}}})
	_rules(_with(_secret("DELETE", "flux-system", "x"), {"oldObject": others})) == set()

	# It is denied once, by its name.
	named := _judged(_with(_secret("DELETE", "flux-system", "flux-system"), {"oldObject": asking}))
	count(named) == 1
}

# Pods

test_a_pod_that_uses_the_key_is_made_by_keepers_only if {
	every spec in [
		{"volumes": [{"name": "key", "secret": {"secretName": "flux-system"}}]},
		{"volumes": [{"name": "key", "projected": {"sources": [{"secret": {"name": "flux-system"}}]}}]},
		{"volumes": [{"name": "key", "csi": {"nodePublishSecretRef": {"name": "flux-system"}}}]},
		{"containers": [{"env": [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "flux-system", "key": "identity"}}}]}]},
		{"initContainers": [{"envFrom": [{"secretRef": {"name": "flux-system"}}]}]},
		{"imagePullSecrets": [{"name": "flux-system"}]},
	] {
		_rules(_pod("flux-system", spec)) == {"pod"}
		_rules(_pod("team-a", spec)) == set()
		_rules(_by("system:serviceaccount:kube-system:replicaset-controller", _pod("flux-system", spec))) == set()
		_rules(_deployment("flux-system", spec)) == {"pod"}
		_rules(_cron_job("flux-system", spec)) == {"pod"}
	}
}

test_a_pod_that_uses_something_else_is_not_denied if {
	_rules(_pod("flux-system", {
		"serviceAccountName": "default",
		"volumes": [{"name": "flux-system", "configMap": {"name": "flux-system"}}, {"secret": {"secretName": "other"}}],
		"containers": [{"name": "flux-system", "env": [{"valueFrom": {"configMapKeyRef": {"name": "flux-system"}}}]}],
	})) == set()
	every spec in [null, "x", [{"name": "flux-system"}], {"volumes": [{"secret": {"secretName": 7}}]}] {
		_rules(_pod("flux-system", spec)) == set()
	}
}

test_the_message_says_what_a_pod_uses if {
	_judged(_deployment("flux-system", {"volumes": [{"secret": {"secretName": "flux-system"}}]})) == {{
		"rule": "pod",
		"field": "spec.template.spec.volumes[0].secret.secretName",
		"message": concat("", [
			`Deployment "flux-system/x" uses Secret "flux-system", a key of Flux; "mallory", who is no keeper of Flux's `,
			"keys, may not create it",
		]),
		"fix": `let a keeper do it, or add "mallory" to settings.flux_key.keepers.users`,
	}}
}

test_a_pod_that_runs_as_flux_is_made_by_keepers_only if {
	some denial in _judged(_pod("flux-system", {"serviceAccountName": "kustomize-controller"}))
	denial.field == "spec.serviceAccountName"
	startswith(denial.message, `Pod "flux-system/x" runs as Flux's ServiceAccount "kustomize-controller"; "mallory"`)
	both := {"serviceAccountName": "flux", "serviceAccount": "flux"}
	count(_judged(_pod("flux", both))) == 1
	_rules(_deployment("flux", {"serviceAccount": "flux"})) == {"pod"}
}

test_what_runs_with_the_key_is_changed_by_keepers_only if {
	old := {"serviceAccountName": "source-controller", "containers": [{"image": "source-controller:v1"}]}
	review := _deployment("flux-system", object.union(old, {"containers": [{"image": "evil"}]}))
	_rules(_was(review, {"spec": {"template": {"spec": old}}})) == {"pod"}
	scaled := _with(_deployment("flux-system", old), {"object": {"spec": {"replicas": 2}}})
	_rules(_was(scaled, {"spec": {"replicas": 1, "template": {"spec": old}}})) == set()
}

test_a_revision_of_a_stateful_set_is_what_its_pods_are_made_of if {
	some denial in _judged(_revision({"serviceAccountName": "kustomize-controller"}))
	denial.rule == "pod"
	denial.field == "data.spec.template.spec.serviceAccountName"
	_rules(_revision({"serviceAccountName": "default"})) == set()
}

test_custom_resources_that_make_pods_with_the_key_are_made_by_keepers_only if {
	rollout := _with(
		_review("CREATE", "argoproj.io", "rollouts", "Rollout", "flux-system", "x"),
		{"object": {"spec": {"template": {"spec": {"serviceAccountName": "source-controller"}}}}},
	)
	[violation] := [violation | some violation in _judged(rollout)]
	violation.rule == "pod"
	violation.field == "spec.template.spec.serviceAccountName"
	revision := _with(
		_review("CREATE", "serving.knative.dev", "revisions", "Revision", "flux-system", "x"),
		{"object": {"spec": {"serviceAccountName": "source-controller"}}},
	)
	_rules(revision) == {"pod"}
}

# Going in

test_nobody_but_keepers_goes_into_fluxs_pods if {
	_rules(_connect("flux-system", "services", "proxy")) == {"connect"}
	every way in ["exec", "attach", "portforward", "proxy"] {
		_rules(_connect("flux-system", "pods", way)) == {"connect"}
		_rules(_connect("team-a", "pods", way)) == set()
	}
	some denial in _judged(_connect("flux-system", "pods", "exec"))
	denial.message == concat("", [
		`"mallory", who is no keeper of Flux's keys, may not use pods/exec of "flux-system/x": Flux's Pods hold its keys`,
	])
}

test_no_ephemeral_container_is_put_into_fluxs_pods if {
	review := _with(_was(_pod("flux-system", {}), {"spec": {}}), {"subResource": "ephemeralcontainers"})
	added := {"object": {"spec": {"ephemeralContainers": [{"name": "debug"}]}}}
	_rules(_with(review, added)) == {"connect"}
	_rules(_with(_with(review, added), {"oldObject": added.object})) == set()
}

# Objects of Flux

test_an_object_of_flux_that_uses_the_key_is_made_by_keepers_only if {
	spec := {"url": "https://evil.example", "secretRef": {"name": "flux-system"}}
	{denial |
		some denial in _judged(_flux("source", "GitRepository", "gitrepositories", spec))
		denial.rule == "source"
	} == {{
		"rule": "source",
		"field": "spec.secretRef.name",
		"message": concat("", [
			`GitRepository "flux-system/x" uses Secret "flux-system", a key of Flux; "mallory", who is no keeper of Flux's `,
			"keys, may not create it",
		]),
		"fix": `let a keeper do it, or add "mallory" to settings.flux_key.keepers.users`,
	}}
	every other in [
		{"postBuild": {"substituteFrom": [{"kind": "Secret", "name": "flux-system"}]}},
		{"decryption": {"secretRef": {"name": "sops-age"}}},
		{"decryption": {"serviceAccountName": "kustomize-controller"}},
		{"kubeConfig": {"secretRef": {"name": "flux-system"}}},
	] {
		_rules(_kustomization(other)) == {"source"}
	}
	_rules(_kustomization({"postBuild": {"substituteFrom": [{"kind": "ConfigMap", "name": "flux-system"}]}})) == set()
	_rules(_kustomization({"serviceAccountName": "flux-operator"})) == {"source"}
	values := {"serviceAccountName": "apps", "valuesFrom": [{"kind": "Secret", "name": "flux-system"}]}
	_rules(_flux("helm", "HelmRelease", "helmreleases", values)) == {"source"}
	_rules(_flux("notification", "Provider", "providers", {"secretRef": {"name": "flux-system"}})) == {"source"}
	_rules(_flux("notification", "Provider", "providers", {"secretRef": {"name": "slack"}})) == set()
}

test_an_object_that_used_the_key_is_changed_and_deleted_by_keepers_only if {
	spec := {"serviceAccountName": "apps", "decryption": {"secretRef": {"name": "sops-age"}}}
	_rules(_was(_kustomization({"decryption": null}), {"spec": spec})) == {"source"}
	deleted := _with(_kustomization({}), {"operation": "DELETE", "object": null, "oldObject": {"spec": spec}})
	some denial in _judged(deleted)
	endswith(denial.message, "may not delete it")
}

# What Flux applies

test_what_flux_applies_with_its_own_rights_is_chosen_by_keepers if {
	_judged(_kustomization({"serviceAccountName": ""})) == {{
		"rule": "apply",
		"field": "spec.serviceAccountName",
		"message": concat("", [
			`Kustomization "flux-system/x" runs with Flux's own rights; "mallory", who is no keeper of Flux's keys, may `,
			"not create it",
		]),
		"fix": `let a keeper do it, or add "mallory" to settings.flux_key.keepers.users`,
	}}
	_rules(_flux("helm", "HelmRelease", "helmreleases", {"interval": "1m"})) == {"apply"}
	_rules(_flux("helm", "HelmRelease", "helmreleases", {"serviceAccountName": "apps"})) == set()
	operated := {"request": {"resource": {"group": "fluxcd.controlplane.io"}}}
	_rules(object.union(_flux("x", "ResourceSet", "resourcesets", {"resources": []}), operated)) == {"apply"}
	_rules(object.union(_flux("x", "FluxInstance", "fluxinstances", {"cluster": {}}), operated)) == {"apply"}
	_rules(object.union(_kustomization({"serviceAccountName": ""}), {"request": {"namespace": "team-a"}})) == set()
}

test_the_account_of_what_runs_with_fluxs_own_rights_is_set_by_keepers if {
	_rules(_was(_kustomization({"path": "./"}), {"spec": {"path": "./"}})) == {"apply"}
	_rules(_was(_kustomization({"path": "./"}), {"spec": {"serviceAccountName": "apps"}})) == set()
}

test_sources_of_flux_are_made_by_keepers_and_flux if {
	review := _flux("source", "GitRepository", "gitrepositories", {"url": "https://evil.example"})
	some denial in _judged(review)
	denial.field == "spec"
	startswith(denial.message, `GitRepository "flux-system/x" says what Flux applies; "mallory"`)
	_rules(_was(review, {"spec": {"url": "https://git.example"}})) == {"apply"}
	_rules(_with(review, {"operation": "DELETE", "object": null, "oldObject": {"spec": {}}})) == {"apply"}
	watcher := "system:serviceaccount:flux-system:source-watcher"
	_rules(_by(watcher, _flux("source", "ExternalArtifact", "externalartifacts", {}))) == set()
	_rules(_by("system:serviceaccount:flux-system:default", review)) == {"apply"}
	_rules(_by("system:serviceaccount:team-a:source-watcher", review)) == {"apply"}
}

test_the_status_of_fluxs_objects_is_written_by_flux if {
	review := _with(_was(_flux("source", "GitRepository", "gitrepositories", {}), {"spec": {}}), {
		"subResource": "status",
		"object": {"status": {"artifact": {"url": "http://evil.example/x.tar.gz"}}},
	})
	_judged(review) == {{
		"rule": "status",
		"field": "status",
		"message": concat("", [
			`the status of GitRepository "flux-system/x" tells Flux what to apply and what to prune; "mallory", who is no `,
			"keeper of Flux's keys, may not update it",
		]),
		"fix": concat("", [
			`leave it to Flux's controllers; let a keeper do it, or add "mallory" to settings.flux_key.keepers.users`,
		]),
	}}
	_rules(_by("system:serviceaccount:flux-system:source-controller", review)) == set()
	_rules(_with(review, {"oldObject": {"status": {"artifact": {"url": "http://evil.example/x.tar.gz"}}}})) == set()
	_rules(object.union(review, {"request": {"resource": {"group": "apps"}}})) == set()
}

test_image_automation_in_flux_namespaces_is_made_by_keepers_only if {
	some denial in _judged(_flux("image", "ImageUpdateAutomation", "imageupdateautomations", {"interval": "1m"}))
	denial.field == "spec.sourceRef"
	contains(denial.message, "pushes with the key of its GitRepository")
}

test_an_unchanged_spec_of_flux_is_let_pass if {
	spec := {"secretRef": {"name": "flux-system"}}
	review := _flux("source", "GitRepository", "gitrepositories", spec)
	_rules(_was(review, {"spec": spec})) == set()
	_rules(_was(review, {"spec": {}})) == {"apply", "source"}
}

# Rights

test_a_role_that_opens_the_key_is_made_by_keepers_only if {
	_judged(_role("flux-system", [_rule("", "pods", "get"), _rule("", "secrets", "get")])) == {{
		"rule": "rbac",
		"field": "rules[1]",
		"message": concat("", [
			`Role "flux-system/x" would let whoever holds it read Secrets in Flux's namespace "flux-system"; "mallory", `,
			"who is no keeper of Flux's keys, may not give that",
		]),
		"fix": concat("", [
			`let a keeper do it, or add "mallory" to settings.flux_key.keepers.users; or leave that right out of it`,
		]),
	}}
	every rule in [
		_rule("*", "*", "*"), _rule("", "secrets", "list"), _rule("", "serviceaccounts/token", "create"),
		_rule("", "pods/exec", "create"), _rule("", "*/portforward", "get"), _rule("", "users", "impersonate"),
		_rule("rbac.authorization.k8s.io", "roles", "bind"), _rule("", "nodes/proxy", "get"),
		_rule("authentication.k8s.io", "serviceaccounts", "impersonate:serviceaccount"),
	] {
		_rules(_role("flux-system", [rule])) == {"rbac"}
		_rules(_role("team-a", [rule])) == set()
		_rules(_cluster("clusterroles", "ClusterRole", {"rules": [rule]})) == {"rbac"}
	}
}

test_a_role_that_opens_nothing_is_not_denied if {
	every rule in [
		_rule("", "secrets", "create"), _rule("apps", "secrets", "get"), _rule("", "configmaps", "*"),
		_rule("", "*/log", "get"), {"nonResourceURLs": ["*"], "verbs": ["get"]}, "x", {"resources": [7], "apiGroups": [""]},
	] {
		_rules(_role("flux-system", [rule])) == set()
	}
}

test_a_rule_counts_by_the_names_that_it_is_for if {
	named := object.union(_rule("", "secrets", "get"), {"resourceNames": ["other", "flux-system"]})
	_rules(_role("flux-system", [named])) == {"rbac"}
	_rules(_role("flux-system", [object.union(named, {"resourceNames": ["other"]})])) == set()
	token := object.union(_rule("", "serviceaccounts/token", "create"), {"resourceNames": ["flux"]})
	_rules(_role("flux", [token])) == {"rbac"}
	exec := object.union(_rule("", "pods/exec", "create"), {"resourceNames": ["other"]})
	_rules(_role("flux", [exec])) == {"rbac"}
}

test_a_right_that_a_role_gave_before_is_not_denied_again if {
	review := _role("flux-system", [_rule("", "configmaps", "get"), _rule("", "secrets", "get")])
	_rules(_was(review, {"rules": [_rule("", "secrets", "list")]})) == set()
	_rules(_was(review, {"rules": [_rule("", "pods/exec", "create")]})) == {"rbac"}
}

test_a_cluster_role_that_others_fill_is_made_by_keepers_only if {
	rule := {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}
	review := _cluster("clusterroles", "ClusterRole", {"aggregationRule": rule, "rules": []})
	some denial in _judged(review)
	denial.field == "aggregationRule"
	contains(denial.message, "would let whoever holds it do what the ClusterRoles that it selects will say in")
	_rules(_was(review, {"aggregationRule": rule})) == set()
	_rules(_cluster("clusterroles", "ClusterRole", {"aggregationRule": null, "rules": []})) == set()
}

test_a_cluster_role_is_aggregated_into_others_by_keepers_only if {
	rules := [_rule("", "secrets", "get")]
	review := _cluster("clusterroles", "ClusterRole", {
		"rules": rules,
		"metadata": {"labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true", "a": "b"}},
	})
	_rules(_was(review, {"rules": rules})) == {"rbac"}
	_rules(_was(review, review.request.object)) == set()
	_rules(_was(_cluster("clusterroles", "ClusterRole", {"rules": rules}), review.request.object)) == set()
}

test_a_role_that_opens_the_key_is_bound_by_keepers_only if {
	some denial in _judged(_binding("RoleBinding", "flux-system", "ClusterRole", "reader", ["a"]))
	denial.field == "roleRef"
	startswith(denial.message, `RoleBinding "flux-system/x" would let its subjects read Secrets in Flux's namespace`)
	_rules(_binding("RoleBinding", "flux-system", "Role", "local-reader", ["a"])) == {"rbac"}
	_rules(_binding("RoleBinding", "flux-system", "ClusterRole", "harmless", ["a"])) == set()
	_rules(_binding("RoleBinding", "flux-system", "ClusterRole", "ruleless", ["a"])) == set()
	_rules(_binding("RoleBinding", "flux-system", "ClusterRole", "unfilled", ["a"])) == {"rbac"}
	_rules(_binding("RoleBinding", "flux-system", "ClusterRole", "filled", ["a"])) == set()
	_rules(_binding("RoleBinding", "flux-system", "ClusterRole", "reader", [])) == set()
	_rules(_binding("RoleBinding", "team-a", "ClusterRole", "reader", ["a"])) == set()
	some other in _judged(_binding("ClusterRoleBinding", "", "ClusterRole", "reader", ["a"]))
	startswith(other.message, `ClusterRoleBinding "x" would let its subjects read Secrets in Flux's namespaces`)
}

test_a_role_that_is_not_known_is_not_bound if {
	every kind in ["Role", "ClusterRole", "Other"] {
		some denial in _judged(_binding("RoleBinding", "flux-system", kind, "missing", ["a"]))
		contains(denial.message, "let its subjects do what a role that does not exist yet will say in")
	}
}

test_a_binding_counts_where_it_adds_subjects if {
	review := _binding("RoleBinding", "flux-system", "ClusterRole", "reader", ["a", "b"])
	_rules(_was(review, {"subjects": [_subject("a")]})) == {"rbac"}
	_rules(_was(review, {"subjects": [_subject("a"), _subject("b"), _subject("c")]})) == set()
}

test_a_request_that_tells_little_is_not_in_flux_namespaces if {
	_rules({"request": {"operation": "CREATE"}}) == set()
	bare := {"request": {"operation": "CREATE", "namespace": "flux", "resource": {"group": "", "resource": "secrets"}}}
	_rules(object.union(bare, {"request": {"name": "flux-git-deploy"}})) == {"secret"}
	connect := {"request": {"operation": "CONNECT", "namespace": "flux", "resource": {}, "subResource": "exec"}}
	_rules(connect) == {"connect"}
	nameless := object.union(bare, {"request": {"resource": {"resource": "deployments", "group": "apps"}, "object": {
		"spec": {"template": {"spec": {"serviceAccountName": "flux"}}},
	}}})
	some denial in _judged(nameless)
	startswith(denial.message, `object "flux/" runs as`)
}

# Builders of reviews.

_judged(review) := denials if {
	denials := flux_key.deny with input as review
		with data.cluster as {
			"source.toolkit.fluxcd.io/v1/gitrepositories": {"flux-system": {
				"apps": {"spec": {"secretRef": {"name": "apps-key"}}},
				"public": {},
			}},
			"rbac.authorization.k8s.io/v1/clusterroles": {
				"reader": {"rules": [_rule("", "secrets", "get")]},
				"harmless": {"rules": [_rule("", "pods", "get")]},
				"ruleless": {},
				"unfilled": {"aggregationRule": {"clusterRoleSelectors": []}, "rules": null},
				"filled": {"aggregationRule": {"clusterRoleSelectors": []}, "rules": [_rule("", "pods", "get")]},
			},
			"rbac.authorization.k8s.io/v1/roles": {"flux-system": {"local-reader": {"rules": [_rule("", "secrets", "*")]}}},
		}
}

_rules(review) := {denial.rule | some denial in _judged(review)}

_secret(operation, namespace, name) := _review(operation, "", "secrets", "Secret", namespace, name)

_token(namespace, name) := _with(
	_review("CREATE", "", "serviceaccounts", "TokenRequest", namespace, name),
	{"subResource": "token"},
)

_pod(namespace, spec) := _with(_review("CREATE", "", "pods", "Pod", namespace, "x"), {"object": {"spec": spec}})

_deployment(namespace, spec) := _with(
	_review("CREATE", "apps", "deployments", "Deployment", namespace, "x"),
	{"object": {"spec": {"template": {"spec": spec}}}},
)

_revision(spec) := _with(
	_review("CREATE", "apps", "controllerrevisions", "ControllerRevision", "flux-system", "x"),
	{"object": {"data": {"spec": {"template": {"spec": spec}}}}},
)

_cron_job(namespace, spec) := _with(
	_review("CREATE", "batch", "cronjobs", "CronJob", namespace, "x"),
	{"object": {"spec": {"jobTemplate": {"spec": {"template": {"spec": spec}}}}}},
)

_connect(namespace, resource, subresource) := _with(
	_review("CONNECT", "", resource, "Options", namespace, "x"),
	{"subResource": subresource},
)

_flux(group, kind, resource, spec) := _with(
	_review("CREATE", sprintf("%s.toolkit.fluxcd.io", [group]), resource, kind, "flux-system", "x"),
	{"object": {"spec": spec}},
)

# One that does not run with Flux's own rights, unless the spec says so.
_kustomization(spec) := _flux(
	"kustomize",
	"Kustomization",
	"kustomizations",
	object.union({"serviceAccountName": "apps"}, spec),
)

_role(namespace, rules) := _with(
	_review("CREATE", "rbac.authorization.k8s.io", "roles", "Role", namespace, "x"),
	{"object": {"rules": rules}},
)

_cluster(resource, kind, object_) := _with(
	_review("CREATE", "rbac.authorization.k8s.io", resource, kind, "", "x"),
	{"object": object_},
)

_binding(kind, namespace, role_kind, role, subjects) := _with(
	_review("CREATE", "rbac.authorization.k8s.io", sprintf("%ss", [lower(kind)]), kind, namespace, "x"),
	{"object": {"roleRef": {"kind": role_kind, "name": role}, "subjects": [_subject(name) | some name in subjects]}},
)

_subject(name) := {"kind": "User", "name": name}

_rule(group, resource, verb) := {"apiGroups": [group], "resources": [resource], "verbs": [verb]}

_was(review, old) := _with(review, {"operation": "UPDATE", "oldObject": old})

_changed(review) := _with(review, {"oldObject": {"data": {"identity": "b2xk"}}})

_by(user, review) := _with(review, {"userInfo": {"username": user}})

_with(review, fields) := object.union(review, {"request": fields})

_review(operation, group, resource, kind, namespace, name) := {"request": {
	"operation": operation,
	"kind": {"group": group, "version": "v1", "kind": kind},
	"resource": {"group": group, "version": "v1", "resource": resource},
	"namespace": namespace,
	"name": name,
	"userInfo": {"username": "mallory"},
	"object": _object(operation, ["CREATE", "UPDATE"]),
	"oldObject": _object(operation, ["UPDATE", "DELETE"]),
}}

_object(operation, operations) := {"metadata": {}} if operation in operations

_object(operation, operations) := null if not operation in operations
