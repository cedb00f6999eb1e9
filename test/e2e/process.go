package e2e

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Process is an eksguard that need not come to guard anything.
type Process struct {
	t    testing.TB
	cmd  *exec.Cmd
	done chan struct{}
	// terminated: asked again, it would drain no longer.
	terminated sync.Once

	mu     sync.Mutex
	output bytes.Buffer
}

// Start starts the eksguard binary with these arguments. When the test ends it is killed, if it still runs.
func Start(t testing.TB, args ...string) *Process {
	t.Helper()
	return StartWith(t, nil, args...)
}

// StartWith is Start with variables (NAME=value) for its environment, which is empty otherwise.
func StartWith(t testing.TB, environment []string, args ...string) *Process {
	t.Helper()
	p := &Process{t: t, cmd: exec.Command(Binary(t), args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	// Not in a Pod, whatever this runs in.
	p.cmd.Env = append([]string{"HOME=" + t.TempDir()}, environment...)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // Exit tells how it ended
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it has ended, or is to
		<-p.done
		if t.Failed() {
			t.Logf("output of %q:\n%s", p.cmd.Args, p.Output())
		}
	})
	return p
}

// Write implements io.Writer for the process's output.
func (p *Process) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.Write(text)
}

// Output is all that it has printed.
func (p *Process) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// Done is closed once it has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Terminate sends SIGTERM, once, unless it has ended.
func (p *Process) Terminate() {
	p.t.Helper()
	p.terminated.Do(func() {
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			p.t.Fatal(err)
		}
	})
}

// Exit waits until it has ended, and returns its exit status.
func (p *Process) Exit(patience time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("eksguard has not ended after %s", patience)
	}
	return p.cmd.ProcessState.ExitCode()
}

// FreePorts returns loopback ports that nobody listens on now.
func FreePorts(t testing.TB, n int) []string {
	t.Helper()
	var ports []string
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = listener.Close() }() // nothing was accepted on it
		ports = append(ports, strconv.Itoa(listener.Addr().(*net.TCPAddr).Port))
	}
	return ports
}
