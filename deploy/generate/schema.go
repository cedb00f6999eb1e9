package main

import (
	"fmt"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// value is what the schema says about one value of the chart.
type value struct {
	// key is its name, and path the way to it from the top: webhook.port.
	key, path   string
	description string
	// preset is the default, nil for a group of values.
	preset *yaml.Node
	// allowed is what the value may be: a type, or a choice.
	allowed string
	members []value
}

// readSchema reads the values in the order in which the schema has them. JSON is read as YAML, which keeps that order.
func readSchema(path string) ([]value, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	values, err := members(document.Content[0], "")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return values, nil
}

func members(schema *yaml.Node, parent string) (values []value, err error) {
	properties := member(schema, "properties")
	for i := 0; i+1 < len(properties.Content); i += 2 {
		key, schema := properties.Content[i].Value, properties.Content[i+1]
		v := value{key: key, path: key, preset: member(schema, "default"), allowed: allowed(schema)}
		if parent != "" {
			v.path = parent + "." + key
		}
		if description := member(schema, "description"); description != nil {
			v.description = description.Value
		}
		if v.description == "" {
			return nil, fmt.Errorf("%s: description is missing", v.path)
		}
		if v.preset == nil && member(schema, "properties") != nil {
			if v.members, err = members(schema, v.path); err != nil {
				return nil, err
			}
		}
		if v.preset == nil && v.members == nil {
			continue // read by nobody, so that it has no default
		}
		values = append(values, v)
	}
	return values, nil
}

func member(object *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(object.Content); i += 2 {
		if object.Content[i].Value == key {
			return object.Content[i+1]
		}
	}
	return nil
}

func allowed(schema *yaml.Node) string {
	if choices := member(schema, "enum"); choices != nil {
		var texts []string
		for _, choice := range choices.Content {
			texts = append(texts, choice.Value)
		}
		return strings.Join(texts, ", ")
	}
	kind := member(schema, "type")
	if kind == nil {
		return ""
	}
	if kind.Kind == yaml.SequenceNode {
		kind = kind.Content[0]
	}
	return kind.Value
}
