package local

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// running is an entry of the system's process table.
type running struct {
	pid, parent int
	args        string
}

// name is what the process was started as.
func (r running) name() string {
	command, _, _ := strings.Cut(r.args, " ")
	return filepath.Base(command)
}

// processTable lists the processes of this machine, from /proc where there is one and from ps elsewhere.
func processTable() ([]running, error) {
	if _, err := os.Stat("/proc/self/stat"); err == nil {
		return readProc()
	}
	out, err := exec.CommandContext(context.Background(), "ps", "-A", "-ww", "-o", "pid=,ppid=,args=").Output()
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	return parsePS(out), nil
}

func readProc() ([]running, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	var table []running
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "stat"))
		if err != nil {
			continue // it ended meanwhile
		}
		cmdline, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if err != nil {
			continue
		}
		// The second field is the program's name in parentheses, and may hold anything; state and parent follow it.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) < 2 || fields[0] == "Z" {
			continue
		}
		parent, _ := strconv.Atoi(fields[1])
		args := strings.TrimSpace(string(bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '})))
		table = append(table, running{pid: pid, parent: parent, args: args})
	}
	return table, nil
}

func parsePS(out []byte) []running {
	var table []running
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 {
			continue
		}
		pid, _ := strconv.Atoi(fields[0])
		parent, _ := strconv.Atoi(fields[1])
		table = append(table, running{pid: pid, parent: parent, args: strings.Join(fields[2:], " ")})
	}
	return table
}

// children returns the children of this process that were given a path inside dir.
func children(dir string) ([]Process, error) {
	table, err := processTable()
	if err != nil {
		return nil, err
	}
	var found []Process
	for _, r := range table {
		if r.parent == os.Getpid() && mentions(r.args, dir) {
			found = append(found, Process{Name: r.name(), PID: r.pid})
		}
	}
	return found, nil
}

// mentions reports whether an argument is, or ends in, a path inside dir.
func mentions(args, dir string) bool {
	return dir != "" && strings.Contains(args, dir+string(filepath.Separator))
}

// Alive returns those of the processes that still run. A process counts only if it was given a path inside dir: the
// kernel may have handed its id to another program since.
func Alive(processes []Process, dir string) ([]Process, error) {
	table, err := processTable()
	if err != nil {
		return nil, err
	}
	var alive []Process
	for _, p := range processes {
		if slices.ContainsFunc(table, func(r running) bool { return r.pid == p.PID && mentions(r.args, dir) }) {
			alive = append(alive, p)
		}
	}
	return alive, nil
}

// End ends those of the processes that are Alive: it asks, waits for the grace period, then kills. It is meant for what
// a program left behind that did not get to call Stop.
func End(processes []Process, dir string, grace time.Duration) error {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		alive, err := Alive(processes, dir)
		if err != nil {
			return err
		}
		for _, p := range alive {
			_ = syscall.Kill(p.PID, signal) // an error means that it has just ended
		}
		if gone, err := waitGone(alive, dir, grace); gone || err != nil {
			return err
		}
	}
	return fmt.Errorf("processes %v outlived SIGKILL", processes)
}

func waitGone(processes []Process, dir string, patience time.Duration) (bool, error) {
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		alive, err := Alive(processes, dir)
		if err != nil || len(alive) == 0 {
			return err == nil, err
		}
		if time.Now().After(deadline) {
			return false, nil
		}
	}
}
