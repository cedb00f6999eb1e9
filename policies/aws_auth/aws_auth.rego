# METADATA
# title: The aws-auth ConfigMap
# description: |
#   kube-system/aws-auth says which IAM roles and users are who in the cluster. This policy judges what
#   aws-iam-authenticator makes of it, not what it looks like: nobody becomes a cluster administrator whom neither the
#   settings nor the change itself names, no typing error drops a section or an entry unseen, and neither the nodes nor
#   the last administrator are locked out.
#
#   A grant is confirmed by the annotation eksguard.io/confirm-admins on the ConfigMap, set to the ARNs, separated by
#   commas or spaces, that the same change makes administrators: all of them (those that the settings list may be left
#   out) and no others. On a ClusterRoleBinding to cluster-admin it names the groups and users in the same way. The
#   annotation counts only in the change that writes its text. Left in place it blocks no later change and confirms
#   none: who confirms the same ARN again later removes the annotation first.
#
#   **IAMIdentityMappings** (iamauthenticator.k8s.aws) are judged by the same rules, where the authenticator runs with
#   backend CRD. It looks a caller up by status.canonicalARN, which it makes of spec.arn. While settings
#   aws_auth.backends is empty, the ConfigMap and the IAMIdentityMappings are each judged as if the authenticator read
#   nothing else, so that neither is relied on when the other loses something. With both in it they are judged together,
#   in the order of `--backend-mode`: the first backend that has an ARN, or its account in mapAccounts, answers. A
#   deletion of many IAMIdentityMappings at once (deletecollection) is judged as if all of them went.
#
#   **Nodes.** Which role a node has is written nowhere in the cluster. How many nodes are up is told; the removal of
#   one of several node roles is a warning, since nobody can say whether its nodes are still there. Fargate's nodes are
#   known by their label, and so its last role stays while there is one.
#
#   A denial tells its effect: who gains, loses or changes what in the eyes of the authenticator.
# custom:
#   match:
#     - apiGroups: [""]
#       apiVersions: ["v1"]
#       resources: ["configmaps"]
#       operations: ["CREATE", "UPDATE", "DELETE"]
#       scope: Namespaced
#     - apiGroups: ["rbac.authorization.k8s.io"]
#       apiVersions: ["v1"]
#       resources: ["clusterrolebindings"]
#       operations: ["CREATE", "UPDATE"]
#       scope: Cluster
#     - apiGroups: ["iamauthenticator.k8s.aws"]
#       apiVersions: ["*"]
#       resources: ["iamidentitymappings", "iamidentitymappings/status"]
#       operations: ["CREATE", "UPDATE", "DELETE"]
#       scope: Cluster
#     - apiGroups: ["apiextensions.k8s.io"]
#       apiVersions: ["*"]
#       resources: ["customresourcedefinitions"]
#       operations: ["DELETE"]
#       scope: Cluster
#   matchConditions:
#     # In a deletecollection and with generateName the request has no name.
#     - name: is-aws-auth-or-binds-cluster-admin
#       expression: |
#         request.resource.resource == "iamidentitymappings" ? true :
#         request.resource.resource == "customresourcedefinitions" ?
#         (has(request.name) && request.name == "iamidentitymappings.iamauthenticator.k8s.aws") ||
#         [object, oldObject].exists(it, it != null &&
#           it.?metadata.?name.orValue("") == "iamidentitymappings.iamauthenticator.k8s.aws") :
#         request.resource.resource == "clusterrolebindings" ?
#         object.?roleRef.?name.orValue("") == "cluster-admin" :
#         request.namespace == "kube-system" && (
#           (has(request.name) && request.name == "aws-auth") ||
#           [object, oldObject].exists(it, it != null && it.?metadata.?name.orValue("") == "aws-auth")
#         )
#   failurePolicy: Fail
#   needs:
#     # Which groups and users are administrators.
#     - apiVersion: rbac.authorization.k8s.io/v1
#       resource: clusterrolebindings
#       fields: [[roleRef, kind], [roleRef, name], [subjects, "*", kind], [subjects, "*", name]]
#     # Which nodes are up; which role they have is written nowhere.
#     - apiVersion: v1
#       resource: nodes
#       metadataOnly: true
#       optional: true
#       fields: [[metadata, labels, eks.amazonaws.com/compute-type]]
#     - apiVersion: iamauthenticator.k8s.aws/v1alpha1
#       resource: iamidentitymappings
#       optional: true
#       fields: [[spec], [status, canonicalARN]]
#     # Read only where settings aws_auth.backends has both and an IAMIdentityMapping changes.
#     - apiVersion: v1
#       resource: configmaps
#       namespace: kube-system
#       name: aws-auth
#   settings:
#     type: object
#     additionalProperties: false
#     required: [accounts, admin_groups, admins, backends, reserved_username_prefixes, node_usernames]
#     properties:
#       admin_groups:
#         description: |
#           The groups whose members are cluster administrators, besides those that a ClusterRoleBinding binds to
#           cluster-admin.
#         type: array
#         minItems: 1
#         uniqueItems: true
#         items: {type: string, minLength: 1}
#       accounts:
#         description: The AWS accounts, besides the cluster's own, whose users and roles entries may map.
#         type: array
#         uniqueItems: true
#         items: {type: string, pattern: '^[0-9]{12}$'}
#       admins:
#         description: The ARNs that may become administrators without a confirmation.
#         type: array
#         uniqueItems: true
#         items: {type: string, pattern: '^arn:[a-z-]+:(iam|sts)::[0-9]{12}:.+$'}
#       backends:
#         description: |
#           The backends that the authenticator asks (its --backend-mode), in its order, as far as they are EKSConfigMap
#           and CRD. While it is empty, aws-auth and the IAMIdentityMappings are each judged as if there was nothing else.
#         type: array
#         uniqueItems: true
#         items: {enum: [EKSConfigMap, CRD]}
#       reserved_username_prefixes:
#         description: |
#           What the usernames of Kubernetes' and EKS' own components begin with, up to their first colon. Who is
#           mapped to such a name has that component's permissions.
#         type: array
#         uniqueItems: true
#         items: {type: string, pattern: '^[^:{}]+:$'}
#       node_usernames:
#         description: The reserved usernames that entries may map to.
#         type: array
#         uniqueItems: true
#         items: {type: string, minLength: 1}
package eksguard.aws_auth

