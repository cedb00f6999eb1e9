package cli_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheck(t *testing.T) {
	t.Chdir("testdata/check")
	for _, row := range []struct {
		name, args string
		code       int
		// golden is the file with what is printed.
		golden, stderr string
	}{
		{name: "paths that lead nowhere, and a condition that does not compile", args: "misspelt", code: 1, golden: "misspelt.txt"},
		{name: "paths through functions, rules, variables and libraries, of several kinds and of any", args: "followed", code: 1,
			golden: "followed.txt"},
		{name: "a condition that holds back a violation", args: "narrow", code: 1, golden: "narrow.txt"},
		{name: "a custom kind is anything", args: "custom", golden: "custom.txt"},
		{name: "a custom kind whose definition is given", args: "custom --schemas crds", code: 1, golden: "custom-schemas.txt"},
		{name: "what breaks the contract", args: "untold", code: 1, golden: "untold.txt"},
		{name: "what does not parse", args: "unparsed", code: 1, golden: "unparsed.txt"},
		{name: "what reaches the network", args: "home", code: 1, golden: "home.txt"},
		{name: "no bundle", args: "nowhere", code: 2, stderr: "eksguard: bundle: stat nowhere: no such file or directory\n"},
		{name: "no schemas", args: "custom --schemas nowhere", code: 2,
			stderr: "eksguard: --schemas: nowhere: no such file or directory\n"},
		{name: "reviews that are none", args: "custom --reviews custom/.manifest", code: 2,
			stderr: "eksguard: --reviews: custom/.manifest: malformed AdmissionReview: kind is \"\", want \"AdmissionReview\"\n"},
		{name: "settings that nobody knows", args: "custom --settings settings.yaml", code: 1, golden: "settings.txt"},
		{name: "another output", args: "custom -o yaml", code: 2, stderr: "eksguard: --output \"yaml\": want text or json\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			code, stdout, stderr := run("", "check "+row.args)
			if code != row.code {
				t.Errorf("exit code %d, want %d", code, row.code)
			}
			want := ""
			if row.golden != "" {
				text, err := os.ReadFile(row.golden)
				if err != nil {
					t.Fatal(err)
				}
				want = string(text)
			}
			if diff := cmp.Diff(want, stdout); diff != "" {
				t.Errorf("stdout: -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(row.stderr, stderr); diff != "" {
				t.Errorf("stderr: -want +got:\n%s", diff)
			}
		})
	}
}

func TestCheckAsJSON(t *testing.T) {
	t.Chdir("testdata/check")
	code, stdout, _ := run("", "check custom --schemas crds -o json")
	want := map[string]any{
		"findings": []any{map[string]any{
			"file": "custom/p/p.rego", "line": 17.0, "check": "types",
			"message": `input.request.object.spec.weels: there is no "weels": no kind that the policy matches has it (did you mean "wheels"?)`,
		}},
		"policies": 1.0, "rules": 1.0, "modules": 1.0, "bytes": 658.0, "tried": 400.0,
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 1 {
		t.Fatalf("exit code %d, %v\n%s", code, err, stdout)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestTheDefaultPoliciesPassTheChecks(t *testing.T) {
	code, stdout, stderr := run("", "check ../../policies")
	if code != 0 || !strings.HasSuffix(stdout, ": ok\n") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
}
