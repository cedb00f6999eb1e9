package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/mozilla-iam/eksguard/test/local"
)

func TestVerdict(t *testing.T) {
	denial := local.Result{ExitCode: 1, Stderr: "Error from server (Forbidden): … [aws-auth/unparsable] data.mapRoles: …\n[aws-auth/node-role-lost] …"}
	for name, row := range map[string]struct {
		step       step
		result     local.Result
		text       string
		asExpected bool
	}{
		"a denial by the rule that was to deny, among others": {
			step{denied: "aws-auth/unparsable"}, denial, "denied by aws-auth/unparsable, aws-auth/node-role-lost", true},
		"a denial by other rules": {
			step{denied: "aws-auth/admin-grant"}, denial, "denied by aws-auth/unparsable, aws-auth/node-role-lost", false},
		"a denial of what was to be admitted": {
			step{}, denial, "denied by aws-auth/unparsable, aws-auth/node-role-lost", false},
		"a failure that is no denial": {
			step{denied: "aws-auth/unparsable"}, local.Result{ExitCode: 1, Stderr: "no such file"}, "failed, but eksguard did not deny it", false},
		"an admission": {
			step{}, local.Result{Stdout: "created"}, "admitted", true},
		"an admission of what was to be denied": {
			step{denied: "aws-auth/unparsable"}, local.Result{Stdout: "created"}, "admitted", false},
		"output with what it was to show": {
			step{shows: "pod/web-"}, local.Result{Stdout: "pod/web-1"}, "there it is", true},
		"output without it": {
			step{shows: "pod/web-"}, local.Result{Stdout: "none"}, `"pod/web-" is not there`, false},
	} {
		t.Run(name, func(t *testing.T) {
			text, asExpected := row.step.verdict(row.result)
			if text != row.text || asExpected != row.asExpected {
				t.Errorf("verdict is %q, %t; want %q, %t", text, asExpected, row.text, row.asExpected)
			}
		})
	}
}

func TestMetricsVerdict(t *testing.T) {
	metrics := "eksguard_reviews_total{phase=\"validate\",policy=\"flux\",verdict=\"denied\"} 12\n"
	if text, ok := metricsVerdict(metrics, map[string]int{"flux": 12}); !ok {
		t.Error(text)
	}
	if text, ok := metricsVerdict(metrics, map[string]int{"flux": 1}); ok {
		t.Error(text)
	}
}

func TestFilesOfTheStepsAreThere(t *testing.T) {
	for _, s := range steps {
		_, file, found := strings.Cut(s.command, " -f ")
		if _, err := os.Stat("manifests/" + file); found && err != nil {
			t.Errorf("%s: %v", s.command, err)
		}
	}
}

func TestAnUnexpectedOutcomeFailsTheDemo(t *testing.T) {
	var out bytes.Buffer
	n := newNarrator(&out)
	n.tell("A story.", "kubectl apply -f a.yaml")
	n.judge("admitted", true)
	if err := n.sum(); err != nil {
		t.Error(err)
	}
	n.tell("", "kubectl apply -f b.yaml")
	n.judge("admitted", false)
	if err := n.sum(); err == nil || err.Error() != "unexpected outcome of: kubectl apply -f b.yaml" {
		t.Errorf("error is %v", err)
	}
	const want = `
A story.
  $ kubectl apply -f a.yaml
  ✓ admitted

✓ All 1 outcomes are as they should be.
  $ kubectl apply -f b.yaml
  ✗ admitted: not what should have come of it

✗ 1 of 2 outcomes are not as they should be.
`
	if out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
}
