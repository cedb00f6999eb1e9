package excerpt_test

import (
	"testing"

	"github.com/mozilla-iam/eksguard/internal/excerpt"
)

func TestOf(t *testing.T) {
	for _, row := range []struct {
		reason, text, want string
		most               int
	}{
		{"nothing is left as it is", "", "", 0},
		{"what fits is left as it is", "abc", "abc", 3},
		{"what does not is cut", "abcd", "abc…", 3},
		{"a character is not cut in two", "aé", "a…", 2},
		{"what is nothing but the rest of characters is left out", "\x80\x80\x80", "…", 2},
		{"nor is what is none", "\xff\xff\xff", "\xff\xff…", 2},
	} {
		if got := excerpt.Of(row.text, row.most); got != row.want {
			t.Errorf("%s: %q, want %q", row.reason, got, row.want)
		}
	}
}
