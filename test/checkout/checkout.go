// Package checkout knows the checkout of this repository that tests run in.
package checkout

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Root returns the folder of this repository: the first one from the working directory upwards that holds
// test/controlplane/go.mod.
func Root() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the repository: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "test", "controlplane", "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("finding the repository: no folder above %q holds test/controlplane/go.mod", start)
		}
	}
}

// sources are what of the repository a program that a test starts may read or be built from.
var sources = []string{
	"cmd", "deploy", "docs", "internal", "policies", "test", "webhook",
	".pre-commit-hooks.yaml", "action.yml", "CONTRIBUTING.md", "go.mod", "go.sum", "Makefile", "README.md",
}

// Inputs has `go test` run a test again, instead of telling its last result, once any source of the repository has changed.
// Of what a test depends on, `go test` knows only what the test itself opens (cmd/go: internal/test/test.go,
// computeTestInputsID), and not what programs do that the test starts. It is for tests that start any; packages e2e and localtest
// call it.
func Inputs() error {
	root, err := Root()
	if err != nil {
		return err
	}
	for _, name := range sources {
		// This opens each folder, and so `go test` knows the sizes and times of the files in it.
		err := filepath.WalkDir(filepath.Join(root, name), func(_ string, _ fs.DirEntry, err error) error { return err })
		if err != nil {
			return fmt.Errorf("reading the repository: %w", err)
		}
	}
	return nil
}
