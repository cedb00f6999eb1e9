// Package fuzz_test asks the policies and the programs that they speak of about the same inputs.
package fuzz_test

import (
	"context"
	"flag"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
	"sigs.k8s.io/aws-iam-authenticator/pkg/config"
	"sigs.k8s.io/aws-iam-authenticator/pkg/mapper/configmap"

	"github.com/mozilla-iam/eksguard/test/checkout"
	"github.com/mozilla-iam/eksguard/test/fuzz/judge"
)

// FuzzAWSAuth holds for all texts of the sections of aws-auth:
//
//   - What policies/lib/awsauth makes of them is what the authenticator's ParseMap makes of them, unless the library says
//     that it cannot tell.
//   - What the authenticator would drop, and what the library cannot tell, is an error.
//   - A change that gives somebody an administrator group, or takes away the last administrator or node role, in the
//     authenticator's eyes, is denied; whatever else stands in the ConfigMap before and after it.
//   - The policy answers.
//
// The first three arguments are the sections as they are. Where one is empty, the recipe makes up its text, and those
// that the ConfigMap had before. What was found once is kept in testdata/fuzz. The policies are asked in a process of their
// own, see package judge.
func FuzzAWSAuth(f *testing.F) {
	oracle := newOracle(f, startJudge(f))
	f.Fuzz(func(t *testing.T, roles, users, accounts string, recipe []byte) {
		oracle.check(t, roles, users, accounts, recipe)
	})
}

var (
	rounds = flag.Int("rounds", 300, "how many documents are made up")
	seed   = flag.Uint64("seed", 6, "which documents are made up")
)

// TestAWSAuthOnGeneratedDocuments is a run of the same over documents that are made up, always the same ones. The
// fuzzer goes by what of the authenticator's parser runs; this does not: go test ./test/fuzz -args -rounds 100000.
func TestAWSAuthOnGeneratedDocuments(t *testing.T) {
	oracle := newOracle(t, newJudge(t))
	random := rand.New(rand.NewPCG(5, *seed))
	for range *rounds {
		recipe := make([]byte, random.IntN(300))
		for i := range recipe {
			recipe[i] = byte(random.Uint32())
		}
		oracle.check(t, "", "", "", recipe)
		if t.Failed() {
			return
		}
	}
	// The properties say little where everything is an error.
	t.Logf("%+v", oracle.seen)
	if s := oracle.seen; min(s.plain, s.allowed) < *rounds/10 || s.granted < *rounds/50 || s.denied < *rounds/10 {
		t.Errorf("the documents do not exercise the properties: %+v", s)
	}
}

// asker is who is asked about the policies.
type asker interface {
	Read(ctx context.Context, sections judge.Sections) (judge.Reading, error)
	Decide(ctx context.Context, before, after judge.Sections) (judge.Verdict, error)
}

// oracle holds the two readings that are compared.
type oracle struct {
	policies asker
	seen     struct{ plain, faulty, granted, denied, allowed int }
}

const policies = "../../policies"

func newOracle(t testing.TB, policies asker) *oracle {
	t.Helper()
	logrus.SetOutput(io.Discard)
	return &oracle{policies: policies}
}

func newJudge(t testing.TB) *judge.Judge {
	t.Helper()
	j, err := judge.New(context.Background(), policies)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// startJudge builds and starts a process of this test alone, which ends with it.
func startJudge(t testing.TB) *judge.Remote {
	t.Helper()
	if err := checkout.Inputs(); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "judged")
	if out, err := exec.Command("go", "build", "-o", binary, "./judged").CombinedOutput(); err != nil {
		t.Fatalf("go build ./judged: %v\n%s", err, out)
	}
	command := exec.Command(binary, policies)
	command.Stderr = os.Stderr
	questions, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	answers, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = questions.Close() // its end is what is asked for
		if err := command.Wait(); err != nil {
			t.Errorf("judged: %v", err)
		}
	})
	return judge.NewRemote(questions, answers)
}

