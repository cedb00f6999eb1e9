package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Kubectl runs the real kubectl. Its zero value is of no use: Path, Kubeconfig and Home are required.
type Kubectl struct {
	// Path of the program.
	Path string
	// Kubeconfig is the file that it reads, and the only one.
	Kubeconfig string
	// Home stands in for the user's home folder, so that no cache, preference or credential of theirs is used.
	Home string
	// Dir is where it runs, so what paths after -f are relative to. Default: the working directory.
	Dir string
	// Env is added to its environment, which otherwise is HOME, TMPDIR, KUBECONFIG and PATH.
	Env []string
}

// Result is what a command printed and how it ended.
type Result struct {
	Stdout, Stderr string
	ExitCode       int
}

// Output is all that a person would have seen.
func (r Result) Output() string { return r.Stdout + r.Stderr }

// Run runs kubectl with the arguments and gives it stdin to read. That kubectl fails is part of the result; an error
// means that it could not be run, or that the context ended before it did.
func (k *Kubectl) Run(ctx context.Context, stdin string, args ...string) (Result, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, k.Path, args...)
	cmd.Dir = k.Dir
	cmd.Env = append([]string{
		"HOME=" + k.Home, "TMPDIR=" + k.Home, "KUBECONFIG=" + k.Kubeconfig, "PATH=" + os.Getenv("PATH"),
	}, k.Env...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		return Result{}, fmt.Errorf("running kubectl %q: %w", args, ctx.Err())
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return Result{}, fmt.Errorf("running kubectl %q: %w", args, err)
	}
	return Result{Stdout: stdout.String(), Stderr: stderr.String(), ExitCode: cmd.ProcessState.ExitCode()}, nil
}

// Succeed is Run for a command whose failure is a fault. It returns what kubectl printed to stdout.
func (k *Kubectl) Succeed(ctx context.Context, stdin string, args ...string) (string, error) {
	result, err := k.Run(ctx, stdin, args...)
	if err != nil {
		return "", err
	}
	if result.ExitCode != 0 {
		return "", fmt.Errorf("kubectl %q: exit status %d: %s", args, result.ExitCode, strings.TrimSpace(result.Stderr))
	}
	return result.Stdout, nil
}
