package manifest

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mozilla-iam/eksguard/internal/kustomization"
)

// readFolder reads the manifests in a folder and below it. A folder with a kustomization in it stands for what that
// makes, once: what other kustomizations are made of is not read besides.
func (r *reader) readFolder(path string) {
	f := folder{reader: r, built: map[string]reader{}, read: map[string]bool{}}
	f.walk(path)
	f.build()
	for _, file := range f.files {
		switch made, built := f.built[file]; {
		case built:
			r.take(made)
		case f.kustomizations[file] == nil && !f.isPart(file):
			r.readFile(file)
		}
	}
}

// folder is a folder that is read.
type folder struct {
	*reader
	// files are the manifests and kustomizations in it, in the order of their names.
	files []string
	// kustomizations are those of files that are one.
	kustomizations map[string]*kustomization.Folder
	// built is what they make, and read holds the real paths of the files that went into it. failed is true if one of them
	// could not be built, so that read does not say all.
	built  map[string]reader
	read   map[string]bool
	failed bool
}

func (f *folder) walk(root string) {
	f.kustomizations = map[string]*kustomization.Folder{}
	// Unlike filepath.WalkDir, a walk of the file system goes into a folder that is a symbolic link.
	_ = fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		path := filepath.Join(root, filepath.FromSlash(name))
		switch {
		case err != nil:
			f.fail(path, 0, cause(err))
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
		f.files = append(f.files, path)
		if !kustomization.IsName(entry.Name()) {
			return nil
		}
		if text, err := os.ReadFile(path); err == nil {
			if k, ok := kustomization.Parse(path, text); ok {
				f.kustomizations[path] = &k
			}
		}
		return nil
	})
}

// build builds the kustomizations that no other one is made of. Those are part of it, so are not built by themselves;
// nor is a component that none uses.
func (f *folder) build() {
	var used []string
	for _, k := range f.kustomizations {
		used = append(used, k.Uses...)
	}
	build := func(wanted func(k *kustomization.Folder) bool) {
		for _, file := range f.files {
			if k := f.kustomizations[file]; k != nil && !k.Component && wanted(k) {
				var made reader
				read, ok := made.build(*k)
				for _, path := range read {
					f.read[path] = true
				}
				f.built[file] = made
				f.failed = f.failed || !ok
			}
		}
	}
	build(func(k *kustomization.Folder) bool { return !slices.Contains(used, kustomization.Real(k.Path)) })
	// Those that are made of each other.
	build(func(k *kustomization.Folder) bool {
		_, built := f.built[k.File]
		return !built && !f.failed && !f.read[kustomization.Real(k.File)]
	})
}

// isPart tells whether the file is accounted for by a kustomization.
func (f *folder) isPart(file string) bool {
	if f.read[kustomization.Real(file)] {
		return true
	}
	for _, k := range f.kustomizations {
		below := strings.HasPrefix(file, filepath.Clean(k.Path)+string(filepath.Separator)) || k.Path == "."
		if below && (f.failed || k.Component) {
			return true
		}
	}
	return false
}

func isManifest(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name)) || kustomization.IsName(name)
}

// take adds what another reader has read.
func (r *reader) take(other reader) {
	r.documents = append(r.documents, other.documents...)
	r.errors = append(r.errors, other.errors...)
	r.found += other.found
}

// build reads what a kustomization makes. It gives the files that went into it, and whether that was all.
func (r *reader) build(k kustomization.Folder) (read []string, ok bool) {
	result, err := kustomization.Build(k)
	if err != nil {
		r.fail(k.File, 0, err)
		return result.Read, false
	}
	r.found++ // a kustomization that makes nothing is something, too
	written := files{}
	for _, made := range result.Objects {
		before := len(r.documents)
		r.readObject(Document{File: made.File, Rendered: k.Path}, made.JSON, nil)
		for i := range r.documents[before:] {
			if document := &r.documents[before+i]; !made.Generated {
				written.originate(document, made.File, anywhere)
			}
		}
	}
	return result.Read, true
}
