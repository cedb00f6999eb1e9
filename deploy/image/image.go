package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/ko/pkg/build"
	"github.com/google/ko/pkg/publish"
)

const (
	module = "github.com/mozilla-iam/eksguard"
	binary = module + "/cmd/eksguard"
	// baseName stands for the base image, which is made here and comes from no registry.
	baseName = "localhost/deploy/image:base"
	// sboms is the folder with the SBOMs beside the layout.
	sboms = "sbom"
)

// Image is a built index, with an image for each platform.
type Image struct {
	v1.ImageIndex
	// built is the index as ko gives it, with the SBOMs that belong to it.
	built   build.Result
	version string
	// sboms is a folder with the SBOMs, in SPDX.
	sboms string
}

// commit is what of git goes into an image.
type commit struct {
	version, revision string
	time              time.Time
}

// platforms are those that are built for.
func platforms() []v1.Platform {
	return []v1.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}}
}

// Build builds the image of the repository in a folder. It is a function of the commit, the version of Go and this
// module: the time in it is the commit's, and no path or setting of the machine gets into it. Close removes what it
// leaves.
func Build(ctx context.Context, source string) (*Image, error) {
	c, err := describe(ctx, source)
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "eksguard-sbom-")
	if err != nil {
		return nil, err
	}
	image, err := c.build(ctx, source, folder)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("build the image: %w", err), os.RemoveAll(folder))
	}
	return image, nil
}

// Close removes the files that Build made.
func (i *Image) Close() error { return os.RemoveAll(i.sboms) }

func (c *commit) build(ctx context.Context, source, sboms string) (*Image, error) {
	builder, err := c.builder(ctx, source, sboms)
	if err != nil {
		return nil, err
	}
	result, err := builder.Build(ctx, build.StrictScheme+binary)
	if err != nil {
		return nil, err
	}
	index, ok := result.(v1.ImageIndex)
	if !ok {
		return nil, fmt.Errorf("ko gave a %T, want an index", result)
	}
	return &Image{ImageIndex: index, built: result, version: c.version, sboms: sboms}, nil
}

func (c *commit) builder(ctx context.Context, source, sboms string) (build.Interface, error) {
	index, err := base(platforms(), c.time)
	if err != nil {
		return nil, err
	}
	reference, err := name.ParseReference(baseName)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, platform := range platforms() {
		names = append(names, platform.String())
	}
	created := v1.Time{Time: c.time}
	options := []build.Option{
		build.WithBaseImages(
			func(context.Context, string) (name.Reference, build.Result, error) { return reference, index, nil },
		),
		build.WithPlatforms(names...),
		build.WithCreationTime(created),
		build.WithKoDataCreationTime(created),
		build.WithUser(user),
		build.WithSPDX(c.version),
		build.WithSBOMDir(sboms),
		build.WithJobs(1), // go build uses all processors by itself
		build.WithConfig(map[string]build.Config{binary: {
			Flags:   build.FlagArray{"-trimpath", "-buildvcs=false", "-mod=readonly"},
			Ldflags: build.StringArray{"-s -w -buildid= -X " + module + "/internal/cli.version=" + c.version},
			// What a machine may have set otherwise.
			Env: []string{"CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOEXPERIMENT=", "GOAMD64=v1", "GOARM64=v8.0"},
		}}),
	}
	for key, value := range map[string]string{
		"org.opencontainers.image.title":       "eksguard",
		"org.opencontainers.image.description": "Admission webhook that keeps EKS clusters safe",
		"org.opencontainers.image.source":      "https://" + module,
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.version":     c.version,
		"org.opencontainers.image.revision":    c.revision,
		"org.opencontainers.image.created":     c.time.Format(time.RFC3339),
	} {
		options = append(options, build.WithLabel(key, value), build.WithAnnotation(key, value))
	}
	return build.NewGo(ctx, source, options...)
}

// describe asks git what the repository holds.
func describe(ctx context.Context, folder string) (*commit, error) {
	git := func(args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, "git", append([]string{"-C", folder}, args...)...)
		output, err := cmd.Output()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return "", fmt.Errorf("git %s: %s", strings.Join(args, " "), strings.TrimSpace(string(exit.Stderr)))
		}
		return strings.TrimSpace(string(output)), err
	}
	version, err := git("describe", "--tags", "--always", "--dirty")
	if err != nil {
		return nil, err
	}
	shown, err := git("show", "--no-patch", "--format=%H %ct", "HEAD")
	if err != nil {
		return nil, err
	}
	revision, seconds, _ := strings.Cut(shown, " ")
	at, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("time of the commit: %w", err)
	}
	return &commit{version: version, revision: revision, time: time.Unix(at, 0).UTC()}, nil
}

// Write writes the image into a folder as an OCI image layout, with the SBOMs in its folder sbom. What was there is
// replaced, if it was a layout.
func (i *Image) Write(folder string) error {
	if entries, err := os.ReadDir(folder); err == nil && len(entries) > 0 {
		if _, err := layout.FromPath(folder); err != nil {
			return fmt.Errorf(
				"write the image: %q is there and is no OCI image layout: remove it, or name another folder",
				folder,
			)
		}
		if err := os.RemoveAll(folder); err != nil {
			return fmt.Errorf("write the image: %w", err)
		}
	}
	// ko's own publisher takes no folder with a capital letter in its name.
	path, err := layout.Write(folder, empty.Index)
	if err != nil {
		return fmt.Errorf("write the image: %w", err)
	}
	if err := path.AppendIndex(i.ImageIndex); err != nil {
		return fmt.Errorf("write the image: %w", err)
	}
	if err := os.CopyFS(filepath.Join(folder, sboms), os.DirFS(i.sboms)); err != nil {
		return fmt.Errorf("write the SBOMs: %w", err)
	}
	return nil
}

// Push pushes image and SBOMs to a repository with the credentials that docker login left, and returns the reference by
// digest. An empty tag is the version.
func (i *Image) Push(ctx context.Context, repository, tag string) (string, error) {
	if tag == "" {
		tag = i.version
	}
	publisher, err := publish.NewDefault(repository, publish.WithTags([]string{tag}),
		publish.WithNamer(func(base, _ string) string { return base }))
	if err != nil {
		return "", fmt.Errorf("push the image: %w", err)
	}
	pushed, err := publisher.Publish(ctx, i.built, binary)
	if err != nil {
		return "", fmt.Errorf("push the image: %w", errors.Join(err, publisher.Close()))
	}
	if err := publisher.Close(); err != nil {
		return "", fmt.Errorf("push the image: %w", err)
	}
	return pushed.String(), nil
}