import data.eksguard.lib.awsauth
import data.eksguard.lib.text

_settings := data.eksguard.settings.aws_auth

_cluster := data.eksguard.settings.cluster

_confirmation_key := "eksguard.io/confirm-admins"

_confirmation_field := text.annotation("metadata", _confirmation_key)

# METADATA
# title: aws-auth stays
# description: |
#   Without it the authenticator maps nobody; every node and every user that it names is locked out. So it is with the
#   CustomResourceDefinition of IAMIdentityMappings, which takes all of them along.
# custom:
#   id: deleted
#   severity: critical
#   fix: Empty the section or remove the entry that should go, and leave the ConfigMap in place.
#   examples:
#     violates:
#       oldObject:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapRoles: |
#             - rolearn: arn:aws:iam::555555555555:role/node
#               username: system:node:{{EC2PrivateDNSName}}
#               groups: [system:bootstrappers, system:nodes]
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#     passes:
#       note: What should go is taken out of it.
#       oldObject:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapRoles: |
#             - rolearn: arn:aws:iam::555555555555:role/node
#               username: system:node:{{EC2PrivateDNSName}}
#               groups: [system:bootstrappers, system:nodes]
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#             - userarn: arn:aws:iam::555555555555:user/jane
#               username: jane
#               groups: [developers]
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapRoles: |
#             - rolearn: arn:aws:iam::555555555555:role/node
#               username: system:node:{{EC2PrivateDNSName}}
#               groups: [system:bootstrappers, system:nodes]
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
deny contains violation if {
	input.request.operation == "DELETE"
	some violation in _deletions
}

# METADATA
# title: aws-auth stays editable
# description: |
#   With `immutable` set nobody can be added or removed any more, save by deleting the ConfigMap, which locks everyone
#   out.
# custom:
#   id: frozen
#   severity: high
#   fix: Leave out `immutable`.
#   examples:
#     violates:
#       oldObject: &before
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#         immutable: true
#     passes:
#       oldObject: *before
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#             - userarn: arn:aws:iam::555555555555:user/jane
#               username: jane
#               groups: [developers]
deny contains violation if {
	_writes
	_is_frozen(_after_object)
	not _is_frozen(_before_object)
	violation := {
		"rule": "frozen",
		"field": "immutable",
		"message": concat("", [
			"true freezes the entries for good: no role or user could be added or removed without deleting ",
			"aws-auth, expected false or no value",
		]),
	}
}

# METADATA
# title: Sections are the ones that the authenticator reads
# description: It reads mapRoles, mapUsers and mapAccounts of `data`, in this letter case, and passes over all else.
# custom:
#   id: unknown-section
#   severity: high
#   examples:
#     violates:
#       note: The authenticator reads mapUsers, not mapusers.
#       oldObject: &before
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#           mapusers: |
#             - userarn: arn:aws:iam::555555555555:user/jane
#               username: jane
#               groups: [developers]
#     passes:
#       oldObject: *before
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#             - userarn: arn:aws:iam::555555555555:user/jane
#               username: jane
#               groups: [developers]
deny contains violation if {
	_writes
	some kind in {"data", "binaryData"}
	is_object(_after_object[kind])
	some section, content in _after_object[kind]
	not _is_read(kind, section)
	not _had(kind, section, content)
	violation := {
		"rule": "unknown-section",
		"field": sprintf("%s[%s]", [kind, text.quote(section)]),
		"message": concat("", [
			"is nothing that the authenticator reads, so that all entries in it map nobody, expected ",
			"data.mapRoles, data.mapUsers or data.mapAccounts in this letter case",
		]),
		"fix": sprintf("move its entries to %s or remove it", [_nearest_section(section)]),
	}
}

