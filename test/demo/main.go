// Command demo shows eksguard at work on a real control plane on this machine.
//
//	demo   plays a narrated sequence of kubectl commands against it and checks each outcome
//	up     leaves a control plane and eksguard running in the background; --bundle PATH takes that bundle, or what the
//	       configuration PATH.yaml names, with its own settings
//	down   stops them
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

const usage = "usage: demo demo|up [--bundle PATH]|down"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	// Without a logger, controller-runtime complains after 30 seconds.
	log.SetLogger(logr.New(log.NullLogSink{}))
	if len(args) == 0 {
		return fmt.Errorf("no command; %s", usage)
	}
	switch args[0] {
	case "demo":
		return demo(ctx, out)
	case "up":
		bundle, err := bundleOf(args[1:])
		if err != nil {
			return err
		}
		return up(ctx, out, bundle)
	case "down":
		return down(out)
	case inBackground: // what up starts; the argument after it only marks the process as ours
		bundle, err := bundleOf(args[2:])
		if err != nil {
			return err
		}
		return background(ctx, bundle)
	}
	return fmt.Errorf("unknown command %q; %s", args[0], usage)
}

// bundleOf reads the arguments that name a bundle, and gives its path from the root; empty is the default bundle.
func bundleOf(args []string) (string, error) {
	if len(args) == 0 {
		return "", nil
	}
	if len(args) != 2 || args[0] != "--bundle" {
		return "", fmt.Errorf("arguments %q; %s", args, usage)
	}
	path, err := filepath.Abs(args[1])
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("bundle: %w", err)
	}
	return path, nil
}
