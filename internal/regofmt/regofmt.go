// Package regofmt formats Rego files with OPA's formatter. It writes a file as a whole or not at all.
package regofmt

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
	"github.com/pmezard/go-difflib/difflib"
)

// File is a Rego file as it is and as it should be.
type File struct {
	Name        string
	is, should  []byte
	permissions fs.FileMode
}

// Find gives the Rego files among paths and below the folders among them, each once and in order. A folder whose name
// begins with a dot is left out unless it is given itself.
func Find(paths []string) (files []string, err error) {
	for _, path := range paths {
		err := filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir():
				if name != path && strings.HasPrefix(entry.Name(), ".") {
					return fs.SkipDir
				}
			case name == path || filepath.Ext(name) == ".rego":
				files = append(files, name)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("find Rego files: %w", err)
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// Read reads and formats a file, and writes nothing. An error of parsing names file and line.
func Read(name string) (*File, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("format: %w", err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("format: %w", err)
	}
	formatted, err := format.SourceWithOpts(name, text, format.Opts{RegoVersion: ast.RegoV1})
	if err != nil {
		return nil, err // it names the file
	}
	return &File{Name: name, is: text, should: formatted, permissions: info.Mode().Perm()}, nil
}

// Changed tells whether formatting makes a difference.
func (f *File) Changed() bool { return !bytes.Equal(f.is, f.should) }

// Diff gives the difference in the unified format.
func (f *File) Diff() string {
	text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A: difflib.SplitLines(string(f.is)), B: difflib.SplitLines(string(f.should)),
		FromFile: f.Name, ToFile: f.Name + " (formatted)", Context: 3,
	})
	if err != nil {
		return err.Error() // only a writer that fails makes one
	}
	return text
}

// Write replaces the file by the formatted one, in one step.
func (f *File) Write() error {
	next, err := os.CreateTemp(filepath.Dir(f.Name), "."+filepath.Base(f.Name)+".*")
	if err != nil {
		return fmt.Errorf("format %q: %w", f.Name, err)
	}
	defer func() { _ = os.Remove(next.Name()) }() // it is gone where all went well
	_, err = next.Write(f.should)
	if chmodErr := next.Chmod(f.permissions); err == nil {
		err = chmodErr
	}
	if closeErr := next.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(next.Name(), f.Name)
	}
	if err != nil {
		return fmt.Errorf("format %q: %w", f.Name, err)
	}
	return nil
}
