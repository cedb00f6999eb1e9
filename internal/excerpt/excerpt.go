// Package excerpt cuts what a stranger wrote to a length that fits into a message.
package excerpt

import "unicode/utf8"

// Of gives the beginning of a text, of no more than so many bytes and no half character, and an ellipsis where something
// is left out.
func Of(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "…"
}
