package doctor

import (
	"fmt"
	"io"
	"strings"

	"github.com/mozilla-iam/eksguard/internal/terminal"
)

// WriteText writes the report for a person: each check with what it saw, and below it what it found. Nothing of the
// cluster can steer the terminal.
func (r *Report) WriteText(w io.Writer, colour bool) error {
	t := &text{terminal.Text{Colour: colour}}
	for _, c := range r.Checks {
		t.check(c)
		for _, f := range r.Findings {
			if f.Check == c.Name {
				t.finding(f)
			}
		}
	}
	t.summary(r.Summary)
	_, err := w.Write(t.Bytes())
	return err
}

type text struct{ terminal.Text }

func style(outcome string) terminal.Style {
	switch outcome {
	case outcomeOK:
		return terminal.Green
	case string(Error):
		return terminal.Red
	case string(Warning), outcomeUnknown:
		return terminal.Yellow
	default:
		return terminal.Cyan
	}
}

// column is the width of the first word of a line.
const column = 9

func (t *text) word(word string) string {
	return t.Paint(style(word), word) + strings.Repeat(" ", max(column-len(word), 1))
}

func (t *text) check(c Check) {
	t.Printf("%s%s", t.word(c.Outcome), t.Paint(terminal.Bold, c.Name))
	if c.Saw != "" {
		t.Printf(": %s", terminal.Printable(c.Saw))
	}
	t.Printf("\n")
	if c.Error != "" {
		t.Printf("%sit could not be looked at: %s\n", strings.Repeat(" ", column), terminal.Printable(c.Error))
	}
}

func (t *text) finding(f Finding) {
	const inner = "           "
	t.Printf("  %s%s\n", t.word(string(f.Severity)), terminal.Printable(f.What))
	for _, part := range []struct{ label, text string }{{"Why:", f.Why}, {"Do:", f.Do}} {
		if part.text != "" {
			t.Printf("%s%s %s\n", inner, t.Paint(terminal.Faint, part.label), terminal.Printable(part.text))
		}
	}
}

func (t *text) summary(s Summary) {
	var parts []string
	for _, part := range []struct {
		n         int
		style     terminal.Style
		one, many string
	}{
		{s.Errors, terminal.Red, "error", "errors"}, {s.Warnings, terminal.Yellow, "warning", "warnings"}, {s.Infos, terminal.Cyan, "note", "notes"},
		{s.Unknown, terminal.Yellow, "check could not be made", "checks could not be made"},
	} {
		if part.n > 0 {
			word := part.many
			if part.n == 1 {
				word = part.one
			}
			parts = append(parts, t.Paint(part.style, fmt.Sprintf("%d %s", part.n, word)))
		}
	}
	if len(parts) == 0 {
		parts = []string{t.Paint(terminal.Green, "nothing found")}
	}
	t.Printf("\n%s\n", strings.Join(parts, ", "))
}
