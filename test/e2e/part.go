package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/mozilla-iam/eksguard/test/checkout"
)

// moduleCRDs installs the CRDs in a folder of a Go module, at the version that the module in a folder of test/ requires, and
// removes them, with all objects of their kinds, when the test ends.
func (c *Cluster) moduleCRDs(t testing.TB, requiredBy, module, folder string) {
	t.Helper()
	root, err := checkout.Root()
	if err != nil {
		t.Fatal(err)
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module)
	list.Dir = filepath.Join(root, "test", requiredBy)
	dir, err := list.Output()
	if err != nil {
		t.Fatalf("%v (test/%s/build.sh brings the module)", err, requiredBy)
	}
	options := envtest.CRDInstallOptions{Paths: []string{filepath.Join(strings.TrimSpace(string(dir)), filepath.FromSlash(folder))}}
	if _, err := envtest.InstallCRDs(c.Plane(t).Config, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// It waits until they are gone, so that the next test can install them again.
		c.Kubectl(t).Run("delete", "--ignore-not-found", "--timeout=60s", "-f", options.Paths[0]).Succeeded()
	})
}

// Program is the path of a program of a part of a cluster that eksguard meets there, which test/FOLDER/build.sh builds.
func (c *Cluster) Program(t testing.TB, name, folder string) string {
	t.Helper()
	path := filepath.Join(c.Plane(t).BinDir, name)
	if !exists(path) {
		t.Fatalf("there is no %s (test/%s/build.sh builds it)", path, folder)
	}
	return path
}

// part is the command of a program of a part of a cluster.
func (c *Cluster) part(t testing.TB, name, folder string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), c.Program(t, name, folder), args...) // StartPart ends it
	cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin"}
	return cmd
}

// StartPart starts a part of a cluster for the test, a command that stops by its stdin, which ends at the latest with the test
// binary. Stop ends it before the test does. If the test fails, its log is shown.
func StartPart(t testing.TB, name string, cmd *exec.Cmd, start func(*exec.Cmd) error) (stop func()) {
	t.Helper()
	log := &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = log, log
	// A group of its own: Ctrl-C is for the test binary.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := start(cmd); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			kill := time.AfterFunc(30*time.Second, func() {
				_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // an error means that the group has just ended
			})
			defer kill.Stop()
			_ = stdin.Close() // an error means that it has ended, of which Wait tells
			if err := cmd.Wait(); err != nil {
				t.Errorf("%s did not end cleanly: %v", name, err)
			}
		})
	}
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, log)
		}
	})
	return stop
}

// lockedBuffer is a buffer that may be written and read at once.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(text)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
