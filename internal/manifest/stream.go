package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	yamlv3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"
)

// chunk is the text of one document of a YAML stream, or of the JSON values between two separators.
type chunk struct {
	text []byte
	// start is the line of the file that the text begins on, and first the one with the first content.
	start, first int
	// template is what helm says that the document was rendered from.
	template string
}

// split cuts a stream at its separators. YAML allows neither at the beginning of a line within a document, not even in
// a string, so that what is wrong in one document does not reach into the next. Documents without content are left out.
func split(text []byte) (chunks []chunk) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	begin, current := 0, chunk{start: 1}
	cut := func(end, nextLine int) {
		if current.text = text[begin:end]; current.first != 0 {
			chunks = append(chunks, current)
		}
		begin, current = end, chunk{start: nextLine}
	}
	for offset, line := 0, 1; offset < len(text); line++ {
		next := len(text)
		if i := bytes.IndexByte(text[offset:], '\n'); i >= 0 {
			next = offset + i + 1
		}
		content := text[offset:next]
		switch {
		case isMarker(content, "---"):
			cut(offset, line)
			content = content[3:]
		case isMarker(content, "..."):
			cut(next, line+1)
			content = nil
		}
		if current.first == 0 && hasContent(content) {
			current.first = line
		}
		offset = next
	}
	cut(len(text), 0)
	return chunks
}

func isMarker(line []byte, marker string) bool {
	rest, ok := bytes.CutPrefix(line, []byte(marker))
	return ok && (len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0)
}

// hasContent tells whether a line is more than a comment or a directive.
func hasContent(line []byte) bool {
	trimmed := bytes.TrimSpace(line)
	return len(trimmed) > 0 && trimmed[0] != '#' && line[0] != '%'
}

func (r *reader) readText(file string, text []byte) {
	for _, c := range split(text) {
		c.template = template(c.text)
		switch isJSON := filepath.Ext(file) == ".json"; {
		case isJSON:
			r.readJSON(file, c)
		case bytes.HasPrefix(bytes.TrimSpace(c.text), []byte("{")) && beginsWithJSON(c.text):
			r.readJSON(file, c)
		default:
			r.readYAML(file, c)
		}
	}
}

// beginsWithJSON tells JSON from YAML's flow style, which looks like it.
func beginsWithJSON(text []byte) bool {
	_, err := jsontext.NewDecoder(bytes.NewReader(text)).ReadValue()
	return err == nil
}

// readJSON reads JSON values that follow each other. After a syntax error there is no telling where the next one
// begins.
func (r *reader) readJSON(file string, c chunk) {
	content := c.text
	if isMarker(content, "---") {
		content = content[3:]
	}
	// A duplicate name or invalid UTF-8 is an error, too.
	decoder := jsontext.NewDecoder(bytes.NewReader(content))
	lineAt := lineCounter(content, c.start)
	for {
		value, err := decoder.ReadValue()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			line, err := jsonError(err, lineAt)
			r.fail(file, line, err)
			return
		}
		begin := int(decoder.InputOffset()) - len(value)
		line := lineAt(begin)
		var items []int
		for _, offset := range itemOffsets(value) {
			items = append(items, lineAt(begin+offset))
		}
		at := Document{File: file, Line: line}
		at.source.text = &text{file: file, content: c.text, start: c.start, template: c.template}
		at.source.begin = begin + len(c.text) - len(content)
		at.source.end = at.source.begin + len(value)
		r.readObject(at, value, items)
	}
}

// lineCounter tells the lines of offsets that do not decrease. A smaller one than before is on the last line told.
func lineCounter(text []byte, start int) func(offset int) int {
	counted, line := 0, start
	return func(offset int) int {
		if offset = min(offset, len(text)); offset > counted {
			line += bytes.Count(text[counted:offset], []byte("\n"))
			counted = offset
		}
		return line
	}
}

func jsonError(err error, lineAt func(int) int) (int, error) {
	var syntactic *jsontext.SyntacticError
	if !errors.As(err, &syntactic) {
		return lineAt(0), err
	}
	line := lineAt(int(syntactic.ByteOffset))
	if errors.Is(syntactic.Err, jsontext.ErrDuplicateName) {
		return line, fmt.Errorf("duplicate key %q", syntactic.JSONPointer.LastToken())
	}
	if errors.Is(syntactic.Err, io.ErrUnexpectedEOF) {
		return line, errors.New("the JSON ends too early")
	}
	return line, syntactic.Err
}

