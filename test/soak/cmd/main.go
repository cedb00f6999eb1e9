// Command cmd soaks eksguard and prints what came of it. Its exit status is 1 if there is a violation.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mozilla-iam/eksguard/test/soak"
)

func main() {
	o := soak.Options{Progress: os.Stdout}
	flag.DurationVar(&o.Duration, "duration", 0, "how long it goes on (default 30m)")
	flag.StringVar(&o.Binary, "binary", "", "eksguard (default bin/eksguard)")
	flag.StringVar(&o.Settings, "settings", "", "file with settings that are laid over those that the verdicts go by")
	flag.IntVar(&o.Writers, "writers", 0, "how many write at once (default 4)")
	flag.Uint64Var(&o.Seed, "seed", 0, "what orders the disturbances (default 1)")
	flag.StringVar(&o.Only, "only", "", "text in the names of the disturbances that happen (default all)")
	flag.StringVar(&o.Logs, "logs", "", "folder for the logs of the replicas")
	flag.Parse()
	os.Exit(run(o))
}

func run(o soak.Options) int {
	// What envtest logs is in its errors too. Without a logger, controller-runtime complains after 30 seconds.
	log.SetLogger(logr.New(log.NullLogSink{}))
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	report, err := soak.Run(ctx, o)
	if report != nil {
		if writeErr := report.Write(os.Stdout); writeErr != nil {
			err = writeErr
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		return 1
	}
	if len(report.Violations()) > 0 {
		return 1
	}
	return 0
}
