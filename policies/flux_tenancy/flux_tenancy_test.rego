package eksguard.flux_tenancy_test

import data.eksguard.flux_tenancy

# What runs as whom

test_a_kustomization_without_a_service_account_is_denied_outside_flux_namespaces if {
	_judged(_kustomization("team-a", {"path": "./apps"})) == {{
		"rule": "service-account",
		"field": "spec.serviceAccountName",
		"message": concat("", [
			`Kustomization in namespace "team-a" names no ServiceAccount, so that Flux would apply it with its own rights`,
		]),
		"fix": concat("", [
			`name a ServiceAccount of namespace "team-a" there that may do no more than is needed, or move it to a `,
			"namespace of Flux's own (flux-system, flux)",
		]),
	}}
}

test_a_helm_release_without_a_service_account_is_denied if {
	_rules(_release("team-a", {"serviceAccountName": ""})) == {"service-account"}
	_rules(_release("team-a", {"kubeConfig": {"secretRef": {"name": "remote"}}})) == {"service-account"}
	_rules(_release("team-a", {"serviceAccountName": "reconciler"})) == set()
}

test_a_resource_set_is_held_like_what_it_may_make if {
	_rules(_of("ResourceSet", "team-a", {"resources": []})) == {"service-account"}
	awaited := {"kind": "Pod", "name": "x", "namespace": "team-b"}
	_rules(_of("ResourceSet", "team-a", _as({"dependsOn": [awaited]}))) == {"dependency"}
	reconciler := "system:serviceaccount:team-a:reconciler"
	_rules(_by(reconciler, _of("ResourceSet", "team-a", {"serviceAccountName": "admin"}))) == {"nested"}
	_rules(_by(reconciler, _of("ResourceSet", "team-a", _as({})))) == set()
	_rules(_of("ResourceSet", "flux-system", {})) == set()
}

test_the_platform_team_needs_none_in_flux_namespaces if {
	_rules(_kustomization("flux-system", {"sourceRef": {"namespace": "team-a"}, "targetNamespace": "team-b"})) == set()
	_rules(_kustomization("flux", {})) == set()
}

test_a_missing_spec_names_no_service_account if {
	_rules(_review("CREATE", _kinds.Kustomization, "team-a", {"metadata": {"name": "x"}})) == {"service-account"}
	_rules(_review("CREATE", _kinds.Kustomization, "team-a", {"spec": null})) == {"service-account"}
}

test_removing_the_service_account_is_denied_and_having_none_before_is_not if {
	_rules(_updated(_kustomization("team-a", {}), {"serviceAccountName": "reconciler"})) == {"service-account"}
	_rules(_updated(_kustomization("team-a", {"path": "./new"}), {"path": "./old"})) == set()
}

test_an_object_being_deleted_is_judged_like_any_other if {
	dying := {"object": {"metadata": {"deletionTimestamp": "2024-01-01T00:00:00Z"}}}
	review := _updated(_kustomization("team-a", {}), {"serviceAccountName": "reconciler"})
	_rules(_with(review, dying)) == {"service-account"}
}

# Sources

test_a_source_of_another_tenant_is_not_read if {
	source := {"kind": "GitRepository", "name": "flux-system", "namespace": "flux-system"}
	_judged(_kustomization("team-a", {"serviceAccountName": "reconciler", "sourceRef": source})) == {{
		"rule": "source",
		"field": "spec.sourceRef.namespace",
		"message": concat("", [
			`Kustomization "x" of namespace "team-a" may not read GitRepository "flux-system" of namespace "flux-system", `,
			"which is not of its tenant (label toolkit.fluxcd.io/tenant)",
		]),
		"fix": concat("", [
			`use a source of the same namespace, or add {kinds: [GitRepository], namespaces: ["flux-system"], `,
			`with: ["team-a"]} to settings.flux_tenancy.shared_sources`,
		]),
	}}
}

test_helm_repositories_of_flux_are_shared_by_default if {
	source := {"kind": "HelmRepository", "name": "podinfo", "namespace": "flux-system"}
	_rules(_release("team-a", _as({"chart": {"spec": {"sourceRef": source}}}))) == set()
	other := object.union(source, {"namespace": "team-b"})
	_rules(_release("team-a", _as({"chart": {"spec": {"sourceRef": other}}}))) == {"source"}
	unnamed := {"name": "podinfo", "namespace": "flux-system"}
	_rules(_release("team-a", _as({"chart": {"spec": {"sourceRef": unnamed}}}))) == {"source"}
}

