package policy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/rego"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/yaml"
)

// Snapshot is one bundle with its settings, compiled and checked: everything that a decision rests on but the request
// and the cluster state. It never changes, and may be used by any number of goroutines.
type Snapshot struct {
	revision string
	policies []*policyQueries
	settings *settings
	store    *store
	// logModules are the modules by path where the bundle has rules for the decision log, and nil otherwise.
	logModules map[string]string
}

// policyQueries is a policy with its prepared queries and what they read.
type policyQueries struct {
	*Policy
	validate, mutate *rego.PreparedEvalQuery
	projections      *projections
	memo             *memo
}

// query gives the prepared query of a phase, nil where the policy has no rule for it.
func (p *policyQueries) query(phase Phase) *rego.PreparedEvalQuery {
	if phase == Mutate {
		return p.mutate
	}
	return p.validate
}

// Revision names the bundle and the settings: the manifest's revision, or a digest of the content where it has none.
func (s *Snapshot) Revision() string { return s.revision }

// Policies are the policies of the snapshot, sorted by name. They must not be changed.
func (s *Snapshot) Policies() []*Policy {
	policies := make([]*Policy, len(s.policies))
	for i, p := range s.policies {
		policies[i] = p.Policy
	}
	return policies
}

// Find gives the policy that is called <policy>, or the rule that is called <policy>/<rule> with its policy. Its error
// suggests what may have been meant.
func (s *Snapshot) Find(target string) (*Policy, *Rule, error) {
	policies := s.Policies()
	name, rule, _ := strings.Cut(target, "/")
	if err := checkTarget(policies, name, rule); err != nil {
		return nil, nil, err
	}
	p := s.Policy(name)
	return p, p.Rule(rule), nil
}

// Action is what the settings make of what a rule of the snapshot finds.
func (s *Snapshot) Action(p *Policy, r *Rule) Action { return s.settings.action(p, r) }

// Exceptions are those of the settings, expired ones too. They must not be changed.
func (s *Snapshot) Exceptions() []*Exception { return s.settings.exceptions }

// Settings are data.eksguard.settings: those of the bundle with what was laid over them.
func (s *Snapshot) Settings() (map[string]any, error) {
	value, err := ast.JSON(Find(s.store.data, []string{root, "settings"}))
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	settings, _ := value.(map[string]any)
	return settings, nil
}

// Policy finds a policy by its name, nil if the snapshot has none of it.
func (s *Snapshot) Policy(name string) *Policy {
	for _, p := range s.policies {
		if p.Name == name {
			return p.Policy
		}
	}
	return nil
}

// Needs is the cluster state that the policies of the snapshot read, each kind that is watched and each object that is read
// live once, sorted by key.
func (s *Snapshot) Needs() []Need {
	byKey := map[string]Need{}
	for _, p := range s.policies {
		for _, need := range p.Needs {
			if need.IsRead() {
				byKey[need.Key()+"/"+need.Namespace+"/"+need.Name] = need
				continue
			}
			if other, ok := byKey[need.Key()]; ok {
				need = other.Merge(need)
			}
			byKey[need.Key()] = need
		}
	}
	needs := make([]Need, 0, len(byKey))
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		needs = append(needs, byKey[key])
	}
	return needs
}

// NewSnapshot compiles a bundle: strictly, without the built-ins that reach the network, the environment, the clock or
// randomness. The settings, which may be nil, are laid over those of the bundle. It fails with everything that breaks
// the contract of a policy (docs/authoring.md), each fault with its file and line or the path of its key.
func NewSnapshot(ctx context.Context, b *bundle.Bundle, overlay map[string]any) (*Snapshot, error) {
	return (&Snapshots{Bundle: b}).New(ctx, overlay)
}

// Snapshots makes snapshots of one bundle with one settings after another, and compiles it only once. It is not safe for
// concurrent use; the snapshots are.
type Snapshots struct {
	// Bundle must not change.
	Bundle   *bundle.Bundle
	compiler *ast.Compiler
}

