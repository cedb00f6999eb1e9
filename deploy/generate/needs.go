package main

import (
	"fmt"
	"strings"

	"github.com/mozilla-iam/eksguard/internal/policy"
)

// needsFile is the cluster state that the default bundle reads, from which the chart makes its ClusterRole.
func needsFile(needs []policy.Need) string {
	var b strings.Builder
	b.WriteString("# What the policies of the default bundle read. Written by `make generate`.\n")
	for _, need := range needs {
		fmt.Fprintf(&b, "- {apiVersion: %s, resource: %s", need.APIVersion, need.Resource)
		if need.IsRead() {
			fmt.Fprintf(&b, ", name: %s", need.Name)
		}
		b.WriteString("}\n")
	}
	return b.String()
}