# METADATA
# title: Sections can be read
# description: The authenticator drops a section that does not parse with everything in it.
# custom:
#   id: unparsable
#   severity: critical
#   fix: Make the section one YAML list of entries; look for indentation, tabs, an unquoted `{{` and a second `---`.
#   examples:
#     violates:
#       note: The section is a map, not a list of entries.
#       oldObject: &before
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapRoles: |
#             - {rolearn: "arn:aws:iam::555555555555:role/admin", username: admin, groups: [system:masters]}
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapRoles: |
#             - {rolearn: "arn:aws:iam::555555555555:role/admin", username: admin, groups: [system:masters]}
#           mapUsers: |
#             userarn: arn:aws:iam::555555555555:user/jane
#             username: jane
#             groups: [developers]
#     passes:
#       oldObject: *before
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapRoles: |
#             - {rolearn: "arn:aws:iam::555555555555:role/admin", username: admin, groups: [system:masters]}
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/jane
#               username: jane
#               groups: [developers]
deny contains violation if {
	_writes
	some error in _new_errors
	error.effect == "section"
	violation := {
		"rule": "unparsable",
		"field": error.field,
		"message": error.reason,
	}
}

# METADATA
# title: Sections can be judged
# description: |
#   The authenticator reads YAML 1.1 and its parser differs from eksguard's in a few constructs, none of which aws-auth
#   needs. What is read differently, or is too large to be judged in time, could hide a grant or a lockout: a section has
#   at most 65,536 characters, 500 entries and 12 YAML aliases.
# custom:
#   id: unclear
#   severity: high
#   fix: >-
#     Write plain YAML: no tags (!), merge keys (<<) or maps as keys, few aliases, and words such as yes, no, on, off,
#     y and n in quotes; of a section that is too large, map fewer roles and users.
#   examples:
#     violates:
#       note: YAML 1.1 takes the plain word no for the boolean false.
#       oldObject: &before
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#             - userarn: arn:aws:iam::555555555555:user/norman
#               username: no
#               groups: [developers]
#     passes:
#       oldObject: *before
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#             - userarn: arn:aws:iam::555555555555:user/norman
#               username: "no"
#               groups: [developers]
deny contains violation if {
	_writes
	some error in _new_errors
	error.effect == "unclear"
	violation := {"rule": "unclear", "field": error.field, "message": error.reason}
}

# METADATA
# title: Entries are taken as they are written
# description: |
#   The authenticator drops an entry without an ARN, skips a field of the wrong type, never finds an entry whose ARN no
#   caller can have (that of a role with a path, an assumed role in the ConfigMap), and uses one of two entries for the
#   same ARN.
# custom:
#   id: invalid-entry
#   severity: high
#   fix: >-
#     Write the entry with rolearn or userarn (in an IAMIdentityMapping spec.arn), username and groups, once for each
#     ARN.
#   examples:
#     violates:
#       note: The authenticator looks a caller up by an ARN without the path, and never finds this one.
#       oldObject: &before
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapRoles: |
#             - rolearn: arn:aws:iam::555555555555:role/node
#               username: system:node:{{EC2PrivateDNSName}}
#               groups: [system:bootstrappers, system:nodes]
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapRoles: |
#             - rolearn: arn:aws:iam::555555555555:role/node
#               username: system:node:{{EC2PrivateDNSName}}
#               groups: [system:bootstrappers, system:nodes]
#             - {rolearn: "arn:aws:iam::555555555555:role/ci/deploy", username: ci, groups: [deployers]}
#     passes:
#       oldObject: *before
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapRoles: |
#             - rolearn: arn:aws:iam::555555555555:role/node
#               username: system:node:{{EC2PrivateDNSName}}
#               groups: [system:bootstrappers, system:nodes]
#             - {rolearn: "arn:aws:iam::555555555555:role/deploy", username: ci, groups: [deployers]}
deny contains violation if {
	_maps
	some error in (_new_errors | _new_conflicts)
	error.effect in {"entry", "value"}
	violation := {"rule": "invalid-entry", "field": error.field, "message": error.reason}
}

