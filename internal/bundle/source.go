package bundle

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	opabundle "github.com/open-policy-agent/opa/v1/plugins/bundle"
)

// source is one bundle, or the settings file.
type source struct {
	name string
	// title is what errors call it.
	title string
	// local or downloads says where it comes from.
	local     *local
	downloads *downloads
	reading   reading
	persist   bool
	// identity tells in the record of the last good bundles where it came from.
	identity string

	// active decides; pending is newer, and waits until all bundles are there or for others that go with it.
	active, pending *content
	highest         *int64
	confirmed       bool
	retryAt         time.Time
	status          Status
}

// pathSource is the one bundle where no configuration names any.
func pathSource(path string) *source {
	s := &source{name: "embedded", title: "default bundle", local: &local{path: path}}
	if path != "" {
		s.name, s.title = "--bundle", fmt.Sprintf("bundle %q", path)
	}
	s.local.load = func() (*content, error) {
		b, err := Load(path)
		return &content{bundle: b}, err
	}
	return s
}

func (l *Loader) newSource(name string, c *opabundle.Source) (*source, error) {
	s := &source{
		name: name, title: fmt.Sprintf("bundle %q", name), persist: c.Persist, identity: c.Service + " " + c.Resource,
		reading: reading{folder: name, limit: c.SizeLimitBytes, verification: c.Signing},
	}
	switch {
	case c.Resource == Embedded && c.Service == "":
		s.local = &local{load: embeddedContent}
	case c.Service == "":
		path := filePath(c.Resource)
		s.local = &local{path: path, load: func() (*content, error) {
			raw, err := pack(path, s.reading.limit)
			if err != nil {
				return nil, err
			}
			return s.reading.read(raw)
		}}
	default:
		if err := l.makeScratch(); err != nil {
			return nil, err
		}
		var err error
		s.downloads, err = l.options.Config.newDownloads(name, filepath.Join(l.scratch, fmt.Sprint(len(l.sources))), l.arrived(s))
		if err != nil {
			return nil, err
		}
	}
	if s.local == nil && !c.Signing.SignatureRequired() {
		l.options.Logger.Warn("a bundle is not verified: whoever can write to its source decides; give it a signing.keyid",
			"bundle", name)
	}
	return s, nil
}

// makeScratch makes the folder for what is pulled from registries, and empties what an earlier process left there.
func (l *Loader) makeScratch() (err error) {
	if l.scratch != "" {
		return nil
	}
	if l.lastGood == nil {
		l.scratch, err = os.MkdirTemp("", "eksguard-")
	} else {
		l.scratch = filepath.Join(l.lastGood.folder, "oci")
		err = errors.Join(os.RemoveAll(l.scratch), os.MkdirAll(l.scratch, 0o700))
	}
	if err != nil {
		return fmt.Errorf("a folder for what is pulled: set persistence_directory to one that can be written: %w", err)
	}
	return nil
}
