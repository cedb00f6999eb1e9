package e2e

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/mozilla-iam/eksguard/test/local"
)

// CertManagerCRDs installs the CRDs of cert-manager, of the version that test/certmanager runs, and removes them, with all
// objects of their kinds, when the test ends.
func (c *Cluster) CertManagerCRDs(t testing.TB) {
	t.Helper()
	root, err := local.Root()
	if err != nil {
		t.Fatal(err)
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/cert-manager/cert-manager")
	list.Dir = filepath.Join(root, "test", "certmanager")
	folder, err := list.Output()
	if err != nil {
		t.Fatalf("%v (test/certmanager/build.sh brings the module)", err)
	}
	options := envtest.CRDInstallOptions{Paths: []string{filepath.Join(strings.TrimSpace(string(folder)), "deploy", "crds")}}
	if _, err := envtest.InstallCRDs(c.Plane(t).Config, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// It waits until they are gone, so that the next test can install them again.
		c.Kubectl(t).Run("delete", "--ignore-not-found", "--timeout=60s", "-f", options.Paths[0]).Succeeded()
	})
}

// CertManager starts the controllers of cert-manager for the test, whose CRDs must be there, as the administrator. Secrets of
// ClusterIssuers are in namespace cert-manager. Stop ends them before the test does.
func (c *Cluster) CertManager(t testing.TB) (stop func()) {
	t.Helper()
	plane := c.Plane(t)
	path := filepath.Join(plane.BinDir, "cert-manager")
	if !exists(path) {
		t.Fatalf("there is no %s (test/certmanager/build.sh builds it)", path)
	}
	// It stops by its stdin, which ends at the latest with the test binary.
	cmd := exec.CommandContext(context.Background(), path, plane.Kubeconfig)
	cmd.Env = []string{"HOME=" + t.TempDir()}
	log := &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = log, log
	// A group of its own: Ctrl-C is for the test binary.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			kill := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() }) // Wait tells
			defer kill.Stop()
			_ = stdin.Close() // an error means that it has ended, of which Wait tells
			if err := cmd.Wait(); err != nil {
				t.Errorf("cert-manager did not end cleanly: %v", err)
			}
		})
	}
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("log of cert-manager:\n%s", log)
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