// reading is what the library makes of a ConfigMap.
type reading struct{ judge.Reading }

func (o *oracle) read(t *testing.T, sections map[string]string) reading {
	t.Helper()
	r, err := o.policies.Read(t.Context(), sections)
	if err != nil {
		t.Fatalf("the library fails (%v) on %q", err, sections)
	}
	return reading{r}
}

func (r *reading) has(section string, effects ...string) bool {
	for _, e := range r.Errors {
		if (section == "" || e.Section == section) && slices.Contains(effects, e.Effect) {
			return true
		}
	}
	return false
}

// unclear tells whether a section is one of which the library says that it cannot tell, or one that ends for the
// authenticator before a part that does not parse.
func (r *reading) unclear(section string) bool {
	for _, e := range r.Errors {
		if e.Section == section && (e.Effect == "unclear" || strings.HasPrefix(e.Reason, "does not parse")) {
			return true
		}
	}
	return false
}

func (o *oracle) check(t *testing.T, roles, users, accounts string, recipe []byte) {
	t.Helper()
	c := &choices{left: recipe}
	after := o.sections(c, roles, users, accounts)
	o.compare(t, after)
	if t.Failed() {
		return
	}
	before := o.sections(c, "", "", "")
	if c.seldom(3) {
		before["mapRoles"] = after["mapRoles"]
	}
	if c.seldom(3) {
		before["mapUsers"] = after["mapUsers"]
	}
	o.judge(t, before, after)
	if !t.Failed() {
		o.judge(t, after, before)
	}
}

// sections are those of a ConfigMap; what the API server would not take, since it is no UTF-8, comes as it would be sent.
func (o *oracle) sections(c *choices, roles, users, accounts string) map[string]string {
	if roles == "" {
		roles = c.section("rolearn")
	}
	if users == "" {
		users = c.section("userarn")
	}
	if accounts == "" {
		accounts = c.accounts()
	}
	sections := map[string]string{}
	for name, text := range map[string]string{"mapRoles": roles, "mapUsers": users, "mapAccounts": accounts} {
		sections[name] = strings.ToValidUTF8(text, "\ufffd")
	}
	return sections
}

// mapping is an entry as both know it.
type mapping struct {
	ARN, Username string
	Groups        []string
}

// compare holds the library's reading against the authenticator's.
func (o *oracle) compare(t *testing.T, sections map[string]string) {
	t.Helper()
	ours := o.read(t, sections)
	for name := range sections {
		theirs, err := parseAlone(name, sections[name])
		var got []mapping
		for _, e := range ours.Entries {
			if e.Section != name {
				continue
			}
			if i := len(got); i < len(theirs) && theirs[i].ARN == "" && permissionSet.MatchString(e.ARN) {
				e.ARN = "" // this version of the authenticator knows no sso
			}
			got = append(got, mapping{e.ARN, e.Username, e.Groups})
		}
		if name == "mapAccounts" {
			for _, a := range ours.Accounts {
				if account.MatchString(a.Account) {
					got = append(got, mapping{ARN: a.Account})
				}
			}
		}
		if ours.unclear(name) {
			o.seen.faulty++
			continue // the section is denied as it stands
		}
		if err != nil && !ours.has(name, "section", "entry", "value") {
			t.Fatalf("%s: the authenticator says %v, the library no error of\n%q", name, err, sections[name])
		}
		if err == nil && len(got) > 0 && !ours.has(name, "section", "entry", "value") {
			o.seen.plain++
		}
		if !reflect.DeepEqual(got, theirs) {
			t.Fatalf("%s: the authenticator (with error %v) loads\n%q\nthe library says\n%q\nof\n%q\nerrors: %q",
				name, err, theirs, got, sections[name], ours.Errors)
		}
	}
}

var permissionSet = regexp.MustCompile(`:role/AWSReservedSSO_.*_\*$`)

var account = regexp.MustCompile(`^[0-9]{12}$`)

