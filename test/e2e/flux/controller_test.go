package flux_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/mozilla-iam/eksguard/test/checkout"
	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// flux is a running Flux, as far as it takes to deploy: kustomize-controller, and what source-controller would hand to
// it, by source.
type flux struct {
	source *source
}

// startFlux starts Flux for the test, under the ServiceAccount and in the namespace that it has on a cluster. When the
// test ends, it first prunes all that it has deployed: start eksguard after it, so that nobody objects by then.
func startFlux(t testing.TB) *flux {
	t.Helper()
	plane := cluster.Plane(t)
	installCRDs(t)
	f := &flux{source: startSource(t)}
	startController(t, tokenKubeconfig(t, plane, "flux-system", "kustomize-controller"))
	t.Cleanup(func() {
		for _, kind := range []string{"kustomizations", "gitrepositories"} {
			kubectl(t, "delete", kind, "--all", "--all-namespaces", "--timeout=30s")
		}
	})
	return f
}

// kubectl runs a command of the administrator that has to succeed.
func kubectl(t testing.TB, args ...string) string {
	t.Helper()
	return cluster.Kubectl(t).Run(args...).Succeeded().Stdout
}

// tokenKubeconfig makes a kubeconfig with a token of a ServiceAccount, such as a Pod is given.
func tokenKubeconfig(t testing.TB, plane *local.ControlPlane, namespace, name string) (path string) {
	t.Helper()
	lifetime := int64(time.Hour / time.Second)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &lifetime}}
	token, err := plane.Client().CoreV1().ServiceAccounts(namespace).
		CreateToken(t.Context(), name, request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config := &rest.Config{
		Host:            plane.Config.Host,
		TLSClientConfig: rest.TLSClientConfig{CAData: plane.Config.CAData},
		BearerToken:     token.Status.Token,
	}
	path = filepath.Join(t.TempDir(), "kubeconfig")
	if err := local.WriteKubeconfig(config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// supervisor runs the command that it is given until its stdin ends, which it does at the latest when the test binary
// dies.
const supervisor = `
"$0" "$@" &
controller=$!
read -r _
kill -TERM "$controller"
wait "$controller"
`

// startController starts kustomize-controller for the test.
func startController(t testing.TB, kubeconfig string) {
	t.Helper()
	path := cluster.Program(t, "kustomize-controller", "fluxcontroller")
	cmd := exec.CommandContext(context.Background(), "/bin/sh", "-c", supervisor, path, // StartPart ends it
		// Nobody asks it for these, and 0 turns them off.
		"--metrics-addr=0", "--health-addr=0",
		// Not 15 minutes: what fails is to be tried again while a test waits.
		"--max-retry-delay=2s")
	home := t.TempDir()
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "KUBECONFIG=" + kubeconfig, "RUNTIME_NAMESPACE=flux-system", "HOME=" + home,
		// It removes what it takes for its own leftovers from the folder for temporary files.
		"TMPDIR=" + home,
	}
	e2e.StartPart(t, "kustomize-controller", cmd, (*exec.Cmd).Start)
}

// installCRDs installs the CRDs of Flux, from the modules that the controller is built of. It starts only if all kinds of
// sources are there.
func installCRDs(t testing.TB) {
	t.Helper()
	const kustomize, source = "github.com/fluxcd/kustomize-controller", "github.com/fluxcd/source-controller"
	for _, module := range []string{
		folder(t, kustomize),
		folder(t, source+"@"+version(t, source+"/api")),
	} {
		crds := filepath.Join(module, "config", "crd", "bases")
		cluster.Kubectl(t).Run("apply", "--server-side", "-f", crds).Succeeded()
		cluster.Kubectl(t).Run("wait", "--for=condition=Established", "--timeout=30s", "-f", crds).Succeeded()
	}
}

// folder returns where a module is. Its version is that of test/fluxcontroller, unless it is given.
func folder(t testing.TB, module string) string {
	t.Helper()
	var downloaded struct{ Dir string }
	if err := json.Unmarshal(goCommand(t, "mod", "download", "-json", module), &downloaded); err != nil {
		t.Fatal(err)
	}
	return downloaded.Dir
}

func version(t testing.TB, module string) string {
	t.Helper()
	return strings.TrimSpace(string(goCommand(t, "list", "-m", "-f", "{{.Version}}", module)))
}

func goCommand(t testing.TB, args ...string) []byte {
	t.Helper()
	root, err := checkout.Root()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = filepath.Join(root, "test", "fluxcontroller")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %q: %v\n%s%s", args, err, stdout, &stderr)
	}
	return stdout
}
