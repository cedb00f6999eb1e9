package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// width is how long the lines of comments may be.
const width = 118

// valuesFile is values.yaml: every value with its default, and its description as a comment.
func valuesFile(values []value) (string, error) {
	var b strings.Builder
	b.WriteString("# Values of the eksguard chart, written by `make generate` from values.schema.json.\n")
	if err := writeValues(&b, values, ""); err != nil {
		return "", err
	}
	return b.String(), nil
}

func writeValues(b *strings.Builder, values []value, indent string) error {
	for _, v := range values {
		if indent == "" {
			b.WriteString("\n")
		}
		for _, line := range wrap(v.description, width-len(indent)-2) {
			fmt.Fprintf(b, "%s# %s\n", indent, line)
		}
		if v.members != nil {
			fmt.Fprintf(b, "%s%s:\n", indent, v.key)
			if err := writeValues(b, v.members, indent+"  "); err != nil {
				return err
			}
			continue
		}
		preset, err := inline(v.preset)
		if err != nil {
			return fmt.Errorf("%s: default: %w", v.path, err)
		}
		fmt.Fprintf(b, "%s%s: %s\n", indent, v.key, preset)
	}
	return nil
}

// inline is a default on one line, as JSON.
func inline(node *yaml.Node) (string, error) {
	var preset any
	if err := node.Decode(&preset); err != nil {
		return "", err
	}
	text, err := json.Marshal(preset)
	return string(text), err
}

func wrap(text string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
