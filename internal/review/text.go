package review

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/mozilla-iam/eksguard/internal/manifest"
	"github.com/mozilla-iam/eksguard/internal/policy"
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

// WriteText writes the report for a person: the objects that something was found in, what could not be read, and a
// summary. Nothing of a manifest can steer the terminal.
func (r *Report) WriteText(w io.Writer, colour bool) error {
	t := &text{colour: colour}
	for i := range r.Objects {
		t.object(&r.Objects[i])
	}
	for _, e := range r.Errors {
		t.unread(e)
	}
	t.end(len(r.Errors) > 0)
	for _, note := range r.Notes {
		t.printf("%s %s\n", t.paint(cyan, "note:"), lines(note))
	}
	t.end(len(r.Notes) > 0)
	t.summary(r.Summary)
	_, err := w.Write(t.Bytes())
	return err
}

type text struct {
	bytes.Buffer
	colour bool
}

func (t *text) printf(format string, args ...any) { _, _ = fmt.Fprintf(t, format, args...) }

// end leaves a line after a section that has something in it.
func (t *text) end(anything bool) {
	if anything {
		t.printf("\n")
	}
}

func (t *text) paint(style, s string) string {
	if !t.colour {
		return s
	}
	return "\x1b[" + style + "m" + s + "\x1b[0m"
}

func (t *text) object(o *Object) {
	if len(o.Violations)+len(o.Mutations)+len(o.Errors) == 0 {
		return
	}
	subject := t.paint(bold, printable(o.subject())) + printable(o.circumstances())
	verdict := o.verdict()
	style := map[string]string{denied: red, warned: yellow, ok: green}[verdict]
	t.printf("%s: %s: %s\n", printable(o.location().String()), subject, t.paint(style, verdict))
	for i := range o.Mutations {
		t.mutation(&o.Mutations[i])
	}
	for i := range o.Violations {
		t.violation(&o.Violations[i])
	}
	for i := range o.Effects {
		t.finding(faint, "effect", o.Effects[i].Policy, lines(strings.Join(o.Effects[i].Lines, "\n")))
	}
	for _, f := range o.Errors {
		t.fault(f)
	}
	t.end(true)
}

// finding writes a line with a word in front of it, and below it the details.
func (t *text) finding(style, word, headline string, details ...string) {
	const width = 8
	t.printf("  %s%s  %s\n", t.paint(style, word), strings.Repeat(" ", width-len(word)), headline)
	for _, detail := range details {
		for line := range strings.Lines(detail) {
			t.printf("%s%s\n", strings.Repeat(" ", width+4), strings.TrimRight(line, "\n"))
		}
	}
}

func (t *text) violation(v *Violation) {
	headline := v.ID()
	if v.Field != "" {
		headline += "  " + printable(v.Field)
		if v.Location.Line > 0 {
			headline += "  " + t.paint(faint, printable(v.Location.String()))
		}
	}
	details := []string{lines(v.Message)}
	if v.Fix != "" {
		details = append(details, t.paint(faint, "Fix:")+" "+lines(v.Fix))
	}
	style, word := t.action(v.Action, v.Exception)
	t.finding(style, word, headline, append(details, t.exception(v.Exception)...)...)
}

func (t *text) action(action policy.Action, exception *policy.Exception) (style, word string) {
	switch {
	case exception != nil:
		return faint, "excepted"
	case action == policy.ActionDeny:
		return red, string(action)
	case action == policy.ActionWarn:
		return yellow, string(action)
	default:
		return faint, string(action)
	}
}

func (t *text) exception(e *policy.Exception) []string {
	if e == nil {
		return nil
	}
	return []string{t.paint(faint, "Excepted until "+printable(e.Expires)+":") + " " + printable(e.Reason)}
}

func (t *text) mutation(m *policy.Mutation) {
	style, word, headline := cyan, "mutate", m.Policy+"/"+m.Rule
	if !m.Applies() {
		style = faint
		if m.Exception == nil {
			headline += "  (" + string(m.Action) + ": not applied)"
		}
	}
	if m.Exception != nil {
		style, word = t.action(m.Action, m.Exception)
	}
	var details []string
	for _, operation := range m.Patch {
		detail := operation.Op + " " + operation.Path
		if operation.From != "" {
			detail += " from " + operation.From
		}
		if len(operation.Value) > 0 {
			detail += " = " + string(operation.Value)
		}
		details = append(details, printable(detail))
	}
	t.finding(style, word, headline, append(details, t.exception(m.Exception)...)...)
}

func (t *text) fault(f Fault) {
	style, consequence := yellow, "failurePolicy Ignore: not checked"
	if f.Denies {
		style, consequence = red, "failurePolicy Fail: denied"
	}
	t.finding(style, "error", "policy "+f.Policy+" could not be evaluated  ("+consequence+")", lines(f.Error))
}

func (t *text) unread(e Unread) {
	where := manifest.Location{File: e.File, Line: e.Line}
	t.printf("%s: %s %s\n", printable(where.String()), t.paint(red, "not read:"), printable(e.Error))
}

func (t *text) summary(s Summary) {
	var parts []string
	for _, part := range []struct {
		n           int
		style, word string
	}{{s.Denied, red, denied}, {s.Warned, yellow, warned}, {s.OK, green, ok}} {
		if part.n > 0 {
			parts = append(parts, t.paint(part.style, fmt.Sprintf("%d %s", part.n, part.word)))
		}
	}
	line := fmt.Sprintf("%d %s", s.Objects, plural(s.Objects, "object", "objects"))
	if len(parts) > 0 {
		line += ": " + strings.Join(parts, ", ")
	}
	if s.Unread > 0 {
		line += "; " + t.paint(red, fmt.Sprintf("%d %s could not be read", s.Unread, plural(s.Unread, "document",
			"documents")))
	}
	t.printf("%s\n", line)
}

// printable leaves out what a terminal would obey, or show as something else than it is.
func printable(s string) string { return strings.ReplaceAll(lines(s), "\n", " ") }

// lines is printable text that may have several lines.
func lines(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r == '\n' || unicode.IsPrint(r):
			return r
		default:
			return unicode.ReplacementChar
		}
	}, s)
}
