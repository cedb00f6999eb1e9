package process_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mozilla-iam/eksguard/test/checkout"
	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
	"github.com/mozilla-iam/eksguard/test/walkthrough"
)

// TestRunbooks does what docs/runbooks.md tells to do, with the commands that stand there. What nodes would do,
// starting and ending eksguard's Pods, the test does.
func TestRunbooks(t *testing.T) {
	commands := runbookCommands(t)
	shell := newOperator(t)
	done := map[string]bool{}
	section := func(t *testing.T, title string) []string {
		t.Helper()
		done[title] = true
		if len(commands[title]) == 0 {
			t.Fatalf("docs/runbooks.md shows no command below %q", title)
		}
		return commands[title]
	}
	kubectl := cluster.Kubectl(t)
	start := func() *e2e.Guard { // until the end of this test
		return cluster.Guard(t, local.EksguardOptions{Settings: standardSettings})
	}
	guard := start()
	kubectl.Run("apply", "-f", "runbooks/deployment.yaml").Succeeded()
	t.Cleanup(func() { kubectl.Run("delete", "-f", "runbooks/deployment.yaml").Succeeded() })
	role := func(t *testing.T) *e2e.Outcome {
		t.Helper()
		return cluster.As(t, admin).Create(e2e.Manifest(t, "manifests/pod.yaml", ownRole, ""), e2e.DryRun)
	}
	role(t).Denied("iam-role/form")

	t.Run("every replica is gone, and the cluster takes writes again", func(t *testing.T) {
		if err := guard.Stop(); err != nil {
			t.Fatal(err)
		}
		role(t).Unanswered("iam-role.eksguard.io")
		began, bypass := time.Now(), section(t, "Emergency bypass")
		last := len(bypass) - 1
		for _, command := range bypass[:last] {
			shell.run(t, command, 0)
		}
		e2e.Eventually(t, 30*time.Second, "what the runbook tries passes", func() error {
			output, code := shell.try(bypass[last])
			if code != 0 {
				return errors.New(output)
			}
			return nil
		})
		t.Logf(
			"from the first command until the cluster took what had been refused: %s",
			time.Since(began).Round(time.Millisecond),
		)
		role(t).Admitted()
	})
	t.Run("eksguard guards again", func(t *testing.T) {
		recovery := section(t, "Recovery")
		shell.run(t, recovery[0], 0)
		guard = start()
		role(t).Denied("iam-role/form")
		for _, command := range recovery[1:] {
			shell.run(t, command, auditCode(command))
		}
	})
	t.Run("a policy is rolled out", func(t *testing.T) {
		for _, command := range section(t, "Rolling out a policy") {
			shell.run(t, command, auditCode(command))
		}
	})
	t.Run("alerts are looked into", func(t *testing.T) {
		for _, title := range []string{"EksguardAdminGrantAttempt", "EksguardRegistrationDrift"} {
			for _, command := range section(t, title) {
				shell.run(t, command, 0)
			}
		}
	})
	t.Run("the certificate is rotated, and no review is lost", func(t *testing.T) {
		rotation := section(t, "Rotating the certificate")
		before := certificateSecret(t)
		for i, step := range []struct {
			what     string
			patience time.Duration
			done     func(*corev1.Secret) bool
		}{
			{"another certificate is served", 2 * time.Minute, func(now *corev1.Secret) bool {
				return !bytes.Equal(now.Data["tls.crt"], before.Data["tls.crt"]) &&
					!bytes.Equal(now.Data["ca.crt"], before.Data["ca.crt"])
			}},
			{"the old authority is not trusted any more", 20 * time.Second, func(now *corev1.Secret) bool {
				return len(now.Data["previous-ca.crt"]) == 0 && bytes.Equal(registeredAuthorities(t), now.Data["ca.crt"])
			}},
		} {
			shell.run(t, rotation[i], 0)
			e2e.Eventually(t, step.patience, step.what, func() error {
				role(t).Denied("iam-role/form")
				if now := certificateSecret(t); !step.done(now) {
					return fmt.Errorf("the Secret has %d keys", len(now.Data))
				}
				return nil
			})
		}
		role(t).Denied("iam-role/form")
	})
	for title := range commands {
		if !done[title] {
			t.Errorf("docs/runbooks.md shows commands below %q that no test runs", title)
		}
	}
}

// auditCode is how a command may end: eksguard audit by 1, because of what is there, which is not the test's.
func auditCode(command string) int {
	if strings.HasPrefix(command, "eksguard audit") {
		return 1
	}
	return 0
}

// runbookCommands are the commands that begin with $ in docs/runbooks.md, by the title of their section.
func runbookCommands(t *testing.T) map[string][]string {
	t.Helper()
	root, err := checkout.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "runbooks.md"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i]) // of items of lists
	}
	commands := map[string][]string{}
	for _, step := range walkthrough.Steps(strings.Join(lines, "\n")) {
		title := ""
		for _, line := range lines[:step.Line] {
			if heading, ok := strings.CutPrefix(line, "## "); ok {
				title = heading
			}
		}
		commands[title] = append(commands[title], step.Command)
	}
	return commands
}

// operator is somebody at a shell, with kubectl and eksguard, in a folder of their own.
type operator struct {
	dir string
	env []string
}

func newOperator(t *testing.T) *operator {
	t.Helper()
	plane, dir := cluster.Plane(t), t.TempDir()
	programs := filepath.Join(dir, "bin")
	if err := os.Mkdir(programs, 0o700); err != nil {
		t.Fatal(err)
	}
	settings, err := filepath.Abs(standardSettings)
	if err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{
		"bin/eksguard": e2e.Binary(t), "bin/kubectl": filepath.Join(plane.BinDir, "kubectl"), "settings.yaml": settings,
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return &operator{dir: dir, env: []string{
		"HOME=" + dir, "KUBECONFIG=" + plane.Kubeconfig, "PATH=" + programs + ":" + os.Getenv("PATH")}}
}

// try runs a command and returns what it printed and its exit code.
func (o *operator) try(command string) (string, int) {
	cmd := exec.CommandContext(context.Background(), "bash", "-c", command)
	cmd.Dir, cmd.Env = o.dir, o.env
	output, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		return err.Error(), -1
	}
	return string(output), cmd.ProcessState.ExitCode()
}

// run runs a command that must succeed, or end with a code up to most.
func (o *operator) run(t *testing.T, command string, most int) {
	t.Helper()
	if output, code := o.try(command); code < 0 || code > most {
		t.Fatalf("$ %s\nexit code %d:\n%s", command, code, output)
	}
}

func certificateSecret(t *testing.T) *corev1.Secret {
	t.Helper()
	secret, err := cluster.Clients(t).
		CoreV1().
		Secrets("eksguard-system").
		Get(t.Context(), "eksguard-certificate", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// registeredAuthorities are those that the API server is told to trust.
func registeredAuthorities(t *testing.T) []byte {
	t.Helper()
	configuration, err := cluster.Clients(t).AdmissionregistrationV1().ValidatingWebhookConfigurations().
		Get(t.Context(), "eksguard", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return configuration.Webhooks[0].ClientConfig.CABundle
}
