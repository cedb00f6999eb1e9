package flux_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mozilla-iam/eksguard/test/e2e"
)

// source stands in for Flux's source-controller: it hands out archives of what a Git repository holds.
type source struct {
	url string

	mu       sync.Mutex
	archives map[string][]byte // by path
}

func startSource(t testing.TB) *source {
	s := &source{archives: map[string][]byte{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// ServeHTTP implements http.Handler.
func (s *source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	archive, found := s.archives[r.URL.Path]
	if !found {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(archive) // who no longer listens asks again
}

func (s *source) keep(path string, archive []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.archives[path] = archive
}

// repository is a GitRepository.
type repository struct {
	source   *source
	object   *unstructured.Unstructured
	revision string
}

// Repository creates the GitRepository of testdata/gitrepository.yaml with these replacements. Nothing is in it yet.
func (f *flux) Repository(t testing.TB, replacements ...string) *repository {
	t.Helper()
	object := e2e.Manifest(t, "gitrepository.yaml", replacements...)
	return &repository{source: f.source, object: cluster.As(t, admin).Create(object).Admitted().Object}
}

// Commit replaces all that is in the repository by these manifests, and has Flux know.
func (r *repository) Commit(t testing.TB, manifests ...string) {
	t.Helper()
	files := map[string]string{}
	for i, manifest := range manifests {
		files[fmt.Sprintf("%d.yaml", i)] = manifest
	}
	r.CommitFiles(t, files)
}

// CommitFiles is Commit for files with these names.
func (r *repository) CommitFiles(t testing.TB, content map[string]string) {
	t.Helper()
	archive := archiveOf(t, content)
	r.revision = fmt.Sprintf("main@sha1:%x", sha1.Sum(archive))
	path := fmt.Sprintf("/%s/%s/%x.tar.gz", r.object.GetNamespace(), r.object.GetName(), sha256.Sum256(archive))
	r.source.keep(path, archive)
	now := time.Now().UTC().Format(time.RFC3339)
	status, err := json.Marshal(map[string]any{"status": map[string]any{
		"artifact": map[string]any{
			"path": path[1:], "url": r.source.url + path, "revision": r.revision, "lastUpdateTime": now,
			"digest": fmt.Sprintf("sha256:%x", sha256.Sum256(archive)), "size": len(archive),
		},
		"conditions": []any{map[string]any{
			"type": "Ready", "status": "True", "reason": "Succeeded", "lastTransitionTime": now,
			"message": "stored artifact for revision " + r.revision,
		}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	cluster.As(t, admin).Patch(r.object, types.MergePatchType, string(status), e2e.Subresource("status")).Admitted()
}

func archiveOf(t testing.TB, content map[string]string) []byte {
	t.Helper()
	var archive bytes.Buffer
	zipper := gzip.NewWriter(&archive)
	files := tar.NewWriter(zipper)
	for _, name := range slices.Sorted(maps.Keys(content)) {
		text := content[name]
		header := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}
		if err := files.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := files.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := files.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipper.Close(); err != nil {
		t.Fatal(err)
	}
	return archive.Bytes()
}
