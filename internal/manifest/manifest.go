// Package manifest reads Kubernetes manifests: YAML streams, JSON, lists and folders of them. What cannot be read is told
// by file and line, and the rest is still read. It looks at nothing but apiVersion, kind and metadata, and never writes.
package manifest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Stdin is the path that stands for standard input, and stdinName what it is called in documents and errors.
const (
	Stdin     = "-"
	stdinName = "stdin"
)

// MaxBytes is the most that one object may have as JSON: what the API server takes as a request by default
// (k8s.io/apiserver, pkg/server/config.go, MaxRequestBodyBytes).
const MaxBytes = 3 << 20

// Document is one object of a manifest. It has an apiVersion, a kind, and a name or a generateName.
type Document struct {
	File string
	// Line is the 1-based line on which the object begins.
	Line   int
	Object *unstructured.Unstructured
}

// Error says what could not be read. Line is 0 where the fault is the whole file's.
type Error struct {
	File string
	Line int
	Err  error
}

// Error is the fault as a compiler would print it: file:line: what is wrong.
func (e Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %v", e.File, e.Err)
	}
	return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err)
}

// Unwrap gives the cause.
func (e Error) Unwrap() error { return e.Err }

// Read reads the manifests at these paths in their order: files, folders, and Stdin, which is read to its end. A folder
// is read with all folders below it, in the order of the names: what ends in .yaml, .yml or .json, and neither begins
// with a dot nor is a kustomization.yaml, which is for kustomize and not for a cluster. A path without any manifest is an
// error, so that a typing error or a pipe that broke does not pass for a clean result.
func Read(paths []string, stdin io.Reader) ([]Document, []Error) {
	var r reader
	for _, path := range paths {
		if path == Stdin {
			r.readStdin(stdin)
		} else {
			r.readPath(path)
		}
	}
	return r.documents, r.errors
}

// reader collects what is read.
type reader struct {
	documents []Document
	errors    []Error
	// found counts what was found, readable or not; a list without items is something, too.
	found int
}

func (r *reader) fail(file string, line int, err error) {
	r.found++
	r.errors = append(r.errors, Error{File: file, Line: line, Err: err})
}

func (r *reader) readStdin(stdin io.Reader) {
	text, err := io.ReadAll(stdin)
	if err != nil {
		r.fail(stdinName, 0, err)
		return
	}
	r.readAll(stdinName, func() { r.readText(stdinName, text) })
}

func (r *reader) readPath(path string) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		r.fail(path, 0, cause(err))
	case info.IsDir():
		r.readAll(path, func() { r.readFolder(path) })
	default:
		r.readAll(path, func() { r.readFile(path) })
	}
}

// readAll makes sure that read finds something.
func (r *reader) readAll(path string, read func()) {
	before := r.found
	if read(); r.found == before {
		r.fail(path, 0, errors.New("there is no manifest in it"))
	}
}

func (r *reader) readFile(path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		r.fail(path, 0, cause(err))
		return
	}
	r.readText(path, text)
}

func (r *reader) readFolder(folder string) {
	// Unlike filepath.WalkDir, a walk of the file system goes into a folder that is a symbolic link.
	_ = fs.WalkDir(os.DirFS(folder), ".", func(name string, entry fs.DirEntry, err error) error {
		path := filepath.Join(folder, filepath.FromSlash(name))
		switch {
		case err != nil:
			r.fail(path, 0, cause(err))
			return nil
		case name != "." && strings.HasPrefix(entry.Name(), "."):
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir() || !isManifest(entry.Name()):
			return nil
		}
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			return nil // a link to a folder, which may lead in a circle
		}
		r.readFile(path)
		return nil
	})
}

func isManifest(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name)) &&
		name != "kustomization.yaml" && name != "kustomization.yml"
}

// cause leaves the path out of an error that is told with it anyway.
func cause(err error) error {
	var withPath *fs.PathError
	if errors.As(err, &withPath) {
		return withPath.Err
	}
	return err
}
