// Package local runs a real Kubernetes control plane and a real eksguard on this machine, for the end-to-end tests, the
// benchmarks, the demo and whoever wants to try a policy.
//
// Real means the programs that a cluster runs: etcd, kube-apiserver, kube-controller-manager and kubectl, built by
// test/controlplane/build.sh, and the eksguard binary started as its users start it. Only nodes are missing, so a Pod is
// created and judged but never runs.
//
// Everything listens on loopback ports that the kernel chose, keeps its files in one folder, and is gone after Stop:
// each process is ended by its id and waited for. It is gone too, within seconds, if the program dies that started it.
// Nothing reads the user's kubeconfig, home folder or cluster.
// Functions return errors and never panic; what a process logged last is part of the error about it. Package localtest
// has the same for a *testing.T.
package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mozilla-iam/eksguard/test/checkout"
)

// ErrNoBinary is what an error wraps if a program that should run does not exist.
var ErrNoBinary = errors.New("binary does not exist")

// defaultBinDir returns dir, or bin/ of the repository if dir is empty.
func defaultBinDir(dir string) (string, error) {
	if dir != "" {
		return filepath.Abs(dir)
	}
	root, err := checkout.Root()
	if err != nil {
		return "", err
	}
	return filepath.Join(root, "bin"), nil
}

// checkBinary tells what to do if a program is not there.
func checkBinary(path, remedy string) error {
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("%w: %q (%s)", ErrNoBinary, path, remedy)
	}
	return nil
}
