package iamrole_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/mozilla-iam/eksguard/test/checkout"
)

// question and answer are what the decider takes and gives.
type question struct {
	Settings   string `json:"settings"`
	Annotation string `json:"annotation"`
	Allowed    string `json:"allowed"`
	Namespace  string `json:"namespace"`
	Role       string `json:"role"`
}

type answer struct {
	Pod       []string `json:"pod"`
	Namespace []string `json:"namespace"`
	Faults    []string `json:"faults"`
}

// decider is a running process that decides, built without the fuzzer's instrumentation.
type decider struct {
	questions *json.Encoder
	answers   *json.Decoder
}

// binary is the decider's, once TestMain has built it.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if err := checkout.Inputs(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "decider")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "decider")
	if out, err := exec.Command("go", "build", "-o", binary, "./decider").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the decider: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

func newDecider(t testing.TB) *decider {
	t.Helper()
	process := exec.Command(binary)
	process.Stderr = os.Stderr
	in, err := process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, process, in) })
	return &decider{questions: json.NewEncoder(in), answers: json.NewDecoder(out)}
}

// stop ends the decider as the end of its input does.
func stop(t testing.TB, process *exec.Cmd, in io.Closer) {
	t.Helper()
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if err := process.Wait(); err != nil {
		t.Errorf("the decider: %v", err)
	}
}

func (d *decider) ask(t testing.TB, q question) (a answer) {
	t.Helper()
	if err := d.questions.Encode(q); err != nil {
		t.Fatalf("asking the decider: %v", err)
	}
	if err := d.answers.Decode(&a); err != nil {
		t.Fatalf("hearing the decider: %v", err)
	}
	return a
}
