// Package cli is the command line: one file a command. A command reads flags, wires packages together, and prints; what
// is worth deciding is decided in the packages.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

// gcPercent is how much the heap may grow between two collections; an environment with GOGC overrides it.
const gcPercent = 400

// Exit codes of all commands.
const (
	exitOK     = 0
	exitDenied = 1
	exitError  = 2
)

// errDenied ends a command with exitDenied; what was denied has been printed. errFound does so for anything else that a
// command was asked to find, and found.
var (
	errDenied = errors.New("denied")
	errFound  = errors.New("found")
)

// Run runs the command line and returns the exit code: 0 for success, 1 for a denial or a finding, 2 for anything that
// went wrong. The first SIGINT or SIGTERM asks a command to end; the second ends the process.
func Run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	if os.Getenv("GOGC") == "" {
		// What a decision allocates dies with it, and what lives is small: collecting less often costs little memory.
		debug.SetGCPercent(gcPercent)
	}
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	switch err := root.ExecuteContext(ctx); {
	case err == nil:
		return exitOK
	case errors.Is(err, errDenied), errors.Is(err, errFound):
		return exitDenied
	case errors.Is(err, errUnread):
		return exitError
	default:
		_, _ = fmt.Fprintf(stderr, "eksguard: %v\n", err)
		return exitError
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "eksguard",
		Short: "Admission webhook that keeps EKS clusters safe",
		Long: `eksguard is an admission webhook for EKS. It denies what GitOps and kubectl apply would let through: IAM roles of
other services, accidental administrators and lockouts in aws-auth, and Flux out of its namespaces.
Every rule is Rego in an OPA bundle; the default bundle is part of the binary.`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.AddCommand(newServe(), newReview(), newPolicies(), newVersion(),
		newCheck(), newTest(), newFmt(), newBundle(), newNew(), newDoctor(), newAudit())
	return root
}
