package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/mozilla-iam/eksguard/test/checkout"
	"github.com/mozilla-iam/eksguard/test/local"
)

// inBackground is the command of the process that up leaves behind.
const inBackground = "background"

const (
	startPatience = 3 * time.Minute
	stopPatience  = 90 * time.Second
)

// paths are the files of what runs in the background.
type paths struct {
	root, dir, cluster, state, lock, kubeconfig string
	log, planeLog, guardLog                     string
}

func findPaths() (paths, error) {
	root, err := checkout.Root()
	if err != nil {
		return paths{}, err
	}
	dir := filepath.Join(root, "bin", "local")
	in := func(name string) string { return filepath.Join(dir, name) }
	return paths{
		root: root, dir: dir, cluster: in("cluster"), state: in("state.json"), lock: in("lock"),
		kubeconfig: filepath.Join(root, "bin", "kubeconfig"),
		log:        in("background.log"), planeLog: in("control-plane.log"), guardLog: in("eksguard.log"),
	}, nil
}

// state is what the background process tells of itself. It is written anew, as a whole, with every process that starts.
type state struct {
	// Background is the process that started the others and stops them on SIGTERM.
	Background local.Process   `json:"background"`
	Processes  []local.Process `json:"processes"`
	MetricsURL string          `json:"metricsURL"`
	// Bundle is the path of the bundle that decides, empty for the default one.
	Bundle string `json:"bundle,omitempty"`
	// Ready is set once everything works.
	Ready bool `json:"ready"`
}

func (p paths) readState() (state, error) {
	var s state
	text, err := os.ReadFile(p.state)
	if err != nil {
		return s, fmt.Errorf("reading the state: %w", err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("reading the state %q: %w", p.state, err)
	}
	return s, nil
}

func (p paths) writeState(s state) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the state: %w", err)
	}
	return replaceFile(p.state, append(text, '\n'))
}

// replaceFile writes a file in one go, so that nobody reads half of it.
func replaceFile(path string, text []byte) error {
	next := path + ".next"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return fmt.Errorf("writing %q: %w", path, err)
	}
	if err := os.Rename(next, path); err != nil {
		return fmt.Errorf("writing %q: %w", path, err)
	}
	return nil
}

// takeLock returns nil if another process has it. It is held as long as the file is open here or in the process that
// inherits it, however that ends.
func (p paths) takeLock() (*os.File, error) {
	file, err := os.OpenFile(p.lock, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, file.Close()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("locking %q: %w", p.lock, err), file.Close())
	}
	return file, nil
}

// inheritedLock is where the background process finds the lock that up has taken for it.
const inheritedLock = 3

// up starts the world in the background, unless it is there already, and tells how to use it. An empty bundle is the
// default one.
func up(ctx context.Context, out io.Writer, bundle string) error {
	n := newNarrator(out)
	p, err := findPaths()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return fmt.Errorf("making the folder of the local cluster: %w", err)
	}
	lock, err := p.takeLock()
	if err != nil {
		return err
	}
	if lock == nil {
		n.say("It is already running.")
		return p.awaitReady(ctx, n, nil)
	}
	defer func() { _ = lock.Close() }()
	if err := p.sweep(); err != nil {
		return err
	}
	n.say("Starting a control plane and eksguard in the background …")
	child, ended, err := p.startBackground(lock, bundle)
	if err != nil {
		return err
	}
	if err := p.awaitReady(ctx, n, ended); err != nil {
		n.say("Stopping …")
		_ = child.Signal(syscall.SIGTERM) // it may have ended by itself
		<-ended
		return err
	}
	return nil
}

// startBackground starts this program once more, in a session of its own so that it outlives the terminal.
func (p paths) startBackground(lock *os.File, bundle string) (child *os.Process, ended <-chan struct{}, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, fmt.Errorf("finding this program: %w", err)
	}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, nil, fmt.Errorf("creating the log: %w", err)
	}
	defer func() { _ = log.Close() }()
	args := []string{inBackground, p.state}
	if bundle != "" {
		args = append(args, "--bundle", bundle)
	}
	cmd := exec.CommandContext(context.Background(), self, args...)
	cmd.Dir = p.root
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{lock}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("starting in the background: %w", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait() // why it ended is in its log
	}()
	return cmd.Process, done, nil
}

