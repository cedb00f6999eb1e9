package cli_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mozilla-iam/eksguard/internal/regotest"
)

// TestANewPolicyIsFit begins a policy and does with it all that can be done.
func TestANewPolicyIsFit(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, row := range []struct{ args, stdout string }{
		{"new policy image_tags", "policies/.manifest\npolicies/data.yaml\npolicies/image_tags/image_tags.rego\n" +
			"policies/image_tags/image_tags_test.rego\n"},
		{"new policy second_one", "policies/data.yaml\npolicies/second_one/second_one.rego\n" +
			"policies/second_one/second_one_test.rego\n"},
		{"fmt --check policies", ""},
		{"check policies", "policies: 2 policies with 4 rules in 2 modules (6 KiB), match conditions tried with 800 requests: ok\n"},
		{"test policies --threshold 100", "24 tests: 24 passed; 100.0 % of the lines covered\n"},
		{"bundle build policies --revision v1", "bundle.tar.gz: revision v1, 2 KiB\n"},
		{"bundle inspect bundle.tar.gz", `revision    v1
roots       eksguard
signature   none
modules     2

image-tags: Owners of namespaces
  case
  owner

second-one: Owners of namespaces
  case
  owner
`},
	} {
		code, stdout, stderr := run("", row.args)
		if code != 0 || stderr != "" {
			t.Fatalf("%s: exit code %d\n%s%s", row.args, code, stdout, stderr)
		}
		if diff := cmp.Diff(row.stdout, stdout); diff != "" {
			t.Errorf("%s: -want +got:\n%s", row.args, diff)
		}
	}
}

func TestANewPolicyIsNotWrittenOverAnything(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "there/mine/mine.rego", "package eksguard.mine\n")
	write(t, "flow/data.yaml", "eksguard: {settings: {cluster: {}}}\n")
	write(t, "taken/data.yaml", "eksguard:\n  settings:\n    cluster: {}\n    mine: {}\n")
	for _, row := range []struct{ args, stderr string }{
		{"mine --dir there", "eksguard: there/mine is there already: take another name\n"},
		{"mine --dir flow",
			"eksguard: flow/data.yaml: want eksguard.settings as a block of keys, one a line, to add a section to\n"},
		{"mine --dir taken", "eksguard: taken/data.yaml:4: settings \"mine\" are there already: take another name\n"},
		{"Image-Tags", "eksguard: name of the policy \"Image-Tags\": want lower-case words of letters and digits joined by \"_\", " +
			"such as image_tags\n"},
		{"../up", "eksguard: name of the policy \"../up\": want lower-case words of letters and digits joined by \"_\", " +
			"such as image_tags\n"},
		{"lib", "eksguard: name of the policy \"lib\": it means something else to eksguard: take another\n"},
		{"workloads", "eksguard: name of the policy \"workloads\": it means something else to eksguard: take another\n"},
		{"default", "eksguard: name of the policy \"default\": it is a word of Rego: take another\n"},
	} {
		before := list(t)
		code, stdout, stderr := run("", "new policy "+row.args)
		if code != 2 || stdout != "" {
			t.Errorf("%s: exit code %d\n%s", row.args, code, stdout)
		}
		if diff := cmp.Diff(row.stderr, stderr); diff != "" {
			t.Errorf("%s: -want +got:\n%s", row.args, diff)
		}
		if diff := cmp.Diff(before, list(t)); diff != "" {
			t.Errorf("%s: files: -before +after:\n%s", row.args, diff)
		}
	}
}