// New is NewSnapshot of the bundle.
func (o *Snapshots) New(ctx context.Context, overlay map[string]any) (*Snapshot, error) {
	b := o.Bundle
	modules := map[string]*ast.Module{}
	for _, file := range b.Modules {
		if IsTest(&file) {
			continue
		}
		// The compiler rewrites what it is given, and a bundle may be compiled again with other settings.
		modules[file.Path] = file.Parsed.Copy()
	}
	policies, err := readCatalogue(modules)
	if err != nil {
		return nil, err
	}
	if err := checkSchemas(policies); err != nil {
		return nil, err
	}
	data, document, err := settingsDocument(b.Data, overlay)
	if err != nil {
		return nil, err
	}
	parsed, err := readSettings(document, policies)
	if err != nil {
		return nil, &SettingsError{err}
	}
	if err := renderTemplates(policies, document); err != nil {
		return nil, err
	}
	found := make([]*reads, len(policies))
	for i, p := range policies {
		found[i] = findReads(p, modules, document)
	}
	if o.compiler == nil {
		compiler := ast.NewCompiler().WithCapabilities(Capabilities()).WithStrict(true)
		if compiler.Compile(modules); compiler.Failed() {
			return nil, compiler.Errors
		}
		o.compiler = compiler
	}
	value, err := ast.InterfaceToValue(data)
	if err != nil {
		return nil, fmt.Errorf("data of the bundle: %w", err)
	}
	s := &Snapshot{
		revision:   revision(b, modules, data, overlay != nil),
		settings:   parsed,
		store:      &store{data: value},
		logModules: logModules(b),
	}
	for i, p := range policies {
		queries := &policyQueries{Policy: p, projections: newProjections(found[i]), memo: newMemo()}
		if queries.validate, err = prepare(ctx, o.compiler, s.store, p, Deny, Warn); err != nil {
			return nil, err
		}
		if queries.mutate, err = prepare(ctx, o.compiler, s.store, p, MutateRule); err != nil {
			return nil, err
		}
		s.policies = append(s.policies, queries)
	}
	return s, nil
}

// SettingsError says that it is the settings that are wrong, and not the policies.
type SettingsError struct{ Err error }

func (e *SettingsError) Error() string { return e.Err.Error() }

// Unwrap gives the error.
func (e *SettingsError) Unwrap() error { return e.Err }

// IsTest tells whether a module holds tests: its name ends in _test.rego, or its package in _test. Tests are no part of
// what decides.
func IsTest(file *bundle.ModuleFile) bool {
	return strings.HasSuffix(file.Path, "_test.rego") || strings.HasSuffix(file.Parsed.Package.Path.String(), "_test")
}

// Capabilities are what a policy may use of Rego: all that this version of OPA has, less every built-in whose result is
// not a function of its arguments.
func Capabilities() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	c.Builtins = slices.DeleteFunc(slices.Clone(c.Builtins), func(b *ast.Builtin) bool {
		// io.jwt.decode_verify reads the clock where a token says when it expires.
		return b.Nondeterministic || b.Name == ast.JWTDecodeVerify.Name
	})
	c.AllowNet = []string{}
	return c
}

// prepare prepares one query for the entry rules of these kinds that the policy has, nil if it has none.
func prepare(ctx context.Context, c *ast.Compiler, s *store, p *Policy, kinds ...RuleKind) (*rego.PreparedEvalQuery, error) {
	var query []string
	for _, kind := range kinds {
		if p.Has(kind) {
			query = append(query, fmt.Sprintf("%s := data.%s.%s.%s", kind, root, p.Package, kind))
		}
	}
	if len(query) == 0 {
		return nil, nil
	}
	if p.tellsEffect && slices.Contains(kinds, Deny) {
		query = append(query, fmt.Sprintf("%[1]s := [line | line := data.%[2]s.%[3]s.%[1]s[_]]", effectRule, root, p.Package))
	}
	prepared, err := rego.New(
		rego.Query(strings.Join(query, "; ")),
		rego.Compiler(c),
		rego.Store(s),
		// A built-in that fails would otherwise be undefined, and a wrong-typed value slip past a rule.
		rego.StrictBuiltinErrors(true),
	).PrepareForEval(ctx)
	if err != nil {
		return nil, fmt.Errorf("policy %q: %w", p.Name, err)
	}
	return &prepared, nil
}

// settingsDocument lays the overlay over the bundle's settings and gives the whole data document and the settings.
func settingsDocument(data, overlay map[string]any) (whole, settings map[string]any, err error) {
	section, ok := data[root].(map[string]any)
	if data[root] != nil && !ok {
		return nil, nil, fmt.Errorf("data.%s: want an object", root)
	}
	base, ok := section["settings"].(map[string]any)
	if section["settings"] != nil && !ok {
		return nil, nil, fmt.Errorf("data.%s.settings: want an object", root)
	}
	settings = MergeSettings(base, overlay)
	section = maps.Clone(section)
	if section == nil {
		section = map[string]any{}
	}
	section["settings"] = settings
	return map[string]any{root: section}, settings, nil
}

