// Command openapi asks a real API server for its OpenAPI documents and writes what internal/openapi keeps of them.
//
//	go run ./test/openapi FILE
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mozilla-iam/eksguard/test/local"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "openapi:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	if len(args) != 1 {
		return fmt.Errorf("got %d arguments, want one: the file to write", len(args))
	}
	log.SetLogger(logr.New(log.NullLogSink{}))
	plane, err := local.StartControlPlane(ctx, local.Options{})
	if err != nil {
		return err
	}
	defer func() {
		if stopErr := plane.Stop(); err == nil {
			err = stopErr
		}
	}()
	schemas, err := fetch(ctx, plane.Kubeconfig)
	if err != nil {
		return err
	}
	text, err := schemas.Encode()
	if err != nil {
		return err
	}
	return os.WriteFile(args[0], text, 0o644)
}
