package cli_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mozilla-iam/eksguard/internal/cli"
)

func TestReview(t *testing.T) {
	t.Chdir("testdata/review")
	for _, row := range []struct {
		name, args, stdin string
		code              int
		stdout, stderr    string
	}{
		{
			name: "nothing is found", args: "-f fine.yaml",
			stdout: "1 object: 1 ok\n",
		},
		{
			name: "everything that can be found", args: "-f pods.yaml", code: 1,
			stdout: `pods.yaml:6: Pod here/bad: denied
  deny      colours/bad  metadata.labels.colour  pods.yaml:8
            "red" is bad
            Fix: Take another colour.

pods.yaml:10: Pod default/dull: warned
  warn      colours/dull  metadata.labels.colour  pods.yaml:12
            grey is dull
            Fix: paint it

pods.yaml:14: Pod here/art: ok
  excepted  colours/bad  metadata.labels.colour  pods.yaml:16
            "red" is bad
            Fix: Take another colour.
            Excepted until 2999-12-31: It is a painting.

pods.yaml:18: Pod here/night-: ok
  dryrun    colours/shade  metadata.labels.colour  pods.yaml:20
            a dark shade

pods.yaml:22: Pod here/american: denied
  mutate    colours/spelling
            add /metadata/labels/colour = "red"
            remove /metadata/labels/color
  deny      colours/bad  metadata.labels.colour  pods.yaml:24
            "red" is bad
            Fix: Take another colour.

pods.yaml:26: Pod here/broken: denied
  error     policy colours could not be evaluated  (failurePolicy Fail: denied)
            bundle/colours/colours.rego:43: eval_type_error: startswith: operand 1 must be string but got number

7 objects: 3 denied, 1 warned, 3 ok
`,
		},
		{
			name: "bad documents are named, and the rest is judged", args: "-f unread.yaml -f missing.yaml", code: 2,
			stdout: `unread.yaml:1: Pod here/bad: denied
  deny      colours/bad  metadata.labels.colour  unread.yaml:3
            "red" is bad
            Fix: Take another colour.

unread.yaml:6: not read: mapping values are not allowed in this context
unread.yaml:11: not read: apiVersion and metadata.name are missing
missing.yaml: not read: no such file or directory

2 objects: 1 denied, 1 ok; 3 documents could not be read
`,
		},
		{
			name: "a namespace that is not known", args: "-f chameleon.yaml", code: 1,
			stdout: `chameleon.yaml:1: Pod here/chameleon: denied
  deny      colours/namespace  metadata.labels.colour  chameleon.yaml:3
            namespace "here" has no colour

note: namespace "here" not known, and judged as if without labels and annotations: give --namespaces

1 object: 1 denied
`,
		},
		{
			name: "a namespace that is", args: "-f chameleon.yaml --namespaces namespaces.yaml",
			stdout: "1 object: 1 ok\n",
		},
		{
			name: "a namespace among the manifests", args: "-f chameleon.yaml -f namespaces.yaml",
			stdout: "2 objects: 2 ok\n",
		},
		{
			name: "an update and a deletion", args: "-f - --old old.yaml --as system:serviceaccount:flux:flux", code: 1,
			stdin: "apiVersion: v1\nkind: Pod\nmetadata: {name: fine, namespace: here, labels: {colour: blue}}\n",
			stdout: `stdin:1: Pod here/fine (update): denied
  deny      colours/change  metadata.labels.colour  stdin:3
            was "green"

old.yaml:5: Pod here/gone (delete): denied
  deny      colours/gone
            system:serviceaccount:flux:flux of ["system:serviceaccounts", "system:serviceaccounts:flux", "system:authenticated"] is no painter

2 objects: 2 denied
`,
		},
		{
			name: "a deletion by who may", args: "-f fine.yaml --old old.yaml --as painter --settings settings.yaml",
			stdout: `fine.yaml:1: Pod here/fine (update): ok
  dryrun    colours/change  metadata.labels.colour  fine.yaml:3
            was "green"

2 objects: 2 ok
`,
		},
		{
			name: "what could not be read may not be gone", args: "-f missing.yaml -f fine.yaml --old old.yaml --as painter",
			code: 2,
			stdout: `fine.yaml:1: Pod here/fine (update): denied
  deny      colours/change  metadata.labels.colour  fine.yaml:3
            was "green"

missing.yaml: not read: no such file or directory

note: deletions not judged, as not all that is new could be read

1 object: 1 denied; 1 document could not be read
`,
		},
		{
			name: "JSON", args: "-f - -f missing.yaml -o json", code: 2,
			stdin: `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"art","namespace":"here","labels":{"color":"red"}}}`,
			stdout: `{
  "revision": "sha256:…",
  "objects": [
    {
      "file": "stdin",
      "line": 1,
      "rendered": "",
      "apiVersion": "v1",
      "kind": "Pod",
      "namespace": "here",
      "name": "art",
      "operation": "CREATE",
      "allowed": true,
      "violations": [
        {
          "policy": "colours",
          "rule": "bad",
          "severity": "high",
          "action": "deny",
          "field": "metadata.labels.colour",
          "message": "\"red\" is bad",
          "fix": "Take another colour.",
          "exception": {
            "policy": "colours",
            "rule": "bad",
            "name": "art",
            "reason": "It is a painting.",
            "expires": "2999-12-31"
          },
          "location": {
            "file": "stdin",
            "line": 1,
            "column": 77
          }
        }
      ],
      "effects": [],
      "mutations": [
        {
          "policy": "colours",
          "rule": "spelling",
          "action": "deny",
          "patch": [
            {
              "op": "add",
              "path": "/metadata/labels/colour",
              "value": "red"
            },
            {
              "op": "remove",
              "path": "/metadata/labels/color"
            }
          ]
        }
      ],
      "errors": []
    }
  ],
  "errors": [
    {
      "file": "missing.yaml",
      "line": 0,
      "error": "no such file or directory"
    }
  ],
  "notes": [],
  "summary": {
    "objects": 1,
    "denied": 0,
    "warned": 0,
    "ok": 1,
    "unread": 1
  }
}
`,
		},
		{
			name: "a pipe that broke", args: "-f -", code: 2,
			stdout: "stdin: not read: there is no manifest in it\n\n0 objects; 1 document could not be read\n",
		},
		{
			name: "no Namespace where there should be", args: "-f fine.yaml --namespaces fine.yaml", code: 2,
			stdout: "fine.yaml: not read: there is no Namespace in it\n\n1 object: 1 ok; 1 document could not be read\n",
		},
		{
			name: "no manifests at all", args: "", code: 2,
			stderr: "eksguard: no manifests: name files or folders, or - for stdin\n",
		},
		{
			name: "another output", args: "-f fine.yaml -o yaml", code: 2,
			stderr: "eksguard: --output \"yaml\": want text, json, sarif, junit, github or gitlab, and =FILE after it for a file\n",
		},
		{
			name: "two outputs for one screen", args: "fine.yaml -o text -o json", code: 2,
			stderr: "eksguard: --output \"json\": only one format can go to standard output; write the others to files: json=FILE\n",
		},
		{
			name: "two outputs for one file", args: "fine.yaml -o text=a -o json=./a", code: 2,
			stderr: "eksguard: --output \"json=./a\": another format goes to that file\n",
		},
		{
			name: "a file without a name", args: "fine.yaml -o json=", code: 2,
			stderr: "eksguard: --output \"json=\": the name of the file is missing\n",
		},
		{
			name: "a file that cannot be written", args: "fine.yaml -o json=nowhere/report.json", code: 2,
			stderr: "eksguard: --output: open nowhere/report.json: no such file or directory\n",
		},
		{
			name: "files as arguments, and notes of a format without a place for them",
			args: "chameleon.yaml -f fine.yaml -o junit", code: 1,
			stdout: `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="eksguard review" tests="2" failures="1">
	<testsuite name="fine.yaml" tests="1" failures="0" errors="0" id="0" time="0.000">
		<testcase name="Pod here/fine" classname="fine.yaml"></testcase>
	</testsuite>
	<testsuite name="chameleon.yaml" tests="1" failures="1" errors="0" id="1" time="0.000">
		<testcase name="Pod here/chameleon" classname="chameleon.yaml">
			<failure message="[colours/namespace] metadata.labels.colour: namespace &#34;here&#34; has no colour." type="colours/namespace">` +
				`<![CDATA[chameleon.yaml:3: [colours/namespace] metadata.labels.colour: namespace "here" has no colour.]]></failure>
		</testcase>
	</testsuite>
</testsuites>
`,
			stderr: "eksguard: note: namespace \"here\" not known, and judged as if without labels and annotations: give --namespaces\n",
		},
		{
			name: "a kustomization", args: "kustomized", code: 1,
			stdout: `kustomized/base/pod.yaml:1: Pod here/web (from kustomized/prod): denied
  deny      colours/bad  metadata.labels.colour  kustomized/base/pod.yaml:6
            "red" is bad
            Fix: Take another colour.

1 object: 1 denied
`,
		},
		{
			name: "what helm rendered", args: "-", code: 1,
			stdin: "---\n# Source: web/templates/pod.yaml\napiVersion: v1\nkind: Pod\n" +
				"metadata: {name: web, namespace: here, labels: {colour: red}}\n",
			stdout: `web/templates/pod.yaml: Pod here/web (from stdin:3): denied
  deny      colours/bad  metadata.labels.colour  stdin:5
            "red" is bad
            Fix: Take another colour.

1 object: 1 denied
`,
		},
		{
			name: "a group of no one", args: "-f fine.yaml --as-group dev", code: 2,
			stderr: "eksguard: --as-group: want the user, too: --as\n",
		},
		{
			name: "stdin twice", args: "-f - --old -", code: 2,
			stderr: "eksguard: stdin (-) can be read only once\n",
		},
		{
			name: "no bundle", args: "-f fine.yaml --bundle nowhere", code: 2,
			stderr: "eksguard: bundle: stat nowhere: no such file or directory\n",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			code, stdout, stderr := run(row.stdin, "review --bundle bundle "+row.args)
			stdout = regexp.MustCompile(`sha256:[0-9a-f]+`).ReplaceAllString(stdout, "sha256:…")
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

func TestReviewByTheDefaultBundle(t *testing.T) {
	const pod = `apiVersion: v1
kind: Pod
metadata:
  name: web
  annotations: {iam.amazonaws.com/role: "arn:aws:iam::123456789012:role/somebody-else"}
`
	code, stdout, stderr := run(pod, "review -f -")
	if code != 1 || !strings.HasPrefix(stdout, "stdin:1: Pod default/web: denied\n") || stderr != "" {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
}

// run runs the command line with these arguments, which are separated by spaces.
func run(stdin, args string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = cli.Run(strings.Fields(args), strings.NewReader(stdin), &out, &err)
	return code, out.String(), err.String()
}