func TestTest(t *testing.T) {
	t.Chdir("testdata/test")
	for _, row := range []struct {
		name, args     string
		code           int
		stdout, stderr string
	}{
		{
			name: "what does not pass, and why", args: "--coverage", code: 1,
			stdout: `p/p.rego:16: p/red/passes: failed
  p/p.rego:16: rule "red": metadata custom.examples.passes: it does not pass, but finds red
p/p_test.rego:11: test_blue_passes: failed
  p/p_test.rego:14: count(denied) == 0
  denied: {{"field": "metadata.labels.colour", "message": "it is red", "rule": "red"}}
p/p_test.rego:17: test_a_number_is_a_fault: broken
  p/p.rego:17: eval_type_error: startswith: operand 1 must be string but got number
p/p_test.rego:21: test_cases: failed
  case red
  p/p_test.rego:23: count(p.deny) == 0 with input as _review(colour)
p/p.rego:22-23: not covered

7 tests: 2 passed, 3 failed, 1 broken, 1 skipped; 60.0 % of the lines covered
`,
		},
		{name: "one of them", args: "--run red_is", stdout: "1 tests: 1 passed\n"},
		{name: "in full", args: "--run red_is -v", stdout: "p/p_test.rego:7: test_red_is_denied: passed\n\n1 tests: 1 passed\n"},
		{
			name: "too little coverage", args: "--run red_is --threshold 90", code: 1,
			stdout: "p/p.rego:22-23: not covered\n\n1 tests: 1 passed; 60.0 % of the lines covered\n",
			stderr: "eksguard: 60.0 % of the lines are covered, want 90 %\n",
		},
		{name: "none", args: "--run nothing", code: 2,
			stderr: "eksguard: .: there is no test: want rules whose names begin with \"test_\"\n"},
		{name: "a pattern that is none", args: "--run (", code: 2,
			stderr: "eksguard: regular expression of the tests to run: error parsing regexp: missing closing ): `(`\n"},
		{name: "a threshold that is none", args: "--threshold 101", code: 2, stderr: "eksguard: --threshold 101: want 0 to 100\n"},
		{name: "no bundle", args: "nowhere", code: 2, stderr: "eksguard: bundle: stat nowhere: no such file or directory\n"},
		{name: "a bundle that does not parse", args: "../check/unparsed", code: 2,
			stderr: "eksguard: ../check/unparsed/p/p.rego:5: unexpected } token\n"},
		{name: "another output", args: "-o yaml", code: 2, stderr: "eksguard: --output \"yaml\": want text, json or junit\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			code, stdout, stderr := run("", "test "+row.args)
			if code != row.code {
				t.Errorf("exit code %d, want %d", code, row.code)
			}
			if diff := cmp.Diff(row.stdout, stdout); diff != "" {
				t.Errorf("stdout: -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(row.stderr, stderr); diff != "" {
				t.Errorf("stderr: -want +got:\n%s", diff)
			}
		})
	}
}