# METADATA
# title: New administrators are confirmed
# description: |
#   An ARN that gets an administrator group (settings aws_auth.admin_groups, and all that are bound to cluster-admin),
#   or the username of a user who is bound to cluster-admin, and did not have one must be listed in settings
#   aws_auth.admins or be confirmed in the same change by the annotation eksguard.io/confirm-admins. A group or
#   username with placeholders counts if it can be rendered as such a one. Another username or other groups for an
#   administrator are no new grant; another ARN is.
# custom:
#   id: admin-grant
#   severity: critical
#   examples:
#     violates:
#       note: The entry above was copied, and system:masters with it.
#       oldObject: &before
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#             - userarn: arn:aws:iam::555555555555:user/admin2
#               username: admin2
#               groups: [system:masters]
#     passes:
#       note: The same change confirms it.
#       oldObject: *before
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata:
#           name: aws-auth
#           namespace: kube-system
#           annotations: {eksguard.io/confirm-admins: "arn:aws:iam::555555555555:user/admin2"}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#             - userarn: arn:aws:iam::555555555555:user/admin2
#               username: admin2
#               groups: [system:masters]
deny contains violation if {
	not _confirmed
	some entry in _grants
	not entry.key in _listed
	some cause in _causes(entry)
	violation := {
		"rule": "admin-grant",
		"field": entry.field,
		"message": sprintf("%s would become cluster administrator (%s, as username %s), and %s", [
			text.quote(entry.arn),
			cause,
			text.quote(entry.username),
			_confirmation_fault,
		]),
		"fix": _confirmation_fix,
	}
}

# METADATA
# title: Groups become administrators knowingly
# description: |
#   A ClusterRoleBinding of a group or user to cluster-admin makes everybody an administrator whom aws-auth maps to
#   it, now or later. The change that makes one confirms it by the annotation eksguard.io/confirm-admins on the
#   ClusterRoleBinding. ServiceAccounts, the cluster's own components and groups in settings aws_auth.admin_groups are
#   free.
# custom:
#   id: admin-binding
#   severity: critical
#   examples:
#     violates:
#       object:
#         apiVersion: rbac.authorization.k8s.io/v1
#         kind: ClusterRoleBinding
#         metadata: {name: platform}
#         roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
#         subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: platform}]
#     passes:
#       note: The binding confirms it.
#       object:
#         apiVersion: rbac.authorization.k8s.io/v1
#         kind: ClusterRoleBinding
#         metadata: {name: platform, annotations: {eksguard.io/confirm-admins: platform}}
#         roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
#         subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: platform}]
deny contains violation if {
	not _binding_confirmed
	some [kind, name] in _newly_bound
	violation := {
		"rule": "admin-binding",
		"field": "subjects",
		"message": sprintf("everybody whom aws-auth maps to %s %s would become cluster administrator, and %s", [
			lower(kind),
			text.quote(name),
			_binding_fault,
		]),
		"fix": sprintf("set %s: %q in the same change, or bind a role with fewer permissions", [
			_confirmation_field,
			concat(",", sort([bound | some [_, bound] in _newly_bound])),
		]),
	}
}

# METADATA
# title: Nobody becomes a component of the cluster
# description: |
#   Permissions also come with the usernames of Kubernetes' and EKS' own components, such as those of controllers'
#   ServiceAccounts (settings aws_auth.reserved_username_prefixes). Entries may map only to the names of nodes
#   (settings aws_auth.node_usernames) among them.
# custom:
#   id: reserved-username
#   severity: critical
#   examples:
#     violates:
#       oldObject: &before
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#             - userarn: arn:aws:iam::555555555555:user/jane
#               username: system:kube-controller-manager
#               groups: [developers]
#     passes:
#       oldObject: *before
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#             - userarn: arn:aws:iam::555555555555:user/jane
#               username: jane
#               groups: [developers]
deny contains violation if {
	_maps
	some entry in _after.entries
	some prefix in _settings.reserved_username_prefixes
	_may_begin(entry.username, prefix)
	not entry.username in _settings.node_usernames
	not [entry.key, entry.username] in _former_usernames
	violation := {
		"rule": "reserved-username",
		"field": sprintf("%s.username", [entry.field]),
		"message": sprintf("%s would act as %s; names that begin with %s are those of the cluster's own components", [
			text.quote(entry.arn),
			text.quote(entry.username),
			text.quote(prefix),
		]),
		"fix": sprintf("choose a username without %s, and give permissions by groups", [text.quote(prefix)]),
	}
}

