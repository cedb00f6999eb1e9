package policy

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The oracle is written from what kube2iam documents and does with --namespace-restrictions (jtblin/kube2iam:
// mappings/mapper.go, iam/arn.go, namespace.go), and shares nothing with the rules. Its base ARN is that of the test's account.
const oracleBase = "arn:aws:iam::555555555555:role/"

func oracleARN(role string) string {
	if len(role) >= 4 && strings.EqualFold(role[:4], "arn:") {
		return role
	}
	return oracleBase + role
}

// oracleGlob walks both strings by hand, so that it shares no way of matching with the rules, which use expressions.
func oracleGlob(pattern, text string) bool {
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

// oracleGrants tells whether kube2iam gives the role to a Pod of a namespace with the annotation.
func oracleGrants(format, annotation, value string) bool {
	var patterns []string
	_ = json.Unmarshal([]byte(annotation), &patterns) // what could be decoded counts, as it does in kube2iam
	for _, pattern := range patterns {
		if format == "glob" && oracleGlob(oracleARN(pattern), oracleARN(value)) {
			return true
		}
		if format == "regexp" {
			if matched, err := regexp.MatchString(oracleARN(pattern), oracleARN(value)); err == nil && matched {
				return true
			}
		}
	}
	return false
}

// oracleConvention tells whether the role is that of the namespace's own service by its name.
func oracleConvention(namespace, value string, environments []string) bool {
	name, ok := strings.CutPrefix(oracleARN(value), oracleBase+"eks-")
	return ok && slices.ContainsFunc(environments, func(env string) bool {
		return name == namespace+"-"+env || name == namespace && strings.HasSuffix(namespace, "-"+env)
	})
}

// changedState is one of several states in a row, each with a version of its own, so that no answer is remembered of another.
type changedState struct {
	StaticState
	version uint64
}

func (s changedState) Version(Need) uint64 { return s.version }

// TestNoMoreThanKube2iamGrants holds the differential property of iam-role: a Pod that it admits has a role that kube2iam gives
// to that namespace, the namespace's own by the convention, or one that the settings grant. And what iam-grants lets
// somebody who is no administrator write gives no more than the convention does.
func TestNoMoreThanKube2iamGrants(t *testing.T) {
	environments := []string{"dev", "stage", "prod"}
	namespaces := []string{"pay", "payments", "pay-prod", "kube-system", "a", "eks-pay"}
	words := []string{"", "*", "**", "eks-", "eks-pay", "eks-payments", "-prod", "-dev", "pay", "-", "/", ":", "team/", "eks-*", "-*",
		".", ".*", "^", "$", "|", "(", ")", "(dev|prod)$", "[a-z]+", "\\", "\\E", "?", "arn:", "ARN:", oracleBase, "arn:aws:iam::*:role/",
		"arn:aws:iam::666666666666:role/", "eks-pay-prod", "eks-pay-ments-prod", "eks-a-prod", "eks-pay-prod$", "é", " "}
	roles := []string{"eks-pay-prod", "eks-payments-prod", "eks-pay-ments-prod", "eks-pay-dev", "eks-a-prod", "eks-eks-pay-prod",
		"eks-pay-qa", "ark-prod", "team/eks-pay-prod", "old-role", "eks-kube-system-stage", "eks-pay-prod-prod"}
	elements := []string{"null", "1", "{}", `["eks-pay-prod"]`}
	for _, format := range []string{"glob", "regexp"} {
		t.Run(format, func(t *testing.T) {
			embedded, err := defaultBundle()
			if err != nil {
				t.Fatal(err)
			}
			snapshot, err := NewSnapshot(t.Context(), embedded, map[string]any{
				"cluster": map[string]any{"account": "555555555555"},
				"iam_role": map[string]any{"allowed_roles_format": format,
					"grants": map[string]any{"kube-system": []any{"old-*"}}},
			})
			if err != nil {
				t.Fatal(err)
			}
			random := rand.New(rand.NewPCG(5, uint64(len(format))))
			pick := func(from []string) string { return from[random.IntN(len(from))] }
			made := func() (text string) {
				for range 1 + random.IntN(3) {
					text += pick(words)
				}
				return text
			}
			counts := map[string]int{}
			for round := range uint64(1500) {
				namespace := pick(namespaces)
				var list []string
				for range random.IntN(3) {
					pattern := made()
					if random.IntN(3) == 0 { // one that is the namespace's own, if nothing more
						pattern = "eks-" + namespace + pick([]string{"-prod", "-dev$", "-(dev|prod)$", "-*", "-prod$", "-prod*"})
					}
					element, err := json.Marshal(pattern)
					if err != nil {
						t.Fatal(err)
					}
					list = append(list, string(element))
				}
				if random.IntN(8) == 0 {
					list = append(list, pick(elements))
				}
				annotation := "[" + strings.Join(list, ", ") + "]"
				if random.IntN(16) == 0 {
					annotation = annotation[1:]
				}
				value := pick(roles)
				switch random.IntN(4) {
				case 0, 1:
					value = oracleBase + value
				case 2:
					value = made()
				}

				pod := map[string]any{"metadata": map[string]any{"name": "p", "annotations": map[string]any{"iam.amazonaws.com/role": value}}}
				state, err := NewStaticState(map[string]any{"v1/namespaces": map[string]any{namespace: map[string]any{
					"metadata": map[string]any{"annotations": map[string]any{"iam.amazonaws.com/allowed-roles": annotation}}}}})
				if err != nil {
					t.Fatal(err)
				}
				d := decideOn(t, snapshot, changedState{state, round}, kube2iamReview(t, "pods", "Pod", namespace, pod), Validate)
				if len(d.Faults) > 0 {
					t.Fatalf("role %q, annotation %s: %+v", value, annotation, d.Faults)
				}
				own := oracleConvention(namespace, value, environments)
				granted := oracleGrants(format, annotation, value)
				settings := namespace == "kube-system" && strings.HasPrefix(oracleARN(value), oracleBase+"old-")
				denied := map[string]bool{}
				for _, v := range d.Violations {
					denied[v.Rule] = true
				}
				if len(denied) == 0 {
					counts["admitted"]++
					if !granted && !own && !settings {
						t.Errorf("%q is admitted in %q with %s, and kube2iam would not give it", value, namespace, annotation)
					}
				}
				if granted && !own && len(denied) == 0 {
					counts["admitted by the annotation only"]++
				}
				if denied["ownership"] && (granted || own || settings) { // nor is a grant refused
					t.Errorf("%q is not owned by %q with %s, but kube2iam would give it", value, namespace, annotation)
				}

				// Somebody who is no administrator writes that annotation on a new Namespace.
				object := map[string]any{"metadata": map[string]any{"name": namespace,
					"annotations": map[string]any{"iam.amazonaws.com/allowed-roles": annotation}}}
				d = decideOn(t, snapshot, StaticState{}, kube2iamReview(t, "namespaces", "Namespace", namespace, object), Validate)
				if len(d.Faults) > 0 {
					t.Fatalf("annotation %s: %+v", annotation, d.Faults)
				}
				if len(d.Violations) > 0 {
					continue
				}
				counts["annotation admitted"]++
				for _, role := range append(roles, value) {
					if oracleGrants(format, annotation, role) {
						counts["role of an annotation that is admitted"]++
						if !oracleConvention(namespace, role, environments) {
							t.Errorf("anyone may write %s in %q, and kube2iam would give it %q", annotation, namespace, role)
						}
					}
				}
			}
			for _, what := range []string{"admitted", "admitted by the annotation only", "annotation admitted",
				"role of an annotation that is admitted"} {
				if counts[what] == 0 {
					t.Errorf("%s: never, so that nothing is shown", what)
				}
			}
			t.Log(counts)
		})
	}
}

func kube2iamReview(t *testing.T, resource, kind, namespace string, object map[string]any) []byte {
	t.Helper()
	name := object["metadata"].(map[string]any)["name"]
	body, err := json.Marshal(map[string]any{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": map[string]any{
		"uid": fmt.Sprint(name), "operation": "CREATE", "namespace": namespace, "name": name, "object": object, "oldObject": nil,
		"kind":     map[string]any{"group": "", "version": "v1", "kind": kind},
		"resource": map[string]any{"group": "", "version": "v1", "resource": resource},
		"userInfo": map[string]any{"username": "alice", "groups": []string{"system:authenticated"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return body
}
