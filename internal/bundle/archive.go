package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mozilla-iam/eksguard/internal/excerpt"
)

const (
	// DefaultSizeLimit bounds a bundle, packed and unpacked, where size_limit_bytes says nothing.
	DefaultSizeLimit = 64 << 20
	// mostFiles bounds the files and folders in a bundle.
	mostFiles = 10_000
	// maxText bounds what is quoted of what a stranger wrote.
	maxText = 200
)

// checkArchive reads a tar.gz through without keeping any of it, so that what unpacks it afterwards cannot be made to
// unpack more than limit bytes.
func checkArchive(raw []byte, limit int64) error {
	if int64(len(raw)) > limit {
		return tooLarge(limit)
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return &Fault{ReasonFormat, fmt.Errorf("it is no .tar.gz file: %w", err)}
	}
	archive, left, names := tar.NewReader(unzipped), limit, map[string]bool{}
	for files := 1; ; files++ {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return &Fault{ReasonFormat, fmt.Errorf("the .tar.gz file is damaged or cut off: %w", err)}
		}
		if files > mostFiles {
			return &Fault{ReasonSize, fmt.Errorf("it has more than %d files, which is all that is allowed", mostFiles)}
		}
		name := strings.TrimPrefix(filepath.ToSlash(filepath.Clean(header.Name)), "/")
		if names[name] {
			return &Fault{ReasonFormat, fmt.Errorf("file %q is there twice", excerpt.Of(name, maxText))}
		}
		names[name] = true
		n, err := io.Copy(io.Discard, io.LimitReader(archive, left+1))
		if err != nil {
			return &Fault{ReasonFormat, fmt.Errorf("the .tar.gz file is damaged or cut off: %w", err)}
		}
		if left -= n; left < 0 {
			return tooLarge(limit)
		}
	}
}

func tooLarge(limit int64) error {
	return &Fault{ReasonSize, fmt.Errorf(
		"it is larger than %d bytes, packed or unpacked: make it smaller, or raise size_limit_bytes", limit)}
}

// pack gives a bundle on disk as a tar.gz: the file as it is, or what a folder holds of a bundle. Files that are symbolic
// links, as in a mounted ConfigMap, are followed; folders are not, and those whose names begin with a dot are left out.
func pack(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, &Fault{ReasonDownload, err}
	}
	if !info.IsDir() {
		return readBounded(path, info.Size(), limit)
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return nil, &Fault{ReasonDownload, err}
	}
	// A signature names every file.
	_, err = os.Stat(filepath.Join(path, ".signatures.json"))
	signed := err == nil
	var packed bytes.Buffer
	zipped := gzip.NewWriter(&packed)
	archive, left, files := tar.NewWriter(zipped), limit, 0
	err = filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			// Kubernetes keeps the versions of a mounted ConfigMap in such folders, and git its own.
			if strings.HasPrefix(entry.Name(), ".") && name != path {
				return filepath.SkipDir
			}
			return nil
		}
		if !signed && !isBundleFile(entry.Name()) {
			return nil
		}
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return nil
		}
		if files++; files > mostFiles {
			return &Fault{ReasonSize, fmt.Errorf("it has more than %d files, which is all that is allowed", mostFiles)}
		}
		content, err := readBounded(name, info.Size(), left)
		if err != nil {
			return err
		}
		left -= int64(len(content))
		relative, err := filepath.Rel(path, name)
		if err != nil {
			return err
		}
		header := &tar.Header{Name: filepath.ToSlash(relative), Mode: 0o600, Size: int64(len(content))}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		_, err = archive.Write(content)
		return err
	})
	if err = errors.Join(err, archive.Close(), zipped.Close()); err != nil {
		return nil, faultOf(err, ReasonDownload)
	}
	return packed.Bytes(), nil
}

// isBundleFile tells whether a file of that name means something in a bundle (open-policy-agent/opa: v1/bundle/bundle.go).
func isBundleFile(name string) bool {
	switch filepath.Ext(name) {
	case ".rego", ".wasm", ".manifest", ".proto":
		return true
	}
	return slices.Contains([]string{"data.json", "data.yaml", "data.yml", "patch.json", "plan.json"}, name)
}

func readBounded(path string, size, limit int64) ([]byte, error) {
	if size > limit {
		return nil, tooLarge(limit)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, &Fault{ReasonDownload, err}
	}
	defer func() { _ = file.Close() }()
	// It may grow while it is read.
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, &Fault{ReasonDownload, err}
	}
	if int64(len(content)) > limit {
		return nil, tooLarge(limit)
	}
	return content, nil
}
