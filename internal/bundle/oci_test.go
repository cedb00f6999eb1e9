package bundle_test

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// push makes raw what a tag in a registry stands for, as `oras push` does.
func push(t *testing.T, reference string, raw []byte) {
	t.Helper()
	tag, err := name.NewTag(reference, name.Insecure)
	must(t, err)
	image, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), static.NewLayer(raw, types.OCILayer))
	must(t, err)
	must(t, remote.Write(tag, image))
}

func TestBundlesFromARegistry(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	k, folder := newKey(t), t.TempDir()
	reference := host + "/policies:stable"
	push(t, reference, sign(t, colours, k))
	path := write(t, "config.yaml", `
services: {registry: {url: "`+server.URL+`", type: oci}}
keys: {release: {algorithm: ES256, key: "`+strings.ReplaceAll(k.public, "\n", `\n`)+`"}}
persistence_directory: `+folder+`
bundles:
  policies: {service: registry, resource: "`+reference+`", persist: true, signing: {keyid: release}, size_limit_bytes: 100000,
    polling: {min_delay_seconds: 0, max_delay_seconds: 1}}
`)
	w, stop := start(t, setting{config: path})
	w.awaits("activated policies r1")
	w.awaits("current policies")

	push(t, reference, pack(t, version("r2", 2)))
	w.awaits("failed policies signature: signature: bundle missing .signatures.json file")
	// Also when it is asked for again, and the registry need not send it again.
	w.awaits("failed policies signature: signature: bundle missing .signatures.json file")
	push(t, reference, pack(t, colours.with(files{"colours/data.json": strings.Repeat(" ", 1<<20)})))
	w.awaits("failed policies size: ", "it is larger than 100000 bytes, packed or unpacked")
	if got := w.revision(); got != "r1" {
		t.Errorf("revision %q decides", got)
	}
	push(t, reference, sign(t, version("r3", 3), k))
	w.awaits("activated policies r3")
	push(t, reference, sign(t, version("r4", 4), k))
	must(t, w.loader.Check(t.Context()))
	if got := w.revision(); got != "r4" {
		t.Errorf("after a check, revision %q decides", got)
	}
	stop()
	if left, err := filepath.Glob(filepath.Join(folder, "eksguard", "oci")); err != nil || len(left) > 0 {
		t.Errorf("%q is left (%v)", left, err)
	}

	server.Close()
	w, _ = start(t, setting{config: path})
	w.awaits("activated policies r4")
	if _, err := os.Stat(copyIn(t, folder)); err != nil {
		t.Error(err)
	}
}