func TestTestAsJSON(t *testing.T) {
	t.Chdir("testdata/test")
	code, stdout, _ := run("", "test -o json --run blue_passes|number_is --coverage")
	var got regotest.Report
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 1 {
		t.Fatalf("exit code %d, %v\n%s", code, err, stdout)
	}
	covered := 60.0
	want := regotest.Report{
		Tests: []regotest.Test{
			{Package: "data.eksguard.p_test", Name: "test_blue_passes", File: "p/p_test.rego", Line: 11, Outcome: regotest.Failed,
				FailedAt: "p/p_test.rego:14: count(denied) == 0",
				Output:   `denied: {{"field": "metadata.labels.colour", "message": "it is red", "rule": "red"}}`},
			{Package: "data.eksguard.p_test", Name: "test_a_number_is_a_fault", File: "p/p_test.rego", Line: 17, Outcome: regotest.Broken,
				Error: "p/p.rego:17: eval_type_error: startswith: operand 1 must be string but got number"},
		},
		Coverage:  &covered,
		Uncovered: []regotest.Uncovered{{File: "p/p.rego", First: 22, Last: 23}},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(regotest.Test{}, "Duration")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestTestAsJUnit(t *testing.T) {
	t.Chdir("testdata/test")
	code, stdout, _ := run("", "test -o junit")
	var got struct {
		Suites []struct {
			Name     string `xml:"name,attr"`
			Tests    int    `xml:"tests,attr"`
			Failures int    `xml:"failures,attr"`
			Errors   int    `xml:"errors,attr"`
			Skipped  int    `xml:"skipped,attr"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal([]byte(stdout), &got); err != nil || code != 1 || len(got.Suites) != 2 {
		t.Fatalf("exit code %d, %v\n%s", code, err, stdout)
	}
	for i, want := range []string{"examples 2 1 0 0", "data.eksguard.p_test 5 2 1 1"} {
		s := got.Suites[i]
		if text := fmt.Sprint(s.Name, " ", s.Tests, s.Failures, s.Errors, s.Skipped); text != want {
			t.Errorf("suite %q, want %q", text, want)
		}
	}
}

func TestFmt(t *testing.T) {
	t.Chdir(t.TempDir())
	const untidy, tidy = "package a\n\np:=1\n", "package a\n\np := 1\n"
	write(t, "tidy.rego", tidy)
	write(t, "below/untidy.rego", untidy)
	write(t, "broken.rego", "package a\n\np q\n")
	write(t, ".git/ignored.rego", untidy)
	const notParsed = "eksguard: broken.rego:3: var cannot be used for rule name\n"
	for _, row := range []struct {
		name, args     string
		code           int
		stdout, stderr string
		after          string
	}{
		{"what is not tidy is named and left", "--check below tidy.rego", 1, "below/untidy.rego\n", "", untidy},
		{"so it is with --list", "--list below", 0, "below/untidy.rego\n", "", untidy},
		{"the difference", "--check --diff below", 1, `--- below/untidy.rego
+++ below/untidy.rego (formatted)
@@ -1,4 +1,4 @@
 package a
 
-p:=1
+p := 1
 
`, "", untidy},
		{"what cannot be parsed keeps nothing else from being formatted", "", 2, "below/untidy.rego\n", notParsed, tidy},
		{"all is well", "--check below tidy.rego", 0, "", "", tidy},
		{"what is not there", "nowhere", 2, "", "eksguard: find Rego files: lstat nowhere: no such file or directory\n", tidy},
	} {
		t.Run(row.name, func(t *testing.T) {
			code, stdout, stderr := run("", "fmt "+row.args)
			if code != row.code {
				t.Errorf("exit code %d, want %d", code, row.code)
			}
			if diff := cmp.Diff(row.stdout, stdout); diff != "" {
				t.Errorf("stdout: -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(row.stderr, stderr); diff != "" {
				t.Errorf("stderr: -want +got:\n%s", diff)
			}
			if got := read(t, "below/untidy.rego"); got != row.after {
				t.Errorf("the file is %q, want %q", got, row.after)
			}
			if got := read(t, ".git/ignored.rego"); got != untidy {
				t.Errorf("a hidden file is %q", got)
			}
		})
	}
}

// Several bundles are one, as serve puts them together.
func TestSeveralBundles(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, args := range []string{"new policy one --dir first", "new policy two --dir second"} {
		if code, _, stderr := run("", args); code != 0 {
			t.Fatal(stderr)
		}
	}
	const overlap = ` of their manifests overlap: let the roots in the .manifest of each say what it holds, ` +
		"such as \"eksguard/my_policy\", and lay settings over those of another below \"eksguard_settings\"\n"
	for _, row := range []struct {
		name, args     string
		code           int
		stdout, stderr string
	}{
		{"both claim all", "test first second", 2, "", `eksguard: bundles "first" and "second": roots "eksguard" and "eksguard"` + overlap},
		{"so it is with check", "check first/ second/", 1, `[contract] bundles "first" and "second": roots "eksguard" and "eksguard"` +
			overlap + "\nfirst/ second/: 1 finding\n", ""},
		{"one that is not there", "check first nowhere", 2, "", "eksguard: bundle: stat nowhere: no such file or directory\n"},
		{"one that is given twice", "test first ./first", 2, "", "eksguard: bundle \"first\" is given twice\n"},
	} {
		t.Run(row.name, func(t *testing.T) { expect(t, row.args, row.code, row.stdout, row.stderr) })
	}
	// The second's settings go with it, and are not those that all share.
	write(t, "second/.manifest", `{"roots": ["eksguard/two", "eksguard/two_test", "eksguard_settings/two"]}`)
	write(t, "second/data.yaml", "eksguard_settings: {two: {label: team}}\n")
	write(t, "first/.manifest", `{"roots": ["eksguard/one", "eksguard/one_test", "eksguard/settings"]}`)
	for _, row := range []struct {
		name, args     string
		code           int
		stdout, stderr string
	}{
		{"both are tested", "test first second/ --threshold 100", 0, "24 tests: 24 passed; 100.0 % of the lines covered\n", ""},
		{"and checked", "check first second", 0, "first second: 2 policies with 4 rules in 2 modules (6 KiB), " +
			"match conditions tried with 800 requests: ok\n", ""},
		{"beside the default bundle", "test embedded second --run [.]two_test[.]", 0, "8 tests: 8 passed\n", ""},
		{"one alone lacks what all share", "check second", 1, "[contract] settings.cluster: missing\n\nsecond: 1 finding\n", ""},
	} {
		t.Run(row.name, func(t *testing.T) { expect(t, row.args, row.code, row.stdout, row.stderr) })
	}
	t.Run("a folder without a manifest claims what it holds", func(t *testing.T) {
		if err := os.Remove("second/.manifest"); err != nil {
			t.Fatal(err)
		}
		expect(t, "test second first", 0, "24 tests: 24 passed\n", "")
	})
	t.Run("the current folder may be one of them", func(t *testing.T) {
		t.Chdir("second")
		expect(t, "test . ../first --coverage", 0, "24 tests: 24 passed; 100.0 % of the lines covered\n", "")
	})
}

// expect runs a command line and compares all that comes of it.
func expect(t *testing.T, args string, code int, stdout, stderr string) {
	t.Helper()
	gotCode, gotStdout, gotStderr := run("", args)
	if gotCode != code {
		t.Errorf("exit code %d, want %d", gotCode, code)
	}
	if diff := cmp.Diff(stdout, gotStdout); diff != "" {
		t.Errorf("stdout: -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(stderr, gotStderr); diff != "" {
		t.Errorf("stderr: -want +got:\n%s", diff)
	}
}

func TestABundleWithFindingsIsNotBuilt(t *testing.T) {
	output := filepath.Join(t.TempDir(), "bundle.tar.gz")
	code, stdout, stderr := run("", "bundle build testdata/check/narrow --output "+output)
	if code != 1 || stdout != "" || !strings.HasSuffix(stderr, "eksguard: testdata/check/narrow: 1 finding: not built\n") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if _, err := os.Stat(output); err == nil {
		t.Error("it was built")
	}
}

func TestVerifyTellsWhatDoesNotHold(t *testing.T) {
	t.Chdir(t.TempDir())
	_, public := keyPair(t)
	write(t, "public.pem", public)
	for _, args := range []string{"new policy one", "bundle build policies"} {
		if code, _, stderr := run("", args); code != 0 {
			t.Fatal(stderr)
		}
	}
	for _, row := range []struct {
		args, stderr string
		code         int
	}{
		{"bundle.tar.gz --key public.pem --keyid k",
			"eksguard: bundle file \"bundle.tar.gz\": verify: bundle missing .signatures.json file\n", 1},
		{"bundle.tar.gz --key public.pem",
			"eksguard: --keyid is missing: want the name by which the verifier knows the key\n", 2},
		{"bundle.tar.gz --keyid k", "eksguard: want one of --key and --key-env\n", 2},
		{"bundle.tar.gz --keyid k --key-env UNSET_KEY", "eksguard: --key-env \"UNSET_KEY\": the variable is not set\n", 2},
		{"nowhere.tar.gz --key public.pem --keyid k",
			"eksguard: bundle file: open nowhere.tar.gz: no such file or directory\n", 2},
	} {
		code, stdout, stderr := run("", "bundle verify "+row.args)
		if code != row.code || stdout != "" {
			t.Errorf("%s: exit code %d, want %d\n%s", row.args, code, row.code, stdout)
		}
		if diff := cmp.Diff(row.stderr, stderr); diff != "" {
			t.Errorf("%s: -want +got:\n%s", row.args, diff)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// list gives all files below the current folder with their content.
func list(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.Walk(".", func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			files[path] = read(t, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func keyPair(t *testing.T) (private, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	privateText, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	publicText, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: privateText})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicText}))
}
