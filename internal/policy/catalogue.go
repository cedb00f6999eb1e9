package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// root is the package below which every policy lives, and library the part of it that is never called by itself.
const (
	root    = "eksguard"
	library = "lib"
)

// RuleKind is the entry rule that a rule is defined in.
type RuleKind string

// The entry rules of a policy package.
const (
	Deny       RuleKind = "deny"
	Warn       RuleKind = "warn"
	MutateRule RuleKind = "mutate"
)

var ruleKinds = []RuleKind{Deny, Warn, MutateRule}

// effectRule is the rule of a policy that tells what a change does, where it found a violation.
const effectRule = "effect"

// Policy is one Rego package of the bundle as its METADATA describes it.
type Policy struct {
	// Name is the package's last part with "-" for "_"; Package is that part as it stands.
	Name, Package string
	Title         string
	Description   string
	// Match says which requests the policy is asked about, those that follow from the settings at its end.
	Match []admissionregistrationv1.RuleWithOperations
	// MatchConditions are a prefilter for the API server, with the settings filled in. They never change a decision.
	MatchConditions []admissionregistrationv1.MatchCondition
	// FailurePolicy says what an answer that could not be made means.
	FailurePolicy admissionregistrationv1.FailurePolicyType
	// Needs is the watched cluster state that the policy reads.
	Needs []Need
	// Settings is the JSON Schema of the policy's own section of the settings, nil if it has none.
	Settings map[string]any
	// Rules are sorted by id.
	Rules []Rule
	// Location is where the METADATA of the package begins: file:line.
	Location string

	// tellsEffect is whether the policy has a rule effect.
	tellsEffect bool
	hasRules    bool
	// matchSettings is the template of more of Match, empty where the settings add nothing to it.
	matchSettings string
}

// Rule is one rule of a policy.
type Rule struct {
	ID          string
	Kind        RuleKind
	Title       string
	Description string
	// Severity is low, medium, high or critical.
	Severity string
	// Fix is what the one who is denied can do, where the violation does not say it better.
	Fix string
	// Location is where the rule is defined: file:line.
	Location string
	// Examples are custom.examples of the METADATA as they stand there, nil where there are none: no decision rests on
	// them, so that a snapshot does not check them.
	Examples any
	// Off is true where the settings turn the rule off: it is not asked, and a policy whose rules of a kind are all off is
	// not registered for it.
	Off bool

	// when is the template that tells whether the rule is on, empty for a rule that always is.
	when string
}

// Has tells whether the policy has a rule of that kind that is on.
func (p *Policy) Has(kind RuleKind) bool {
	return slices.ContainsFunc(p.Rules, func(r Rule) bool { return r.Kind == kind && !r.Off })
}

// Rule finds a rule by its id, nil if the policy has none of it.
func (p *Policy) Rule(id string) *Rule {
	for i := range p.Rules {
		if p.Rules[i].ID == id {
			return &p.Rules[i]
		}
	}
	return nil
}

// packageMetadata and ruleMetadata are what the custom part of METADATA may hold.
type packageMetadata struct {
	Match           []admissionregistrationv1.RuleWithOperations `json:"match"`
	MatchSettings   string                                       `json:"matchSettings"`
	MatchConditions []admissionregistrationv1.MatchCondition     `json:"matchConditions"`
	FailurePolicy   admissionregistrationv1.FailurePolicyType    `json:"failurePolicy"`
	Needs           []Need                                       `json:"needs"`
	Settings        map[string]any                               `json:"settings"`
}

type ruleMetadata struct {
	ID       string `json:"id"`
	Severity string `json:"severity"`
	Fix      string `json:"fix"`
	When     string `json:"when"`
}

// examplesKey is the part of a rule's custom METADATA that is not read here, see Rule.Examples.
const examplesKey = "examples"

var (
	ruleIDPattern = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	severities    = []string{"low", "medium", "high", "critical"}
)

// readCatalogue reads the policies from the METADATA of the modules, sorted by name. It reports everything that breaks
// the contract at once, each with file and line.
func readCatalogue(modules map[string]*ast.Module) ([]*Policy, error) {
	var faults []error
	policies := map[string]*Policy{}
	for _, module := range sortedModules(modules) {
		name, isPolicy := policyPackage(module.Package.Path)
		if !isPolicy {
			if !inRoot(module.Package.Path) && !isLogRules(module) {
				faults = append(faults, fmt.Errorf("%s: package %s: want a package below %q, or %s",
					module.Package.Location, module.Package.Path, "data."+root, logRules))
			}
			continue
		}
		p := policies[name]
		if p == nil {
			p = &Policy{Package: name, Name: strings.ReplaceAll(name, "_", "-")}
			policies[name] = p
		}
		faults = append(faults, p.readModule(module)...)
	}
	var sorted []*Policy
	for _, p := range policies {
		faults = append(faults, p.check()...)
		sort.Slice(p.Rules, func(i, j int) bool { return p.Rules[i].ID < p.Rules[j].ID })
		sorted = append(sorted, p)
	}
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].Name < sorted[j].Name })
	if len(sorted) == 0 {
		faults = append(faults, fmt.Errorf("no policy: want at least one package %q", root+".<policy>"))
	}
	return sorted, joinSorted(faults)
}