# METADATA
# title: Nodes keep a role
# description: Without an entry for the role of its instances a node can neither join nor stay.
# custom:
#   id: node-role-lost
#   severity: critical
#   examples:
#     violates:
#       oldObject: &before
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapRoles: |
#             - rolearn: arn:aws:iam::555555555555:role/node
#               username: system:node:{{EC2PrivateDNSName}}
#               groups: [system:bootstrappers, system:nodes]
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#     passes:
#       note: The nodes of the other role can still join.
#       oldObject: *before
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapRoles: |
#             - rolearn: arn:aws:iam::555555555555:role/node
#               username: system:node:{{EC2PrivateDNSName}}
#               groups: [system:bootstrappers, system:nodes]
#             - rolearn: arn:aws:iam::555555555555:role/gpu-node
#               username: system:node:{{EC2PrivateDNSName}}
#               groups: [system:bootstrappers, system:nodes]
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
deny contains violation if {
	_maps
	count(_node_arns(_after_by_key)) == 0
	some key, entries in _before_by_key
	_may_be_node(entries)
	not _is_unchanged(key)
	arn := min({entry.arn | some entry in entries})
	violation := {
		"rule": "node-role-lost",
		"field": _roles_field,
		"message": sprintf("nodes with role %s could no longer join or stay, as no entry with %s would be left%s", [
			text.quote(arn),
			_node_entry,
			_up(false, ""),
		]),
		"fix": sprintf("keep an entry with rolearn %s, %s", [text.quote(arn), _node_entry]),
	}
}

# METADATA
# title: Fargate keeps a role
# description: |
#   Without an entry for a pod execution role no Pod can run on Fargate, and those that run lose their kubelet. It stays
#   as long as there is a node of Fargate (label eks.amazonaws.com/compute-type), or nodes are not known.
# custom:
#   id: fargate-role-lost
#   severity: critical
#   examples:
#     violates:
#       oldObject: &before
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapRoles: |
#             - rolearn: arn:aws:iam::555555555555:role/node
#               username: system:node:{{EC2PrivateDNSName}}
#               groups: [system:bootstrappers, system:nodes]
#             - rolearn: arn:aws:iam::555555555555:role/fargate
#               username: system:node:{{SessionName}}
#               groups: [system:bootstrappers, system:nodes, system:node-proxier]
#       object: &after
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapRoles: |
#             - rolearn: arn:aws:iam::555555555555:role/node
#               username: system:node:{{EC2PrivateDNSName}}
#               groups: [system:bootstrappers, system:nodes]
#       cluster:
#         - apiVersion: v1
#           kind: Node
#           metadata: {name: fargate-ip-10-0-0-1, labels: {eks.amazonaws.com/compute-type: fargate}}
#     passes:
#       note: No node of Fargate is up any more.
#       oldObject: *before
#       object: *after
deny contains violation if {
	_maps
	_fargate_is_used
	count(_fargate_arns(_after_by_key)) == 0
	some key, entries in _before_by_key
	_may_be_fargate(entries)
	not _is_unchanged(key)
	arn := min({entry.arn | some entry in entries})
	violation := {
		"rule": "fargate-role-lost",
		"field": _roles_field,
		"message": sprintf("Fargate nodes with role %s could no longer join or stay, as no entry with %s would be left%s", [
			text.quote(arn),
			_fargate_entry,
			_up(true, ""),
		]),
		"fix": sprintf("keep an entry with rolearn %s, %s", [text.quote(arn), _fargate_entry]),
	}
}

# METADATA
# title: An administrator stays
# description: At least one ARN keeps an administrator group, as long as there was one.
# custom:
#   id: last-admin-lost
#   severity: critical
#   examples:
#     violates:
#       oldObject:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [developers]
#     passes:
#       note: Another administrator stays.
#       oldObject:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#             - userarn: arn:aws:iam::555555555555:user/admin2
#               username: admin2
#               groups: [system:masters]
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin2
#               username: admin2
#               groups: [system:masters]
deny contains violation if {
	_maps
	count(_admin_arns(_after_by_key)) == 0
	some key, entries in _before_by_key
	_was_admin(entries)
	not _is_unchanged(key)
	arn := min({entry.arn | some entry in entries})
	violation := {
		"rule": "last-admin-lost",
		"field": _entries_field,
		"message": sprintf("%s would no longer be cluster administrator, and nobody else would be (group %s)", [
			text.quote(arn),
			_admin_groups_text,
		]),
		"fix": "keep this entry until that of another administrator is in place",
	}
}

# METADATA
# title: Nobody locks themselves out
# description: |
#   The authenticator tells the API server the ARN by which it knows the requester. Who is mapped by it, or is an
#   administrator by it, stays so in their own change.
# custom:
#   id: self-lockout
#   severity: high
#   fix: Leave this change to another administrator.
#   examples:
#     violates:
#       note: Jane takes her own entry out.
#       oldObject: &before
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#             - userarn: arn:aws:iam::555555555555:user/jane
#               username: jane
#               groups: [developers]
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#       user: jane
#       extra: {arn: ["arn:aws:iam::555555555555:user/jane"]}
#     passes:
#       note: Another administrator takes it out.
#       oldObject: *before
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#       user: admin
#       extra: {arn: ["arn:aws:iam::555555555555:user/admin"]}
deny contains violation if {
	_maps
	some key in _requester
	former := _before_by_key[key]
	some loss in _own_losses(former, object.get(_after_by_key, key, set()))
	violation := {
		"rule": "self-lockout",
		"field": _entries_field,
		"message": sprintf("%s, who asks for this change, would no longer be %s", [
			text.quote(min({entry.arn | some entry in former})),
			loss,
		]),
	}
}