test_a_shared_source_is_read_by_those_that_it_is_shared_with if {
	shared := {"shared_sources": [{
		"kinds": ["OCIRepository"],
		"namespaces": ["platform"],
		"names": ["charts-*"],
		"with": ["team-*"],
	}]}
	reference := {"kind": "OCIRepository", "name": "charts-a", "namespace": "platform"}
	_rules_by(shared, _release("team-a", _as({"chartRef": reference}))) == set()
	_rules_by(shared, _release("other", _as({"chartRef": reference}))) == {"source"}
	every change in [{"kind": "GitRepository"}, {"name": "secrets"}, {"name": 7}, {"namespace": "team-b"}] {
		_rules_by(shared, _release("team-a", _as({"chartRef": object.union(reference, change)}))) == {"source"}
	}
}

test_a_source_of_the_same_tenant_is_read if {
	source := {"kind": "GitRepository", "name": "apps", "namespace": "team-a-prod"}
	_rules(_kustomization("team-a", _as({"sourceRef": source}))) == set()
	every namespace in ["team-b", "unknown", "bare", "empty-1"] {
		away := object.union(source, {"namespace": namespace})
		_rules(_kustomization("team-a", _as({"sourceRef": away}))) == {"source"}
	}
}

test_namespaces_with_an_empty_or_no_tenant_label_are_strangers if {
	_rules(_kustomization("empty-1", _as({"sourceRef": {"name": "x", "namespace": "empty-2"}}))) == {"source"}
	_rules(_kustomization("bare", _as({"sourceRef": {"name": "x", "namespace": "unknown"}}))) == {"source"}
	_rules(_kustomization("unknown", _as({"sourceRef": {"name": "x", "namespace": "team-a"}}))) == {"source"}
}

test_the_own_namespace_may_be_named if {
	_rules(_kustomization("team-a", _as({"sourceRef": {"namespace": "team-a"}, "targetNamespace": "team-a"}))) == set()
	_rules(_kustomization("team-a", _as({"sourceRef": {"namespace": ""}, "dependsOn": [{"name": "x"}]}))) == set()
}

test_an_image_policy_reads_image_repositories_that_are_shared if {
	review := _of("ImagePolicy", "team-a", {"imageRepositoryRef": {"name": "app", "namespace": "images"}})
	some denial in _judged(review)
	contains(denial.message, `may not read ImageRepository "app" of namespace "images"`)
	shared := {"shared_sources": [{"kinds": ["ImageRepository"], "namespaces": ["images"], "with": ["team-*"]}]}
	_rules_by(shared, review) == set()
}

test_an_artifact_generator_reads_and_writes_within_its_tenant if {
	_rules(_of("ArtifactGenerator", "team-a", {"sources": [
		{"alias": "a", "kind": "GitRepository", "name": "a"},
		{"alias": "b", "kind": "GitRepository", "name": "b", "namespace": "flux-system"},
	]})) == {"source"}
	some denial in _judged(_of("ArtifactGenerator", "team-a", {"artifacts": [{"name": "x", "namespace": "team-b"}]}))
	denial.rule == "target"
	denial.field == "spec.artifacts[0].namespace"
}

test_an_artifact_generator_manages_no_namespaces if {
	managed := {"managedNamespaces": {"allowedNames": ["true"], "prune": true}}
	some denial in _judged(_of("ArtifactGenerator", "team-a", managed))
	denial.rule == "managed-namespaces"
	denial.message == `ArtifactGenerator "x" of namespace "team-a" may not create and delete Namespaces`
	_rules(_updated(_of("ArtifactGenerator", "team-a", managed), managed)) == set()
	_rules(_of("ArtifactGenerator", "flux-system", managed)) == set()
	_rules(_of("GitRepository", "team-a", managed)) == set()
}

# Pushing

