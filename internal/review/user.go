package review

import (
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
)

// User is the author of what is reviewed, with the groups that the API server gives one who is impersonated
// (k8s.io/apiserver, pkg/endpoints/filters/impersonation): a service account is in the groups of service accounts unless
// others are given, and everyone but system:anonymous in system:authenticated.
//
// Without a name it is kubernetes-admin of system:masters, who may do everything: what is denied to it, a policy denies,
// and no missing permission would have done so before.
func User(name string, groups []string) authenticationv1.UserInfo {
	if name == "" {
		return authenticationv1.UserInfo{Username: "kubernetes-admin", Groups: []string{"system:masters", "system:authenticated"}}
	}
	groups = slices.Clone(groups)
	if account, ok := strings.CutPrefix(name, "system:serviceaccount:"); ok && len(groups) == 0 {
		namespace, _, _ := strings.Cut(account, ":")
		groups = []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace}
	}
	everyone := "system:authenticated"
	if name == "system:anonymous" {
		everyone = "system:unauthenticated"
	}
	if !slices.Contains(groups, everyone) {
		groups = append(groups, everyone)
	}
	return authenticationv1.UserInfo{Username: name, Groups: groups}
}