# METADATA
# title: Entries are of known accounts
# description: |
#   An entry, or an account in mapAccounts, of an AWS account that is neither the cluster's own (settings
#   cluster.account) nor listed (settings aws_auth.accounts) is a typing error that locks somebody out, or lets a
#   stranger in. While the cluster's account is not known, no account is compared.
# custom:
#   id: foreign-account
#   severity: high
#   examples:
#     violates:
#       oldObject: &before
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#             - userarn: arn:aws:iam::111111111111:user/jane
#               username: jane
#               groups: [developers]
#       settings: {cluster: {account: "555555555555"}}
#     passes:
#       note: The account is listed in the settings.
#       oldObject: *before
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#             - userarn: arn:aws:iam::111111111111:user/jane
#               username: jane
#               groups: [developers]
#       settings: {cluster: {account: "555555555555"}, aws_auth: {accounts: ["111111111111"]}}
deny contains violation if {
	_maps
	_cluster.account != ""
	some [field, shown, account] in _new_accounts
	account != _cluster.account
	not account in _settings.accounts
	violation := {
		"rule": "foreign-account",
		"field": field,
		"message": sprintf("%s is of account %s, expected %s, this cluster's, or one in settings aws_auth.accounts", [
			text.quote(shown),
			text.quote(account),
			text.quote(_cluster.account),
		]),
		"fix": "correct the account, or list it in settings aws_auth.accounts",
	}
}

# METADATA
# title: Entries are of principals that exist
# description: |
#   Where settings iam.principals lists what IAM has, an ARN that is new in the change must be there. A role is listed
#   with its path and mapped without. Accounts of which nothing is listed are not judged, nor are federated users.
# custom:
#   id: unknown-principal
#   severity: high
#   examples:
#     violates:
#       oldObject: &before
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapRoles: |
#             - rolearn: arn:aws:iam::555555555555:role/node
#               username: system:node:{{EC2PrivateDNSName}}
#               groups: [system:bootstrappers, system:nodes]
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapRoles: |
#             - rolearn: arn:aws:iam::555555555555:role/node
#               username: system:node:{{EC2PrivateDNSName}}
#               groups: [system:bootstrappers, system:nodes]
#           mapUsers: |
#             - {userarn: "arn:aws:iam::555555555555:user/jnae", username: jane, groups: [developers]}
#       settings: &principals
#         iam:
#           principals:
#             - {arn: "arn:aws:iam::555555555555:user/jane", kind: user, mfa: true}
#             - {arn: "arn:aws:iam::555555555555:user/joe", kind: user, mfa: false}
#     passes:
#       oldObject: *before
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapRoles: |
#             - rolearn: arn:aws:iam::555555555555:role/node
#               username: system:node:{{EC2PrivateDNSName}}
#               groups: [system:bootstrappers, system:nodes]
#           mapUsers: |
#             - {userarn: "arn:aws:iam::555555555555:user/jane", username: jane, groups: [developers]}
#       settings: *principals
deny contains violation if {
	_maps
	some entry in _new_principals
	not _is_principal(entry)
	violation := {
		"rule": "unknown-principal",
		"field": entry.field,
		"message": sprintf("%s does not exist in IAM, as settings iam.principals tells", [text.quote(entry.arn)]),
		"fix": _principal_fix(entry),
	}
}

