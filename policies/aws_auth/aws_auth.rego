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
#   matchConditions:
#     # In a deletecollection and with generateName the request has no name.
#     - name: is-aws-auth-or-binds-cluster-admin
#       expression: |
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
#   settings:
#     type: object
#     additionalProperties: false
#     required: [accounts, admin_groups, admins, reserved_username_prefixes, node_usernames]
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
import data.eksguard.lib.rbac
import data.eksguard.lib.text

_settings := data.eksguard.settings.aws_auth

_cluster := data.eksguard.settings.cluster

_confirmation_key := "eksguard.io/confirm-admins"

_confirmation_field := text.annotation("metadata", _confirmation_key)

_node_groups := {"system:bootstrappers", "system:nodes"}

_node_username := "system:node:{{EC2PrivateDNSName}}"

# METADATA
# title: aws-auth stays
# description: Without it the authenticator maps nobody; every node and every user that it names is locked out.
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
	_guarded
	input.request.operation == "DELETE"
	violation := {
		"rule": "deleted",
		"field": "metadata.name",
		"message": sprintf(
			`deleting ConfigMap "kube-system/aws-auth" would lock out whom it maps, nodes and users (%d ARNs)%s`,
			[count({entry.key | some entry in _before.entries; entry.usable}), _loss_text(_lost(awsauth.sections))],
		),
	}
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
		"message": concat("", [error.reason, _loss_text(_lost({error.section}))]),
	}
}