// renderTemplates fills the settings into what may follow them: what is matched, match conditions, and whether a rule is
// on.
func renderTemplates(policies []*Policy, settings map[string]any) error {
	var faults []error
	for _, p := range policies {
		for _, err := range p.renderMatch(settings) {
			faults = append(faults, fmt.Errorf("policy %q: metadata custom.matchSettings%w", p.Name, err))
		}
		for i, condition := range p.MatchConditions {
			expression, err := render(condition.Expression, settings)
			if err != nil {
				faults = append(faults, fmt.Errorf("policy %q: metadata custom.matchConditions[%d]: %w", p.Name, i, err))
			}
			p.MatchConditions[i].Expression = expression
		}
		for i := range p.Rules {
			rule := &p.Rules[i]
			if rule.when == "" {
				continue
			}
			on, err := render(rule.when, settings)
			if err == nil && on != "true" && on != "false" {
				err = fmt.Errorf("it is %q, want true or false", on)
			}
			if err != nil {
				faults = append(faults, fmt.Errorf("%s: rule %q: metadata custom.when: %w", rule.Location, rule.ID, err))
			}
			rule.Off = on == "false"
		}
	}
	return errors.Join(faults...)
}

// renderMatch adds to what the policy matches what follows from the settings.
func (p *Policy) renderMatch(settings map[string]any) []error {
	text, err := render(p.matchSettings, settings)
	if err != nil {
		return []error{fmt.Errorf(": %w", err)}
	}
	var rules []admissionregistrationv1.RuleWithOperations
	if err := yaml.UnmarshalStrict([]byte(text), &rules); err != nil {
		return []error{fmt.Errorf(": want a list of RuleWithOperations in YAML: %w", err)}
	}
	p.Match = append(p.Match, rules...)
	return checkMatch(rules)
}

func render(expression string, settings map[string]any) (string, error) {
	t, err := template.New("expression").Option("missingkey=error").Funcs(template.FuncMap{
		// JSON's literals are CEL's too.
		"json": func(v any) (string, error) { text, err := json.Marshal(v); return string(text), err },
		"keys": func(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) },
		"list": func(values ...any) []any { return values },
		"crds": crds,
		"at":   selection,
		// The two parts of a kind's name: rollouts.argoproj.io.
		"plural": func(crd string) string { plural, _, _ := strings.Cut(crd, "."); return plural },
		"group":  func(crd string) string { _, group, _ := strings.Cut(crd, "."); return group },
	}).Parse(expression)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	if err := t.Execute(&text, map[string]any{"settings": settings}); err != nil {
		return "", err
	}
	return strings.TrimSpace(text.String()), nil
}

// crds gives those keys that are names of CRDs, in order: their group, unlike most of Kubernetes' own, has a dot.
func crds(m map[string]any) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(m)), func(kind string) bool { return strings.Count(kind, ".") < 2 })
}

// selection is the CEL that leads down a path whose steps may be missing: [?"spec"][?"template"].
func selection(path []any) (string, error) {
	var text strings.Builder
	for _, step := range path {
		name, ok := step.(string)
		if !ok {
			return "", fmt.Errorf("step %v of a path is no string", step)
		}
		fmt.Fprintf(&text, "[?%q]", name)
	}
	return text.String(), nil
}

// revision tells snapshots apart in metrics, logs and audit annotations.
func revision(b *bundle.Bundle, modules map[string]*ast.Module, data map[string]any, overlaid bool) string {
	if b.Manifest.Revision != "" && !overlaid {
		return b.Manifest.Revision
	}
	hash := sha256.New()
	for _, path := range slices.Sorted(maps.Keys(modules)) {
		hash.Write([]byte(path + "\x00"))
		for _, file := range b.Modules {
			if file.Path == path {
				hash.Write(file.Raw)
			}
		}
	}
	text, _ := json.Marshal(data) // it was decoded from JSON or YAML
	hash.Write(text)
	digest := "sha256:" + hex.EncodeToString(hash.Sum(nil))[:12]
	if b.Manifest.Revision != "" {
		return b.Manifest.Revision + "+" + digest
	}
	return digest
}
