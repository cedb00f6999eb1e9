package reference

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
)

// widest is how long a part may be that is put on one line, and wide where there are many of them.
const (
	widest = 80
	wide   = 110
)

// first are the keys that a manifest begins with, in this order.
var first = []string{"apiVersion", "kind", "metadata", "name", "generateName", "namespace"}

// toYAML prints a value as people write manifests: what says what it is comes first, and what is no longer than width is
// on one line.
func toYAML(value any, width int) (string, error) {
	node, err := toNode(value)
	if err != nil {
		return "", err
	}
	for _, child := range node.Content {
		inline(child, width)
	}
	return encode(node)
}

// toFlow prints a value on one line.
func toFlow(value any) (string, error) {
	node, err := toNode(value)
	if err != nil {
		return "", err
	}
	node.Style = yamlv3.FlowStyle
	text, err := encode(node)
	return strings.TrimSpace(text), err
}

func encode(node *yamlv3.Node) (string, error) {
	var text bytes.Buffer
	encoder := yamlv3.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := encoder.Encode(node); err != nil {
		return "", err
	}
	return text.String(), encoder.Close()
}

func toNode(value any) (*yamlv3.Node, error) {
	switch v := value.(type) {
	case map[string]any:
		node := &yamlv3.Node{Kind: yamlv3.MappingNode}
		for _, key := range slices.SortedFunc(maps.Keys(v), compareKeys) {
			child, err := toNode(v[key])
			if err != nil {
				return nil, err
			}
			name := &yamlv3.Node{}
			name.SetString(key)
			node.Content = append(node.Content, name, child)
		}
		return node, nil
	case []any:
		node := &yamlv3.Node{Kind: yamlv3.SequenceNode}
		for _, item := range v {
			child, err := toNode(item)
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, child)
		}
		return node, nil
	case json.Number:
		return &yamlv3.Node{Kind: yamlv3.ScalarNode, Value: v.String()}, nil
	default:
		node := &yamlv3.Node{}
		return node, node.Encode(v)
	}
}

func compareKeys(a, b string) int {
	return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a, b))
}

func rank(key string) int {
	if i := slices.Index(first, key); i >= 0 {
		return i
	}
	return len(first)
}

// inline puts each largest part on one line that is no longer than width.
func inline(node *yamlv3.Node, width int) {
	if node.Kind == yamlv3.ScalarNode {
		return
	}
	block := node.Style
	node.Style = yamlv3.FlowStyle
	if text, err := encode(node); err == nil && len(text) <= width && !hasLines(node) {
		return
	}
	node.Style = block
	for _, child := range node.Content {
		inline(child, width)
	}
}

// hasLines tells whether a text in it has several lines.
func hasLines(node *yamlv3.Node) bool {
	return node.Kind == yamlv3.ScalarNode && strings.Contains(node.Value, "\n") ||
		slices.ContainsFunc(node.Content, hasLines)
}
