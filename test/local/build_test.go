package local_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mozilla-iam/eksguard/test/checkout"
)

// With KUBEBUILDER_ASSETS the control plane is not built: the binaries there are linked. What is never among them is
// left as it is.
func TestAssetsOfSetupEnvtestAreLinked(t *testing.T) {
	root, err := checkout.Root()
	if err != nil {
		t.Fatal(err)
	}
	repository, assets := t.TempDir(), t.TempDir()
	for _, name := range []string{"building.sh", "controlplane/build.sh", "controlplane/go.mod", "controlplane/go.sum"} {
		copyFile(t, filepath.Join(root, "test", name), filepath.Join(repository, "test", name))
	}
	const managed = "kube-controller-manager"
	copyFile(t, filepath.Join(root, "bin", managed), filepath.Join(repository, "bin", managed))
	// What was built after the requirements were last changed is up to date.
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(filepath.Join(repository, "bin", managed), later, later); err != nil {
		t.Fatal(err)
	}
	linked := []string{"kube-apiserver", "etcd", "kubectl"}
	for _, name := range linked {
		if err := os.WriteFile(filepath.Join(assets, name), []byte("#!/bin/sh\necho "+name+" of setup-envtest\n"),
			0o700); err != nil {
			t.Fatal(err)
		}
	}

	cmd := exec.CommandContext(t.Context(), filepath.Join(repository, "test", "controlplane", "build.sh"))
	cmd.Env = append(os.Environ(), "KUBEBUILDER_ASSETS="+assets)
	var told bytes.Buffer
	cmd.Stderr = &told
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &told)
	}
	for _, name := range linked {
		target, err := os.Readlink(filepath.Join(repository, "bin", name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(filepath.Join(assets, name), target); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if line := name + ": linked to " + target + " (KUBEBUILDER_ASSETS)\n"; !strings.Contains(told.String(), line) {
			t.Errorf("it does not tell %q:\n%s", line, &told)
		}
	}
	if info, err := os.Lstat(filepath.Join(repository, "bin",
		managed)); err != nil || !info.Mode().IsRegular() || !info.ModTime().Equal(later) {
		t.Errorf("%s is not what it was: %v, %v", managed, info, err)
	}
	if strings.Contains(told.String(), "building") {
		t.Errorf("it has built:\n%s", &told)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatalf("%v (test/controlplane/build.sh builds it)", err)
	}
	info, err := os.Stat(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, info.Mode()); err != nil {
		t.Fatal(err)
	}
}
