package review

import (
	"fmt"
	"io"
	"strings"

	"github.com/mozilla-iam/eksguard/internal/manifest"
	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/internal/terminal"
)

// WriteText writes the report for a person: the objects that something was found in, what could not be read, and a
// summary. Nothing of a manifest can steer the terminal.
func (r *Report) WriteText(w io.Writer, colour bool) error {
	t := &text{terminal.Text{Colour: colour}}
	for i := range r.Objects {
		t.object(&r.Objects[i])
	}
	for _, e := range r.Errors {
		t.unread(e)
	}
	t.end(len(r.Errors) > 0)
	for _, note := range r.Notes {
		t.Printf("%s %s\n", t.Paint(terminal.Cyan, "note:"), terminal.Lines(note))
	}
	t.end(len(r.Notes) > 0)
	t.summary(r.Summary)
	_, err := w.Write(t.Bytes())
	return err
}

type text struct{ terminal.Text }

// end leaves a line after a section that has something in it.
func (t *text) end(anything bool) {
	if anything {
		t.Printf("\n")
	}
}

func (t *text) object(o *Object) {
	if len(o.Violations)+len(o.Mutations)+len(o.Errors) == 0 {
		return
	}
	subject := t.Paint(terminal.Bold, terminal.Printable(o.subject())) + terminal.Printable(o.circumstances())
	verdict := o.verdict()
	style := map[string]terminal.Style{denied: terminal.Red, warned: terminal.Yellow, ok: terminal.Green}[verdict]
	t.Printf("%s: %s: %s\n", terminal.Printable(o.location().String()), subject, t.Paint(style, verdict))
	for i := range o.Mutations {
		t.mutation(&o.Mutations[i])
	}
	for i := range o.Violations {
		t.violation(&o.Violations[i])
	}
	for i := range o.Effects {
		t.finding(terminal.Faint, "effect", o.Effects[i].Policy, terminal.Lines(strings.Join(o.Effects[i].Lines, "\n")))
	}
	for _, f := range o.Errors {
		t.fault(f)
	}
	t.end(true)
}

// finding writes a line with a word in front of it, and below it the details.
func (t *text) finding(style terminal.Style, word, headline string, details ...string) {
	const width = 8
	t.Printf("  %s%s  %s\n", t.Paint(style, word), strings.Repeat(" ", width-len(word)), headline)
	for _, detail := range details {
		for line := range strings.Lines(detail) {
			t.Printf("%s%s\n", strings.Repeat(" ", width+4), strings.TrimRight(line, "\n"))
		}
	}
}

func (t *text) violation(v *Violation) {
	headline := v.ID()
	if v.Field != "" {
		headline += "  " + terminal.Printable(v.Field)
		if v.Location.Line > 0 {
			headline += "  " + t.Paint(terminal.Faint, terminal.Printable(v.Location.String()))
		}
	}
	details := []string{terminal.Lines(v.Message)}
	if v.Fix != "" {
		details = append(details, t.Paint(terminal.Faint, "Fix:")+" "+terminal.Lines(v.Fix))
	}
	style, word := t.action(v.Action, v.Exception)
	t.finding(style, word, headline, append(details, t.exception(v.Exception)...)...)
}

func (t *text) action(action policy.Action, exception *policy.Exception) (style terminal.Style, word string) {
	switch {
	case exception != nil:
		return terminal.Faint, "excepted"
	case action == policy.ActionDeny:
		return terminal.Red, string(action)
	case action == policy.ActionWarn:
		return terminal.Yellow, string(action)
	default:
		return terminal.Faint, string(action)
	}
}

func (t *text) exception(e *policy.Exception) []string {
	if e == nil {
		return nil
	}
	return []string{t.Paint(terminal.Faint, "Excepted until "+terminal.Printable(e.Expires)+":") + " " + terminal.Printable(e.Reason)}
}

func (t *text) mutation(m *policy.Mutation) {
	style, word, headline := terminal.Cyan, "mutate", m.Policy+"/"+m.Rule
	if !m.Applies() {
		style = terminal.Faint
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
		details = append(details, terminal.Printable(detail))
	}
	t.finding(style, word, headline, append(details, t.exception(m.Exception)...)...)
}

func (t *text) fault(f Fault) {
	style, consequence := terminal.Yellow, "failurePolicy Ignore: not checked"
	if f.Denies {
		style, consequence = terminal.Red, "failurePolicy Fail: denied"
	}
	t.finding(style, "error", "policy "+f.Policy+" could not be evaluated  ("+consequence+")", terminal.Lines(f.Error))
}

func (t *text) unread(e Unread) {
	where := manifest.Location{File: e.File, Line: e.Line}
	t.Printf("%s: %s %s\n", terminal.Printable(where.String()), t.Paint(terminal.Red, "not read:"), terminal.Printable(e.Error))
}

func (t *text) summary(s Summary) {
	var parts []string
	for _, part := range []struct {
		n     int
		style terminal.Style
		word  string
	}{{s.Denied, terminal.Red, denied}, {s.Warned, terminal.Yellow, warned}, {s.OK, terminal.Green, ok}} {
		if part.n > 0 {
			parts = append(parts, t.Paint(part.style, fmt.Sprintf("%d %s", part.n, part.word)))
		}
	}
	line := fmt.Sprintf("%d %s", s.Objects, plural(s.Objects, "object", "objects"))
	if len(parts) > 0 {
		line += ": " + strings.Join(parts, ", ")
	}
	if s.Unread > 0 {
		line += "; " + t.Paint(terminal.Red, fmt.Sprintf("%d %s could not be read", s.Unread, plural(s.Unread, "document",
			"documents")))
	}
	t.Printf("%s\n", line)
}
