package operations_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/mozilla-iam/eksguard/internal/doctor"
	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// guard starts the replica that registers.
func guard(t *testing.T) *e2e.Guard {
	t.Helper()
	return cluster.Guard(t, local.EksguardOptions{Settings: good, ExtraArgs: []string{"--leader-elect=true"}})
}

// replica starts another replica, which does not lead and so registers nothing, and returns its health address.
func replica(t *testing.T, settings string) string {
	t.Helper()
	ports := e2e.FreePorts(t, 2)
	health := "127.0.0.1:" + ports[1]
	p := e2e.Start(t, "serve", "--kubeconfig", cluster.Plane(t).Kubeconfig, "--settings", settings,
		"--webhook-host=127.0.0.1", "--webhook-port", ports[0], "--webhook-url", "https://localhost:"+ports[0],
		"--health-address", health, "--metrics-address=0", "--drain-delay=0s")
	t.Cleanup(func() {
		p.Terminate()
		if code := p.Exit(30 * time.Second); code != 0 {
			t.Errorf("the other replica ended with %d", code)
		}
	})
	e2e.Eventually(t, time.Minute, "the other replica is ready", func() error { return e2e.Ready("http://" + health) })
	return "http://" + health
}

// run runs a command of eksguard and returns what it prints and its exit code.
func run(t *testing.T, command string, args ...string) (stdout string, code int) {
	t.Helper()
	var out, stderr bytes.Buffer
	cmd := exec.Command(e2e.Binary(t), append([]string{command, "--kubeconfig", cluster.Plane(t).Kubeconfig}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if stderr.Len() > 0 {
		t.Logf("stderr: %s", &stderr)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// findings runs eksguard doctor and returns what these checks find, each as a line, and the exit code.
func findings(t *testing.T, checks []string, args ...string) (lines []string, code int) {
	t.Helper()
	stdout, code := run(t, "doctor", append(args, "-o", "json")...)
	var report doctor.Report
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatalf("%v:\n%s", err, stdout)
	}
	for _, c := range report.Checks {
		if c.Error != "" {
			lines = append(lines, fmt.Sprintf("%s: could not be looked at: %s", c.Name, c.Error))
		}
	}
	for _, f := range report.Findings {
		if f.Why == "" || f.Do == "" {
			t.Errorf("%q does not say why it matters and what to do: %+v", f.What, f)
		}
		if len(checks) == 0 || slices.Contains(checks, f.Check) {
			lines = append(lines, fmt.Sprintf("%s: %s: %s", f.Severity, f.Check, f.What))
		}
	}
	return lines, code
}
