package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestExamplesOfReview runs the examples that the help of eksguard review shows, as they stand there, on files of the
// names in them. What other programs would write into a pipe or a file is there beforehand.
func TestExamplesOfReview(t *testing.T) {
	_, help, _ := run("", "review --help")
	_, examples, found := strings.Cut(help, "Examples:\n")
	examples, _, ended := strings.Cut(examples, "\n\nFlags:")
	if !found || !ended {
		t.Fatalf("no examples in\n%s", help)
	}
	const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: web, " +
		"namespace: web, annotations: {iam.amazonaws.com/role: none}}\n"
	files := map[string]string{
		"manifests/pod.yaml": pod,
		"new/pod.yaml":       pod,
		"old/pod.yaml":       pod,
		"namespaces.yaml":    "apiVersion: v1\nkind: Namespace\nmetadata: {name: web}\n",
		"settings.yaml":      "cluster: {account: '555555555555'}\n",
	}
	t.Chdir(t.TempDir())
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	type outcome struct {
		Command string
		Code    int
	}
	var got []outcome
	for line := range strings.Lines(strings.ReplaceAll(examples, "\\\n", " ")) {
		for command := range strings.SplitSeq(line, "|") {
			args, isOurs := strings.CutPrefix(strings.Join(strings.Fields(command), " "), "eksguard ")
			if !isOurs {
				continue
			}
			args = strings.TrimSpace(args)
			code, stdout, stderr := run(pod, args)
			if stdout == "" || stderr != "" {
				t.Errorf("%s: stdout %q, stderr %q", args, stdout, stderr)
			}
			got = append(got, outcome{args, code})
		}
	}
	want := []outcome{
		{"review manifests/ --settings settings.yaml", 1},
		{"review -", 1},
		{"review new/ --old old/ --namespaces namespaces.yaml --as system:serviceaccount:flux-system:kustomize-controller",
			0},
		{"review manifests/ -o github -o sarif=eksguard.sarif", 1},
		{"review manifests/ -o json", 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if text, err := os.ReadFile("eksguard.sarif"); err != nil || !strings.Contains(string(text), `"ruleId": "iam-role/`) {
		t.Errorf("eksguard.sarif: %v: %s", err, text)
	}
}
