// Package ci_test runs what others take into their CI: the action of GitHub and the hook of pre-commit.
package ci_test

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/mozilla-iam/eksguard/test/checkout"
)

// root is the folder of the repository, which is the action's.
func root(t *testing.T) string {
	t.Helper()
	folder, err := checkout.Root()
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// action is what GitHub knows of an action (GitHub's documentation, "Metadata syntax for GitHub Actions").
type action struct {
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Branding    map[string]string `json:"branding"`
	Inputs      map[string]struct {
		Description string  `json:"description"`
		Default     *string `json:"default"`
	} `json:"inputs"`
	Outputs map[string]struct {
		Description string `json:"description"`
		Value       string `json:"value"`
	} `json:"outputs"`
	Runs struct {
		Using string `json:"using"`
		Steps []step `json:"steps"`
	} `json:"runs"`
}

type step struct {
	ID               string            `json:"id"`
	If               string            `json:"if"`
	Uses             string            `json:"uses"`
	With             map[string]any    `json:"with"`
	Shell            string            `json:"shell"`
	WorkingDirectory string            `json:"working-directory"`
	Env              map[string]string `json:"env"`
	Run              string            `json:"run"`
}

func readAction(t *testing.T) (a action) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), "action.yml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

var expression = regexp.MustCompile(`\$\{\{\s*(.*?)\s*\}\}`)

// runner runs the scripts of an action as GitHub's does.
type runner struct {
	action    action
	inputs    map[string]string
	workspace string
	temp      string
	outputs   string
}

func (r *runner) evaluate(t *testing.T, text string) string {
	return expression.ReplaceAllStringFunc(text, func(match string) string {
		name := expression.FindStringSubmatch(match)[1]
		if input, ok := strings.CutPrefix(name, "inputs."); ok {
			declared, ok := r.action.Inputs[input]
			if !ok || declared.Default == nil {
				t.Errorf("input %q is not declared, or has no default", input)
				return ""
			}
			if given, ok := r.inputs[input]; ok {
				return given
			}
			return *declared.Default
		}
		if name == "github.action_path" {
			return root(t)
		}
		t.Errorf("expression %q is not known here", name)
		return ""
	})
}

func (r *runner) run(t *testing.T, id string) (code int, stdout, stderr string) {
	t.Helper()
	i := slices.IndexFunc(r.action.Runs.Steps, func(s step) bool { return s.ID == id })
	s := r.action.Runs.Steps[i]
	script := filepath.Join(r.temp, id+".sh")
	if err := os.WriteFile(script, []byte(s.Run), 0o600); err != nil {
		t.Fatal(err)
	}
	// What "shell: bash" stands for.
	command := exec.Command(s.Shell, "--noprofile", "--norc", "-eo", "pipefail", script)
	command.Dir = r.workspace
	if s.WorkingDirectory != "" {
		command.Dir = r.evaluate(t, s.WorkingDirectory)
	}
	command.Env = append(os.Environ(), "RUNNER_TEMP="+r.temp, "GITHUB_OUTPUT="+r.outputs)
	for name, value := range s.Env {
		command.Env = append(command.Env, name+"="+r.evaluate(t, value))
	}
	var out, err bytes.Buffer
	command.Stdout, command.Stderr = &out, &err
	var exit *exec.ExitError
	if failure := command.Run(); errors.As(failure, &exit) {
		code = exit.ExitCode()
	} else if failure != nil {
		t.Fatal(failure)
	}
	return code, out.String(), err.String()
}

