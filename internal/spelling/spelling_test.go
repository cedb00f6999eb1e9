package spelling

import "testing"

func TestSuggest(t *testing.T) {
	for _, row := range []struct {
		reason, word string
		known        []string
		want         string
	}{
		{"the nearest", "namming", []string{"form", "naming"}, ` (did you mean "naming"?)`},
		{"all where none is near", "x", []string{"form", "naming"}, " (known: form, naming)"},
		{"nothing where there is nothing", "x", nil, ""},
	} {
		t.Run(row.reason, func(t *testing.T) {
			if got := Suggest(row.word, row.known); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}