// parseAlone asks the authenticator about one section.
func parseAlone(name, text string) (mappings []mapping, err error) {
	users, roles, accounts, err := configmap.ParseMap(map[string]string{name: text})
	for _, m := range users {
		mappings = append(mappings, mapping{m.UserARN, m.Username, orEmpty(m.Groups)})
	}
	for _, m := range roles {
		mappings = append(mappings, mapping{m.RoleARN, m.Username, orEmpty(m.Groups)})
	}
	for _, a := range accounts {
		if account.MatchString(a) {
			mappings = append(mappings, mapping{ARN: a})
		}
	}
	return mappings, err
}

func orEmpty(groups []string) []string {
	if groups == nil {
		return []string{}
	}
	return groups
}

// decide asks the policy about a change.
func (o *oracle) decide(t *testing.T, before, after map[string]string) judge.Verdict {
	t.Helper()
	v, err := o.policies.Decide(t.Context(), before, after)
	if err != nil {
		t.Fatalf("%v\nbefore: %q\nafter: %q", err, before, after)
	}
	return v
}

// judge holds the policy's decision on a change against what the change does in the authenticator.
func (o *oracle) judge(t *testing.T, before, after map[string]string) {
	t.Helper()
	decision := o.decide(t, before, after)
	if len(decision.Faults) > 0 {
		t.Fatalf("fault: %v\nbefore: %q\nafter: %q", decision.Faults, before, after)
	}
	then, now := load(before), load(after)
	beforehand := o.read(t, before)
	// What was there may be lost unseen with a section that could not be read; to repair it must be possible.
	losable := !beforehand.unclear("mapRoles") && !beforehand.unclear("mapUsers")
	var effects []string
	for arn := range now.with("system:masters") {
		if !then.with("system:masters")[arn] {
			effects = append(effects, arn+" becomes administrator")
		}
	}
	if losable && len(then.with("system:masters")) > 0 && len(now.with("system:masters")) == 0 {
		effects = append(effects, "the last administrator is lost")
	}
	if losable && len(then.nodes()) > 0 && len(now.nodes()) == 0 {
		effects = append(effects, "the last node role is lost")
	}
	if decision.Allowed {
		o.seen.allowed++
	} else {
		o.seen.denied++
	}
	if len(effects) > 0 {
		o.seen.granted++
	}
	if decision.Allowed && len(effects) > 0 {
		t.Fatalf("allowed, though %q\nbefore: %q\nafter: %q", effects, before, after)
	}
}

// authenticator is what MapStore holds after it read the ConfigMap, and how its mapper looks a caller up in it.
type authenticator map[string]config.IdentityMapping

func load(sections map[string]string) authenticator {
	users, roles, _, _ := configmap.ParseMap(sections) // it keeps what it could read
	a := authenticator{}
	for _, m := range users {
		a[strings.ToLower(m.UserARN)] = config.IdentityMapping{IdentityARN: m.UserARN, Username: m.Username, Groups: m.Groups}
	}
	byRole := authenticator{}
	for _, m := range roles {
		byRole[strings.ToLower(m.RoleARN)] = config.IdentityMapping{IdentityARN: m.RoleARN, Username: m.Username, Groups: m.Groups}
	}
	for arn, m := range byRole {
		a[arn] = m // roles are looked up first
	}
	return a
}

// callers are the ARNs that somebody can have.
var callers = regexp.MustCompile(`^arn:aws:iam::[0-9]{12}:(role|user)/[a-z0-9]+$`)

func (a authenticator) with(groups ...string) map[string]bool {
	arns := map[string]bool{}
	for arn, m := range a {
		every := callers.MatchString(arn)
		for _, group := range groups {
			every = every && slices.Contains(m.Groups, group)
		}
		if every {
			arns[arn] = true
		}
	}
	return arns
}

func (a authenticator) nodes() map[string]bool {
	arns := a.with("system:nodes", "system:bootstrappers")
	for arn := range arns {
		if a[arn].Username != "system:node:{{EC2PrivateDNSName}}" {
			delete(arns, arn)
		}
	}
	return arns
}
