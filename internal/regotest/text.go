package regotest

import (
	"fmt"
	"io"
	"strings"
)

// WriteText prints what did not pass, for people, and a line that sums up; with verbose, every test.
func (r *Report) WriteText(w io.Writer, verbose bool) error {
	var text strings.Builder
	for i := range r.Tests {
		if t := &r.Tests[i]; verbose || (t.Outcome != Passed && t.Outcome != Skipped) {
			t.write(&text)
		}
	}
	for _, gap := range r.Uncovered {
		if gap.First == gap.Last {
			fmt.Fprintf(&text, "%s:%d: not covered\n", gap.File, gap.First)
		} else {
			fmt.Fprintf(&text, "%s:%d-%d: not covered\n", gap.File, gap.First, gap.Last)
		}
	}
	if text.Len() > 0 {
		text.WriteString("\n")
	}
	fmt.Fprintf(&text, "%d tests: %d passed", len(r.Tests), r.Count(Passed))
	for _, outcome := range []Outcome{Failed, Broken, Skipped} {
		if n := r.Count(outcome); n > 0 {
			fmt.Fprintf(&text, ", %d %s", n, outcome)
		}
	}
	if r.Coverage != nil {
		fmt.Fprintf(&text, "; %.1f %% of the lines covered", *r.Coverage)
	}
	text.WriteString("\n")
	_, err := io.WriteString(w, text.String())
	return err
}

func (t *Test) write(w *strings.Builder) {
	fmt.Fprintf(w, "%s:%d: %s: %s\n", t.File, t.Line, t.Name, t.Outcome)
	for _, name := range t.Cases {
		fmt.Fprintf(w, "  case %s\n", name)
	}
	for _, detail := range []string{t.FailedAt, t.Error, t.Output} {
		if detail != "" {
			fmt.Fprintf(w, "  %s\n", strings.ReplaceAll(detail, "\n", "\n  "))
		}
	}
}