// awaitReady waits until the background process is ready and then tells how to use it. The channel is closed if that
// process has ended; it is nil if another command has started it.
func (p paths) awaitReady(ctx context.Context, n *narrator, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		if s, err := p.readState(); err == nil && s.Ready {
			return p.explain(n, s)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting until it is ready: %w (log: %s)", ctx.Err(), p.log)
		case <-ended:
			text, _ := os.ReadFile(p.log)
			return fmt.Errorf("it did not start:\n%s", strings.TrimSpace(string(text)))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

const explanation = `
A Kubernetes control plane without nodes and eksguard with %[5]s are running.

  export KUBECONFIG=%[1]s
  bin/kubectl get namespaces
%[6]s
metrics  %[2]s
logs     %[3]s
         %[4]s
stop     make down`

// defaultTries are commands that the default bundle has something to say about.
const defaultTries = `  bin/kubectl apply -f test/demo/manifests/aws-cli-pod.yaml                # denied
  bin/kubectl --as system:serviceaccount:flux:flux get pods -A             # as somebody else
`

func (p paths) explain(n *narrator, s state) error {
	with, tries := "test/demo/settings.yaml", defaultTries
	if s.Bundle != "" {
		with, tries = "bundle "+s.Bundle, ""
	}
	n.say(explanation, p.kubeconfig, s.MetricsURL, p.guardLog, p.planeLog, with, tries)
	alive, err := local.Alive(s.Processes, p.cluster)
	if err != nil {
		return err
	}
	if len(alive) < len(s.Processes) {
		return fmt.Errorf("of %v only %v still run; see the logs, then stop it and start it again", s.Processes, alive)
	}
	return nil
}

// background runs the world until SIGTERM.
func background(ctx context.Context, bundle string) (err error) {
	p, err := findPaths()
	if err != nil {
		return err
	}
	syscall.CloseOnExec(inheritedLock) // it is this process's, not that of those that it starts
	s := state{Background: local.Process{Name: "demo", PID: os.Getpid()}, Bundle: bundle}
	if err := p.writeState(s); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.clean()) }()
	w, err := p.startWorld(ctx, &s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	if err := p.publish(w, &s); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-w.guard.Done():
		fmt.Fprintln(os.Stderr, "eksguard has ended; the control plane goes on")
		<-ctx.Done()
	}
	return nil
}

func (p paths) startWorld(ctx context.Context, s *state) (*world, error) {
	planeLog, err := os.Create(p.planeLog)
	if err != nil {
		return nil, fmt.Errorf("creating the log: %w", err)
	}
	guardLog, err := os.Create(p.guardLog)
	if err != nil {
		return nil, fmt.Errorf("creating the log: %w", err)
	}
	return startWorld(ctx, worldOptions{
		root: p.root, dir: p.cluster, bundle: s.Bundle, planeLog: planeLog, guardLog: guardLog,
		progress: func(what string) { fmt.Fprintln(os.Stderr, what) },
		started: func(process local.Process) {
			s.Processes = append(s.Processes, process)
			if err := p.writeState(*s); err != nil {
				fmt.Fprintln(os.Stderr, err) // down then relies on this process alone
			}
		},
	})
}

// publish tells the world outside that everything works.
func (p paths) publish(w *world, s *state) error {
	text, err := os.ReadFile(w.plane.Kubeconfig)
	if err != nil {
		return fmt.Errorf("reading the kubeconfig: %w", err)
	}
	if err := replaceFile(p.kubeconfig, text); err != nil {
		return err
	}
	s.MetricsURL, s.Ready = w.guard.MetricsURL, true
	return p.writeState(*s)
}

// down stops what runs in the background, and what a killed one has left.
func down(out io.Writer) error {
	n := newNarrator(out)
	p, err := findPaths()
	if err != nil {
		return err
	}
	if _, err := os.Stat(p.state); errors.Is(err, os.ErrNotExist) {
		n.say("Nothing is running.")
		return nil
	}
	n.say("Stopping …")
	if err := p.sweep(); err != nil {
		return err
	}
	n.say("Stopped.")
	return os.RemoveAll(p.dir)
}

// sweep ends every process of the state file that still is what it was, and removes what they used.
func (p paths) sweep() error {
	s, err := p.readState()
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := local.End([]local.Process{s.Background}, p.dir, stopPatience); err != nil {
		return err
	}
	if err := local.End(s.Processes, p.cluster, 10*time.Second); err != nil {
		return err
	}
	return p.clean()
}

// clean removes everything but the logs, which tell how it ended.
func (p paths) clean() error {
	var faults []error
	for _, path := range []string{p.cluster, p.state, p.kubeconfig} {
		faults = append(faults, os.RemoveAll(path))
	}
	return errors.Join(faults...)
}
