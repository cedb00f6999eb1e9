package eksguard.aws_auth

import data.eksguard.lib.text

# The ARNs that are sure to be nodes, whichever of several entries is used.
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

# The ARNs that may have been nodes, as which of several entries is used differs.
_may_be_node(entries) if {
	some entry in entries
	_is_node(entry)
	some other in entries
	other.usable
}

_node_groups := {"system:bootstrappers", "system:nodes"}

_node_username := "system:node:{{EC2PrivateDNSName}}"

_node_entry := sprintf("username %q and groups %s", [_node_username, concat(" and ", [text.quote(group) |
	some group in _node_groups
])])

_fargate_groups := _node_groups | {"system:node-proxier"}

_fargate_username := "system:node:{{SessionName}}"

_fargate_entry := sprintf("username %q and groups %s", [
	_fargate_username,
	concat(" and ", [text.quote(group) | some group in _fargate_groups]),
])

_fargate_arns(by_key) := {entry.arn |
	some entries in by_key
	every entry in entries {
		_is_fargate(entry)
	}
	some entry in entries
	entry.usable
}

_may_be_fargate(entries) if {
	some entry in entries
	_is_fargate(entry)
	some other in entries
	other.usable
}

_is_fargate(entry) if {
	entry.username == _fargate_username
	_fargate_groups - {group | some group in entry.groups} == set()
}

_fargate_is_used if not data.cluster["v1/nodes"]

_fargate_is_used if {
	some node in data.cluster["v1/nodes"]
	_compute_type(node) == "fargate"
}

# How many nodes are up, of Fargate or not, where that is known.
_up(is_fargate, more) := sprintf(" (nodes up now: %d%s)", [count(up), more]) if {
	nodes := data.cluster["v1/nodes"]
	up := [name | some name, node in nodes; _compute_type(node) == "fargate" == is_fargate]
} else := ""

_compute_type(node) := object.get(node, ["metadata", "labels", "eks.amazonaws.com/compute-type"], "")
