package reference

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// text is a page for a terminal. Markdown in descriptions stays as it is: it was made to be read.
type text struct{ parts []string }

func (t *text) write(w io.Writer) error {
	_, err := fmt.Fprintln(w, strings.Join(t.parts, "\n\n"))
	return err
}

func (t *text) add(part string) {
	if part = strings.TrimRight(part, "\n"); part != "" {
		t.parts = append(t.parts, part)
	}
}

func (t *text) heading(level int, heading string) {
	line := map[int]string{1: "=", 2: "="}[level]
	if line == "" {
		line = "-"
	}
	t.add(heading + "\n" + strings.Repeat(line, len(heading)))
}

func (t *text) paragraph(paragraph string) { t.add(wrap(paragraph, lineLength)) }

func (t *text) list(items []string) { t.add("- " + strings.Join(items, "\n- ")) }

func (t *text) table(header []string, rows [][]string) {
	var table bytes.Buffer
	// A buffer takes everything.
	columns := tabwriter.NewWriter(&table, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(columns, strings.ToUpper(strings.Join(header, "\t")))
	for _, cells := range rows {
		_, _ = fmt.Fprintln(columns, strings.Join(cells, "\t"))
	}
	_ = columns.Flush()
	t.add(table.String())
}

func (t *text) block(_, block string) {
	t.add("    " + strings.ReplaceAll(strings.TrimRight(block, "\n"), "\n", "\n    "))
}

func (t *text) code(code string) string { return code }

func (t *text) strong(strong string) string { return strong }

func (t *text) link(link, _ string) string { return link }
