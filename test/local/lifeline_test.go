package local_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/mozilla-iam/eksguard/test/local"
)

// diesEnv makes TestProgramDies do so.
const diesEnv = "EKSGUARD_LOCAL_TEST_DIES"

// left is what the program that died has left.
type left struct {
	Dir       string
	Processes []local.Process
}

// TestProgramDies is not a test but the program of the one below, in a process of its own.
func TestProgramDies(t *testing.T) {
	if os.Getenv(diesEnv) == "" {
		t.Skip("run by TestNothingIsLeftByAProgramThatDies")
	}
	c, err := local.StartControlPlane(t.Context(), local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewEncoder(os.Stderr).Encode(left{Dir: c.Dir, Processes: c.Processes()}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func TestNothingIsLeftByAProgramThatDies(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes; -short is set")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestProgramDies$")
	cmd.Env = append(os.Environ(), diesEnv+"=1")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var l left
	if err := json.NewDecoder(stderr).Decode(&l); err != nil || len(l.Processes) != 2 {
		t.Fatalf("the program left %+v (%v)", l, err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the program did not die")
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		alive, err := local.Alive(l.Processes, l.Dir)
		if err != nil {
			t.Fatal(err)
		}
		_, folderErr := os.Stat(l.Dir)
		if len(alive) == 0 && errors.Is(folderErr, os.ErrNotExist) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("left: %v, folder %s (%v)", alive, l.Dir, folderErr)
		}
	}
}
