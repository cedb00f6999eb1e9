// Command generate writes what is said elsewhere already, so that nothing is written twice: of the Helm chart values.yaml
// and README.md from values.schema.json, files/needs.yaml from the catalogue of the default bundle, and files/alerts.yaml
// from deploy/monitoring/alerts.yaml; docs/metrics.md from the metrics of the code; and Grafana's dashboard, there and in the
// chart, from the panels here. `make generate` runs it at the root of the repository; `make verify` fails where its output
// and the files differ.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/bundlestatus"
	"github.com/mozilla-iam/eksguard/internal/decisionlog"
	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/internal/telemetry"
)

func main() {
	check := flag.Bool("check", false, "write nothing, and fail if a file is not as it would be written")
	flag.Parse()
	if err := run(context.Background(), *check); err != nil {
		fmt.Fprintf(os.Stderr, "generate: %v\n", err)
		os.Exit(1)
	}
}

// run writes the generated files, or checks them.
func run(ctx context.Context, check bool) error {
	files, err := generate(ctx)
	if err != nil {
		return err
	}
	for _, file := range files {
		if !check {
			if err := os.WriteFile(file.path, []byte(file.text), 0o644); err != nil { //nolint:gosec // a file of the repository
				return err
			}
			continue
		}
		found, err := os.ReadFile(file.path)
		if err != nil {
			return err
		}
		if string(found) != file.text {
			return fmt.Errorf("%s is not up to date: run `make generate`", file.path)
		}
	}
	return nil
}

// file is a generated file.
type file struct{ path, text string }

func generate(ctx context.Context) ([]file, error) {
	const chart, monitoring = "deploy/chart", "deploy/monitoring"
	schema, err := readSchema(filepath.Join(chart, "values.schema.json"))
	if err != nil {
		return nil, err
	}
	values, err := valuesFile(schema)
	if err != nil {
		return nil, err
	}
	reference, err := referenceFile(schema)
	if err != nil {
		return nil, err
	}
	b, err := bundle.Load("")
	if err != nil {
		return nil, err
	}
	snapshot, err := policy.NewSnapshot(ctx, b, nil)
	if err != nil {
		return nil, err
	}
	alerts, err := os.ReadFile(filepath.Join(monitoring, "alerts.yaml"))
	if err != nil {
		return nil, err
	}
	grafana, err := board()
	if err != nil {
		return nil, err
	}
	// Those of what a configuration turns on.
	others := prometheus.NewRegistry()
	decisionlog.RegisterMetrics(others)
	bundlestatus.RegisterMetrics(others)
	metrics, err := telemetry.Reference(others)
	if err != nil {
		return nil, err
	}
	return []file{
		{filepath.Join(chart, "files", "alerts.yaml"), string(alerts)},
		{filepath.Join(chart, "values.yaml"), values},
		{filepath.Join(chart, "README.md"), reference},
		{filepath.Join(chart, "files", "needs.yaml"), needsFile(snapshot.Needs())},
		{filepath.Join(monitoring, "dashboard.json"), grafana},
		{filepath.Join(chart, "files", "dashboard.json"), grafana},
		{filepath.Join("docs", "metrics.md"), metrics},
	}, nil
}
