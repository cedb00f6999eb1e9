package iamrole_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// The oracles are written from what kube2iam and kiam document and do, and share nothing with the rules. The base ARN of
// both is that of the tests' account.
const base = "arn:aws:iam::555555555555:role/"

// oracle is a program that gives Pods the credentials of roles.
type oracle struct {
	// settings are eksguard's for a cluster that runs it, and annotation is that of a Namespace which it reads.
	settings, annotation string
	// arn is the role that a Pod's annotation stands for.
	arn func(role string) string
	// grants tells whether a Pod of a namespace with that annotation gets the credentials of the role.
	grants func(allowed, role string) bool
}

const (
	commonSettings = `"cluster": {"account": "555555555555"}, `
	grantSettings  = `"grants": {"kube-system": ["old-*"]}`
)

func kube2iam(format string) oracle {
	return oracle{
		settings:   `{` + commonSettings + `"iam_role": {"allowed_roles_format": "` + format + `", ` + grantSettings + `}}`,
		annotation: "iam.amazonaws.com/allowed-roles",
		arn:        kube2iamARN,
		grants:     func(allowed, role string) bool { return kube2iamGrants(format, allowed, role) },
	}
}

func kiam(strict bool) oracle {
	text, _ := json.Marshal(strict) // a bool
	return oracle{
		settings: `{` + commonSettings + `"iam_role": {"agent": "kiam", ` + grantSettings + `},
			"iam_grants": {"permitted_strict": ` + string(text) + `}}`,
		annotation: "iam.amazonaws.com/permitted",
		arn:        kiamARN,
		grants:     func(permitted, role string) bool { return kiamPermits(strict, permitted, role) },
	}
}

// kube2iamARN is RoleARN of jtblin/kube2iam, iam/arn.go.
func kube2iamARN(role string) string {
	if len(role) >= 4 && strings.EqualFold(role[:4], "arn:") {
		return role
	}
	return base + role
}

// kube2iamGrants is --namespace-restrictions of jtblin/kube2iam, mappings/mapper.go and namespace.go.
func kube2iamGrants(format, allowed, role string) bool {
	var patterns []string
	_ = json.Unmarshal([]byte(allowed), &patterns) // what could be decoded counts, as it does in kube2iam
	for _, pattern := range patterns {
		if format == "glob" && glob(kube2iamARN(pattern), kube2iamARN(role)) {
			return true
		}
		if format == "regexp" {
			if matched, err := regexp.MatchString(kube2iamARN(pattern), kube2iamARN(role)); err == nil && matched {
				return true
			}
		}
	}
	return false
}

// glob walks both strings by hand, so that it shares no way of matching with the rules, which use expressions.
func glob(pattern, text string) bool {
	star, mark, p, t := -1, 0, 0, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, t
			p++
		case p < len(pattern) && pattern[p] == text[t]:
			p, t = p+1, t+1
		case star >= 0:
			mark++
			p, t = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// kiamARN is Resolve of uswitch/kiam, pkg/aws/sts/arn_resolver.go.
func kiamARN(role string) string {
	if strings.HasPrefix(role, "arn:") {
		return role
	}
	return base + strings.TrimPrefix(role, "/")
}

// kiamPermits is IsAllowedAssumeRole of uswitch/kiam, pkg/server/policy.go. A Pod with an empty role has none.
func kiamPermits(strict bool, permitted, role string) bool {
	if permitted == "" || role == "" {
		return false
	}
	if strict {
		permitted = "^" + permitted + "$"
	}
	expression, err := regexp.Compile(permitted)
	return err == nil && expression.MatchString(kiamARN(role))
}

// isOwn tells whether the ARN is, by its name, that of a role of the namespace's own service.
func isOwn(namespace, arn string) bool {
	name, ok := strings.CutPrefix(arn, base+"eks-")
	return ok && slices.ContainsFunc([]string{"dev", "stage", "prod"}, func(env string) bool {
		return name == namespace+"-"+env || name == namespace && strings.HasSuffix(namespace, "-"+env)
	})
}
