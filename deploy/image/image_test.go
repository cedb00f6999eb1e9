package main

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// TestImage builds the image of the commit that is checked out, twice, from copies in different folders, and looks at
// all that somebody will get of it.
func TestImage(t *testing.T) {
	if testing.Short() {
		t.Skip("builds eksguard for two architectures; -short is set")
	}
	first, second := buildCopy(t), buildCopy(t)
	digest, again := digestOf(t, first), digestOf(t, second)
	if digest != again {
		t.Fatalf("the same commit gave %s and %s", digest, again)
	}
	folder := filepath.Join(t.TempDir(), "image")
	if err := first.Write(folder); err != nil {
		t.Fatal(err)
	}
	if err := first.Write(folder); err != nil {
		t.Fatalf("written a second time: %v", err)
	}
	index := readLayout(t, folder, digest)

	for _, platform := range []struct {
		architecture string
		machine      elf.Machine
		emulator     string
	}{{"amd64", elf.EM_X86_64, "qemu-x86_64-static"}, {"arm64", elf.EM_AARCH64, "qemu-aarch64-static"}} {
		t.Run(platform.architecture, func(t *testing.T) {
			image := imageFor(t, index, platform.architecture)
			files := filesOf(t, image)
			program := files["ko-app/eksguard"]
			executable, err := elf.NewFile(bytes.NewReader(program))
			if err != nil {
				t.Fatal(err)
			}
			if executable.Machine != platform.machine {
				t.Errorf("it is for %s", executable.Machine)
			}
			if libraries, err := executable.ImportedLibraries(); err != nil || len(libraries) > 0 {
				t.Errorf("it needs libraries: %q %v", libraries, err)
			}
			var by []string
			if platform.architecture != runtime.GOARCH {
				by = []string{platform.emulator}
			}
			runs(t, by, program, first.version)
			for _, file := range []string{"etc/passwd", "etc/ssl/certs/ca-certificates.crt"} {
				if len(files[file]) == 0 {
					t.Errorf("%s is empty or missing", file)
				}
			}
		})
	}
	t.Run("it runs as nobody in particular, and says what it is", func(t *testing.T) {
		config, err := imageFor(t, index, "arm64").ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"/ko-app/eksguard"}, config.Config.Entrypoint); diff != "" {
			t.Error(diff)
		}
		labels := config.Config.Labels
		if config.Config.User != "65532:65532" || labels["org.opencontainers.image.version"] != first.version ||
			len(
				labels["org.opencontainers.image.revision"],
			) != 40 || labels["org.opencontainers.image.licenses"] != "Apache-2.0" {
			t.Errorf("user %q, labels %v", config.Config.User, labels)
		}
	})
	t.Run("SBOMs name what is in it", func(t *testing.T) {
		for _, name := range []string{"eksguard-linux-amd64.spdx.json", "eksguard-linux-arm64.spdx.json"} {
			if modules := packagesIn(t, filepath.Join(folder, sboms, name)); modules["github.com/open-policy-agent/opa"] == "" {
				t.Errorf("%s does not name OPA: %v", name, modules)
			}
		}
	})
	t.Run("it is pushed with its SBOMs, and is then what was built", func(t *testing.T) { pushes(t, first, digest) })
}

func TestWriteKeepsWhatIsNoLayout(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "precious"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := (&Image{}).Write(folder)
	if err == nil || !strings.Contains(err.Error(), "is no OCI image layout") {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(filepath.Join(folder, "precious")); err != nil {
		t.Error(err)
	}
}

// buildCopy builds a fresh clone of the repository.
func buildCopy(t *testing.T) *Image {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	clone := filepath.Join(t.TempDir(), "clone")
	if output, err := exec.Command("git", "clone", "--quiet", root, clone).CombinedOutput(); err != nil {
		t.Fatalf("git clone: %v: %s", err, output)
	}
	image, err := Build(t.Context(), clone)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := image.Close(); err != nil {
			t.Error(err)
		}
	})
	return image
}

func digestOf(t *testing.T, image *Image) v1.Hash {
	t.Helper()
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func readLayout(t *testing.T, folder string, digest v1.Hash) v1.ImageIndex {
	t.Helper()
	outer, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		t.Fatal(err)
	}
	index, err := outer.ImageIndex(digest)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

func imageFor(t *testing.T, index v1.ImageIndex, architecture string) v1.Image {
	t.Helper()
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, descriptor := range manifest.Manifests {
		if descriptor.Platform.String() == "linux/"+architecture {
			image, err := index.Image(descriptor.Digest)
			if err != nil {
				t.Fatal(err)
			}
			return image
		}
	}
	t.Fatalf("no image for %s", architecture)
	return nil
}

// filesOf reads the files of an image.
func filesOf(t *testing.T, image v1.Image) map[string][]byte {
	t.Helper()
	content := mutate.Extract(image)
	defer func() { _ = content.Close() }()
	files := map[string][]byte{}
	for reader := tar.NewReader(content); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(header.Name, "/")] = text
	}
}

// runs runs the program with an empty environment, as in an image without anything else, by another if it is for another
// processor.
func runs(t *testing.T, by []string, program []byte, version string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "eksguard")
	if err := os.WriteFile(path, program, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		args []string
		says string
	}{
		{[]string{"version"}, "eksguard " + version + "\n"},
		{[]string{"serve", "--help"}, "Run the admission webhook."},
		{[]string{"policies"}, "iam-role/form"},
	} {
		command := slices.Concat(by, []string{path}, row.args)
		cmd := exec.Command(command[0], command[1:]...)
		cmd.Env = []string{}
		output, err := cmd.CombinedOutput()
		if errors.Is(err, exec.ErrNotFound) {
			t.Fatalf("%v (test/packages.sh installs it)", err)
		}
		if err != nil || !strings.Contains(string(output), row.says) {
			t.Errorf("%q: %v: %s", row.args, err, output)
		}
	}
}

// packagesIn reads the packages of an SBOM in SPDX, with their versions.
func packagesIn(t *testing.T, path string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var sbom struct {
		Packages []struct {
			Name    string `json:"name"`
			Version string `json:"versionInfo"`
		} `json:"packages"`
	}
	if err := json.Unmarshal(text, &sbom); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, p := range sbom.Packages {
		found[p.Name] = p.Version
	}
	return found
}

func pushes(t *testing.T, image *Image, digest v1.Hash) {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	repository := strings.TrimPrefix(server.URL, "http://") + "/eksguard"
	pushed, err := image.Push(context.WithoutCancel(t.Context()), repository, "")
	if err != nil {
		t.Fatal(err)
	}
	if want := repository + ":" + image.version + "@" + digest.String(); pushed != want {
		t.Errorf("pushed %s, want %s", pushed, want)
	}
	reference, err := name.ParseReference(repository + ":" + image.version)
	if err != nil {
		t.Fatal(err)
	}
	if there, err := remote.Get(reference); err != nil || there.Digest != digest {
		t.Errorf("the tag names %v %v, want %s", there, err, digest)
	}
	tags, err := remote.List(mustRepository(t, repository))
	if err != nil {
		t.Fatal(err)
	}
	var attached int
	for _, tag := range tags {
		if strings.HasSuffix(tag, ".sbom") {
			attached++
		}
	}
	if attached != 3 { // of the index and of each image
		t.Errorf("tags %q, want three SBOMs among them", tags)
	}
}

func mustRepository(t *testing.T, repository string) name.Repository {
	t.Helper()
	parsed, err := name.NewRepository(repository)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}
