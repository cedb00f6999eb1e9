package help_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mozilla-iam/eksguard/test/help"
)

func TestExamples(t *testing.T) {
	const text = `What it does: eksguard of course.

Examples:
  # eksguard in a comment
  eksguard a b > file
  helm template . | eksguard review - \
    --as x
  eksguard c --run 'a | b' -o json |
    jq -r '.x'

Flags:
  eksguard no example
`
	want := []help.Example{
		{Line: "eksguard a b", Args: []string{"a", "b"}},
		{Line: "eksguard review - --as x", Args: []string{"review", "-", "--as", "x"}},
		{Line: "eksguard c --run a | b -o json", Args: []string{"c", "--run", "a | b", "-o", "json"}},
	}
	if diff := cmp.Diff(want, help.Examples(text)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
