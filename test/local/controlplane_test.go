package local_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mozilla-iam/eksguard/test/checkout"
	"github.com/mozilla-iam/eksguard/test/local"
	"github.com/mozilla-iam/eksguard/test/local/localtest"
)

const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web}]}
`

func TestControllersMakeThePodsOfADeployment(t *testing.T) {
	c := localtest.ControlPlane(t, local.Options{ControllerManager: true})
	k := c.Kubectl()
	mustSucceed(t, k, "", "create", "namespace", "webservice-01")
	mustSucceed(t, k, deployment, "apply", "--namespace", "webservice-01", "-f", "-")
	mustSucceed(t, k, "", "wait", "--namespace", "webservice-01", "--for=create", "pod", "--selector=app=web", "--timeout=30s")

	const owner = "jsonpath={.items[0].metadata.ownerReferences[0].kind} {.items[0].spec.serviceAccountName}"
	if got := mustSucceed(t, k, "", "get", "pods", "--namespace", "webservice-01", "-o", owner); got != "ReplicaSet default" {
		t.Errorf("the Pod's owner and ServiceAccount are %q, want %q", got, "ReplicaSet default")
	}
	mustSucceed(t, k, "", "delete", "namespace", "webservice-01", "--timeout=60s")

	if names := namesOf(c.Processes()); names != "etcd kube-apiserver kube-controller-manager" {
		t.Errorf("processes are %s", names)
	}
	stopped(t, c)
}

func TestControlPlaneStops(t *testing.T) {
	for name, before := range map[string]func(t *testing.T, c *local.ControlPlane){
		"as it is":                     func(*testing.T, *local.ControlPlane) {},
		"when the API server has died": func(t *testing.T, c *local.ControlPlane) { kill(t, c, "kube-apiserver") },
	} {
		t.Run(name, func(t *testing.T) {
			c := localtest.ControlPlane(t, local.Options{})
			before(t, c)
			stopped(t, c)
		})
	}
}

func TestControlPlaneListensOnLoopbackOnly(t *testing.T) {
	c := localtest.ControlPlane(t, local.Options{})
	if !strings.HasPrefix(c.Config.Host, "https://127.0.0.1:") {
		t.Errorf("the API server is at %s", c.Config.Host)
	}
}

func TestStartOfControlPlaneFails(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes; -short is set")
	}
	t.Run("without binaries, and says how to build them", func(t *testing.T) {
		_, err := local.StartControlPlane(t.Context(), local.Options{BinDir: t.TempDir()})
		if !errors.Is(err, local.ErrNoBinary) || !strings.Contains(err.Error(), "test/controlplane/build.sh") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("when the context has ended, and leaves nothing running", func(t *testing.T) {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := local.StartControlPlane(ctx, local.Options{Dir: dir})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
		nothingRuns(t, nil, dir)
	})
	t.Run("when the API server does not start, and tells its log", func(t *testing.T) {
		bin := binariesWith(t, "kube-apiserver", "#!/bin/sh\n[ \"$1\" = --help ] && exit 0\necho no such flag >&2\nexit 1\n")
		_, err := local.StartControlPlane(t.Context(), local.Options{BinDir: bin})
		if err == nil || !strings.Contains(err.Error(), "no such flag") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("when the controller manager does not start, and tells its log", func(t *testing.T) {
		bin := binariesWith(t, "kube-controller-manager", "#!/bin/sh\necho no such flag >&2\nexit 1\n")
		_, err := local.StartControlPlane(t.Context(), local.Options{BinDir: bin, ControllerManager: true})
		if err == nil || !strings.Contains(err.Error(), "exit status 1; the end of the log:\nno such flag") {
			t.Errorf("error is %v", err)
		}
	})
}

// binariesWith returns a folder with the repository's binaries, one of which is replaced by a script.
func binariesWith(t *testing.T, name, script string) string {
	t.Helper()
	root, err := checkout.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, binary := range []string{"etcd", "kube-apiserver", "kubectl", "kube-controller-manager"} {
		if binary == name {
			writeScript(t, filepath.Join(dir, name), script)
		} else if err := os.Symlink(filepath.Join(root, "bin", binary), filepath.Join(dir, binary)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func writeScript(t *testing.T, path, script string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
}

func kill(t *testing.T, c *local.ControlPlane, name string) {
	t.Helper()
	for _, p := range c.Processes() {
		if p.Name == name {
			if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			time.Sleep(200 * time.Millisecond)
			return
		}
	}
	t.Fatalf("%s is not among %v", name, c.Processes())
}

func stopped(t *testing.T, c *local.ControlPlane) {
	t.Helper()
	if err := c.Stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	nothingRuns(t, c.Processes(), c.Dir)
	if _, err := os.Stat(c.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("folder %s is still there (%v)", c.Dir, err)
	}
}

func nothingRuns(t *testing.T, processes []local.Process, dir string) {
	t.Helper()
	left, err := local.Alive(processes, dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left running: %v (%v)", left, err)
	}
	for _, p := range processes {
		if err := syscall.Kill(p.PID, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("%s is still there (%v)", p.Name, err)
		}
	}
}

func mustSucceed(t *testing.T, k *local.Kubectl, stdin string, args ...string) string {
	t.Helper()
	out, err := k.Succeed(t.Context(), stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func namesOf(processes []local.Process) string {
	var names []string
	for _, p := range processes {
		names = append(names, p.Name)
	}
	return strings.Join(names, " ")
}
