// Package spelling suggests what an unknown word in somebody's input was meant to be.
package spelling

import (
	"fmt"
	"strings"

	"github.com/agnivade/levenshtein"
)

// Suggest is the end of an error about a word that is not among the known ones, with a space before it: the nearest of
// them, or all of them where none is near. It is empty where there are none.
func Suggest(word string, known []string) string {
	best, distance := "", len(word)/2+1
	for _, candidate := range known {
		if d := levenshtein.ComputeDistance(word, candidate); d < distance {
			best, distance = candidate, d
		}
	}
	switch {
	case best != "":
		return fmt.Sprintf(" (did you mean %q?)", best)
	case len(known) > 0:
		return fmt.Sprintf(" (known: %s)", strings.Join(known, ", "))
	default:
		return ""
	}
}
