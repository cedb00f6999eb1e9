package doctor

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// ANSI's colours of a terminal.
const (
	bold   = "1"
	faint  = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

// WriteText writes the report for a person: each check with what it saw, and below it what it found. Nothing of the
// cluster can steer the terminal.
func (r *Report) WriteText(w io.Writer, colour bool) error {
	t := &text{colour: colour}
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

type text struct {
	bytes.Buffer
	colour bool
}

func (t *text) printf(format string, args ...any) { _, _ = fmt.Fprintf(t, format, args...) }

func (t *text) paint(style, s string) string {
	if !t.colour {
		return s
	}
	return "\x1b[" + style + "m" + s + "\x1b[0m"
}

func style(outcome string) string {
	switch outcome {
	case outcomeOK:
		return green
	case string(Error):
		return red
	case string(Warning), outcomeUnknown:
		return yellow
	default:
		return cyan
	}
}

// column is the width of the first word of a line.
const column = 9

func (t *text) word(word string) string {
	return t.paint(style(word), word) + strings.Repeat(" ", max(column-len(word), 1))
}

func (t *text) check(c Check) {
	t.printf("%s%s", t.word(c.Outcome), t.paint(bold, c.Name))
	if c.Saw != "" {
		t.printf(": %s", printable(c.Saw))
	}
	t.printf("\n")
	if c.Error != "" {
		t.printf("%sit could not be looked at: %s\n", strings.Repeat(" ", column), printable(c.Error))
	}
}

func (t *text) finding(f Finding) {
	const inner = "           "
	t.printf("  %s%s\n", t.word(string(f.Severity)), printable(f.What))
	for _, part := range []struct{ label, text string }{{"Why:", f.Why}, {"Do:", f.Do}} {
		if part.text != "" {
			t.printf("%s%s %s\n", inner, t.paint(faint, part.label), printable(part.text))
		}
	}
}

func (t *text) summary(s Summary) {
	var parts []string
	for _, part := range []struct {
		n                int
		style, one, many string
	}{
		{s.Errors, red, "error", "errors"}, {s.Warnings, yellow, "warning", "warnings"}, {s.Infos, cyan, "note", "notes"},
		{s.Unknown, yellow, "check could not be made", "checks could not be made"},
	} {
		if part.n > 0 {
			word := part.many
			if part.n == 1 {
				word = part.one
			}
			parts = append(parts, t.paint(part.style, fmt.Sprintf("%d %s", part.n, word)))
		}
	}
	if len(parts) == 0 {
		parts = []string{t.paint(green, "nothing found")}
	}
	t.printf("\n%s\n", strings.Join(parts, ", "))
}

// printable leaves out what a terminal would obey, or show as something else than it is.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsPrint(r):
			return r
		default:
			return unicode.ReplacementChar
		}
	}, s)
}
