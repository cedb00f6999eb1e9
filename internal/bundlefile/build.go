// Package bundlefile makes OPA bundle files of policies, signs and verifies them, and carries them to and from OCI
// registries. Files are reproducible: the same policies give the same bytes, whatever the folder, the order and the
// times of the files. Whether the policies are any good is for package check to say, before.
package bundlefile

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/bundle"

	"github.com/mozilla-iam/eksguard/internal/policy"
)

// The names of what a bundle holds besides its modules, as OPA gives them (v1/bundle/bundle.go).
const (
	manifestName   = ".manifest"
	dataName       = "data.json"
	signaturesName = ".signatures.json"
)

// Root is what a bundle owns of data unless its manifest says otherwise.
const Root = "eksguard"

// mostBytes bounds a bundle file and each file in it. A bundle of policies has kilobytes.
const mostBytes = 64 << 20

// BuildOptions say what goes into a bundle file.
type BuildOptions struct {
	// Revision names what is in it. Default: a digest of its content.
	Revision string
	// Tests keeps the tests, too.
	Tests bool
}

// Build makes a bundle file of a bundle that was read from a folder or another bundle file. A signature is not kept.
func Build(b *bundle.Bundle, o BuildOptions) ([]byte, error) {
	c, err := entriesOf(b, o.Tests)
	if err != nil {
		return nil, err
	}
	manifest := b.Manifest.Copy()
	if manifest.Roots == nil || slices.Contains(*manifest.Roots, "") {
		manifest.Roots = &[]string{Root}
	}
	version := 1
	manifest.RegoVersion, manifest.FileRegoVersions = &version, nil
	manifest.Revision = o.Revision
	if manifest.Revision == "" {
		if manifest.Revision, err = c.digest(&manifest); err != nil {
			return nil, err
		}
	}
	return c.pack(&manifest)
}

// entries is the files of a bundle besides the manifest, by name.
type entries map[string][]byte

func entriesOf(b *bundle.Bundle, tests bool) (entries, error) {
	if b.Type() == bundle.DeltaBundleType {
		return nil, errors.New("it is a delta bundle: want a whole one")
	}
	if len(b.WasmModules)+len(b.PlanModules) > 0 {
		return nil, errors.New("it holds compiled policies (Wasm or plans): want Rego alone")
	}
	c := entries{}
	data, err := json.Marshal(b.Data)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	c[dataName] = append(data, '\n')
	for i := range b.Modules {
		file := &b.Modules[i]
		if !tests && policy.IsTest(file) {
			continue
		}
		name := strings.TrimPrefix(path.Clean("/"+filepath.ToSlash(file.RelativePath)), "/")
		if c[name] != nil {
			return nil, fmt.Errorf("%s is there twice", name)
		}
		c[name] = file.Raw
	}
	return c, nil
}

// digest tells contents apart. What the manifest says besides the revision is content, too.
func (c entries) digest(manifest *bundle.Manifest) (string, error) {
	rest := manifest.Copy()
	rest.Revision = ""
	text, err := json.Marshal(rest)
	if err != nil {
		return "", fmt.Errorf("manifest: %w", err)
	}
	hash := sha256.New()
	write := func(name string, text []byte) { _, _ = fmt.Fprintf(hash, "%s\x00%d\x00%s", name, len(text), text) }
	write(manifestName, text)
	for _, name := range slices.Sorted(maps.Keys(c)) {
		write(name, c[name])
	}
	return "sha256:" + hex.EncodeToString(hash.Sum(nil))[:12], nil
}

// pack writes the bundle file: entries in order, without times, owners and the name of a system.
func (c entries) pack(manifest *bundle.Manifest) ([]byte, error) {
	text, err := json.Marshal(manifest)
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	files := maps.Clone(c)
	files[manifestName] = append(text, '\n')
	var out bytes.Buffer
	zipped, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	archive := tar.NewWriter(zipped)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		header := &tar.Header{
			Typeflag: tar.TypeReg, Name: "/" + name, Mode: 0o644, Size: int64(len(files[name])),
			ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR,
		}
		if len(header.Name) > 100 {
			header.Format = tar.FormatPAX
		}
		if err := archive.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if _, err := archive.Write(files[name]); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := errors.Join(archive.Close(), zipped.Close()); err != nil {
		return nil, err
	}
	if out.Len() > mostBytes {
		return nil, fmt.Errorf("the bundle file has %d bytes, want at most %d", out.Len(), mostBytes)
	}
	return out.Bytes(), nil
}

// Read reads a bundle file, without asking whether it is signed.
func Read(file []byte) (*bundle.Bundle, error) {
	return read(file, nil)
}

// read reads a bundle file; with a verification, only one whose signature holds.
func read(file []byte, verification *bundle.VerificationConfig) (*bundle.Bundle, error) {
	if len(file) > mostBytes {
		return nil, fmt.Errorf("it has %d bytes, want at most %d", len(file), mostBytes)
	}
	loader := bundle.NewTarballLoaderWithBaseURL(bytes.NewReader(file), "").WithSizeLimitBytes(mostBytes)
	b, err := bundle.NewCustomReader(loader).
		WithProcessAnnotations(true).
		WithSizeLimitBytes(mostBytes).
		WithSkipBundleVerification(verification == nil).
		WithBundleVerificationConfig(verification).
		Read()
	if err != nil {
		return nil, err
	}
	if b.Type() == bundle.DeltaBundleType {
		return nil, errors.New("it is a delta bundle: want a whole one")
	}
	return &b, nil
}

// ReadFile reads the file of that name, which may be no larger than a bundle file.
func ReadFile(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("bundle file: %w", err)
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, mostBytes+1))
	if err != nil {
		return nil, fmt.Errorf("bundle file: %w", err)
	}
	if len(text) > mostBytes {
		return nil, fmt.Errorf("bundle file %q: it has more than %d bytes", name, mostBytes)
	}
	return text, nil
}

// WriteFile writes a bundle file in one step, so that nobody reads half of it.
func WriteFile(name string, text []byte) (err error) {
	next, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return fmt.Errorf("write bundle file: %w", err)
	}
	defer func() { _ = os.Remove(next.Name()) }() // it is gone where all went well
	_, err = next.Write(text)
	err = errors.Join(err, next.Chmod(0o644), next.Close())
	if err == nil {
		err = os.Rename(next.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("write bundle file %q: %w", name, err)
	}
	return nil
}