test_image_automation_does_not_push_with_a_foreign_deploy_key if {
	spec := {"sourceRef": {"kind": "GitRepository", "name": "flux-system", "namespace": "flux-system"}}
	_judged(_of("ImageUpdateAutomation", "team-a", spec)) == {{
		"rule": "push",
		"field": "spec.sourceRef.namespace",
		"message": concat("", [
			`ImageUpdateAutomation "x" of namespace "team-a" may not push to GitRepository "flux-system" of namespace `,
			`"flux-system" with its deploy key; that namespace is not of its tenant (label toolkit.fluxcd.io/tenant)`,
		]),
		"fix": concat("", [
			`use a GitRepository of the same namespace, or add {from: ["team-a"], to: ["flux-system"], for: [push]} to `,
			"settings.flux_tenancy.links",
		]),
	}}
	shared := {"shared_sources": [{"kinds": ["*"], "namespaces": ["*"], "with": ["*"]}]}
	_rules_by(shared, _of("ImageUpdateAutomation", "team-a", spec)) == {"push"}
}

# Other references

test_nothing_is_applied_to_or_stored_in_another_tenant if {
	some denial in _judged(_kustomization("team-a", _as({"targetNamespace": "kube-system"})))
	denial == {
		"rule": "target",
		"field": "spec.targetNamespace",
		"message": concat("", [
			`Kustomization "x" of namespace "team-a" may not apply to namespace "kube-system", which is not of its tenant `,
			"(label toolkit.fluxcd.io/tenant)",
		]),
		"fix": concat("", [
			`remove the field, so that it is "team-a", or add {from: ["team-a"], to: ["kube-system"], for: [target]} to `,
			"settings.flux_tenancy.links",
		]),
	}
	release := _release("team-a", _as({"targetNamespace": "team-b", "storageNamespace": "team-c"}))
	{denial.field | some denial in _judged(release)} == {"spec.targetNamespace", "spec.storageNamespace"}
}

test_nothing_waits_for_another_tenant if {
	spec := {
		"dependsOn": [{"name": "own"}, {"name": "infra", "namespace": "flux-system"}],
		"healthChecks": [{"kind": "Deployment", "name": "app", "namespace": "team-b"}],
	}
	denials := _judged(_kustomization("team-a", _as(spec)))
	{denial.field | some denial in denials} == {"spec.dependsOn[1].namespace", "spec.healthChecks[0].namespace"}
	{denial.rule | some denial in denials} == {"dependency"}
	some denial in denials
	contains(denial.message, `may not wait for "infra" of namespace "flux-system"`)
}

test_nothing_is_told_of_or_triggered_in_another_tenant if {
	alert := _of("Alert", "team-a", {"eventSources": [{"kind": "Kustomization", "name": "*", "namespace": "flux-system"}]})
	some denial in _judged(alert)
	denial.rule == "notification"
	contains(denial.message, `may not watch or trigger Kustomization "*" of namespace "flux-system"`)
	receiver := _of("Receiver", "team-a", {"resources": [{"kind": "a b", "name": "*", "namespace": "team-b"}]})
	some other in _judged(receiver)
	contains(other.message, `may not watch or trigger "a b" "*" of namespace "team-b"`)
}

test_a_link_lets_a_reference_leave_its_tenant if {
	links := {"links": [{"from": ["team-*"], "to": ["flux-system"], "for": ["dependency"]}]}
	spec := _as({"dependsOn": [{"name": "infra", "namespace": "flux-system"}]})
	_rules_by(links, _kustomization("team-a", spec)) == set()
	_rules_by(links, _kustomization("other", spec)) == {"dependency"}
	_rules_by(links, _kustomization("team-a", _as({"targetNamespace": "flux-system"}))) == {"target"}
	_rules_by(links, _kustomization("team-a", _as({"dependsOn": [{"namespace": "team-b"}]}))) == {"dependency"}
}

test_a_reference_that_was_there_before_is_kept_wherever_it_moves if {
	old := _as({"dependsOn": [{"name": "infra", "namespace": "flux-system"}]})
	moved := _as({"dependsOn": [{"name": "own"}, {"name": "infra", "namespace": "flux-system"}]})
	_rules(_updated(_kustomization("team-a", moved), old)) == set()
	altered := _as({"dependsOn": [{"name": "secrets", "namespace": "flux-system"}]})
	_rules(_updated(_kustomization("team-a", altered), old)) == {"dependency"}
}

