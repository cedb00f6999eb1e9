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
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	opabundle "github.com/open-policy-agent/opa/v1/bundle"

	"github.com/mozilla-iam/eksguard/internal/bundle"
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

// BuildOptions say what goes into a bundle file.
type BuildOptions struct {
	// Revision names what is in it. Default: a digest of its content.
	Revision string
	// Tests keeps the tests, too.
	Tests bool
}

// Build makes a bundle file of a bundle that was read from a folder or another bundle file, and gives its revision, too. A
// signature is not kept.
func Build(b *opabundle.Bundle, o BuildOptions) (file []byte, revision string, err error) {
	c, err := entriesOf(b, o.Tests)
	if err != nil {
		return nil, "", err
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
			return nil, "", err
		}
	}
	file, err = c.pack(&manifest)
	return file, manifest.Revision, err
}

// entries is the files of a bundle besides the manifest, by name.
type entries map[string][]byte

func entriesOf(b *opabundle.Bundle, tests bool) (entries, error) {
	if b.Type() == opabundle.DeltaBundleType {
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
func (c entries) digest(manifest *opabundle.Manifest) (string, error) {
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
func (c entries) pack(manifest *opabundle.Manifest) ([]byte, error) {
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
	if out.Len() > bundle.DefaultSizeLimit {
		return nil, fmt.Errorf("the bundle file has %d bytes, want at most %d", out.Len(), bundle.DefaultSizeLimit)
	}
	return out.Bytes(), nil
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
