package policy

import (
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
)

// Matches tells whether the API server would ask the policy about the request, its matchConditions aside. It follows
// Matcher in k8s.io/apiserver, pkg/admission/plugin/webhook/predicates/rules/rules.go.
func (p *Policy) Matches(r *Request) bool {
	for i := range p.Match {
		if ruleMatches(&p.Match[i], r) {
			return true
		}
	}
	return false
}

func ruleMatches(rule *admissionregistrationv1.RuleWithOperations, r *Request) bool {
	return anyOf(rule.Operations, admissionregistrationv1.OperationType(r.Operation)) &&
		anyOf(rule.APIGroups, r.Resource.Group) &&
		anyOf(rule.APIVersions, r.Resource.Version) &&
		resourceMatches(rule.Resources, r) &&
		scopeMatches(rule.Scope, r)
}

func anyOf[S ~string](patterns []S, value S) bool {
	return slices.Contains(patterns, "*") || slices.Contains(patterns, value)
}

func resourceMatches(patterns []string, r *Request) bool {
	for _, pattern := range patterns {
		resource, subResource, _ := strings.Cut(pattern, "/")
		if (resource == "*" || resource == r.Resource.Resource) && (subResource == "*" || subResource == r.SubResource) {
			return true
		}
	}
	return false
}

// scopeMatches counts Namespaces as cluster-scoped, though the API server sets their own name as the namespace.
func scopeMatches(scope *admissionregistrationv1.ScopeType, r *Request) bool {
	if scope == nil || *scope == admissionregistrationv1.AllScopes {
		return true
	}
	namespaced := r.Namespace != "" && (r.Resource.Group != "" || r.Resource.Resource != "namespaces")
	return namespaced == (*scope == admissionregistrationv1.NamespacedScope)
}