# Types

test_what_flux_would_not_understand_is_denied if {
	some denial in _judged(_kustomization("team-a", _as({"sourceRef": "flux-system"})))
	denial == {
		"rule": "form",
		"field": "spec.sourceRef",
		"message": `"flux-system" is of type string, expected an object`,
		"fix": "make it an object",
	}
	every spec in [
		"text", 7, [],
		{"dependsOn": {"a": {"namespace": "flux-system"}}},
		{"dependsOn": ["flux-system"]},
		{"dependsOn": [{"namespace": ["flux-system"]}]},
		{"targetNamespace": {"name": "kube-system"}},
		{"serviceAccountName": ["reconciler"]},
	] {
		"form" in _rules(_kustomization("team-a", spec))
		_rules(_kustomization("flux-system", spec)) == set()
	}
}

test_a_wrong_type_that_was_there_before_is_not_denied_again if {
	_rules(_updated(_kustomization("team-a", _as({"sourceRef": 7})), _as({"sourceRef": 7}))) == set()
}

test_an_object_that_is_none_names_no_service_account if {
	_rules(_review("CREATE", _kinds.Kustomization, "team-a", null)) == {"service-account"}
	_rules(_review("CREATE", _kinds.Kustomization, "team-a", "x")) == {"service-account"}
}

# The chart of a release

test_nobody_but_flux_sets_the_chart_of_a_release_to_another_namespace if {
	status := _with(
		_review("UPDATE", _kinds.HelmRelease, "team-a", {"status": {"helmChart": "flux-system/team-b-app"}}),
		{"subResource": "status", "oldObject": {"status": {"helmChart": "team-a/x"}}},
	)
	_judged(status) == {{
		"rule": "chart",
		"field": "status.helmChart",
		"message": `"flux-system/team-b-app" is set by "alice", but Flux would delete that HelmChart with its own rights`,
	}}
	_rules(_by("system:serviceaccount:flux-system:helm-controller", status)) == set()
	_rules(_with(status, {"object": {"status": {"helmChart": "team-a/y"}}})) == set()
	_rules(_with(status, {"object": {"status": {"helmChart": ""}}})) == set()
	_rules(_with(status, {"object": {"status": {"helmChart": 7}}})) == {"chart"}
	_rules(_with(status, {"oldObject": {"status": {"helmChart": "flux-system/team-b-app"}}})) == set()
	_rules(_with(status, {"namespace": "flux-system"})) == set()
}

# Nesting

test_a_nested_kustomization_runs_as_its_maker if {
	_rules(_by(_maker, _kustomization("team-a", _as({})))) == set()
	_judged(_by(_maker, _kustomization("team-a", {"serviceAccountName": "admin"}))) == {{
		"rule": "nested",
		"field": "spec.serviceAccountName",
		"message": concat("", [
			`"system:serviceaccount:team-a:reconciler" may not make Kustomization "x" in namespace "team-a" to run as `,
			`ServiceAccount "admin": it would reach further than its maker`,
		]),
		"fix": concat("", [
			`set it to "reconciler", or add {users: ["system:serviceaccount:team-a:reconciler"], namespaces: ["team-a"], `,
			`service_accounts: ["admin"]} to settings.flux_tenancy.delegates`,
		]),
	}}
}

test_a_nested_kustomization_does_not_escape_to_flux_namespaces if {
	_judged(_by(_maker, _kustomization("flux-system", {}))) == {{
		"rule": "nested",
		"field": "metadata.namespace",
		"message": concat("", [
			`"system:serviceaccount:team-a:reconciler" may not make Kustomization "x" in namespace "flux-system" to run `,
			"with Flux's own rights: it would reach further than its maker",
		]),
		"fix": `move it to namespace "team-a" with spec.serviceAccountName "reconciler"`,
	}}
}

test_a_tenants_account_in_flux_namespaces_does_not_escape_either if {
	maker := "system:serviceaccount:flux-system:team-a"
	_rules(_by(maker, _kustomization("flux-system", {"serviceAccountName": "team-a"}))) == set()
	_rules(_by(maker, _kustomization("flux-system", {}))) == {"nested"}
	_rules(_by(maker, _release("flux-system", {"serviceAccountName": "kustomize-controller"}))) == {"nested"}
}

