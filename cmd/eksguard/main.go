// Command eksguard is an admission webhook that keeps EKS clusters safe; see README.md.
package main

import (
	"os"

	"github.com/mozilla-iam/eksguard/internal/cli"
)

func main() { os.Exit(cli.Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
