package local_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mozilla-iam/eksguard/test/local"
	"github.com/mozilla-iam/eksguard/test/local/localtest"
)

const awsAuth = `
apiVersion: v1
kind: ConfigMap
metadata: {name: aws-auth, namespace: kube-system}
data: {mapRoles: "- rolearn: [broken"}
`

// A write right after StartEksguard is already judged, which is what it promises.
func TestEksguardGuardsOnceItHasStarted(t *testing.T) {
	c := localtest.ControlPlane(t, local.Options{})
	k := c.Kubectl()
	e := localtest.Eksguard(t, c, local.EksguardOptions{})
	result, err := k.Run(t.Context(), awsAuth, "apply", "-f", "-")
	if err != nil {
		t.Fatal(err)
	}
	if result.ExitCode != 1 || !strings.Contains(result.Stderr, "[aws-auth/unparsable]") {
		t.Errorf("kubectl ended with %d and printed %q", result.ExitCode, result.Output())
	}
	if text := get(t, e.MetricsURL); !strings.Contains(text, "\neksguard_") {
		t.Errorf("metrics are %q", text)
	}
	if err := e.Stop(); err != nil {
		t.Error(err)
	}
	nothingRuns(t, []local.Process{{Name: "eksguard", PID: e.PID}}, c.Dir)

	t.Run("and again after another one has ended", func(t *testing.T) {
		localtest.Eksguard(t, c, local.EksguardOptions{})
		if result, err := k.Run(t.Context(), awsAuth, "apply", "-f", "-"); err != nil || result.ExitCode != 1 ||
			!strings.Contains(result.Stderr, "[aws-auth/unparsable]") {
			t.Errorf("kubectl printed %q (%v)", result.Output(), err)
		}
	})
}

func TestStartOfEksguardFails(t *testing.T) {
	c := localtest.ControlPlane(t, local.Options{})
	for name, row := range map[string]struct {
		script string
		want   string
	}{
		"when it ends, and tells its log": {
			script: "#!/bin/sh\necho bad settings >&2\nexit 3\n",
			want:   "waiting for eksguard to be ready: eksguard ended by itself: exit status 3; the end of the log:\nbad settings",
		},
		"when it never gets ready, and ends it": {
			script: "#!/bin/sh\necho still thinking >&2\nexec sleep 60\n",
			want:   "still thinking",
		},
	} {
		t.Run(name, func(t *testing.T) {
			binary := filepath.Join(t.TempDir(), "eksguard")
			writeScript(t, binary, row.script)
			_, err := local.StartEksguard(t.Context(), local.EksguardOptions{
				Binary: binary, Kubeconfig: c.Kubeconfig, StartTimeout: time.Second,
			})
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("error is %v, want one with %q", err, row.want)
			}
		})
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestKubectlReadsNothingOfTheUser(t *testing.T) {
	script := filepath.Join(t.TempDir(), "kubectl")
	writeScript(t, script, "#!/bin/sh\nenv\n")
	t.Setenv("AWS_PROFILE", "production")
	k := local.Kubectl{Path: script, Kubeconfig: "/a/kubeconfig", Home: "/a/home"}
	result, err := k.Run(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, leak := range []string{"AWS_PROFILE", "HOME=" + os.Getenv("HOME") + "\n"} {
		if strings.Contains(result.Stdout, leak) {
			t.Errorf("%q is in the environment:\n%s", leak, result.Stdout)
		}
	}
	for _, want := range []string{"HOME=/a/home\n", "KUBECONFIG=/a/kubeconfig\n"} {
		if !strings.Contains(result.Stdout, want) {
			t.Errorf("%q is not in the environment:\n%s", want, result.Stdout)
		}
	}
}
