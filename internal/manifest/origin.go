package manifest

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// files are manifests that objects were rendered from, read once each.
type files map[string][]Document

// maxOrigin is how large a file may be that is only read to tell where something is written.
const maxOrigin = 16 << 20

func (f files) read(path string) []Document {
	documents, ok := f[path]
	if !ok {
		var r reader
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Size() <= maxOrigin {
			if text, err := os.ReadFile(path); err == nil {
				r.readText(path, text)
			}
		}
		documents = r.documents
		f[path] = documents
	}
	return documents
}

// anywhere is the index of an object whose place in its file is not known.
const anywhere = -1

// originate finds the object that the document was rendered from in the file, and tells whether it is there. An object
// may have been given another namespace, and a prefix and suffix to its name.
func (f files) originate(d *Document, path string, index int) bool {
	candidates := f.read(path)
	if index >= 0 && index < len(candidates) {
		candidates = candidates[index : index+1]
	}
	var like []*Document
	for i := range candidates {
		candidate := &candidates[i]
		if candidate.Object.GroupVersionKind().GroupKind() != d.Object.GroupVersionKind().GroupKind() {
			continue
		}
		name, written := d.Object.GetName(), candidate.Object.GetName()
		namespace := candidate.Object.GetNamespace()
		if name == written && (namespace == "" || namespace == d.Object.GetNamespace()) {
			d.origin, d.File, d.Line = candidate, path, candidate.Line
			return true
		}
		if strings.Contains(name, written) {
			like = append(like, candidate)
		}
	}
	if len(like) != 1 {
		return false
	}
	d.origin, d.File, d.Line = like[0], path, like[0].Line
	return true
}

// The annotations of a rendered object that tell where it is from: kustomize's, with buildMetadata: [originAnnotations]
// (sigs.k8s.io/kustomize/api, internal/utils/annotations.go), and those of KRM functions
// (sigs.k8s.io/kustomize/kyaml, kio/kioutil/kioutil.go).
const (
	originAnnotation = "config.kubernetes.io/origin"
	pathAnnotation   = "config.kubernetes.io/path"
	indexAnnotation  = "config.kubernetes.io/index"
	internal         = "internal."
)

// trace tells of an object of a rendered stream where it is from, as far as its annotations, or the comment of helm
// above it, do. The line in a template of helm is not known. What a stream says is believed only if there is such a
// file; but a chart need not be here.
func (f files) trace(d *Document) {
	d.stream = d.Location()
	if f.find(d) {
		d.Rendered = d.stream.String()
	}
}

func (f files) find(d *Document) bool {
	annotations := d.Object.GetAnnotations()
	for _, keys := range [][2]string{
		{internal + pathAnnotation, internal + indexAnnotation}, {pathAnnotation, indexAnnotation},
	} {
		index, err := strconv.Atoi(annotations[keys[1]])
		if err != nil {
			index = anywhere
		}
		if path := annotations[keys[0]]; path != "" && f.originate(d, filepath.FromSlash(path), index) {
			return true
		}
	}
	var origin struct {
		Path         string `json:"path"`
		Repo         string `json:"repo"`
		ConfiguredIn string `json:"configuredIn"`
	}
	if yaml.Unmarshal([]byte(annotations[originAnnotation]), &origin) == nil && origin.Repo == "" {
		if origin.Path != "" && f.originate(d, filepath.FromSlash(origin.Path), anywhere) {
			return true
		}
		if configuredIn := filepath.FromSlash(origin.ConfiguredIn); configuredIn != "" && isFile(configuredIn) {
			d.File, d.Line = configuredIn, 0
			return true
		}
	}
	if filepath.IsLocal(d.source.template) {
		d.File, d.Line = chartFile(d.source.template), 0
		return true
	}
	return false
}

// chartFile is the path of a template as helm prints it, whose first part is the name of the chart, or that below the
// folder of the chart if the chart is the working directory.
func chartFile(template string) string {
	_, inChart, _ := strings.Cut(template, "/")
	for _, path := range []string{filepath.FromSlash(template), filepath.FromSlash(inChart)} {
		if path != "" && isFile(path) {
			return path
		}
	}
	return filepath.FromSlash(template)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// helmSource is what helm writes above each document that it rendered (helm.sh/helm, pkg/action/action.go).
const helmSource = "# Source: "

// template gives the template that helm says the document was rendered from, empty if it does not.
func template(document []byte) (path string) {
	for line := range bytes.Lines(document) {
		if rest, ok := bytes.CutPrefix(line, []byte(helmSource)); ok {
			path = string(bytes.TrimSpace(rest))
		} else if hasContent(line) && !isMarker(line, "---") {
			break
		}
	}
	return path
}
