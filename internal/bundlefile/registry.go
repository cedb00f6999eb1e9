package bundlefile

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/content/memory"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/retry"

	"github.com/mozilla-iam/eksguard/internal/bundle"
)

// RegistryOptions say how a registry is reached.
type RegistryOptions struct {
	// PlainHTTP is for a registry without TLS, on this machine.
	PlainHTTP bool
	// DockerConfig is the file with the credentials, or the names of the programs that have them. Default: Docker's own,
	// ~/.docker/config.json.
	DockerConfig string
}

// Push carries a bundle file to an OCI registry, as the image that OPA's downloader takes (v1/download/oci_download.go:
// one layer application/vnd.oci.image.layer.v1.tar+gzip), under a reference <registry>/<repository>:<tag>. It gives the
// digest of the image; the same bundle file has the same.
func Push(ctx context.Context, reference string, file []byte, o RegistryOptions) (digest.Digest, error) {
	if _, err := bundle.Unpack(file, nil); err != nil {
		return "", fmt.Errorf("push %q: it is no bundle file: %w", reference, err)
	}
	repository, err := o.repository(reference)
	if err != nil {
		return "", fmt.Errorf("push %q: %w", reference, err)
	}
	if err := repository.Reference.ValidateReferenceAsTag(); err != nil {
		return "", fmt.Errorf("push %q: want <registry>/<repository>:<tag>: %w", reference, err)
	}
	image, manifest, err := imageOf(ctx, file)
	if err != nil {
		return "", fmt.Errorf("push %q: %w", reference, err)
	}
	tag := repository.Reference.Reference
	if err := image.Tag(ctx, manifest, tag); err != nil {
		return "", fmt.Errorf("push %q: %w", reference, err)
	}
	if _, err := oras.Copy(ctx, image, tag, repository, tag, oras.DefaultCopyOptions); err != nil {
		return "", fmt.Errorf("push %q: %w", reference, err)
	}
	return manifest.Digest, nil
}

func imageOf(ctx context.Context, file []byte) (*memory.Store, ocispec.Descriptor, error) {
	image := memory.New()
	layer, err := oras.PushBytes(ctx, image, ocispec.MediaTypeImageLayerGzip, file)
	if err != nil {
		return nil, ocispec.Descriptor{}, err
	}
	config, err := oras.PushBytes(ctx, image, ocispec.MediaTypeImageConfig, []byte("{}"))
	if err != nil {
		return nil, ocispec.Descriptor{}, err
	}
	manifest, err := oras.PackManifest(ctx, image, oras.PackManifestVersion1_1, "", oras.PackManifestOptions{
		ConfigDescriptor: &config,
		Layers:           []ocispec.Descriptor{layer},
		// The same bundle file is to be the same image.
		ManifestAnnotations: map[string]string{ocispec.AnnotationCreated: time.Unix(0, 0).UTC().Format(time.RFC3339)},
	})
	return image, manifest, err
}

// Pull fetches a bundle file from an OCI registry, by <registry>/<repository>:<tag> or
// <registry>/<repository>@<digest>, and gives the digest of its image, too. What comes is what the digests say, but not
// signed for that: see Verify.
func Pull(ctx context.Context, reference string, o RegistryOptions) ([]byte, digest.Digest, error) {
	repository, err := o.repository(reference)
	if err != nil {
		return nil, "", fmt.Errorf("pull %q: %w", reference, err)
	}
	if repository.Reference.Reference == "" {
		return nil, "", fmt.Errorf("pull %q: want <registry>/<repository>:<tag> or …@<digest>", reference)
	}
	file, image, err := pull(ctx, repository)
	if err != nil {
		return nil, "", fmt.Errorf("pull %q: %w", reference, err)
	}
	return file, image, nil
}

func pull(ctx context.Context, repository *remote.Repository) ([]byte, digest.Digest, error) {
	manifest, text, err := oras.FetchBytes(ctx, repository, repository.Reference.Reference,
		oras.FetchBytesOptions{MaxBytes: 4 << 20})
	if err != nil {
		return nil, "", err
	}
	var image ocispec.Manifest
	if err := json.Unmarshal(text, &image); err != nil {
		return nil, "", fmt.Errorf("manifest %s: %w", manifest.Digest, err)
	}
	for _, layer := range image.Layers {
		if layer.MediaType != ocispec.MediaTypeImageLayerGzip {
			continue
		}
		if layer.Size > bundle.DefaultSizeLimit {
			return nil, "", fmt.Errorf("the bundle file has %d bytes, want at most %d", layer.Size, bundle.DefaultSizeLimit)
		}
		file, err := content.FetchAll(ctx, repository, layer)
		return file, manifest.Digest, err
	}
	return nil, "", fmt.Errorf("%s %s has no layer %s: it is no bundle",
		manifest.MediaType, manifest.Digest, ocispec.MediaTypeImageLayerGzip)
}

// repository is the remote end. Credentials are Docker's, or those of the credential helpers that Docker's
// configuration names, such as ecr-login.
func (o RegistryOptions) repository(reference string) (*remote.Repository, error) {
	repository, err := remote.NewRepository(reference)
	if err != nil {
		return nil, err
	}
	store, err := o.store()
	if err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	repository.PlainHTTP = o.PlainHTTP
	repository.Client = &auth.Client{
		Client: retry.DefaultClient, Cache: auth.NewCache(), Credential: credentials.Credential(store)}
	return repository, nil
}

func (o RegistryOptions) store() (credentials.Store, error) {
	if o.DockerConfig != "" {
		return credentials.NewStore(o.DockerConfig, credentials.StoreOptions{})
	}
	return credentials.NewStoreFromDocker(credentials.StoreOptions{})
}
