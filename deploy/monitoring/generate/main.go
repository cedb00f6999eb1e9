// Command generate writes docs/metrics.md from the metrics of the code, and Grafana's dashboard from the panels here, so
// that both are what they are checked to be. `make generate` runs it; `make verify` fails where its output and the files
// differ.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/mozilla-iam/eksguard/internal/telemetry"
)

func main() {
	check := flag.Bool("check", false, "write nothing, and fail if a file is not as it would be written")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintf(os.Stderr, "generate: %v\n", err)
		os.Exit(1)
	}
}

func run(check bool) error {
	grafana, err := board()
	if err != nil {
		return err
	}
	for path, text := range map[string]string{
		"docs/metrics.md": telemetry.Reference(), "deploy/monitoring/dashboard.json": grafana,
	} {
		if !check {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil { //nolint:gosec // a file of the repository
				return err
			}
			continue
		}
		found, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if string(found) != text {
			return fmt.Errorf("%s is stale: run `make generate`", path)
		}
	}
	return nil
}
