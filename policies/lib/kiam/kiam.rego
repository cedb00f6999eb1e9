# METADATA
# title: kiam
# description: |
#   How kiam itself reads what a Namespace permits (uswitch/kiam: pkg/server/policy.go, pkg/aws/sts/arn_resolver.go). It
#   compares the ARN of the role, whatever form the Pod gives it in; kiam before version 4 compared what the Pod gives,
#   which is the same for an ARN.
package eksguard.lib.kiam

# METADATA
# description: |
#   What an expression comes to. A strict kiam, the default, puts it between ^ and $, and no parentheses around it, so
#   that a|b is what begins with a or ends with b.
expression(strict, permitted) := concat("", ["^", permitted, "$"]) if {
	strict
} else := permitted

# METADATA
# description: True if the expression can be read. One that cannot permits nothing.
is_valid(strict, permitted) if {
	is_string(permitted)
	regex.is_valid(expression(strict, permitted))
}

# METADATA
# description: True if a Namespace with this annotation permits the role. An empty one permits nothing.
permits(strict, permitted, role_arn) if {
	permitted != ""
	is_valid(strict, permitted)
	regex.match(expression(strict, permitted), role_arn)
}