func TestAction(t *testing.T) {
	if err := checkout.Inputs(); err != nil {
		t.Fatal(err)
	}
	temp := t.TempDir()
	builder := runner{action: readAction(t), workspace: temp, temp: temp, outputs: filepath.Join(temp, "unused")}
	if code, stdout, stderr := builder.run(t, "build"); code != 0 {
		t.Fatalf("build: exit code %d\n%s%s", code, stdout, stderr)
	}
	manifests := filepath.Join(root(t), "test/demo/manifests")
	for _, row := range []struct {
		name   string
		inputs map[string]string
		code   int
		// stdout and stderr begin with these; sarif is the output.
		stdout, stderr, sarif string
	}{
		{
			name: "a denial is annotated and reported", inputs: map[string]string{"paths": "aws-cli-pod.yaml"}, code: 1,
			stdout: "::error file=aws-cli-pod.yaml,line=8,col=5,title=iam-role/form::Pod default/aws-cli: ",
			sarif:  "eksguard.sarif",
		},
		{
			name: "several paths, and another file for the report",
			inputs: map[string]string{"paths": "\nsetup/namespaces.yaml\nwebservice-01.yaml\n",
				"settings":   filepath.Join(root(t), "test/demo/settings.yaml"),
				"sarif-file": "a report.sarif"},
			stdout: "3 objects: 3 ok\n", sarif: "a report.sarif",
		},
		{
			name: "the change of a user",
			inputs: map[string]string{"paths": "webservice-01.yaml", "old": "webservice-01.yaml",
				"namespaces": "setup/namespaces.yaml", "as": "jane", "as-groups": "dev\nops"},
			stdout: "1 object: 1 ok\n", sarif: "eksguard.sarif",
		},
		{
			name: "the name of a file is no output", inputs: map[string]string{"sarif-file": "a.sarif\nother=1"}, code: 2,
			stdout: "::error::eksguard: input sarif-file: want the name of a file, on one line\n",
		},
		{
			name: "an input is no script", inputs: map[string]string{"paths": "$(touch ran)\n`touch ran`\n; touch ran\n--help"},
			code:   2,
			stdout: "::error file=$(touch ran),title=review/unread::not read: no such file or directory\n",
			sarif:  "eksguard.sarif",
		},
		{
			name: "no report of an earlier run is taken for this one's", inputs: map[string]string{"settings": "gone.yaml"},
			code:   2,
			stderr: "eksguard: ",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			workspace := t.TempDir()
			if err := os.CopyFS(workspace, os.DirFS(manifests)); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(workspace, "eksguard.sarif"), []byte("earlier"), 0o600); err != nil {
				t.Fatal(err)
			}
			r := runner{action: readAction(t), inputs: row.inputs, workspace: workspace, temp: temp,
				outputs: filepath.Join(workspace, "outputs")}
			code, stdout, stderr := r.run(t, "review")
			if code != row.code || !strings.HasPrefix(stdout, row.stdout) || !strings.HasPrefix(stderr, row.stderr) {
				t.Errorf("exit code %d, want %d\nstdout: %s\nstderr: %s", code, row.code, stdout, stderr)
			}
			outputs, err := os.ReadFile(r.outputs)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			want := ""
			if row.sarif != "" {
				want = "sarif-file=" + row.sarif + "\n"
				report, err := os.ReadFile(filepath.Join(workspace, row.sarif))
				if err != nil || !strings.Contains(string(report), `"version": "2.1.0"`) {
					t.Errorf("report: %v: %.100s", err, report)
				}
			}
			if diff := cmp.Diff(want, string(outputs)); diff != "" {
				t.Errorf("outputs: -want +got:\n%s", diff)
			}
			if _, err := os.Stat(filepath.Join(workspace, "ran")); err == nil {
				t.Error("an input was run")
			}
		})
	}
}

func TestActionIsWhole(t *testing.T) {
	a := readAction(t)
	if a.Name == "" || a.Description == "" || a.Runs.Using != "composite" {
		t.Errorf("%+v", a)
	}
	used := map[string]bool{}
	note := func(text string) {
		for _, match := range regexp.MustCompile(`inputs\.([a-z-]+)`).FindAllStringSubmatch(text, -1) {
			used[match[1]] = true
		}
	}
	for _, s := range a.Runs.Steps {
		if (s.Run == "") == (s.Uses == "") || (s.Run != "" && s.Shell == "") {
			t.Errorf("step %q: want either uses, or run with a shell", s.ID+s.Uses)
		}
		if expression.MatchString(s.Run) {
			t.Errorf("step %q: an expression in a script is text of it, whatever it holds", s.ID)
		}
		note(s.If)
		for _, value := range s.Env {
			note(value)
		}
	}
	for name, input := range a.Inputs {
		if input.Description == "" || input.Default == nil {
			t.Errorf("input %q: want a description and a default", name)
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(a.Inputs)), slices.Sorted(maps.Keys(used))); diff != "" {
		t.Errorf("inputs that are declared and used: -declared +used:\n%s", diff)
	}
}
