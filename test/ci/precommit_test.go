package ci_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/mozilla-iam/eksguard/internal/cli"
	"github.com/mozilla-iam/eksguard/test/checkout"
)

// hook is what pre-commit knows of a hook (pre-commit's documentation, "Creating new hooks").
type hook struct {
	ID            string   `json:"id"`
	Name          string   `json:"name"`
	Description   string   `json:"description"`
	Language      string   `json:"language"`
	Entry         string   `json:"entry"`
	Args          []string `json:"args"`
	Files         string   `json:"files"`
	Exclude       string   `json:"exclude"`
	RequireSerial bool     `json:"require_serial"`
}

// TestPreCommitHook runs the hook as pre-commit does: the entry and its arguments, and the files of a repository that
// it is for. pre-commit installs the commands of a module under the names of their folders.
func TestPreCommitHook(t *testing.T) {
	if err := checkout.Inputs(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root(t), ".pre-commit-hooks.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var hooks []hook
	if err := yaml.UnmarshalStrict(text, &hooks); err != nil || len(hooks) != 1 {
		t.Fatal(hooks, err)
	}
	h := hooks[0]
	if h.ID != "eksguard-review" || h.Name == "" || h.Language != "golang" || !h.RequireSerial {
		t.Errorf("%+v", h)
	}
	program, args, _ := strings.Cut(h.Entry, " ")
	if _, err := os.Stat(filepath.Join(root(t), "cmd", program, "main.go")); err != nil {
		t.Errorf("go install makes no %s: %v", program, err)
	}

	t.Chdir(filepath.Join(root(t), "test/demo"))
	files, exclude := regexp.MustCompile(h.Files), regexp.MustCompile(h.Exclude)
	for _, name := range []string{".github/workflows/ci.yml", ".pre-commit-config.yaml", "docs/.x.json", "README.md",
		"a.yamlx"} {
		if files.MatchString(name) && !exclude.MatchString(name) {
			t.Errorf("the hook is for %s, too", name)
		}
	}
	var chosen []string
	err = fs.WalkDir(os.DirFS("."), "manifests", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && files.MatchString(name) && !exclude.MatchString(name) {
			chosen = append(chosen, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	code := cli.Run(append(append(strings.Fields(args), h.Args...), chosen...), nil, &out, &errOut)
	if code != 1 || errOut.Len() > 0 {
		t.Errorf("exit code %d: %s", code, errOut.String())
	}
	var denied []string
	for _, match := range regexp.MustCompile(`(?m)^(manifests/\S+):\d+: .*: denied$`).FindAllStringSubmatch(out.String(),
		-1) {
		denied = append(denied, match[1])
	}
	want := []string{"manifests/aws-auth-admin2-confirmed.yaml", "manifests/aws-auth-admin2.yaml",
		"manifests/aws-auth-typo.yaml",
		"manifests/aws-cli-pod.yaml", "manifests/setup/aws-auth.yaml", "manifests/webservice-01-other-role.yaml"}
	if diff := cmp.Diff(want, denied); diff != "" {
		t.Errorf("denied: -want +got:\n%s\n%s", diff, out.String())
	}
}