test_every_object_of_flux_stays_in_the_namespace_of_its_maker if {
	_rules(_by(_maker, _of("GitRepository", "team-a", {"url": "https://example.com"}))) == set()
	some denial in _judged(_by(_maker, _of("GitRepository", "flux-system", {"url": "https://example.com"})))
	startswith(denial.fix, `move it to namespace "team-a", or add`)
	endswith(denial.message, `make GitRepository "x" in namespace "flux-system": it would reach further than its maker`)
}

test_changing_what_another_account_applies_is_nesting_too if {
	review := _kustomization("team-a", {"serviceAccountName": "admin", "path": "./mine"})
	_rules(_by(_maker, _updated(review, {"serviceAccountName": "admin", "path": "./theirs"}))) == {"nested"}
	_rules(_by(_maker, _updated(review, {"serviceAccountName": "admin", "path": "./mine"}))) == set()
}

test_an_object_without_a_spec_is_made_too if {
	review := _review("CREATE", _kinds.GitRepository, "flux-system", {"metadata": {"name": "x"}})
	_rules(_by(_maker, review)) == {"nested"}
}

test_a_request_that_does_not_tell_its_kind_is_judged if {
	review := json.patch(_kustomization("team-a", {}), [{"op": "remove", "path": "request/kind"}])
	some denial in _judged(review)
	startswith(denial.message, `object in namespace "team-a" names no ServiceAccount`)
}

test_people_and_trusted_accounts_make_objects_for_everyone if {
	review := _kustomization("team-a", {"serviceAccountName": "admin"})
	_rules(_by("alice", review)) == set()
	_rules(_by("system:serviceaccount:flux-system:kustomize-controller", review)) == set()
	_rules(_by("system:serviceaccount:kube-system:restorer", review)) == set()
	_rules(_by("system:serviceaccount:team-a", review)) == {"nested"}
}

test_a_delegate_makes_what_is_delegated_to_it if {
	portal := "system:serviceaccount:portal:portal"
	delegates := {"delegates": [{"users": [portal], "namespaces": ["team-*"], "service_accounts": ["reconciler"]}]}
	_rules_by(delegates, _by(portal, _kustomization("team-a", _as({})))) == set()
	_rules_by(delegates, _by(portal, _of("GitRepository", "team-a", {}))) == set()
	_rules_by(delegates, _by(portal, _kustomization("team-a", {"serviceAccountName": "admin"}))) == {"nested"}
	_rules_by(delegates, _by(portal, _kustomization("team-a", {}))) == {"nested", "service-account"}
	_rules_by(delegates, _by(portal, _kustomization("flux-system", _as({})))) == {"nested"}
	_rules_by(delegates, _by(_maker, _kustomization("team-b", _as({})))) == {"nested"}
}

# The label of a tenant

test_no_service_account_moves_a_namespace_to_another_tenant if {
	_judged(_by(_maker, _namespace("team-a", {_label: "team-b"}, {_label: "team-a"}))) == {{
		"rule": "tenant-label",
		"field": `metadata.labels["toolkit.fluxcd.io/tenant"]`,
		"message": concat("", [
			`"system:serviceaccount:team-a:reconciler" may not change it from "team-a" to "team-b": it tells which tenant `,
			`namespace "team-a" belongs to`,
		]),
		"fix": "let the platform team set the label, or add the ServiceAccount to settings.flux_tenancy.trusted",
	}}
	some denial in _judged(_by(_maker, _namespace("team-a", {}, {_label: "team-a"})))
	contains(denial.message, `from "team-a" to none`)
	_rules(_by(_maker, _with(_namespace("team-a", {_label: "x"}, {}), {"subResource": "status"}))) == {"tenant-label"}
}

test_a_namespace_is_labelled_by_people_and_by_flux if {
	relabelled := _namespace("team-a", {_label: "team-b"}, {_label: "team-a"})
	_rules(relabelled) == set()
	_rules(_by("system:serviceaccount:flux-system:kustomize-controller", relabelled)) == set()
	_rules(_by(_maker, _namespace("team-a", {"a": "b", _label: "x"}, {_label: "x"}))) == set()
}

