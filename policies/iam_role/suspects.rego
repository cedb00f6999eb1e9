package eksguard.iam_role

import data.eksguard.lib.iam_ownership
import data.eksguard.lib.kube2iam
import data.eksguard.lib.workload

# What the write itself asks for, unless that is allowed at first sight: the value, and the path to the metadata of the
# Pod that asks. Every rule begins with it, so that next to nothing is evaluated for the objects that are as they should
# be, which is nearly all.
_suspects contains {"value": value, "metadata": metadata} if {
	some index, metadata in _settings.workloads.pod_metadata[_kind]
	value := _asked(index)
	value != _nothing
	not _clean(value)
	not _kept(index, value)
}

_kind := workload.kind(input.request.resource)

# What stands for a value that is not there: JSON has no sets.
_nothing := set()

# The roles before and after the write. Each place is spelled out from the settings, which shows that nothing else of an
# object is read.

_asked(index) := object.get(
	input.request,
	array.concat(
		array.concat(["object"], data.eksguard.settings.workloads.pod_metadata[_kind][index]),
		["annotations", data.eksguard.settings.iam_role.annotation],
	),
	_nothing,
)

_asked_before(index) := object.get(
	input.request,
	array.concat(
		array.concat(["oldObject"], data.eksguard.settings.workloads.pod_metadata[_kind][index]),
		["annotations", data.eksguard.settings.iam_role.annotation],
	),
	_nothing,
)

# What the old object had already does not count.
_kept(index, value) if {
	input.request.operation == "UPDATE"
	_asked_before(index) == value
}

# The usual case: an ARN of this cluster's account, named by the convention, of the namespace's own service. What is
# allowed for another reason is found by the rules. By its form an ARN has 12 digits for the account: before an account
# that is known, `[0-9]*` can stand for none of them, and before one that is not, which is "", for all.
_clean(value) if {
	is_string(value)
	iam_ownership.is_role_arn(value)
	pattern := concat("", [
		"^arn:", _settings.cluster.partition, ":iam::[0-9]*", _settings.cluster.account,
		`:role/\Q`, iam_ownership.base_path, `eks-\E([^/-][^/]*?)-(`, concat("|", _settings.iam_role.environments), ")$",
	])
	[[_, service, env]] := regex.find_all_string_submatch_n(pattern, value, 1)
	input.request.namespace in {service, concat("-", [service, env])}
}

# The ARN of the role that is asked for, undefined where the value cannot stand for one. The account of a bare name is
# "" while the settings do not tell it.
_role(value) := value if {
	is_string(value)
	iam_ownership.is_role_arn(value)
} else := concat("", [iam_ownership.base_arn, value]) if {
	is_string(value)
	not kube2iam.is_arn(value)
	iam_ownership.is_resource(value)
}
