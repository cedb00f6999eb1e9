package operations_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/help"
)

// TestExamplesOfDoctorAndAudit runs what the help of both shows, with the operator's own kubeconfig, which has a context
// named production.
func TestExamplesOfDoctorAndAudit(t *testing.T) {
	guarded := guard(t)
	dir := t.TempDir()
	config, err := clientcmd.LoadFromFile(cluster.Plane(t).Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.Contexts["production"] = config.Contexts[config.CurrentContext]
	if err := clientcmd.WriteToFile(*config, filepath.Join(dir, "kubeconfig")); err != nil {
		t.Fatal(err)
	}
	settings, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "settings.yaml"), settings, 0o600); err != nil {
		t.Fatal(err)
	}
	type outcome struct {
		Example string
		Code    int
	}
	var got []outcome
	for _, command := range []string{"doctor", "audit"} {
		text, err := exec.Command(e2e.Binary(t), command, "--help").Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, example := range help.Examples(string(text)) {
			var stdout, stderr bytes.Buffer
			cmd := exec.Command(e2e.Binary(t), example.Args...)
			for i := range cmd.Args {
				cmd.Args[i] = strings.ReplaceAll(cmd.Args[i], "http://127.0.0.1:8081", guarded.HealthURL)
			}
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "KUBECONFIG="+filepath.Join(dir, "kubeconfig"))
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			_ = cmd.Run() // the exit code is looked at below
			if stdout.Len() == 0 || stderr.Len() > 0 {
				t.Errorf("%s: stdout %q, stderr %q", example.Line, &stdout, &stderr)
			}
			got = append(got, outcome{example.Line, cmd.ProcessState.ExitCode()})
		}
	}
	want := []outcome{
		// There is no Pod of eksguard to be asked, and nobody said where else.
		{"eksguard doctor", 1},
		{"eksguard doctor --context production -o json", 1},
		{"eksguard doctor --address http://127.0.0.1:8081", 0},
		// What was there before the policies.
		{"eksguard audit", 1},
		{"eksguard audit --settings settings.yaml -o json", 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
