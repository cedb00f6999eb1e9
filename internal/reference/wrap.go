package reference

import "strings"

// wrap breaks lines at spaces, so that none is longer than width unless it is one word. What is indented stays.
func wrap(text string, width int) string {
	var lines []string
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, "    ") {
			lines = append(lines, line)
			continue
		}
		lines = append(lines, breakLine(line, width)...)
	}
	return strings.Join(lines, "\n")
}

func breakLine(text string, width int) (lines []string) {
	line := ""
	for i, word := range strings.Split(text, " ") {
		switch {
		case i == 0:
			line = word
		case len(line)+1+len(word) > width:
			lines, line = append(lines, line), word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}
