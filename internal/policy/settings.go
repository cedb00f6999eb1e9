package policy

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/mozilla-iam/eksguard/internal/spelling"
)

// The schema of the sections that eksguard itself reads; each policy adds the schema of its own section.
//
//go:embed settings.schema.json
var coreSchema []byte

// Action is what a violation leads to.
type Action string

// The enforcement actions. A dryrun violation is only counted and logged.
const (
	ActionDeny   Action = "deny"
	ActionWarn   Action = "warn"
	ActionDryrun Action = "dryrun"
)

// settings is what the engine itself reads of data.eksguard.settings.
type settings struct {
	enforcement map[string]Action
	exceptions  []*Exception
}

// action is the enforcement action for a rule. What a warn rule finds never denies.
func (s *settings) action(p *Policy, r *Rule) Action {
	action, ok := s.enforcement[p.Name+"/"+r.ID]
	if !ok {
		action, ok = s.enforcement[p.Name]
	}
	if !ok {
		action = ActionDeny
	}
	if r.Kind == Warn && action == ActionDeny {
		return ActionWarn
	}
	return action
}

// SettingsSchema is the JSON Schema of data.eksguard.settings for these policies.
func SettingsSchema(policies []*Policy) map[string]any {
	var s map[string]any
	if err := json.Unmarshal(coreSchema, &s); err != nil {
		panic(fmt.Sprintf("settings.schema.json: %v", err)) // embedded: it cannot differ from what the tests saw
	}
	properties := s["properties"].(map[string]any)
	required := s["required"].([]any)
	for _, p := range policies {
		if p.Settings != nil {
			properties[p.Package] = p.Settings
			required = append(required, p.Package)
		}
	}
	s["required"] = required
	return s
}

// IsSharedSection tells whether a section of the settings belongs to all policies, so that none can be called so.
func IsSharedSection(name string) bool {
	return SettingsSchema(nil)["properties"].(map[string]any)[name] != nil
}

