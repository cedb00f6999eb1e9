package cli_test

import (
	"bytes"
	"io"
	"io/fs"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/spf13/cobra"

	"github.com/mozilla-iam/eksguard/internal/cli"
	"github.com/mozilla-iam/eksguard/test/help"
)

// inCluster are the commands that need a cluster, and the tests that run their examples on a real API server.
var inCluster = map[string]string{
	"eksguard serve":  "TestExamplesOfServe",
	"eksguard doctor": "TestExamplesOfDoctorAndAudit",
	"eksguard audit":  "TestExamplesOfDoctorAndAudit",
}

// finds are the examples that end with 1: they show what is found.
var finds = map[string]bool{
	"eksguard review manifests/ --settings settings.yaml": true,
	"eksguard review -": true,
	"eksguard review manifests/ -o github -o sarif=eksguard.sarif": true,
	"eksguard review manifests/ -o json":                           true,
}

// TestEveryCommandHasExamplesThatWork walks all commands and runs their examples, as they stand in the help, in one folder
// that has what they name.
func TestEveryCommandHasExamplesThatWork(t *testing.T) {
	tests := testsBelow(t, "../../test/e2e")
	const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: web, annotations: {iam.amazonaws.com/role: none}}\n"
	t.Chdir(t.TempDir())
	host := prepareForExamples(t, pod)
	ran := map[string]bool{}
	walk(cli.NewRoot(), func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		examples := help.Examples(cmd.Example)
		if len(examples) == 0 {
			t.Errorf("%s: the help has no example", path)
		}
		for _, example := range examples {
			if !strings.HasPrefix(example.Line+" ", path+" ") {
				t.Errorf("%s: %q is an example of another command", path, example.Line)
			}
			if name := inCluster[path]; name != "" {
				if !tests[name] {
					t.Errorf("%s: there is no test %s below test/e2e, which is to run its examples", path, name)
				}
				continue
			}
			ran[example.Line] = true
			want := 0
			if finds[example.Line] {
				want = 1
			}
			var stdout, stderr bytes.Buffer
			code := cli.Run(onHost(example.Args, host), strings.NewReader(pod), &stdout, &stderr)
			if code != want || stderr.Len() > 0 {
				t.Errorf("%s: exit code %d, want %d\n%s%s", example.Line, code, want, &stdout, &stderr)
			}
			if stdout.Len() == 0 && path != "eksguard fmt" {
				t.Errorf("%s: it prints nothing", example.Line)
			}
		}
	})
	for line := range finds {
		if !ran[line] {
			t.Errorf("%s: it is no example any more", line)
		}
	}
	if text, err := os.ReadFile("eksguard.sarif"); err != nil || !strings.Contains(string(text), `"ruleId": "iam-role/`) {
		t.Errorf("eksguard.sarif: %v: %s", err, text)
	}
}

// walk visits all commands that do something.
func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	if cmd.Runnable() {
		visit(cmd)
	}
	for _, below := range cmd.Commands() {
		walk(below, visit)
	}
}

// onHost has the registry at hand stand for those in the examples, and the key at hand for one of another algorithm.
func onHost(args []string, host string) (there []string) {
	for _, arg := range args {
		remote := strings.HasPrefix(arg, "registry.example.com/")
		arg = strings.NewReplacer("registry.example.com/", host+"/", "localhost:5000/", host+"/", "RS256", "ES256").Replace(arg)
		if there = append(there, arg); remote {
			there = append(there, "--plain-http")
		}
	}
	return there
}

// prepareForExamples makes what the examples name in the current folder, and what other programs would write into files,
// and starts a registry. It returns the registry's address.
func prepareForExamples(t *testing.T, pod string) (host string) {
	t.Helper()
	for _, args := range []string{
		"new policy iam_role --dir policies", "new policy image_tags --dir mine", "bundle build policies/ --output bundle.tar.gz",
	} {
		if code, _, stderr := run("", args); code != 0 {
			t.Fatal(stderr)
		}
	}
	// Beside the default bundle.
	write(t, "mine/.manifest", `{"roots": ["eksguard/image_tags", "eksguard/image_tags_test", "eksguard_settings/image_tags"]}`)
	write(t, "mine/data.yaml", "eksguard_settings: {image_tags: {label: team}}\n")
	private, public := keyPair(t)
	for name, text := range map[string]string{
		"private.pem": private, "public.pem": public,
		"crds/none.yaml":     "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}]\n",
		"reviews/none.txt":   "",
		"manifests/pod.yaml": pod, "new/pod.yaml": pod, "old/pod.yaml": pod,
		"namespaces.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: web}\n",
		"settings.yaml":   "cluster: {account: '555555555555'}\n",
	} {
		write(t, name, text)
	}
	t.Setenv("SIGNING_KEY", private)
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	host = strings.TrimPrefix(server.URL, "http://")
	if code, _, stderr := run("", "bundle push bundle.tar.gz "+host+"/policies:dev --plain-http"); code != 0 {
		t.Fatal(stderr)
	}
	return host
}

// testsBelow gives the names of the tests in the files below a folder.
func testsBelow(t *testing.T, folder string) map[string]bool {
	t.Helper()
	tests := map[string]bool{}
	err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, found := range regexp.MustCompile(`(?m)^func (Test\w+)`).FindAllStringSubmatch(read(t, path), -1) {
			tests[found[1]] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}
