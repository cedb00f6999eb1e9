package manifest

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	yamlv3 "go.yaml.in/yaml/v3"
)

// Location is a place in a file.
type Location struct {
	File string `json:"file"`
	// Line and Column are counted from 1, the column in characters. Line is 0 where all that is known is the file, and
	// Column where all that is known is the line.
	Line   int `json:"line"`
	Column int `json:"column"`
}

// String is the place as a compiler would print it: file:line, or the file alone.
func (l Location) String() string {
	if l.Line == 0 {
		return l.File
	}
	return fmt.Sprintf("%s:%d", l.File, l.Line)
}

// source is the text that an object was read from.
type source struct {
	*text
	// steps lead from the value of the text to the object: into a list.
	steps []step
}

// item is the source of what is a few steps further down.
func (s source) item(steps ...step) source {
	return source{text: s.text, steps: append(s.steps[:len(s.steps):len(s.steps)], steps...)}
}

// locate tells where the field stands at the end of the steps, or the last one on the way to it that is there. It is
// false if not even the first is.
func (s source) locate(steps []step) (Location, bool) {
	steps = append(s.steps[:len(s.steps):len(s.steps)], steps...)
	var (
		place place
		taken int
	)
	if s.end > 0 {
		place, taken = findJSON(s.content, s.begin, s.content[s.begin:s.end], steps)
	} else {
		place, taken = s.findYAML(s.root(), steps)
	}
	if taken <= len(s.steps) {
		return Location{}, false
	}
	return Location{File: s.file, Line: s.start + place.line - 1, Column: place.column}, true
}

// text is one document of a YAML stream, or the JSON values between two separators.
type text struct {
	file    string
	content []byte
	// start is the line that the content begins on.
	start int
	// begin and end are the offsets of a value in JSON; end is 0 for YAML.
	begin, end int
	// template is what helm says that it was rendered from.
	template string

	parse  sync.Once
	parsed *yamlv3.Node
}

// root is the tree of a document in YAML. Only what is asked for is parsed again, so that no trees need to be kept.
func (t *text) root() *yamlv3.Node {
	t.parse.Do(func() {
		var root yamlv3.Node
		if yamlv3.Unmarshal(t.content, &root) == nil {
			t.parsed = &root
		}
	})
	return t.parsed
}

// place is a line and column, from 1, of a text.
type place struct{ line, column int }

// findYAML follows the steps from the node as far as they lead. It gives the place of the last key or item on the way,
// and how many steps it took.
func (t *text) findYAML(node *yamlv3.Node, steps []step) (found place, taken int) {
	for taken < len(steps) {
		node = resolve(node)
		if node == nil {
			return found, taken
		}
		at, value := child(node, steps[taken])
		if at == nil {
			if inner, more := t.findEmbedded(node, steps[taken:]); more > 0 {
				return inner, taken + more
			}
			return found, taken
		}
		found, node = place{at.Line, at.Column}, value
		taken++
	}
	return found, taken
}

// resolve gives the node that holds the value.
func resolve(node *yamlv3.Node) *yamlv3.Node {
	for node != nil {
		switch {
		case node.Kind == yamlv3.AliasNode:
			node = node.Alias
		case node.Kind == yamlv3.DocumentNode && len(node.Content) == 1:
			node = node.Content[0]
		default:
			return node
		}
	}
	return nil
}

// child gives the node that shows where the step leads to, and the one of the value there.
func child(node *yamlv3.Node, s step) (at, value *yamlv3.Node) {
	switch s := s.(type) {
	case int:
		if node.Kind == yamlv3.SequenceNode && s < len(node.Content) {
			return node.Content[s], node.Content[s]
		}
	case string:
		if node.Kind == yamlv3.MappingNode {
			return member(node, s, map[*yamlv3.Node]bool{})
		}
	}
	return nil, nil
}

