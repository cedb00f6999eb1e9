package reference

import (
	"fmt"
	"io"
	"regexp"
	"strings"
)

// lineLength is the most of a line of text, on any page.
const lineLength = 120

// markdown is a page in GitHub's Markdown.
type markdown struct{ parts []string }

func (m *markdown) write(w io.Writer) error {
	_, err := fmt.Fprintln(w, strings.Join(m.parts, "\n\n"))
	return err
}

func (m *markdown) add(part string) {
	if part = strings.TrimRight(part, "\n"); part != "" {
		m.parts = append(m.parts, part)
	}
}

func (m *markdown) heading(level int, text string) { m.add(strings.Repeat("#", level) + " " + text) }

func (m *markdown) paragraph(text string) { m.add(wrap(escape(text), lineLength)) }

func (m *markdown) list(items []string) { m.add(escape("- " + strings.Join(items, "\n- "))) }

func (m *markdown) table(header []string, rows [][]string) {
	lines := []string{row(header), "|" + strings.Repeat("---|", len(header))}
	for _, cells := range rows {
		lines = append(lines, row(cells))
	}
	m.add(strings.Join(lines, "\n"))
}

func row(cells []string) string {
	var line strings.Builder
	line.WriteString("|")
	for _, cell := range cells {
		line.WriteString(strings.TrimRight(" "+strings.ReplaceAll(escape(cell), "|", `\|`), " ") + " |")
	}
	return line.String()
}

// escape keeps <placeholders> from being taken for HTML, but in code, where nothing is.
func escape(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "    ") {
			continue
		}
		parts := strings.Split(line, "`")
		for j := 0; j < len(parts); j += 2 {
			parts[j] = strings.ReplaceAll(parts[j], "<", `\<`)
		}
		lines[i] = strings.Join(parts, "`")
	}
	return strings.Join(lines, "\n")
}

// block is fenced by more backticks than the text has.
func (m *markdown) block(language, text string) {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	m.add(fence + language + "\n" + strings.TrimRight(text, "\n") + "\n" + fence)
}

// code is quoted by more backticks than the text has.
func (m *markdown) code(text string) string {
	if !strings.Contains(text, "`") {
		return "`" + text + "`"
	}
	return "`` " + text + " ``"
}

func (m *markdown) strong(text string) string { return "**" + text + "**" }

func (m *markdown) link(text, target string) string { return "[" + text + "](#" + anchor(target) + ")" }

var notInAnchor = regexp.MustCompile(`[^a-z0-9 _-]`)

// anchor is what GitHub makes of a heading.
func anchor(heading string) string {
	return strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}