func sortedModules(modules map[string]*ast.Module) []*ast.Module {
	names := make([]string, 0, len(modules))
	for name := range modules {
		names = append(names, name)
	}
	sort.Strings(names)
	sorted := make([]*ast.Module, 0, len(names))
	for _, name := range names {
		sorted = append(sorted, modules[name])
	}
	return sorted
}

// policyPackage gives the last part of data.eksguard.<policy>. Packages of the library and of tests are no policies.
func policyPackage(path ast.Ref) (string, bool) {
	if len(path) != 3 || !inRoot(path) {
		return "", false
	}
	name, _ := path[2].Value.(ast.String)
	return string(name), name != library && !strings.HasSuffix(string(name), "_test")
}

func inRoot(path ast.Ref) bool {
	return len(path) >= 2 && path[1].Value.Compare(ast.String(root)) == 0
}

func (p *Policy) readModule(module *ast.Module) (faults []error) {
	for _, a := range module.Annotations {
		if a.Scope == "package" {
			faults = append(faults, p.readPackage(a)...)
		}
	}
	for _, rule := range module.Rules {
		kind := RuleKind(rule.Head.Ref()[0].Value.(ast.Var))
		if kind == effectRule {
			p.tellsEffect = true
			if rule.Head.Key != nil || len(rule.Head.Ref()) > 1 {
				faults = append(faults, fmt.Errorf("%s: rule %q: want a list of lines: `%s := [\"…\"] if …`",
					rule.Location, kind, kind))
			}
			continue
		}
		if !slices.Contains(ruleKinds, kind) {
			if !strings.HasPrefix(string(kind), "_") && !strings.HasPrefix(string(kind), "test_") {
				faults = append(faults, fmt.Errorf("%s: rule %q: only deny, warn, mutate and effect are public: begin its name with %q",
					rule.Location, kind, "_"))
			}
			continue
		}
		p.hasRules = true
		faults = append(faults, p.readRule(rule, kind)...)
	}
	return faults
}

func (p *Policy) readPackage(a *ast.Annotations) (faults []error) {
	if p.Title != "" {
		return []error{fmt.Errorf("%s: policy %q: METADATA of the package stands in more than one file", a.Location, p.Name)}
	}
	p.Title, p.Description, p.Location = a.Title, strings.TrimSpace(a.Description), a.Location.String()
	if p.Title == "" {
		faults = append(faults, fmt.Errorf("%s: policy %q: metadata title is missing", a.Location, p.Name))
	}
	var m packageMetadata
	if err := decodeStrictly(a.Custom, &m); err != nil {
		return append(faults, fmt.Errorf("%s: policy %q: metadata custom: %w", a.Location, p.Name, err))
	}
	p.Match, p.MatchConditions, p.Needs, p.Settings = m.Match, m.MatchConditions, m.Needs, m.Settings
	p.matchSettings = m.MatchSettings
	p.FailurePolicy = m.FailurePolicy
	if p.FailurePolicy == "" {
		p.FailurePolicy = admissionregistrationv1.Fail
	}
	if p.FailurePolicy != admissionregistrationv1.Fail && p.FailurePolicy != admissionregistrationv1.Ignore {
		faults = append(faults, fmt.Errorf("%s: policy %q: metadata custom.failurePolicy is %q, want Fail or Ignore",
			a.Location, p.Name, p.FailurePolicy))
	}
	if len(p.Match) == 0 {
		faults = append(faults, fmt.Errorf("%s: policy %q: metadata custom.match is missing", a.Location, p.Name))
	}
	for _, err := range checkMatch(p.Match) {
		faults = append(faults, fmt.Errorf("%s: policy %q: metadata custom.match%w", a.Location, p.Name, err))
	}
	for i, need := range p.Needs {
		if _, err := schema.ParseGroupVersion(need.APIVersion); err != nil || need.APIVersion == "" || need.Resource == "" {
			faults = append(faults, fmt.Errorf("%s: policy %q: metadata custom.needs[%d]: want an apiVersion and a resource",
				a.Location, p.Name, i))
		}
		if need.IsRead() && (need.MetadataOnly || need.Optional || len(need.Fields) > 0) {
			faults = append(faults, fmt.Errorf(
				"%s: policy %q: metadata custom.needs[%d]: an object that has a name is read whole: leave out metadataOnly, fields "+
					"and optional", a.Location, p.Name, i))
		}
		if !need.IsRead() && need.Namespace != "" {
			faults = append(faults, fmt.Errorf("%s: policy %q: metadata custom.needs[%d]: a namespace without a name",
				a.Location, p.Name, i))
		}
		for j, field := range need.Fields {
			if len(field) == 0 || slices.Contains(field, "") {
				faults = append(faults, fmt.Errorf("%s: policy %q: metadata custom.needs[%d].fields[%d]: want the names on the way to it",
					a.Location, p.Name, i, j))
			}
		}
	}
	return faults
}

