// Command generate writes docs/metrics.md from the metrics of the code, so that nothing is written twice.
// `make generate` runs it; `make verify` fails where its output and the file differ.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/mozilla-iam/eksguard/internal/telemetry"
)

const path = "docs/metrics.md"

func main() {
	check := flag.Bool("check", false, "write nothing, and fail if the file is not as it would be written")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintf(os.Stderr, "generate: %v\n", err)
		os.Exit(1)
	}
}

func run(check bool) error {
	text := telemetry.Reference()
	if !check {
		return os.WriteFile(path, []byte(text), 0o644) //nolint:gosec // a file of the repository
	}
	found, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if string(found) != text {
		return fmt.Errorf("%s is stale: run `make generate`", path)
	}
	return nil
}
