package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Process is a process that this package started.
type Process struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
}

// process is a running child with its log.
type process struct {
	name string
	cmd  *exec.Cmd
	log  *processLog
	done chan struct{} // closed once the process has been waited for; err is set then
	err  error
	// unhandled says that the program leaves SIGTERM to the kernel, so that being ended by it is a clean end.
	unhandled bool
}

func startProcess(name, path string, args, env []string, log *processLog) (*process, error) {
	// Stop ends it, not the end of a context, which would kill it.
	cmd := exec.CommandContext(context.Background(), path, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), env...)
	// A group of its own, so that Ctrl-C in a terminal reaches only us: we end the processes, in the right order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	p := &process{name: name, cmd: cmd, log: log, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
		log.Close()
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// exited reports whether the process has ended, and if so how: with the end of its log.
func (p *process) exited() (bool, error) {
	select {
	case <-p.done:
		return true, p.log.attach(fmt.Errorf("%s ended by itself: %s", p.name, p.cmd.ProcessState))
	default:
		return false, nil
	}
}

// stop asks the process to end, waits, and kills it if that takes longer than the grace period. An error means that it
// did not end cleanly; either way it has ended when stop returns.
func (p *process) stop(grace time.Duration) error {
	if ended, err := p.exited(); ended {
		if p.err == nil {
			return nil
		}
		return err
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		_ = p.cmd.Process.Kill() // what cannot be signalled has ended, which the wait below shows
	}
	select {
	case <-p.done:
	case <-time.After(grace):
		_ = p.cmd.Process.Kill()
		<-p.done
		return p.log.attach(fmt.Errorf("%s was killed: it did not end within %s of SIGTERM", p.name, grace))
	}
	if p.err == nil || p.unhandled && p.killedBy(syscall.SIGTERM) {
		return nil
	}
	return p.log.attach(fmt.Errorf("%s did not end cleanly: %w", p.name, p.err))
}

// kill ends the process at once. An error means that it had ended by itself before.
func (p *process) kill() error {
	if ended, err := p.exited(); ended {
		return err
	}
	_ = p.cmd.Process.Kill() // what cannot be killed has ended, which the wait below shows
	<-p.done
	return nil
}

func (p *process) killedBy(signal syscall.Signal) bool {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == signal
}

// await polls until the answer is yes, and gives up early if the process has ended.
func (p *process) await(ctx context.Context, patience time.Duration, ask question) error {
	polling, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-p.done:
			cancel()
		case <-polling.Done():
		}
	}()
	err := poll(polling, patience, ask)
	if err == nil {
		return nil
	}
	if ended, how := p.exited(); ended {
		return how
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err() // somebody changed their mind, which the log does not explain
	}
	return p.log.attach(err)
}
