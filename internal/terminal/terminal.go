// Package terminal writes text for a person: with colours where there are some to be seen, and so that nothing in it can
// steer the terminal.
package terminal

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
)

// Style is how a word is painted.
type Style string

// ANSI's styles of a terminal.
const (
	Bold   Style = "1"
	Faint  Style = "2"
	Red    Style = "31"
	Green  Style = "32"
	Yellow Style = "33"
	Cyan   Style = "36"
)

// Text is text that is put together. The zero value is empty and has no colours.
type Text struct {
	bytes.Buffer
	// Colour is whether styles are seen.
	Colour bool
}

// Printf adds to the text.
func (t *Text) Printf(format string, args ...any) { _, _ = fmt.Fprintf(t, format, args...) }

// Paint gives a word in a style.
func (t *Text) Paint(style Style, word string) string {
	if !t.Colour {
		return word
	}
	return "\x1b[" + string(style) + "m" + word + "\x1b[0m"
}

// Printable leaves out what a terminal would obey, or show as something else than it is, and puts all on one line.
func Printable(s string) string { return strings.ReplaceAll(Lines(s), "\n", " ") }

// Lines is Printable for text that may have several lines.
func Lines(s string) string {
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
