// Package iamrole_test asks the policies iam-role and iam-grants, and the programs that give Pods the credentials of roles,
// about the same Pods and Namespaces.
package iamrole_test

import (
	"encoding/json"
	"flag"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// FuzzNoMoreThanKube2iamGrants holds for whatever stands in the annotations of a Pod and of its Namespace, in both formats
// of kube2iam:
//
//   - A Pod that iam-role admits has a role that kube2iam --namespace-restrictions gives to that namespace, the namespace's
//     own by the convention, or one that the settings grant; and ownership denies no such role.
//   - What iam-grants lets somebody who is no administrator write gives no more than the convention does.
//   - The policies answer.
//
// What was found once is kept in testdata/fuzz.
func FuzzNoMoreThanKube2iamGrants(f *testing.F) {
	fuzz(f, kube2iam("glob"), kube2iam("regexp"))
}

// FuzzNoMoreThanKiamPermits holds the same of kiam, strict and not.
func FuzzNoMoreThanKiamPermits(f *testing.F) {
	fuzz(f, kiam(true), kiam(false))
}

func fuzz(f *testing.F, one, other oracle) {
	d := newDecider(f)
	random := rand.New(rand.NewPCG(7, 7))
	for range 50 {
		for _, o := range []oracle{one, other} {
			c := makeUp(random, o)
			f.Add(c.namespace, c.allowed, c.role, o.settings == one.settings)
		}
	}
	f.Fuzz(func(t *testing.T, namespace, allowed, role string, first bool) {
		o := other
		if first {
			o = one
		}
		if len(allowed) > 2<<10 || len(role) > 256 || !label.MatchString(namespace) {
			t.Skip("no such Namespace, or longer than what is of interest")
		}
		o.check(t, d, scenario{namespace, strings.ToValidUTF8(allowed, "?"), strings.ToValidUTF8(role, "?")}, nil)
	})
}

var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

var (
	rounds = flag.Int("rounds", 800, "how many scenarios are made up for each way to read a Namespace's annotation")
	seed   = flag.Uint64("seed", 5, "which scenarios are made up")
)

// TestNoMoreThanKube2iamGrants is a run of FuzzNoMoreThanKube2iamGrants over scenarios that are made up, always the same
// ones: go test ./test/fuzz/iamrole -args -rounds 100000.
func TestNoMoreThanKube2iamGrants(t *testing.T) {
	t.Run("glob", func(t *testing.T) { made(t, kube2iam("glob")) })
	t.Run("regexp", func(t *testing.T) { made(t, kube2iam("regexp")) })
}

// TestNoMoreThanKiamPermits is the same of FuzzNoMoreThanKiamPermits.
func TestNoMoreThanKiamPermits(t *testing.T) {
	t.Run("strict", func(t *testing.T) { made(t, kiam(true)) })
	t.Run("not strict", func(t *testing.T) { made(t, kiam(false)) })
}

func made(t *testing.T, o oracle) {
	d, random, counts := newDecider(t), rand.New(rand.NewPCG(*seed, uint64(len(o.settings)))), map[string]int{}
	for range *rounds {
		o.check(t, d, makeUp(random, o), counts)
		if t.Failed() {
			return
		}
	}
	for _, what := range []string{admitted, admittedByAnnotation, annotationAdmitted, roleOfAnnotation} {
		if counts[what] == 0 {
			t.Errorf("%s: never, so that nothing is shown", what)
		}
	}
	t.Log(counts)
}

// scenario is a Namespace whose annotation has a value, and a Pod in it that asks for a role.
type scenario struct{ namespace, allowed, role string }

const (
	admitted             = "admitted"
	admittedByAnnotation = "admitted by the annotation only"
	annotationAdmitted   = "annotation admitted"
	roleOfAnnotation     = "role of an annotation that is admitted"
)

// check asks about one scenario; counts, which may be nil, tells what it came to.
func (o oracle) check(t *testing.T, d *decider, s scenario, counts map[string]int) {
	t.Helper()
	if counts == nil {
		counts = map[string]int{}
	}
	a := d.ask(t, question{
		Settings: o.settings, Annotation: o.annotation, Allowed: s.allowed, Namespace: s.namespace, Role: s.role})
	if len(a.Faults) > 0 {
		t.Fatalf("%+q: %v", s, a.Faults)
	}
	arn := o.arn(s.role)
	own, granted := isOwn(s.namespace, arn), o.grants(s.allowed, s.role)
	settings := s.namespace == "kube-system" && strings.HasPrefix(arn, base+"old-")
	if len(a.Pod) == 0 {
		counts[admitted]++
		if !granted && !own && !settings {
			t.Errorf("%+q is admitted, and would not be given", s)
		}
		if granted && !own {
			counts[admittedByAnnotation]++
		}
	}
	if slices.Contains(a.Pod, "iam-role/ownership") && (granted || own || settings) { // nor is a grant refused
		t.Errorf("%+q is not owned, but would be given", s)
	}
	if len(a.Namespace) > 0 {
		return
	}
	counts[annotationAdmitted]++
	for _, role := range append(slices.Clone(roles), s.role) {
		if !plain.MatchString(o.arn(role)) || !o.grants(s.allowed, role) {
			continue
		}
		counts[roleOfAnnotation]++
		if !isOwn(s.namespace, o.arn(role)) {
			t.Errorf("anyone may write %q in %q, which would be given %q", s.allowed, s.namespace, role)
		}
	}
}

// plain is the ARN of a role whose path holds no other ARN. An expression that is not tied to the beginning would find
// that one; iam-role denies such a role for its name.
var plain = regexp.MustCompile(`^arn:[a-z0-9-]+:iam::[0-9]{12}:role/([!-.0-9;-~]+/)*[A-Za-z0-9_+=,.@-]{1,64}$`)

var (
	namespaces = []string{"pay", "payments", "pay-prod", "kube-system", "a", "eks-pay"}
	words      = []string{"", "*", "**", "eks-", "eks-pay", "eks-payments", "-prod", "-dev", "pay", "-", "/", ":", "team/", "eks-*",
		"-*", ".", ".*", "^", "$", "|", "(", ")", "(dev|prod)$", "[a-z]+", "\\", "\\E", "?", "arn:", "ARN:", base,
		"arn:aws:iam::*:role/", "arn:aws:iam::666666666666:role/", "eks-pay-prod", "eks-pay-ments-prod", "eks-a-prod",
		"eks-pay-prod$", "é", " "}
	roles = []string{"eks-pay-prod", "eks-payments-prod", "eks-pay-ments-prod", "eks-pay-dev", "eks-a-prod", "eks-eks-pay-prod",
		"eks-pay-qa", "ark-prod", "team/eks-pay-prod", "old-role", "eks-kube-system-stage", "eks-pay-prod-prod"}
	elements = []string{"null", "1", "{}", `["eks-pay-prod"]`}
	ends     = []string{"-prod", "-dev$", "-(dev|prod)$", "-*", "-prod$", "-prod*", "-dev|", "-(dev|prod)"}
)

// makeUp makes up a scenario that is likely to be near the edge of what is allowed.
func makeUp(random *rand.Rand, o oracle) scenario {
	pick := func(from []string) string { return from[random.IntN(len(from))] }
	text := func() (text string) {
		for range 1 + random.IntN(3) {
			text += pick(words)
		}
		return text
	}
	s := scenario{namespace: pick(namespaces), role: pick(roles)}
	pattern := func() string {
		if random.IntN(3) == 0 { // one that is the namespace's own, if nothing more
			return "eks-" + s.namespace + pick(ends)
		}
		return text()
	}
	if o.annotation == kiam(true).annotation {
		s.allowed = pattern()
		if random.IntN(2) == 0 {
			s.allowed = pick([]string{"", "^"}) + base + s.allowed
		}
	} else {
		s.allowed = list(random, pattern)
	}
	switch random.IntN(4) {
	case 0, 1:
		s.role = base + s.role
	case 2:
		s.role = text()
	}
	return s
}

// list is a JSON array of patterns, or nearly one.
func list(random *rand.Rand, pattern func() string) string {
	var list []string
	for range random.IntN(3) {
		element, _ := json.Marshal(pattern()) // a string
		list = append(list, string(element))
	}
	if random.IntN(8) == 0 {
		list = append(list, elements[random.IntN(len(elements))])
	}
	text := "[" + strings.Join(list, ", ") + "]"
	if random.IntN(16) == 0 {
		text = text[1:]
	}
	return text
}
