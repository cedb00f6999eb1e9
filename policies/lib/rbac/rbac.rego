# METADATA
# title: RBAC
# description: What bindings of Kubernetes give.
package eksguard.lib.rbac

# METADATA
# description: |
#   The groups and users that a ClusterRoleBinding makes cluster administrators, as [kind, name]. ServiceAccounts are
#   not among them: nobody from outside is mapped to one.
administrators(binding) := {[kind, name] |
	binding.roleRef.kind == "ClusterRole"
	binding.roleRef.name == "cluster-admin"
	some subject in binding.subjects
	kind := subject.kind
	kind in {"Group", "User"}
	name := subject.name
	is_string(name)
}
