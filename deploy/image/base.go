package main

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// user is who eksguard runs as, by number, so that Kubernetes can tell that it is not root.
const user = "65532:65532"

// base is an image that holds what a static binary may ask an operating system for: a user, a folder for temporary
// files, and the authorities that the web trusts, which bundles from HTTPS servers need.
func base(platforms []v1.Platform, created time.Time) (v1.ImageIndex, error) {
	layer, err := baseLayer(created)
	if err != nil {
		return nil, fmt.Errorf("make the base image: %w", err)
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, platform := range platforms {
		config := &v1.ConfigFile{
			OS: platform.OS, Architecture: platform.Architecture, RootFS: v1.RootFS{Type: "layers"},
			Config: v1.Config{User: user, WorkingDir: "/"},
		}
		image, err := mutate.ConfigFile(mutate.ConfigMediaType(
			mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), config)
		if err != nil {
			return nil, fmt.Errorf("make the base image: %w", err)
		}
		image, err = mutate.Append(image, mutate.Addendum{
			Layer: layer,
			History: v1.History{
				CreatedBy: "deploy/image",
				Comment:   "user, /tmp and certificate authorities",
				Created:   v1.Time{Time: created},
			},
		})
		if err != nil {
			return nil, fmt.Errorf("make the base image: %w", err)
		}
		index = mutate.AppendManifests(
			index,
			mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &platform}},
		)
	}
	return index, nil
}

func baseLayer(created time.Time) (v1.Layer, error) {
	const folder, file = 0o755, 0o644
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, entry := range []struct {
		name    string
		mode    int64
		content []byte
	}{
		{"etc/", folder, nil},
		{"etc/passwd", file, []byte("root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n")},
		{"etc/group", file, []byte("root:x:0:\nnonroot:x:65532:\n")},
		{"etc/ssl/", folder, nil},
		{"etc/ssl/certs/", folder, nil},
		{"etc/ssl/certs/ca-certificates.crt", file, authorities()},
		{"tmp/", 0o1777, nil},
	} {
		header := &tar.Header{
			Name:     entry.name,
			Mode:     entry.mode,
			Size:     int64(len(entry.content)),
			ModTime:  created,
			Typeflag: tar.TypeReg,
		}
		if entry.content == nil {
			header.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(entry.content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer))
}

// authorities are Mozilla's, as the Go project publishes them in a module, whose checksum is in go.sum. Those that are
// trusted under conditions, which a PEM file cannot tell, are left out.
func authorities() []byte {
	var text bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // a buffer takes everything
		}
	}
	return text.Bytes()
}