// member finds the key in a mapping, and after that in the ones that are merged into it; embedded YAML may merge a
// mapping into itself.
func member(mapping *yamlv3.Node, key string, seen map[*yamlv3.Node]bool) (at, value *yamlv3.Node) {
	if seen[mapping] {
		return nil, nil
	}
	seen[mapping] = true
	var merged []*yamlv3.Node
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		name, value := mapping.Content[i], mapping.Content[i+1]
		if resolved := resolve(name); resolved.Kind == yamlv3.ScalarNode && resolved.Value == key {
			return name, value
		}
		if name.Tag == "!!merge" {
			merged = append(merged, value)
		}
	}
	for _, value := range merged {
		value = resolve(value)
		candidates := []*yamlv3.Node{value}
		if value.Kind == yamlv3.SequenceNode {
			candidates = value.Content
		}
		for _, candidate := range candidates {
			if candidate = resolve(candidate); candidate.Kind == yamlv3.MappingNode {
				if at, value := member(candidate, key, seen); at != nil {
					return at, value
				}
			}
		}
	}
	return nil, nil
}

// findEmbedded follows the steps into YAML that stands in a literal block, as the entries of aws-auth do.
func (t *text) findEmbedded(node *yamlv3.Node, steps []step) (found place, taken int) {
	if node.Kind != yamlv3.ScalarNode || node.Style&yamlv3.LiteralStyle == 0 {
		return place{}, 0
	}
	var embedded yamlv3.Node
	if yamlv3.Unmarshal([]byte(node.Value), &embedded) != nil {
		return place{}, 0
	}
	found, taken = t.findYAML(&embedded, steps)
	if taken == 0 || found.column == 0 {
		return found, taken
	}
	// The block begins on the line after its sign.
	outer := place{line: node.Line + found.line, column: found.column}
	line, ok := strings.CutSuffix(lineOf(t.content, outer.line), lineOf([]byte(node.Value), found.line))
	if !ok {
		return place{}, 0
	}
	outer.column += utf8.RuneCountInString(line)
	return outer, taken
}

// lineOf gives a line of the text, counted from 1, without its end.
func lineOf(text []byte, number int) string {
	n := 0
	for line := range bytes.Lines(text) {
		if n++; n == number {
			return strings.TrimRight(string(line), "\r\n")
		}
	}
	return ""
}

// findJSON is findYAML for a value in JSON, which is at the offset of the text.
func findJSON(text []byte, offset int, value jsontext.Value, steps []step) (found place, taken int) {
	for taken < len(steps) {
		at, begin, member := jsonChild(value, steps[taken])
		if member == nil {
			break
		}
		found = placeOf(text, offset+at)
		offset, value = offset+begin, member
		taken++
	}
	return found, taken
}

// jsonChild gives the offset of the name or item that the step leads to, and the value there with its own offset.
func jsonChild(value jsontext.Value, s step) (at, begin int, member jsontext.Value) {
	decoder := jsontext.NewDecoder(bytes.NewReader(value))
	key, isKey := s.(string)
	index, _ := s.(int)
	open, end := jsontext.KindBeginArray, jsontext.KindEndArray
	if isKey {
		open, end = jsontext.KindBeginObject, jsontext.KindEndObject
	}
	if decoder.PeekKind() != open {
		return 0, 0, nil
	}
	_, _ = decoder.ReadToken() // all of it has been read once without an error
	for i := 0; decoder.PeekKind() != end; i++ {
		first, err := decoder.ReadValue()
		if err != nil {
			return 0, 0, nil
		}
		at = int(decoder.InputOffset()) - len(first)
		if !isKey {
			if i == index {
				return at, at, first
			}
			continue
		}
		name, err := jsontext.AppendUnquote(nil, first)
		if err != nil {
			return 0, 0, nil
		}
		member, err := decoder.ReadValue()
		if err != nil {
			return 0, 0, nil
		}
		if string(name) == key {
			return at, int(decoder.InputOffset()) - len(member), member
		}
	}
	return 0, 0, nil
}

func placeOf(text []byte, offset int) place {
	before := text[:offset]
	line := before[bytes.LastIndexByte(before, '\n')+1:]
	return place{line: 1 + bytes.Count(before, []byte("\n")), column: 1 + utf8.RuneCount(line)}
}