test_a_generated_name_is_taken_from_the_object if {
	review := _with(_kustomization("team-a", _as({"targetNamespace": "team-b"})), {"name": ""})
	some denial in _judged(_with(review, {"object": {"metadata": {"name": "x-abcde"}}}))
	contains(denial.message, `Kustomization "x-abcde"`)
	some unnamed in _judged(json.patch(review, [{"op": "remove", "path": "request/object/metadata"}]))
	contains(unnamed.message, `Kustomization ""`)
}

# Builders of reviews.

_maker := "system:serviceaccount:team-a:reconciler"

_label := "toolkit.fluxcd.io/tenant"

_judged(review) := _judged_by({}, review)

_judged_by(settings, review) := denials if {
	denials := flux_tenancy.deny with input as review
		with data.eksguard.settings.flux_tenancy as object.union(data.eksguard.settings.flux_tenancy, settings)
		with data.cluster as {"v1/namespaces": {
			"team-a": {"metadata": {"labels": {_label: "team-a"}}},
			"team-a-prod": {"metadata": {"labels": {_label: "team-a"}}},
			"team-b": {"metadata": {"labels": {_label: "team-b"}}},
			"empty-1": {"metadata": {"labels": {_label: ""}}},
			"empty-2": {"metadata": {"labels": {_label: ""}}},
			"bare": {"metadata": {}},
		}}
}

_rules(review) := {denial.rule | some denial in _judged(review)}

_rules_by(settings, review) := {denial.rule | some denial in _judged_by(settings, review)}

_as(spec) := object.union({"serviceAccountName": "reconciler"}, spec)

_kustomization(namespace, spec) := _of("Kustomization", namespace, spec)

_release(namespace, spec) := _of("HelmRelease", namespace, spec)

_of(kind, namespace, spec) := _review("CREATE", _kinds[kind], namespace, {"metadata": {"name": "x"}, "spec": spec})

_updated(review, old_spec) := _with(review, {
	"operation": "UPDATE",
	"oldObject": {"metadata": {"name": "x"}, "spec": old_spec},
})

_namespace(name, labels, old_labels) := _with(
	_review("UPDATE", _kinds.Namespace, name, {"metadata": {"name": name, "labels": labels}}),
	{"name": name, "oldObject": {"metadata": {"name": name, "labels": old_labels}}},
)

_by(user, review) := _with(review, {"userInfo": {"username": user}})

_with(review, fields) := object.union(review, {"request": fields})

_review(operation, kind, namespace, object_) := {"request": {
	"operation": operation,
	"kind": {"group": kind.group, "version": "v1", "kind": kind.kind},
	"resource": {"group": kind.group, "version": "v1", "resource": kind.resource},
	"namespace": namespace,
	"name": "x",
	"userInfo": {"username": "alice"},
	"object": object_,
	"oldObject": null,
}}

_kinds := {
	"Kustomization": {"group": "kustomize.toolkit.fluxcd.io", "kind": "Kustomization", "resource": "kustomizations"},
	"HelmRelease": {"group": "helm.toolkit.fluxcd.io", "kind": "HelmRelease", "resource": "helmreleases"},
	"GitRepository": {"group": "source.toolkit.fluxcd.io", "kind": "GitRepository", "resource": "gitrepositories"},
	"ImagePolicy": {"group": "image.toolkit.fluxcd.io", "kind": "ImagePolicy", "resource": "imagepolicies"},
	"ImageUpdateAutomation": {
		"group": "image.toolkit.fluxcd.io",
		"kind": "ImageUpdateAutomation",
		"resource": "imageupdateautomations",
	},
	"ResourceSet": {"group": "fluxcd.controlplane.io", "kind": "ResourceSet", "resource": "resourcesets"},
	"Alert": {"group": "notification.toolkit.fluxcd.io", "kind": "Alert", "resource": "alerts"},
	"Receiver": {"group": "notification.toolkit.fluxcd.io", "kind": "Receiver", "resource": "receivers"},
	"ArtifactGenerator": {
		"group": "source.extensions.fluxcd.io",
		"kind": "ArtifactGenerator",
		"resource": "artifactgenerators",
	},
	"Namespace": {"group": "", "kind": "Namespace", "resource": "namespaces"},
}
