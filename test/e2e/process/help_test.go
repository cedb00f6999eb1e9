package process_test

import (
	"os/exec"
	"testing"
	"time"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/help"
)

// TestExamplesOfServe runs what the help shows, on ports of its own, outside of the cluster.
func TestExamplesOfServe(t *testing.T) {
	text, err := exec.Command(e2e.Binary(t), "serve", "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	examples := help.Examples(string(text))
	if len(examples) == 0 {
		t.Fatalf("no example:\n%s", text)
	}
	plane := cluster.Plane(t)
	if err := plane.CreateNamespace(t.Context(), "eksguard-system"); err != nil {
		t.Fatal(err)
	}
	for _, example := range examples {
		t.Run(example.Line, func(t *testing.T) {
			for i, arg := range example.Args {
				if arg == "settings.yaml" {
					example.Args[i] = standardSettings
				}
			}
			ports := e2e.FreePorts(t, 3)
			own := serve(plane.Kubeconfig, ports, "--leader-elect=false", "--drain-delay=0s")
			p := e2e.Start(t, append(example.Args, own[1:]...)...)
			e2e.Eventually(t, time.Minute, "it is ready", func() error { return e2e.Ready("http://127.0.0.1:" + ports[1]) })
			p.Terminate()
			if code := p.Exit(30 * time.Second); code != 0 {
				t.Errorf("it ended with %d:\n%s", code, p.Output())
			}
		})
	}
}
