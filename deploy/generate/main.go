// Command generate writes what the Helm chart has from elsewhere, so that nothing is written twice: values.yaml and
// README.md come from values.schema.json, files/needs.yaml from the catalogue of the default bundle, and files/alerts.yaml is
// deploy/monitoring/alerts.yaml.
// `make generate` runs it; `make verify` fails where its output and the files differ.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/policy"
)

func main() {
	check := flag.Bool("check", false, "write nothing, and fail if a file is not as it would be written")
	flag.Parse()
	if err := run(context.Background(), "deploy/chart", *check); err != nil {
		fmt.Fprintf(os.Stderr, "generate: %v\n", err)
		os.Exit(1)
	}
}

// run writes the generated files of the chart in this folder, or checks them.
func run(ctx context.Context, chart string, check bool) error {
	files, err := generate(ctx, chart)
	if err != nil {
		return err
	}
	for _, file := range files {
		path := filepath.Join(chart, file.name)
		if !check {
			if err := os.WriteFile(path, []byte(file.text), 0o644); err != nil { //nolint:gosec // a file of the repository
				return err
			}
			continue
		}
		found, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if string(found) != file.text {
			return fmt.Errorf("%s is not up to date: run `make generate`", path)
		}
	}
	return nil
}

// file is a generated file, by its name in the folder of the chart.
type file struct{ name, text string }

func generate(ctx context.Context, chart string) ([]file, error) {
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
	alerts, err := os.ReadFile(filepath.Join(filepath.Dir(chart), "monitoring", "alerts.yaml"))
	if err != nil {
		return nil, err
	}
	return []file{
		{filepath.Join("files", "alerts.yaml"), string(alerts)},
		{"values.yaml", values},
		{"README.md", reference},
		{filepath.Join("files", "needs.yaml"), needsFile(snapshot.Needs())},
	}, nil
}
