// Package manifest reads Kubernetes manifests: YAML streams, JSON, lists, kustomizations and folders of them. What
// cannot be read is told by file and line, and the rest is still read. Of everything it tells where it is written, as
// far as that can be told of what was rendered. It never writes.
package manifest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mozilla-iam/eksguard/internal/kustomization"
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
	// File is the file that the object is written in. Of what was rendered it is the file that it was rendered from, as
	// far as that is known.
	File string
	// Line is the 1-based line of File on which the object begins, 0 if it is not known.
	Line int
	// Rendered is what was read, where that is not File: the place in the stream, as "stdin:14", or the folder of the
	// kustomization.
	Rendered string
	Object   *unstructured.Unstructured

	// source is the text that was read, and stream the place of the object in it; there is none if it was rendered here.
	source source
	stream Location
	// origin is the object as it is written, nil for one that is read as it is written and where it is not known.
	origin *Document
}

// Location is where the object is written.
func (d *Document) Location() Location { return Location{File: d.File, Line: d.Line} }

// Locate tells where a field of the object stands, given its path as kubectl prints it. If it is not there, the place
// is that of the nearest one that it would be in, and at last that of the object. What a kustomization changed stands
// in no one place: its place is the object's, or that in the stream that was read.
func (d *Document) Locate(field string) Location {
	steps := parseField(field)
	if d.origin != nil && d.keeps(steps) {
		return d.origin.Locate(field)
	}
	if d.source.text != nil {
		if location, ok := d.source.locate(steps); ok {
			return location
		}
		if d.Rendered != "" {
			return d.stream
		}
	}
	return d.Location()
}

// keeps tells whether what the steps lead to is as it was written.
func (d *Document) keeps(steps []step) bool {
	value, there := valueAt(d.Object, steps)
	written, was := valueAt(d.origin.Object, steps)
	return there == was && (!there || reflect.DeepEqual(value, written))
}

// Error says what could not be read. Line is 0 where the fault is the whole file's.
type Error struct {
	File string
	Line int
	Err  error
}

// Error is the fault as a compiler would print it: file:line: what is wrong.
func (e Error) Error() string {
	return fmt.Sprintf("%s: %v", Location{File: e.File, Line: e.Line}, e.Err)
}

// Unwrap gives the cause.
func (e Error) Unwrap() error { return e.Err }

// Read reads the manifests at these paths in their order: files, folders, and Stdin, which is read to its end. A folder
// is read with all folders below it, in the order of the names: what ends in .yaml, .yml or .json, and neither begins
// with a dot nor is a kustomization.yaml, which is for kustomize and not for a cluster. A path without any manifest is
// an error, so that a typing error or a pipe that broke does not pass for a clean result.
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
	written := files{}
	for i := range r.documents {
		if d := &r.documents[i]; d.source.file == stdinName {
			written.trace(d)
		}
	}
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
	if kustomization.IsName(filepath.Base(path)) {
		if folder, ok := kustomization.Parse(path, text); ok {
			r.build(folder)
			return
		}
	}
	r.readText(path, text)
}

// cause leaves the path out of an error that is told with it anyway.
func cause(err error) error {
	var withPath *fs.PathError
	if errors.As(err, &withPath) {
		return withPath.Err
	}
	return err
}