# METADATA
# title: Users have MFA
# description: |
#   A user, or root user, of whom settings iam.principals says that they have no MFA device is not mapped anew, nor given
#   further groups.
# custom:
#   id: no-mfa
#   severity: high
#   fix: >-
#     Have the user set up MFA, and set `mfa` in settings iam.principals to true; or map a role that is assumed with MFA.
#   examples:
#     violates:
#       oldObject: &before
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapRoles: |
#             - rolearn: arn:aws:iam::555555555555:role/node
#               username: system:node:{{EC2PrivateDNSName}}
#               groups: [system:bootstrappers, system:nodes]
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapRoles: |
#             - rolearn: arn:aws:iam::555555555555:role/node
#               username: system:node:{{EC2PrivateDNSName}}
#               groups: [system:bootstrappers, system:nodes]
#           mapUsers: |
#             - {userarn: "arn:aws:iam::555555555555:user/joe", username: jane, groups: [developers]}
#       settings: &principals
#         iam:
#           principals:
#             - {arn: "arn:aws:iam::555555555555:user/jane", kind: user, mfa: true}
#             - {arn: "arn:aws:iam::555555555555:user/joe", kind: user, mfa: false}
#     passes:
#       oldObject: *before
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapRoles: |
#             - rolearn: arn:aws:iam::555555555555:role/node
#               username: system:node:{{EC2PrivateDNSName}}
#               groups: [system:bootstrappers, system:nodes]
#           mapUsers: |
#             - {userarn: "arn:aws:iam::555555555555:user/jane", username: jane, groups: [developers]}
#       settings: *principals
deny contains violation if {
	_maps
	some entry in _after.entries
	_gains(entry)
	some principal in _principals[entry.key]
	principal.mfa == false
	violation := {
		"rule": "no-mfa",
		"field": entry.field,
		"message": sprintf("%s has no MFA device, as settings iam.principals tells, expected one before it is mapped", [
			text.quote(entry.arn),
		]),
	}
}

# METADATA
# title: The status is the authenticator's
# description: |
#   The authenticator looks callers up by status.canonicalARN of an IAMIdentityMapping. Who writes another ARN there than
#   that of the spec gives its groups to somebody whom the spec does not name.
# custom:
#   id: forged-status
#   severity: critical
#   fix: Leave the status to aws-iam-authenticator, and change spec.arn.
#   examples:
#     violates:
#       oldObject: &before
#         apiVersion: iamauthenticator.k8s.aws/v1alpha1
#         kind: IAMIdentityMapping
#         metadata: {name: jane}
#         spec: {arn: "arn:aws:iam::555555555555:user/jane", username: jane, groups: [developers]}
#         status: {canonicalARN: ""}
#       object:
#         apiVersion: iamauthenticator.k8s.aws/v1alpha1
#         kind: IAMIdentityMapping
#         metadata: {name: jane}
#         spec: {arn: "arn:aws:iam::555555555555:user/jane", username: jane, groups: [developers]}
#         status: {canonicalARN: "arn:aws:iam::555555555555:user/mallory"}
#       resource: iamauthenticator.k8s.aws/v1alpha1/iamidentitymappings
#       subresource: status
#     passes:
#       oldObject: *before
#       object:
#         apiVersion: iamauthenticator.k8s.aws/v1alpha1
#         kind: IAMIdentityMapping
#         metadata: {name: jane}
#         spec: {arn: "arn:aws:iam::555555555555:user/jane", username: jane, groups: [developers]}
#         status: {canonicalARN: "arn:aws:iam::555555555555:user/jane"}
#       resource: iamauthenticator.k8s.aws/v1alpha1/iamidentitymappings
#       subresource: status
deny contains violation if {
	_maps
	arn := object.get(_after_object, ["status", "canonicalARN"], "")
	not arn in {"", object.get(_before_object, ["status", "canonicalARN"], "")}
	expected := awsauth.canonical(object.get(_after_object, ["spec", "arn"], ""))
	arn != expected
	violation := {
		"rule": "forged-status",
		"field": "status.canonicalARN",
		"message": sprintf("%s would be mapped in place of spec.arn, expected %s", [text.quote(arn), text.quote(expected)]),
	}
}

# METADATA
# title: A new aws-auth maps the nodes
# description: Nodes cannot join a cluster whose aws-auth has no entry for the role of its instances.
# custom:
#   id: no-node-role
#   severity: medium
#   examples:
#     violates:
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#       settings: {aws_auth: {admins: ["arn:aws:iam::555555555555:user/admin"]}}
#     passes:
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapRoles: |
#             - rolearn: arn:aws:iam::555555555555:role/node
#               username: system:node:{{EC2PrivateDNSName}}
#               groups: [system:bootstrappers, system:nodes]
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#       settings: {aws_auth: {admins: ["arn:aws:iam::555555555555:user/admin"]}}
warn contains violation if {
	_writes
	input.request.operation == "CREATE"
	count(_node_arns(_after_by_key)) == 0
	violation := {
		"rule": "no-node-role",
		"field": "data.mapRoles",
		"message": sprintf("no entry has %s, so that no EC2 instance can join as a node", [_node_entry]),
		"fix": "add an entry for the role of the node group's instances",
	}
}

