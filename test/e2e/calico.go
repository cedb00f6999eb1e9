package e2e

import (
	"context"
	"os/exec"
	"slices"
	"testing"
)

// CalicoCRDs installs the CRDs of Calico, of the version that test/calico runs, and removes them, with all objects of their
// kinds, when the test ends.
func (c *Cluster) CalicoCRDs(t testing.TB) {
	t.Helper()
	c.moduleCRDs(t, "calico", "github.com/projectcalico/calico", "libcalico-go/config/crd")
}

// Felix starts Calico's Felix for the test, configured by its environment (NAME=value). It enforces NetworkPolicies in the
// network that start starts it in, until the test ends, and leaves nothing on this machine.
func (c *Cluster) Felix(t testing.TB, environment []string, start func(*exec.Cmd) error) {
	t.Helper()
	felix := c.part(t, "felix", "calico")
	commands := exec.CommandContext(t.Context(), "sh", "-c", "command -v iptables && command -v ipset && command -v conntrack")
	commands.Env = felix.Env
	if found, err := commands.Output(); err != nil {
		t.Fatalf("Felix does not find all commands that it uses, only %q (test/packages.sh installs them)", found)
	}
	const private = `mount -t tmpfs none /var/lib && mount -t tmpfs none /run && exec "$0"`
	cmd := exec.CommandContext(context.Background(), "unshare", "--mount", "sh", "-c", private, felix.Path) // StartPart ends it
	// What it may have left in the kernel in its BPF mode, in which it never ran, is outside of its network, too.
	cmd.Env = slices.Concat(felix.Env, environment, []string{"FELIX_DebugSkipCTLBCleanup=true"})
	StartPart(t, "felix", cmd, start)
}
