package e2e

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mozilla-iam/eksguard/test/local"
)

// Kubectl is somebody at a terminal, in folder testdata.
type Kubectl struct {
	t       testing.TB
	kubectl *local.Kubectl
	stdin   string
}

// Kubectl returns a kubectl for the administrator.
func (c *Cluster) Kubectl(t testing.TB) *Kubectl {
	t.Helper()
	kubectl := c.Plane(t).Kubectl()
	kubectl.Dir = "testdata"
	return &Kubectl{t: t, kubectl: kubectl}
}

// Reading returns a kubectl that is given this to read.
func (k *Kubectl) Reading(stdin string) *Kubectl {
	return &Kubectl{t: k.t, kubectl: k.kubectl, stdin: stdin}
}

// WithEditor returns a kubectl whose editor is this command, which is given the name of a file.
func (k *Kubectl) WithEditor(command string) *Kubectl {
	edits := *k.kubectl
	edits.Env = append([]string{"KUBE_EDITOR=" + command}, edits.Env...)
	return &Kubectl{t: k.t, kubectl: &edits, stdin: k.stdin}
}

// Run runs kubectl.
func (k *Kubectl) Run(args ...string) *Terminal {
	k.t.Helper()
	result, err := k.kubectl.Run(context.WithoutCancel(k.t.Context()), k.stdin, args...)
	if err != nil {
		k.t.Fatal(err)
	}
	return &Terminal{Result: result, t: k.t, command: "kubectl " + strings.Join(args, " ")}
}

// Terminal is what a person sees of a command. Its methods fail the test if that is not what they should see.
type Terminal struct {
	local.Result
	t       testing.TB
	command string
}

// Printed means that the command succeeded and printed exactly this, and nothing to stderr.
func (o *Terminal) Printed(stdout string) *Terminal {
	o.t.Helper()
	return o.compare(0, stdout, "")
}

// Warned means that the command succeeded, and printed exactly these.
func (o *Terminal) Warned(stdout, stderr string) *Terminal {
	o.t.Helper()
	return o.compare(0, stdout, stderr)
}

// Failed means that the command failed, and printed exactly this to stderr and nothing else.
func (o *Terminal) Failed(stderr string) *Terminal {
	o.t.Helper()
	return o.compare(1, "", stderr)
}

func (o *Terminal) compare(exitCode int, stdout, stderr string) *Terminal {
	o.t.Helper()
	want := local.Result{Stdout: stdout, Stderr: stderr, ExitCode: exitCode}
	if diff := cmp.Diff(want, o.Result); diff != "" {
		o.t.Errorf("%s (-want +got):\n%s", o.command, diff)
	}
	return o
}

// Succeeded means that the command succeeded.
func (o *Terminal) Succeeded() *Terminal {
	o.t.Helper()
	if o.ExitCode != 0 {
		o.t.Fatalf("%s: exit status %d:\n%s", o.command, o.ExitCode, o.Output())
	}
	return o
}

// Denied means that the command failed, and that stderr names exactly these rules.
func (o *Terminal) Denied(rules ...string) *Terminal {
	o.t.Helper()
	if o.ExitCode == 0 {
		o.t.Fatalf("%s: it was admitted:\n%s", o.command, o.Output())
	}
	if diff := cmp.Diff(rules, rulesIn(o.Stderr)); diff != "" {
		o.t.Fatalf("%s: denied by other rules (-want +got):\n%s%s", o.command, diff, o.Output())
	}
	return o
}
