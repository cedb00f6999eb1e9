package bundle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/download"
	"github.com/open-policy-agent/opa/v1/plugins"
	opabundle "github.com/open-policy-agent/opa/v1/plugins/bundle"
)

// downloads is how one bundle is fetched from a service: by a downloader that polls, and another that is asked for the
// bundle of the moment.
type downloads struct {
	poll, check opabundle.Loader
}

// received is what one downloader got.
type received struct {
	// raw is the last bundle file.
	raw []byte
	// store is where an OCI downloader keeps what it pulled; empty for HTTP.
	store string
	limit int64
}

// arrival handles what came of one request. It returns an error where the bundle was not taken, so that it is asked for
// again soon.
type arrival func(ctx context.Context, r *received, d opabundle.Loader, u download.Update) error

// newDownloads makes the downloaders of a bundle. OCI downloaders keep what they pull below directory.
func (c *Config) newDownloads(name, directory string, arrived arrival) (*downloads, error) {
	source := *c.Sources[name]
	poll, err := c.newDownloader(name, source, filepath.Join(directory, "poll"), arrived)
	if err != nil {
		return nil, err
	}
	// It is to answer now, and only when it is asked.
	manual := plugins.TriggerManual
	source.Trigger, source.Polling.LongPollingTimeoutSeconds = &manual, nil
	check, err := c.newDownloader(name, source, filepath.Join(directory, "check"), arrived)
	if err != nil {
		return nil, err
	}
	return &downloads{poll: poll, check: check}, nil
}

func (c *Config) newDownloader(name string, source opabundle.Source, store string, arrived arrival) (opabundle.Loader, error) {
	section, err := c.service(source.Service)
	if err != nil {
		return nil, err
	}
	r := &received{limit: source.SizeLimitBytes}
	client, err := newBoundedClient(source.Service, section, c.OPA.PublicKeys(), c.OPA.Logger(), source.SizeLimitBytes,
		func(raw []byte) { r.raw = raw })
	if err != nil {
		return nil, fmt.Errorf("services.%s: %w", source.Service, err)
	}
	var loader opabundle.Loader
	callback := func(ctx context.Context, u download.Update) error {
		err := arrived(ctx, r, loader, u)
		r.raw = nil
		return errors.Join(err, r.prune(err != nil))
	}
	options := ast.ParserOptions{ProcessAnnotation: true, RegoVersion: ast.RegoV1}
	if isOCI(*client.Config()) {
		r.store = store
		// The downloader panics where it cannot make it.
		if err := os.MkdirAll(store, 0o700); err != nil {
			return nil, fmt.Errorf("a folder for what is pulled from registries: %w", err)
		}
		loader = download.NewOCI(source.Config, client, source.Resource, store).
			WithCallback(callback).
			WithBundleVerificationConfig(source.Signing).
			WithSizeLimitBytes(source.SizeLimitBytes).
			WithBundleParserOpts(options)
		return loader, nil
	}
	loader = download.New(source.Config, client, source.Resource).
		WithCallback(callback).
		WithBundleVerificationConfig(source.Signing).
		WithSizeLimitBytes(source.SizeLimitBytes).
		WithBundleName(name).
		WithBundleParserOpts(options)
	return loader, nil
}

// service gives a service's section of the configuration, which is an object of services, or a list of them.
func (c *Config) service(name string) (map[string]any, error) {
	raw := c.OPA.GetConfig().Services
	var byName map[string]map[string]any
	if json.Unmarshal(raw, &byName) == nil {
		return byName[name], nil
	}
	var list []map[string]any
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("services: %w", err)
	}
	for _, section := range list {
		if section["name"] == name {
			return section, nil
		}
	}
	return nil, fmt.Errorf("services: there is no %q", name)
}

// prune empties the store of an OCI downloader when it has grown, as every bundle that was pulled stays in it, and where
// what was pulled was not taken. What is needed of it is pulled again.
func (r *received) prune(all bool) error {
	if r.store == "" {
		return nil
	}
	blobs, size := filepath.Join(r.store, "blobs"), int64(0)
	if all {
		return os.RemoveAll(blobs)
	}
	err := filepath.WalkDir(blobs, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) || err == nil && size <= 4*r.limit {
		return nil
	}
	return errors.Join(err, os.RemoveAll(blobs))
}
