package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mozilla-iam/eksguard/test/checkout"
)

// The demo is a test as well: `make demo` fails if eksguard admits what it is to deny. Here the manifest that is to be
// denied for a typing error has none.
func TestTheDemoFailsOnAWrongVerdict(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a control plane; -short is set")
	}
	if err := checkout.Inputs(); err != nil {
		t.Fatal(err)
	}
	root, err := checkout.Root()
	if err != nil {
		t.Fatal(err)
	}
	copied := t.TempDir()
	if err := os.CopyFS(filepath.Join(copied, "test", "demo"), os.DirFS(filepath.Join(root, "test",
		"demo"))); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"bin", "test/controlplane"} {
		if err := os.MkdirAll(filepath.Join(copied, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"test/controlplane/go.mod", "bin/etcd", "bin/kube-apiserver", "bin/kubectl",
		"bin/kube-controller-manager"} {
		if err := os.Symlink(filepath.Join(root, file), filepath.Join(copied, file)); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(t.TempDir(), "demo")
	build(t, program, ".")
	build(t, filepath.Join(copied, "bin", "eksguard"), "github.com/mozilla-iam/eksguard/cmd/eksguard")
	right, err := os.ReadFile(filepath.Join(copied, manifests, "aws-auth-admin2-confirmed.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(copied, manifests, "aws-auth-typo.yaml"), right, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "demo")
	cmd.Dir = copied
	told, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 ||
		!strings.Contains(string(told), "✗ admitted: not what should have come of it") ||
		!strings.Contains(string(told), "kubectl apply --server-side -f aws-auth-typo.yaml") {
		t.Errorf("it ended with %v:\n%s", err, told)
	}
}

func build(t *testing.T, program, from string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, from).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
