package walkthrough_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mozilla-iam/eksguard/test/checkout"
	"github.com/mozilla-iam/eksguard/test/walkthrough"
)

// TestFirstPolicy does what docs/first-policy.md tells a newcomer to do, with a real control plane.
func TestFirstPolicy(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a control plane; -short is set")
	}
	if err := checkout.Inputs(); err != nil {
		t.Fatal(err)
	}
	root, err := checkout.Root()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"my-policies", "bin/local/state.json"} {
		if _, err := os.Stat(filepath.Join(root, name)); err == nil {
			t.Fatalf("%s is there: remove it, or stop with make down what uses it", name)
		}
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "first-policy.md"))
	if err != nil {
		t.Fatal(err)
	}
	shell, err := walkthrough.NewShell(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			_, _ = shell.Run("make down; rm -rf my-policies")
		}
		if err := shell.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, step := range walkthrough.Steps(string(page)) {
		printed, err := shell.Run(step.Command)
		if err != nil {
			t.Fatal(err)
		}
		if !step.Matches(printed) {
			t.Fatalf("docs/first-policy.md:%d: $ %s\nprinted:\n%s\nwant:\n%q", step.Line, step.Command, printed, step.Output)
		}
	}
}

func TestSteps(t *testing.T) {
	const page = "text\n```console\n$ one\n$ two\nprinted\n```\n$ no command\n```rego\n$ neither\n```\n```console\n$ three\n…\n```\n"
	want := []walkthrough.Step{
		{Line: 3, Command: "one"},
		{Line: 4, Command: "two", Output: []string{"printed"}},
		{Line: 12, Command: "three", Output: []string{"…"}},
	}
	if diff := cmp.Diff(want, walkthrough.Steps(page)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestMatches(t *testing.T) {
	for _, row := range []struct {
		reason, printed string
		output          []string
		want            bool
	}{
		{"nothing is nothing", "", nil, true},
		{"nothing is not something", "x\n", nil, false},
		{"the same", "a\nb\n", []string{"a", "b"}, true},
		{"a line less", "a\n", []string{"a", "b"}, false},
		{"a line more", "a\nb\nc\n", []string{"a", "b"}, false},
		{"any lines", "a\nb\nc\n", []string{"a", "…"}, true},
		{"none is any number of lines", "a\n", []string{"…", "a", "…"}, true},
		{"anything in a line", "a 12 ms\n", []string{"a … ms"}, true},
		{"what else is in the line counts", "a 12 s\n", []string{"a … ms"}, false},
		{"what means something in a pattern", "a.b (c)\n", []string{"a.b (c)"}, true},
		{"a point is a point", "axb\n", []string{"a.b"}, false},
	} {
		t.Run(row.reason, func(t *testing.T) {
			step := walkthrough.Step{Output: row.output}
			if got := step.Matches(row.printed); got != row.want {
				t.Errorf("it is %t", got)
			}
		})
	}
}

func TestShell(t *testing.T) {
	shell, err := walkthrough.NewShell(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ command, want string }{
		{"export COLOUR=red", ""},
		{"echo $COLOUR", "red\n"},
		{"echo out; echo err >&2; false", "out\nerr\n"},
		{"printf unended", "unended\n"},
		{"cat", ""},
	} {
		printed, err := shell.Run(row.command)
		if err != nil {
			t.Fatal(err)
		}
		if row.command == "printf unended" {
			printed += "\n" // the end of the line is missing
		}
		if printed != row.want {
			t.Errorf("%s printed %q, want %q", row.command, printed, row.want)
		}
	}
	if err := shell.Close(); err != nil {
		t.Error(err)
	}
}
