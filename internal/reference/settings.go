package reference

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mozilla-iam/eksguard/internal/policy"
)

// Setting is one key of the settings.
type Setting struct {
	// Path is that of the key from the section on: iam_role.annotation; "[]" is each element of a list, and "*" each
	// member of an object that may have any.
	Path string `json:"path"`
	// Type is in words: list of strings.
	Type        string `json:"type"`
	Description string `json:"description,omitempty"`
	// Required is whether the key must be there where what holds it is.
	Required bool `json:"required,omitempty"`
	// Value is what the snapshot has; nil for what is within a list or an object of any members, and for what is not set.
	Value any `json:"value,omitempty"`
}

// shared are the settings that no policy owns.
func shared(values map[string]any) (settings []Setting) {
	properties := object(policy.SettingsSchema(nil)["properties"])
	for _, section := range slices.Sorted(maps.Keys(properties)) {
		schema := object(properties[section])
		if schema["properties"] == nil {
			settings = append(settings, setting(section, schema, values[section], false))
		}
		settings = append(settings, flatten(section, schema, values[section])...)
	}
	return settings
}

// flatten lists the keys of a schema in the order of their paths.
func flatten(path string, schema map[string]any, value any) (settings []Setting) {
	switch {
	case schema["properties"] != nil:
		properties := object(schema["properties"])
		required, _ := schema["required"].([]any)
		for _, key := range slices.Sorted(maps.Keys(properties)) {
			below := object(properties[key])
			child := object(value)[key]
			settings = append(settings, setting(path+"."+key, below, child, slices.Contains(required, any(key))))
			settings = append(settings, flatten(path+"."+key, below, child)...)
		}
	case object(schema["items"])["properties"] != nil:
		return flatten(path+"[]", object(schema["items"]), nil)
	case object(schema["additionalProperties"])["properties"] != nil:
		return flatten(path+".*", object(schema["additionalProperties"]), nil)
	}
	return settings
}

func setting(path string, schema map[string]any, value any, required bool) Setting {
	description, _ := schema["description"].(string)
	if schema["properties"] != nil {
		value = nil // its keys have theirs
	}
	return Setting{Path: path, Type: words(schema, false), Required: required, Value: value,
		Description: strings.Join(strings.Fields(description), " ")}
}

// words says the type of a schema, of one value or of many.
func words(schema map[string]any, many bool) string {
	if enum, ok := schema["enum"].([]any); ok {
		var names []string
		for _, name := range enum {
			names = append(names, fmt.Sprint(name))
		}
		return strings.Join(names, " or ")
	}
	one := map[string]string{"string": "string", "boolean": "boolean", "integer": "integer", "number": "number",
		"object": "object", "array": "list"}
	name, _ := schema["type"].(string)
	word := one[name]
	if word == "" {
		return "anything"
	}
	if many {
		word += "s"
	}
	if items := object(schema["items"]); name == "array" && items != nil {
		return word + " of " + words(items, true)
	}
	if any := object(schema["additionalProperties"]); name == "object" && any != nil {
		return word + " of " + words(any, true)
	}
	return word
}

func object(value any) map[string]any {
	o, _ := value.(map[string]any)
	return o
}
