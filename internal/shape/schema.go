package shape

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// schemaKey is what makes two JSON Schemas the same: where they are in memory.
type schemaKey struct {
	schema uintptr
	origin Origin
}

// ofSchema gives the shape that a JSON Schema tells of. Understood are types, properties, additionalProperties, items,
// anyOf, oneOf and references to #/definitions; what else restricts objects makes them anything. Properties are all that
// an object has unless additionalProperties says that it may have others.
func (i *interner) ofSchema(schema, definitions map[string]any, origin Origin) shape {
	if reference, ok := schema["$ref"].(string); ok {
		target, ok := definitions[strings.TrimPrefix(reference, "#/definitions/")].(map[string]any)
		if !ok {
			return i.anything(origin)
		}
		return i.ofSchema(target, definitions, origin)
	}
	if _, hasProperties := schema["properties"]; !hasProperties {
		for _, key := range []string{"anyOf", "oneOf"} {
			if alternatives, ok := schema[key].([]any); ok {
				return i.ofAlternatives(alternatives, definitions, origin)
			}
		}
	}
	kinds := kindsOf(schema)
	if kinds == nil || schema["patternProperties"] != nil || schema["allOf"] != nil || schema["not"] != nil {
		return i.anything(origin)
	}
	key := schemaKey{reflect.ValueOf(schema).Pointer(), origin}
	if known := i.schemas[key]; known != nil {
		return shape{known}
	}
	n := i.intern(fmt.Sprintf("schema %d", len(i.schemas)), &node{origin: origin})
	i.schemas[key] = n
	n.closed = true
	n.schema, n.definitions = schema, definitions
	n.isList = slices.Equal(kinds, []string{"array"})
	n.unread = slices.Contains(kinds, "object") || slices.Contains(kinds, "array")
	return shape{n}
}

func (i *interner) ofAlternatives(alternatives []any, definitions map[string]any, origin Origin) (found shape) {
	for _, alternative := range alternatives {
		schema, ok := alternative.(map[string]any)
		if !ok {
			return i.anything(origin)
		}
		found = union(found, i.ofSchema(schema, definitions, origin))
	}
	return found
}

// kindsOf are the types that a schema allows, nil if it may be any.
func kindsOf(schema map[string]any) (kinds []string) {
	switch kind := schema["type"].(type) {
	case string:
		return []string{kind}
	case []any:
		for _, each := range kind {
			name, ok := each.(string)
			if !ok {
				return nil
			}
			kinds = append(kinds, name)
		}
	}
	return kinds
}

// read gives a node that a schema tells of its fields and members.
func (i *interner) read(n *node) {
	if !n.unread {
		return
	}
	n.unread = false
	schema, definitions := n.schema, n.definitions
	kinds := kindsOf(schema)
	if slices.Contains(kinds, "object") {
		i.readObject(n, schema, definitions)
	}
	if !slices.Contains(kinds, "array") {
		return
	}
	elements := i.anything(n.origin)
	if items, ok := schema["items"].(map[string]any); ok {
		elements = i.ofSchema(items, definitions, n.origin)
	}
	n.members = union(n.members, elements)
}

func (i *interner) readObject(n *node, schema, definitions map[string]any) {
	properties, _ := schema["properties"].(map[string]any)
	n.fields = map[string]shape{}
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		property, _ := properties[name].(map[string]any)
		origin := n.origin
		if origin == Review && (name == "object" || name == "oldObject") {
			origin = Object
		}
		n.fields[name] = i.ofSchema(property, definitions, origin)
	}
	switch others := schema["additionalProperties"].(type) {
	case map[string]any:
		n.closed, n.members = false, i.ofSchema(others, definitions, n.origin)
	case bool:
		n.closed = !others
	default:
		n.closed = len(properties) > 0
	}
	if !n.closed && n.members == nil {
		n.members = i.anything(n.origin)
	}
}
