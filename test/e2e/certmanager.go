package e2e

import (
	"os/exec"
	"testing"
)

// CertManagerCRDs installs the CRDs of cert-manager, of the version that test/certmanager runs, and removes them, with all
// objects of their kinds, when the test ends.
func (c *Cluster) CertManagerCRDs(t testing.TB) {
	t.Helper()
	c.moduleCRDs(t, "certmanager", "github.com/cert-manager/cert-manager", "deploy/crds")
}

// CertManager starts the controllers of cert-manager for the test, whose CRDs must be there, as the administrator. Secrets of
// ClusterIssuers are in namespace cert-manager. Stop ends them before the test does.
func (c *Cluster) CertManager(t testing.TB) (stop func()) {
	t.Helper()
	cmd := c.part(t, "cert-manager", "certmanager", c.Plane(t).Kubeconfig)
	return StartPart(t, "cert-manager", cmd, (*exec.Cmd).Start)
}