// operations are what a rule of match may name.
var operations = []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update,
	admissionregistrationv1.Delete, admissionregistrationv1.Connect, admissionregistrationv1.OperationAll}

// checkMatch finds the rules in which something is missing or misspelt. Each fault begins with the rule's index.
func checkMatch(rules []admissionregistrationv1.RuleWithOperations) (faults []error) {
	for i, rule := range rules {
		if len(rule.APIGroups) == 0 || len(rule.APIVersions) == 0 || len(rule.Resources) == 0 || len(rule.Operations) == 0 {
			faults = append(faults, fmt.Errorf("[%d]: want apiGroups, apiVersions, resources and operations", i))
		}
		for j, operation := range rule.Operations {
			if !slices.Contains(operations, operation) {
				faults = append(faults, fmt.Errorf("[%d].operations[%d] is %q, want CREATE, UPDATE, DELETE, CONNECT or *",
					i, j, operation))
			}
		}
	}
	return faults
}

func (p *Policy) readRule(rule *ast.Rule, kind RuleKind) []error {
	var a *ast.Annotations
	for _, candidate := range rule.Annotations {
		if candidate.Scope == "rule" {
			a = candidate
		}
	}
	if a == nil {
		return []error{fmt.Errorf("%s: rule %q: METADATA is missing: want `# METADATA` before it, with title and custom: "+
			"{id: …, severity: …}", rule.Location, kind)}
	}
	if rule.Head.Key == nil || rule.Default {
		return []error{fmt.Errorf("%s: rule %q: want a set: `%s contains …`", rule.Location, kind, kind)}
	}
	custom := maps.Clone(a.Custom)
	delete(custom, examplesKey)
	var m ruleMetadata
	if err := decodeStrictly(custom, &m); err != nil {
		return []error{fmt.Errorf("%s: rule %q: metadata custom: %w", rule.Location, kind, err)}
	}
	var faults []error
	fail := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("%s: rule %q: "+format, append([]any{rule.Location, kind}, args...)...))
	}
	switch {
	case m.ID == "":
		fail("metadata custom.id is missing")
	case !ruleIDPattern.MatchString(m.ID):
		fail("metadata custom.id is %q, want lower-case words joined by %q", m.ID, "-")
	case p.Rule(m.ID) != nil:
		fail("metadata custom.id %q is taken by the rule at %s", m.ID, p.Rule(m.ID).Location)
	}
	if !slices.Contains(severities, m.Severity) {
		fail("metadata custom.severity is %q, want one of %s", m.Severity, strings.Join(severities, ", "))
	}
	if a.Title == "" {
		fail("metadata title is missing")
	}
	p.Rules = append(p.Rules, Rule{
		ID: m.ID, Kind: kind, Title: a.Title, Description: strings.TrimSpace(a.Description),
		Severity: m.Severity, Fix: strings.TrimSpace(m.Fix), Location: rule.Location.String(),
		Examples: a.Custom[examplesKey], when: m.When,
	})
	return faults
}

func (p *Policy) check() (faults []error) {
	if p.Title == "" && len(p.Match) == 0 {
		faults = append(faults, fmt.Errorf("policy %q: METADATA of package %s.%s is missing", p.Name, root, p.Package))
	}
	if IsSharedSection(p.Package) {
		faults = append(faults, fmt.Errorf("policy %q: the name is taken by a section of the settings", p.Name))
	}
	if !p.hasRules {
		place := ""
		if p.Location != "" {
			place = p.Location + ": "
		}
		faults = append(faults, fmt.Errorf("%spolicy %q: no rule: want `deny contains …`, `warn contains …` or `mutate contains …`",
			place, p.Name))
	}
	return faults
}

// decodeStrictly decodes the custom part of METADATA into the types of its contract; an unknown key is an error.
func decodeStrictly(custom map[string]any, into any) error {
	text, err := json.Marshal(custom)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

// joinSorted joins errors in an order that does not depend on maps.
func joinSorted(faults []error) error {
	sort.Slice(faults, func(i, j int) bool { return faults[i].Error() < faults[j].Error() })
	return errors.Join(faults...)
}
