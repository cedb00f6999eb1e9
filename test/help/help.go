// Package help reads the examples out of what a command prints with --help, for tests that run them.
package help

import "strings"

// Example is one call of eksguard in an example.
type Example struct {
	// Line is the call as it stands there: without what other programs do before and after it, on one line.
	Line string
	// Args are its arguments, without the name of the program.
	Args []string
}

// Examples gives the calls of eksguard in the examples of a help text, or in the examples alone, in their order. Lines
// that begin with # are comments; what stands in single quotes is one argument.
func Examples(text string) (examples []Example) {
	if _, after, found := strings.Cut(text, "\nExamples:\n"); found {
		text, _, _ = strings.Cut(after, "\n\nFlags:")
	}
	text = strings.NewReplacer("\\\n", " ", "|\n", "| ").Replace(text)
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		for _, words := range split(line) {
			if len(words) > 0 && words[0] == "eksguard" {
				examples = append(examples, Example{Line: strings.Join(words, " "), Args: words[1:]})
			}
		}
	}
	return examples
}

// split gives the words of each program in a pipe. A file that output goes to is no word.
func split(line string) (programs [][]string) {
	var words []string
	var word strings.Builder
	quoted, begun := false, false
	end := func() {
		if begun {
			words = append(words, word.String())
		}
		word.Reset()
		begun = false
	}
	for _, r := range line {
		switch {
		case r == '\'':
			quoted, begun = !quoted, true
		case quoted:
			word.WriteRune(r)
		case r == '|':
			end()
			programs, words = append(programs, words), nil
		case strings.ContainsRune(" \t\n", r):
			end()
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	end()
	programs = append(programs, words)
	for i, words := range programs {
		for j, word := range words {
			if word == ">" {
				programs[i] = words[:j]
				break
			}
		}
	}
	return programs
}