// readSettings checks the settings against the schemas and what they name against the catalogue. Every fault is
// reported, each with the path of the offending key.
func readSettings(document map[string]any, policies []*Policy) (*settings, error) {
	if err := validateSettings(document, policies); err != nil {
		return nil, err
	}
	text, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	var parsed struct {
		Enforcement map[string]Action `json:"enforcement"`
		Exceptions  []*Exception      `json:"exceptions"`
	}
	if err := json.Unmarshal(text, &parsed); err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	var faults []error
	for _, target := range slices.Sorted(maps.Keys(parsed.Enforcement)) {
		name, rule, _ := strings.Cut(target, "/")
		if err := checkTarget(policies, name, rule); err != nil {
			faults = append(faults, fmt.Errorf("settings.enforcement[%q]: %w", target, err))
		}
	}
	for i, e := range parsed.Exceptions {
		if err := checkTarget(policies, e.Policy, e.Rule); err != nil {
			faults = append(faults, fmt.Errorf("settings.exceptions[%d]: %w", i, err))
		}
		if err := e.compile(); err != nil {
			faults = append(faults, fmt.Errorf("settings.exceptions[%d].%w", i, err))
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return &settings{enforcement: parsed.Enforcement, exceptions: parsed.Exceptions}, nil
}

func checkTarget(policies []*Policy, name, rule string) error {
	var names []string
	for _, p := range policies {
		names = append(names, p.Name)
		if p.Name != name {
			continue
		}
		if rule == "" || p.Rule(rule) != nil {
			return nil
		}
		var ids []string
		for _, r := range p.Rules {
			ids = append(ids, r.ID)
		}
		return fmt.Errorf("policy %q has no rule %q%s", name, rule, spelling.Suggest(rule, ids))
	}
	return fmt.Errorf("there is no policy %q%s", name, spelling.Suggest(name, names))
}

func validateSettings(document map[string]any, policies []*Policy) error {
	schema, err := compileSchema("settings", SettingsSchema(policies))
	if err != nil {
		return err
	}
	err = schema.Validate(document)
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return err
	}
	var faults []error
	leaves(invalid, func(leaf *jsonschema.ValidationError) {
		faults = append(faults, settingsFaults(leaf, policies)...)
	})
	return joinSorted(faults)
}

// checkSchemas makes sure that each policy's settings schema is one, so that a fault in it is told as the policy's.
func checkSchemas(policies []*Policy) error {
	var faults []error
	for _, p := range policies {
		if p.Settings == nil {
			continue
		}
		if _, err := compileSchema(p.Name, p.Settings); err != nil {
			faults = append(faults, fmt.Errorf("policy %q: metadata custom.settings: %w", p.Name, err))
		}
	}
	return errors.Join(faults...)
}

func compileSchema(name string, schema map[string]any) (*jsonschema.Schema, error) {
	// The compiler wants numbers as its own decoder reads them.
	text, err := json.Marshal(schema)
	if err != nil {
		return nil, err
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	url := "eksguard:" + name
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(noRemoteSchemas{})
	if err := compiler.AddResource(url, document); err != nil {
		return nil, err
	}
	return compiler.Compile(url)
}

// noRemoteSchemas keeps a schema of a bundle from reading files or the network.
type noRemoteSchemas struct{}

func (noRemoteSchemas) Load(url string) (any, error) {
	return nil, fmt.Errorf("%q: a settings schema cannot refer to other documents", url)
}

func leaves(e *jsonschema.ValidationError, visit func(*jsonschema.ValidationError)) {
	if len(e.Causes) == 0 {
		visit(e)
		return
	}
	// The branches of anyOf each fail in their own way; what helps is what they have in common.
	if _, ok := e.ErrorKind.(*kind.AnyOf); ok {
		visit(e)
		return
	}
	for _, cause := range e.Causes {
		leaves(cause, visit)
	}
}

func settingsFaults(e *jsonschema.ValidationError, policies []*Policy) []error {
	path := settingsPath(e.InstanceLocation)
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		var faults []error
		for _, key := range k.Properties {
			known := knownKeys(e, policies)
			faults = append(faults, fmt.Errorf("%s.%s: unknown key%s", path, key, spelling.Suggest(key, known)))
		}
		return faults
	case *kind.Required:
		var faults []error
		for _, key := range k.Missing {
			faults = append(faults, fmt.Errorf("%s.%s: missing", path, key))
		}
		return faults
	case *kind.Const:
		want, _ := json.Marshal(k.Want) // it was decoded from JSON
		return []error{fmt.Errorf("%s: is fixed, want %s", path, want)}
	case *kind.AnyOf:
		return []error{fmt.Errorf("%s: %s", path, anyOfHint(e))}
	default:
		return []error{fmt.Errorf("%s: %s", path, k.LocalizedString(message.NewPrinter(language.English)))}
	}
}

// anyOfHint turns "none of these alternatives" into the keys that they asked for.
func anyOfHint(e *jsonschema.ValidationError) string {
	var missing []string
	for _, cause := range e.Causes {
		if k, ok := cause.ErrorKind.(*kind.Required); ok {
			missing = append(missing, k.Missing...)
		}
	}
	if len(missing) == 0 {
		return "matches none of the alternatives"
	}
	return "want at least one of " + strings.Join(missing, ", ")
}

func settingsPath(location []string) string {
	var path strings.Builder
	path.WriteString("settings")
	for _, part := range location {
		switch _, err := strconv.Atoi(part); {
		case err == nil:
			path.WriteString("[" + part + "]")
		case strings.ContainsAny(part, "./-"):
			fmt.Fprintf(&path, "[%q]", part)
		default:
			path.WriteString("." + part)
		}
	}
	return path.String()
}

// knownKeys gives the keys that the schema allows where an unknown one was found.
func knownKeys(e *jsonschema.ValidationError, policies []*Policy) []string {
	node := any(SettingsSchema(policies))
	for _, part := range e.InstanceLocation {
		object, ok := node.(map[string]any)
		if !ok {
			return nil
		}
		if properties, ok := object["properties"].(map[string]any); ok && properties[part] != nil {
			node = properties[part]
		} else {
			node = object["items"]
		}
	}
	object, _ := node.(map[string]any)
	properties, _ := object["properties"].(map[string]any)
	return slices.Sorted(maps.Keys(properties))
}

// MergeSettings lays an overlay over settings: objects are merged key by key, anything else is replaced.
func MergeSettings(base, overlay map[string]any) map[string]any {
	merged := maps.Clone(base)
	if merged == nil {
		merged = map[string]any{}
	}
	for key, value := range overlay {
		lower, isObject := merged[key].(map[string]any)
		upper, overObject := value.(map[string]any)
		if isObject && overObject {
			merged[key] = MergeSettings(lower, upper)
		} else {
			merged[key] = value
		}
	}
	return merged
}
