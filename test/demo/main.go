// Command demo shows eksguard at work on a real control plane on this machine.
//
//	demo   plays a narrated sequence of kubectl commands against it and checks each outcome
//	up     leaves a control plane and eksguard running in the background
//	down   stops them
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

const usage = "usage: demo demo|up|down"

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
		return up(ctx, out)
	case "down":
		return down(out)
	case inBackground: // what up starts; the argument after it only marks the process as ours
		return background(ctx)
	}
	return fmt.Errorf("unknown command %q; %s", args[0], usage)
}