# METADATA
# title: Node groups keep their roles
# description: Tells which role's nodes can no longer join, where other nodes still can.
# custom:
#   id: node-role-removed
#   severity: medium
#   fix: Make sure that the node group is gone before its entry.
#   examples:
#     violates:
#       oldObject:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapRoles: |
#             - rolearn: arn:aws:iam::555555555555:role/node
#               username: system:node:{{EC2PrivateDNSName}}
#               groups: [system:bootstrappers, system:nodes]
#             - rolearn: arn:aws:iam::555555555555:role/gpu-node
#               username: system:node:{{EC2PrivateDNSName}}
#               groups: [system:bootstrappers, system:nodes]
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapRoles: |
#             - rolearn: arn:aws:iam::555555555555:role/node
#               username: system:node:{{EC2PrivateDNSName}}
#               groups: [system:bootstrappers, system:nodes]
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#     passes:
#       oldObject:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapRoles: |
#             - rolearn: arn:aws:iam::555555555555:role/node
#               username: system:node:{{EC2PrivateDNSName}}
#               groups: [system:bootstrappers, system:nodes]
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapRoles: |
#             - rolearn: arn:aws:iam::555555555555:role/node
#               username: system:node:{{EC2PrivateDNSName}}
#               groups: [system:bootstrappers, system:nodes]
#             - rolearn: arn:aws:iam::555555555555:role/gpu-node
#               username: system:node:{{EC2PrivateDNSName}}
#               groups: [system:bootstrappers, system:nodes]
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
warn contains violation if {
	_maps
	count(_node_arns(_after_by_key)) > 0
	some arn in _node_arns(_before_by_key)
	every other in _node_arns(_after_by_key) {
		awsauth.fold(other) != awsauth.fold(arn)
	}
	violation := {
		"rule": "node-role-removed",
		"field": _roles_field,
		"message": sprintf("nodes with role %s can no longer join or stay%s", [
			text.quote(arn),
			_up(false, "; which of them have it is written nowhere in the cluster"),
		]),
	}
}

# METADATA
# title: Whole accounts are named
# description: An account in mapAccounts lets each of its IAM users and roles log in, with its ARN as username.
# custom:
#   id: account-mapped
#   severity: medium
#   fix: Map the users and roles that need access in mapUsers and mapRoles.
#   examples:
#     violates:
#       oldObject: &before
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#           mapAccounts: |
#             - "555555555555"
#     passes:
#       oldObject: *before
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#             - userarn: arn:aws:iam::555555555555:user/jane
#               username: jane
#               groups: [developers]
warn contains violation if {
	_writes
	some account in _after.accounts
	not account.account in _former_accounts
	violation := {
		"rule": "account-mapped",
		"field": account.field,
		"message": sprintf("every IAM user and role of account %s can log in", [text.quote(account.account)]),
	}
}

# METADATA
# title: Fields are the ones that the authenticator reads
# description: It passes over fields of an entry that it does not know, misspelt ones among them.
# custom:
#   id: unread-field
#   severity: low
#   fix: Correct its name or remove it.
#   examples:
#     violates:
#       note: The field is called groups.
#       oldObject: &before
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#             - userarn: arn:aws:iam::555555555555:user/jane
#               username: jane
#               group: [developers]
#     passes:
#       oldObject: *before
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#             - userarn: arn:aws:iam::555555555555:user/jane
#               username: jane
#               groups: [developers]
warn contains violation if {
	_writes
	some error in _new_errors
	error.effect == "unread"
	violation := {"rule": "unread-field", "field": error.field, "message": error.reason}
}

# METADATA
# title: Confirmations confirm something
# description: A confirmation that names nobody who becomes administrator now does not count for a later change.
# custom:
#   id: unused-confirmation
#   severity: low
#   fix: Write it in the change that makes the administrator.
#   examples:
#     violates:
#       note: Jane gets no group of administrators.
#       oldObject: &before
#         apiVersion: v1
#         kind: ConfigMap
#         metadata: {name: aws-auth, namespace: kube-system}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata:
#           name: aws-auth
#           namespace: kube-system
#           annotations: {eksguard.io/confirm-admins: "arn:aws:iam::555555555555:user/jane"}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#             - userarn: arn:aws:iam::555555555555:user/jane
#               username: jane
#               groups: [developers]
#     passes:
#       oldObject: *before
#       object:
#         apiVersion: v1
#         kind: ConfigMap
#         metadata:
#           name: aws-auth
#           namespace: kube-system
#           annotations: {eksguard.io/confirm-admins: "arn:aws:iam::555555555555:user/admin2"}
#         data:
#           mapUsers: |
#             - userarn: arn:aws:iam::555555555555:user/admin
#               username: admin
#               groups: [system:masters]
#             - userarn: arn:aws:iam::555555555555:user/admin2
#               username: admin2
#               groups: [system:masters]
warn contains violation if {
	_maps
	_is_fresh
	count(_needed) == 0
	some key in (_named - _granted)
	violation := {
		"rule": "unused-confirmation",
		"field": _confirmation_field,
		"message": sprintf("names %s, which this change does not make an administrator", [text.quote(key)]),
	}
}