// itemOffsets tells where the items of a list begin.
func itemOffsets(list jsontext.Value) (offsets []int) {
	decoder := jsontext.NewDecoder(bytes.NewReader(list))
	if list.Kind() != jsontext.KindBeginObject {
		return nil
	}
	_, _ = decoder.ReadToken() // all of it has been read once without an error
	for decoder.PeekKind() == jsontext.KindString {
		name, _ := decoder.ReadToken()
		if name.String() != "items" || decoder.PeekKind() != jsontext.KindBeginArray {
			_ = decoder.SkipValue()
			continue
		}
		_, _ = decoder.ReadToken()
		for decoder.PeekKind() != jsontext.KindEndArray {
			item, err := decoder.ReadValue()
			if err != nil {
				return nil
			}
			offsets = append(offsets, int(decoder.InputOffset())-len(item))
		}
		return offsets
	}
	return nil
}

// readYAML reads one document. The tree of nodes tells lines and sizes; the values are converted as kubectl does, by
// YAML 1.1 and with an error for a key that stands twice.
func (r *reader) readYAML(file string, c chunk) {
	var root yamlv3.Node
	if err := yamlv3.Unmarshal(c.text, &root); err != nil {
		line, err := yamlError(err, c)
		r.fail(file, line, err)
		return
	}
	if err := checkAliases(&root); err != nil {
		r.fail(file, c.first, err)
		return
	}
	value, err := yaml.YAMLToJSONStrict(c.text)
	if err != nil {
		line, err := yamlError(err, c)
		r.fail(file, line, err)
		return
	}
	at := Document{File: file, Line: c.first}
	at.source.text = &text{file: file, content: c.text, start: c.start, template: c.template}
	r.readObject(at, value, itemLines(&root, c.start))
}

// itemLines tells the lines on which the items of a list begin.
func itemLines(root *yamlv3.Node, start int) (lines []int) {
	if root.Kind != yamlv3.DocumentNode || len(root.Content) != 1 || root.Content[0].Kind != yamlv3.MappingNode {
		return nil
	}
	content := root.Content[0].Content
	for i := 0; i+1 < len(content); i += 2 {
		if content[i].Value == "items" && content[i+1].Kind == yamlv3.SequenceNode {
			for _, item := range content[i+1].Content {
				lines = append(lines, start+item.Line-1)
			}
		}
	}
	return lines
}

var yamlLine = regexp.MustCompile(`line ([0-9]+): `)

// yamlError moves the line that an error of the YAML libraries tells from its text into the file's numbering.
func yamlError(err error, c chunk) (int, error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = strings.TrimPrefix(text, "unmarshal errors:\n")
	var faults []string
	line := c.first
	for i, fault := range strings.Split(text, "\n") {
		fault = strings.TrimSpace(fault)
		match := yamlLine.FindStringSubmatchIndex(fault)
		if match == nil || match[0] != 0 {
			faults = append(faults, fault)
			continue
		}
		n, _ := strconv.Atoi(fault[match[2]:match[3]])
		n = c.start + n - 1
		if fault = fault[match[1]:]; i == 0 {
			line = n
		} else {
			fault = fmt.Sprintf("line %d: %s", n, fault)
		}
		faults = append(faults, fault)
	}
	return line, errors.New(strings.Join(faults, "; "))
}

// checkAliases makes sure that the document does not grow when its aliases are replaced by what they stand for. The
// libraries bound how many nodes that makes, but not how long their strings are.
func checkAliases(root *yamlv3.Node) error {
	sizes := map[*yamlv3.Node]int{}
	added := 0
	var size func(*yamlv3.Node) (int, error)
	size = func(node *yamlv3.Node) (int, error) {
		if node.Kind == yamlv3.AliasNode {
			anchored, done := sizes[node.Alias]
			if !done {
				return 0, fmt.Errorf("the value of anchor %q contains itself", node.Value)
			}
			if added += anchored; added > MaxBytes {
				return 0, fmt.Errorf("its aliases stand for more than %d MiB", MaxBytes>>20)
			}
			return anchored, nil
		}
		total := len(node.Value) + 4 // quotes and separators
		for _, child := range node.Content {
			n, err := size(child)
			if err != nil {
				return 0, err
			}
			total += n
		}
		if node.Anchor != "" {
			sizes[node] = total
		}
		return total, nil
	}
	_, err := size(root)
	return err
}