# METADATA
# title: Sections can be judged
# description: |
#   The authenticator reads YAML 1.1 and its parser differs from eksguard's in a few constructs, none of which aws-auth
#   needs. What is read differently, or is too large to be judged in time, could hide a grant or a lockout.
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
#   caller can have, and uses one of two entries for the same ARN.
# custom:
#   id: invalid-entry
#   severity: high
#   fix: Write the entry as a map of rolearn or userarn, username and groups, once for each ARN.
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
	_writes
	some error in _new_errors
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
	_writes
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
	_writes
	count(_node_arns(_after_by_key)) == 0
	some key, entries in _before_by_key
	_may_be_node(entries)
	not _is_unchanged(key)
	arn := min({entry.arn | some entry in entries})
	violation := {
		"rule": "node-role-lost",
		"field": "data.mapRoles",
		"message": sprintf("nodes with role %s could no longer join or stay, as no entry with %s would be left", [
			text.quote(arn),
			_node_entry,
		]),
		"fix": sprintf("keep an entry with rolearn %s, %s", [text.quote(arn), _node_entry]),
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
	_writes
	count(_admin_arns(_after_by_key)) == 0
	some key, entries in _before_by_key
	_was_admin(entries)
	not _is_unchanged(key)
	arn := min({entry.arn | some entry in entries})
	violation := {
		"rule": "last-admin-lost",
		"field": "data",
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
	_writes
	some key in _requester
	former := _before_by_key[key]
	some loss in _own_losses(former, object.get(_after_by_key, key, set()))
	violation := {
		"rule": "self-lockout",
		"field": "data",
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
	_writes
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
	_writes
	count(_node_arns(_after_by_key)) > 0
	some arn in _node_arns(_before_by_key)
	every other in _node_arns(_after_by_key) {
		awsauth.fold(other) != awsauth.fold(arn)
	}
	violation := {
		"rule": "node-role-removed",
		"field": "data.mapRoles",
		"message": sprintf("nodes with role %s can no longer join or stay", [text.quote(arn)]),
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
	_writes
	_is_fresh
	count(_needed) == 0
	some key in (_named - _granted)
	violation := {
		"rule": "unused-confirmation",
		"field": _confirmation_field,
		"message": sprintf("names %s, which this change does not make an administrator", [text.quote(key)]),
	}
}

# The ARN of the requester, as the authenticator reports it.
_requester := {awsauth.fold(arn) |
	some key in {"canonicalArn", "arn"}
	some arn in input.request.userInfo.extra[key]
	is_string(arn)
}

_own_losses(former, _) := set() if not _is_mapped(former)

_own_losses(former, entries) := {"mapped"} if {
	_is_mapped(former)
	not _is_mapped(entries)
}

_own_losses(former, entries) := {"cluster administrator" |
	_was_admin(former)
	not _is_admin(entries)
	not _same_groups(entries, former)
} if {
	_is_mapped(former)
	_is_mapped(entries)
}

_is_mapped(entries) if {
	some entry in entries
	entry.usable
}

_new_accounts contains [entry.field, entry.arn, parts[4]] if {
	some entry in _after.entries
	not _before_by_key[entry.key]
	parts := split(entry.arn, ":")
	regex.match(`^[0-9]{12}$`, parts[4])
}

_new_accounts contains [account.field, account.account, account.account] if {
	some account in _after.accounts
	not account.account in _former_accounts
	regex.match(`^[0-9]{12}$`, account.account)
}

# Whom the sections mapped, and nothing maps any more.
_lost(sections) := {sprintf("%s (%s)", [text.quote(entry.arn), _role_text(entry)]) |
	some entry in _before.entries
	entry.section in sections
	entry.usable
	not _after_by_key[entry.key]
}

_role_text(entry) := sprintf("groups %s", [text.quote(concat(", ", entry.groups))]) if count(entry.groups) > 0

_role_text(entry) := sprintf("user %s", [text.quote(entry.username)]) if count(entry.groups) == 0

_max_shown := 5

_loss_text(lost) := "" if count(lost) == 0

_loss_text(lost) := sprintf(": lost %s%s", [concat(", ", array.slice(shown, 0, _max_shown)), more]) if {
	count(lost) > 0
	shown := sort(lost)
	more := _more(count(lost) - _max_shown)
}

_more(number) := "" if number <= 0

_more(number) := sprintf(" and %d more", [number]) if number > 0

_binds if {
	input.request.resource.resource == "clusterrolebindings"
	input.request.operation in {"CREATE", "UPDATE"}
}

_newly_bound contains [kind, name] if {
	_binds
	some [kind, name] in (rbac.administrators(_after_object) - rbac.administrators(_before_object))
	not _is_known_admin(kind, name)
}

_is_known_admin("Group", name) if name in _admin_groups

_is_known_admin("User", name) if name in _admin_users

_is_known_admin("User", name) if {
	some prefix in _settings.reserved_username_prefixes
	startswith(name, prefix)
}

_binding_confirmed if {
	_is_fresh
	named := {name | some name in regex.split(`[,\s]+`, _confirmation(_after_object)); name != ""}
	named == {name | some [_, name] in _newly_bound}
}

_binding_fault := "this change does not confirm it" if {
	_confirmation(_after_object) == ""
} else := sprintf("the confirmation %s is not part of this change", [text.quote(_confirmation(_after_object))]) if {
	not _is_fresh
} else := sprintf("the confirmation %s does not name exactly the new administrators", [
	text.quote(_confirmation(_after_object)),
])

# Who is an administrator by RBAC, with the ClusterRoleBinding that makes it so.
_bindings[subject] contains name if {
	some name, binding in data.cluster["rbac.authorization.k8s.io/v1/clusterrolebindings"]
	some subject in rbac.administrators(binding)
}

_admin_groups contains group if some group in _settings.admin_groups

_admin_groups contains group if some ["Group", group], _ in _bindings

_admin_users contains user if some ["User", user], _ in _bindings

# The authenticator reads one ConfigMap. A deletecollection and generateName leave the request without a name.
_guarded if {
	input.request.namespace == "kube-system"
	"aws-auth" in _names
}

_names contains input.request.name

_names contains _after_object.metadata.name

_names contains _before_object.metadata.name

_writes if {
	_guarded
	input.request.operation in {"CREATE", "UPDATE"}
}

default _after_object := {}

_after_object := input.request.object if is_object(input.request.object)

default _before_object := {}

_before_object := input.request.oldObject if is_object(input.request.oldObject)

_after := awsauth.parse(_after_object)

_before := awsauth.parse(_before_object)

_after_by_key[entry.key] contains entry if {
	some entry in _after.entries
	entry.arn != ""
}

_before_by_key[entry.key] contains entry if {
	some entry in _before.entries
	entry.arn != ""
}

_former_accounts contains account.account if some account in _before.accounts

_former_usernames contains [entry.key, entry.username] if some entry in _before.entries

# Errors that the change brings: an untouched entry may have moved, an untouched section may not be blamed again.
_new_errors contains error if {
	some error in _after.errors
	not _fault(error) in _former_faults
}

_former_faults contains _fault(error) if some error in _before.errors

_fault(error) := [error.section, error.effect, trim_prefix(error.field, _place(error)), error.of]

_place(error) := sprintf("data.%s[%d]", [error.section, error.index]) if error.index != null

_place(error) := "" if error.index == null

_is_frozen(object) if object.immutable == true

_is_read("data", section) if section in awsauth.sections

_had(kind, section, content) if _before_object[kind][section] == content

_nearest_section(section) := sprintf("data.%s", [name]) if {
	is_string(section)
	some name in awsauth.sections
	lower(trim_suffix(trim_space(section), "s")) == lower(trim_suffix(name, "s"))
} else := "data.mapRoles, data.mapUsers or data.mapAccounts"

# Who would be an administrator after the change, by an entry that any version of the authenticator might use.
_grants contains entry if {
	_writes
	some key, entries in _after_by_key
	former := object.get(_before_by_key, key, set())
	not _is_admin(former)
	not _same_groups(entries, former)
	some entry in entries
	_may_be_admin(entry)
}

_granted := {entry.key | some entry in _grants}

_listed := {awsauth.fold(arn) | some arn in _settings.admins}

_needed := _granted - _listed

# All entries for one ARN, any of which might be the one that is used, give an administrator group.
_is_admin(entries) if {
	count(entries) > 0
	every entry in entries {
		entry.loaded
		_gives_admin(entry)
	}
}

_gives_admin(entry) if {
	some group in entry.groups
	group in _admin_groups
}

_gives_admin(entry) if entry.username in _admin_users

_same_groups(entries, former) if _memberships(entries) == _memberships(former)

_memberships(entries) := [[entry.section, entry.loaded, entry.groups, _admin_names(entry)] |
	some entry in _in_order(entries)
]

_admin_names(entry) := {entry.username | some user in _admin_users; _may_render(entry.username, user)}

_may_be_admin(entry) if count(_causes(entry)) > 0

_causes(entry) := groups | users if {
	groups := {_cause("Group", group, admin_group) |
		some group in entry.groups
		some admin_group in _admin_groups
		_may_render(group, admin_group)
	}
	users := {_cause("User", entry.username, user) |
		some user in _admin_users
		_may_render(entry.username, user)
	}
}

_cause(kind, name, admin) := concat("", [
	sprintf("%s %s", [lower(kind), text.quote(name)]),
	_rendering(name, admin),
	_binding_text(kind, admin),
])

_rendering(name, admin) := "" if name == admin

_rendering(name, admin) := sprintf(", which can become %s", [text.quote(admin)]) if name != admin

# A group of the settings needs no reason.
_binding_text("Group", admin) := "" if admin in _settings.admin_groups

_binding_text(kind, admin) := sprintf(", bound to cluster-admin by ClusterRoleBinding %s", [text.quote(binding)]) if {
	not _is_configured(kind, admin)
	binding := min(_bindings[[kind, admin]])
}

_is_configured("Group", admin) if admin in _settings.admin_groups

# The ARNs that are sure to be administrators, or nodes, whichever entry is used.
_admin_arns(by_key) := {entry.arn |
	some entries in by_key
	_is_admin(entries)
	some entry in entries
	entry.usable
}

_node_arns(by_key) := {entry.arn |
	some entries in by_key
	every entry in entries {
		_is_node(entry)
	}
	some entry in entries
	entry.usable
}

_is_node(entry) if {
	entry.username == _node_username
	_node_groups - {group | some group in entry.groups} == set()
}

# The ARNs that may have been nodes, or administrators, as which of several entries is used differs.
_may_be_node(entries) if {
	some entry in entries
	_is_node(entry)
	some other in entries
	other.usable
}

_was_admin(entries) if {
	some entry in entries
	_gives_admin(entry)
	some other in entries
	other.usable
}

_is_unchanged(key) if {
	former := object.get(_before_by_key, key, set())
	entries := object.get(_after_by_key, key, set())
	_same_groups(entries, former)
	[entry.username | some entry in _in_order(entries)] == [entry.username | some entry in _in_order(former)]
}

_in_order(entries) := [entry |
	some [_, _, entry] in sort([[entry.section, entry.index, entry] | some entry in entries])
]

_confirmation(object) := value if {
	value := object.metadata.annotations[_confirmation_key]
	is_string(value)
} else := ""

_confirmed if {
	_is_fresh
	_needed - _named == set()
	_named - _granted == set()
}

_is_fresh if _confirmation(_after_object) != _confirmation(_before_object)

# A role's name may hold commas, so that only those before another ARN, or at an end, separate.
_named := {arn |
	spaced := regex.replace(awsauth.fold(_confirmation(_after_object)), `,\s*arn:`, " arn:")
	some word in regex.split(`\s+`, spaced)
	arn := trim(word, ",")
	arn != ""
}

_confirmation_fault := "neither settings aws_auth.admins nor this change confirms it" if {
	_confirmation(_after_object) == ""
} else := sprintf("the confirmation %s is not part of this change", [text.quote(_confirmation(_after_object))]) if {
	not _is_fresh
} else := sprintf("the confirmation %s does not name exactly the new administrators", [
	text.quote(_confirmation(_after_object)),
])

_confirmation_fix := sprintf("%sset %s: %s in the same change, or list %s in settings aws_auth.admins", [
	_first_step,
	_confirmation_field,
	_whole(_wanted),
	_pronoun,
])

default _first_step := ""

_first_step := "remove the earlier confirmation in a change of its own, then " if {
	_wanted == _confirmation(_before_object)
}

_pronoun := "it" if count(_needed) == 1

_pronoun := "them" if count(_needed) > 1

_wanted := concat(",", sort({min({entry.arn | some entry in _after_by_key[key]}) | some key in _needed}))

# What is to be copied is cut only where no message could hold it.
_whole(value) := sprintf("%q", [value]) if count(value) <= 4000

_whole(value) := text.quote(value) if count(value) > 4000

_admin_groups_text := concat(" or ", [text.quote(group) | some group in _admin_groups])

_node_entry := sprintf("username %q and groups %s", [_node_username, concat(" and ", [text.quote(group) |
	some group in _node_groups
])])

# Usernames and groups are templates. Session names, which callers choose, and all else that is filled in consist of
# these characters, and may be empty.
_placeholder := `\{\{(?:EC2PrivateDNSName|AccountID|SessionName|SessionNameRaw|AccessKeyID)\}\}`

_filling := `[A-Za-z0-9_+=,.@-]*`

_may_render(template, value) if template == value

_may_render(template, value) if {
	literals := regex.split(_placeholder, template)
	count(literals) > 1
	regex.match(concat("", [`\A`, concat(_filling, [_escaped(literal) | some literal in literals]), `\z`]), value)
}

# Placeholders within placeholders come to life one after another: anything may stand from the first to the last.
_may_render(template, value) if {
	literals := regex.split(_placeholder, template)
	count(literals) > 1
	contains(concat("", literals), "{{")
	startswith(value, split(template, "{{")[0])
	rest := split(template, "}}")
	endswith(value, rest[count(rest) - 1])
}

_escaped(literal) := regex.replace(literal, `[\x00-/:-@\[-\x60{-\x7f]`, `\$0`)

# What is filled in has no colon, so that the part before the first is rendered alone.
_may_begin(template, prefix) if {
	parts := split(template, ":")
	count(parts) > 1
	_may_render(parts[0], trim_suffix(prefix, ":"))
}
