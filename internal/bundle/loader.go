package bundle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/download"
	opabundle "github.com/open-policy-agent/opa/v1/plugins/bundle"

	"github.com/mozilla-iam/eksguard/internal/policy"
)

const (
	// lookInterval is how often sources on this machine are looked at, and retryInterval how soon one that did not change is
	// read again after it was not taken.
	lookInterval  = 2 * time.Second
	retryInterval = time.Minute
	// activationTimeout bounds how long the cluster state of a new bundle is waited for while another decides.
	activationTimeout = 30 * time.Second
)

// Compiler checks a bundle with settings laid over its own, and makes a snapshot of it.
type Compiler interface {
	Compile(ctx context.Context, b *bundle.Bundle, settings map[string]any) (*policy.Snapshot, error)
}

// Activator makes a snapshot decide. After an error, the one before goes on deciding.
type Activator interface {
	Activate(ctx context.Context, snapshot *policy.Snapshot) error
}

// Observer is told what becomes of bundles. Its methods must not block.
type Observer interface {
	// Failed is called when a bundle is not taken; the one before goes on deciding.
	Failed(bundle string, fault *Fault)
	// Activated is called when a bundle begins to decide.
	Activated(bundle, revision string)
	// Current is called when a source says that the active bundle is its newest, or that bundle was activated.
	Current(bundle string, at time.Time)
}

// Options are what a Loader is made of.
type Options struct {
	// Config names the bundles. Where it is nil or names none, there is one: at Path, a folder or bundle file, or the default
	// bundle where Path is empty.
	Config *Config
	Path   string
	// Settings is a file that is laid over the settings of all bundles; none if it is empty.
	Settings string
	// Compiler and Observer are required.
	Compiler Compiler
	Observer Observer
	// Confirmed is called once all sources have been heard.
	Confirmed func()
	// Logger gets what is worth knowing and no failure.
	Logger *slog.Logger
}

// Loader gets bundles from their sources, has them compiled and activated, and goes on doing so whenever one changes. Its
// methods may be called by any number of goroutines.
type Loader struct {
	options   Options
	activator Activator
	sources   []*source
	lastGood  *lastGood
	scratch   string
	checks    chan struct{}
	lastCheck checkResult

	// mu is held while a bundle is judged.
	mu       sync.Mutex
	prepared *policy.Snapshot
	// statusMu guards what Status, Ready and Confirmed read.
	statusMu  sync.Mutex
	confirmed bool
}

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

// NewLoader makes a Loader. It reads nothing yet.
func NewLoader(o Options) (*Loader, error) {
	l := &Loader{options: o, checks: make(chan struct{}, 1)}
	if o.Confirmed == nil {
		l.options.Confirmed = func() {}
	}
	if c := o.Config; c != nil && len(c.Sources) > 0 {
		if c.PersistenceDirectory != "" {
			var err error
			if l.lastGood, err = newLastGood(c.PersistenceDirectory); err != nil {
				return nil, err
			}
		}
		for _, name := range slices.Sorted(maps.Keys(c.Sources)) {
			s, err := l.newSource(name, c.Sources[name])
			if err != nil {
				return nil, fmt.Errorf("configuration %q: bundles.%s: %w", c.Path, name, err)
			}
			l.sources = append(l.sources, s)
		}
	} else {
		l.sources = append(l.sources, pathSource(o.Path))
	}
	if o.Settings != "" {
		l.sources = append(l.sources, &source{
			name: "--settings", title: fmt.Sprintf("settings %q", o.Settings),
			local: &local{path: o.Settings, load: func() (*content, error) {
				settings, err := LoadSettings(o.Settings)
				return &content{settings: settings}, err
			}},
		})
	}
	for _, s := range l.sources {
		s.status.Name = s.name
	}
	return l, nil
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

// Prepare reads the sources on this machine and the last good copies of the others, and compiles them if that is all of
// them. What cannot be read on this machine is an error; a copy that is no good is only told.
func (l *Loader) Prepare(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.sources {
		if s.local == nil {
			continue
		}
		c, err := s.local.read()
		if err != nil {
			if l.options.Config == nil || len(l.options.Config.Sources) == 0 {
				return err // it names the file
			}
			return fmt.Errorf("%s: %w", s.title, err)
		}
		s.pending = c
	}
	l.loadLastGood()
	parts, missing := l.newest(nil)
	if len(missing) > 0 {
		return nil
	}
	snapshot, err := l.compile(ctx, parts)
	if err == nil {
		l.prepared = snapshot
		return nil
	}
	if l.allLocal() {
		return fmt.Errorf("%s:\n%w", l.title(), err)
	}
	// Settings and default bundle may be newer than the last good copies, and wait for what goes with them.
	l.failed(l.firstRemote(), faultOf(err, ReasonPolicy))
	for _, s := range l.sources {
		if s.local == nil {
			s.pending = nil
		}
	}
	return nil
}

func (l *Loader) allLocal() bool { return l.firstRemote() == nil }

func (l *Loader) firstRemote() *source {
	for _, s := range l.sources {
		if s.local == nil {
			return s
		}
	}
	return nil
}

// title names all sources, for errors.
func (l *Loader) title() string {
	var bundles, settings []string
	for _, s := range l.sources {
		if s.name == "--settings" {
			settings = append(settings, s.title)
		} else {
			bundles = append(bundles, s.title)
		}
	}
	return strings.Join(append([]string{strings.Join(bundles, " and ")}, settings...), " with ")
}

// loadLastGood reads the last good copies, and verifies them by the keys of today.
func (l *Loader) loadLastGood() {
	if l.lastGood == nil {
		return
	}
	kept, err := l.lastGood.load()
	for _, s := range l.sources {
		entry, found := kept[s.name]
		if s.local != nil || err == nil && (!found || entry.Source != s.identity) {
			continue
		}
		if err != nil {
			l.failed(s, faultOf(err, ReasonPersist))
			continue
		}
		s.highest = entry.Sequence
		if entry.Digest == "" || !s.persist {
			continue
		}
		c, err := l.readCopy(s, entry)
		if err != nil {
			l.failed(s, faultOf(fmt.Errorf("the last good copy is not used: %w", err), ReasonPersist))
			continue
		}
		s.pending = c
	}
}

func (l *Loader) readCopy(s *source, entry recordEntry) (*content, error) {
	raw, err := l.lastGood.read(entry, s.reading.limit)
	if err != nil {
		return nil, err
	}
	c, err := s.reading.read(raw)
	if err != nil {
		return nil, err
	}
	c.etag = entry.ETag
	return c, nil
}

// Start has activator activate what was prepared, and then follows the sources until ctx ends. It fails where there is
// nothing else than what was prepared, and that cannot be activated.
func (l *Loader) Start(ctx context.Context, activator Activator) error {
	l.mu.Lock()
	l.activator = activator
	l.mu.Unlock()
	if err := l.begin(ctx); err != nil {
		return err
	}
	for _, s := range l.sources {
		if s.downloads != nil {
			s.downloads.poll.Start(ctx)
		}
	}
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-ticker.C:
			_ = l.look(ctx) // it is told where it happens
		}
	}
	// The downloaders outlive their context.
	for _, s := range l.sources {
		if s.downloads != nil {
			s.downloads.poll.Stop(context.WithoutCancel(ctx))
			s.downloads.check.Stop(context.WithoutCancel(ctx))
		}
	}
	if l.scratch != "" {
		return os.RemoveAll(l.scratch)
	}
	return nil
}

func (l *Loader) begin(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.prepared == nil {
		return nil
	}
	snapshot := l.prepared
	l.prepared = nil
	patient, cancel := ctx, context.CancelFunc(func() {})
	if !l.allLocal() {
		patient, cancel = context.WithTimeout(ctx, activationTimeout)
	}
	defer cancel()
	if err := l.activator.Activate(patient, snapshot); err != nil {
		if l.allLocal() && ctx.Err() == nil {
			return err
		}
		if ctx.Err() == nil {
			l.failed(l.firstRemote(), faultOf(err, ReasonState))
		}
		return nil
	}
	parts, _ := l.newest(nil)
	l.commit(parts)
	for _, s := range l.sources {
		switch {
		case s.local != nil:
			l.confirm(s)
		case s.active != nil:
			// The source need not send it again.
			s.downloads.poll.SetCache(s.active.etag)
			s.downloads.check.SetCache(s.active.etag)
			l.options.Logger.Info("the last good copy decides until the source is heard", "bundle", s.name,
				"revision", s.active.bundle.Manifest.Revision)
		}
	}
	return nil
}

// arrived handles what a downloader got for s.
func (l *Loader) arrived(s *source) arrival {
	return func(ctx context.Context, r *received, d opabundle.Loader, u download.Update) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.update(func() { s.status.SetRequest() })
		err := l.take(ctx, s, r, u)
		if err != nil && ctx.Err() == nil {
			l.failed(s, faultOf(err, ReasonDownload))
		}
		// What was not taken is asked for again, and what is active need not be sent.
		if s.active != nil {
			d.SetCache(s.active.etag)
		} else if err != nil {
			d.SetCache("")
		}
		return err
	}
}

func (l *Loader) take(ctx context.Context, s *source, r *received, u download.Update) error {
	if u.Error != nil {
		if r.raw != nil {
			if _, err := s.reading.read(r.raw); err != nil {
				return err
			}
		}
		return withoutQuery(u.Error)
	}
	l.update(func() { s.status.LastSuccessfulRequest = s.status.LastRequest })
	if u.Bundle == nil {
		if s.active != nil {
			s.pending = nil
			l.confirm(s)
		}
		return nil
	}
	if r.raw == nil {
		return &Fault{ReasonFormat, errors.New("the answer is no .tar.gz file")}
	}
	l.update(func() {
		s.status.LastSuccessfulDownload = s.status.LastRequest
		s.status.SetBundleSize(u.Size)
		s.status.Type = u.Bundle.Type()
	})
	c, err := s.reading.read(r.raw)
	if err != nil {
		return err
	}
	c.etag = u.ETag
	return l.offer(ctx, s, c)
}

// withoutQuery takes what may be a token out of the URL in an error of net/http.
func withoutQuery(err error) error {
	var failed *url.Error
	if !errors.As(err, &failed) {
		return err
	}
	address, _, _ := strings.Cut(failed.URL, "?")
	return faultOf(fmt.Errorf("%s %q: %w", failed.Op, address, failed.Err), ReasonDownload)
}

// look reads the sources on this machine that have changed.
func (l *Loader) look(ctx context.Context) (err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.sources {
		if s.local == nil || s.local.path == "" {
			continue
		}
		retry := !s.retryAt.IsZero() && time.Now().After(s.retryAt)
		if s.local.look() == s.local.seen && !retry {
			continue
		}
		s.retryAt = time.Time{}
		l.update(func() { s.status.SetRequest() })
		c, fault := s.local.read()
		if fault == nil {
			fault = l.offer(ctx, s, c)
		}
		if fault != nil && ctx.Err() == nil {
			s.retryAt = time.Now().Add(retryInterval)
			l.failed(s, faultOf(fault, ReasonFormat))
			err = errors.Join(err, fmt.Errorf("%s: %w", s.title, fault))
		}
	}
	return err
}

// offer makes a content of s decide, together with the newest of all others, or, where that fails, with those that decide
// now: policies and settings that go together may come one after the other.
func (l *Loader) offer(ctx context.Context, s *source, c *content) error {
	if s.active != nil && s.active.digest == c.digest {
		s.active.etag, s.pending = c.etag, nil
		l.confirm(s)
		return nil
	}
	if l.options.Config == nil || !l.options.Config.AllowOlder {
		if err := checkSequence(s.highest, c.sequence); err != nil {
			return err
		}
	}
	before := s.pending
	s.pending = c
	parts, missing := l.newest(nil)
	if len(missing) > 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, activationTimeout)
	defer cancel()
	err := l.activate(ctx, parts)
	if err != nil && l.othersWait(s) {
		parts, missing = l.newest(s)
		if len(missing) == 0 {
			err = l.activate(ctx, parts)
		}
	}
	if err != nil {
		if s.active == nil && before != nil {
			s.pending = before // the source need not send it again
		}
		return err
	}
	l.commit(parts)
	l.confirm(s)
	return nil
}

// newest gives the newest content of each source, of which others than only, if it is given, stay with what is active;
// and the sources that have none yet.
func (l *Loader) newest(only *source) (parts []part, missing []string) {
	for _, s := range l.sources {
		c := s.active
		if s.pending != nil && (only == nil || only == s) {
			c = s.pending
		}
		if c == nil {
			missing = append(missing, s.name)
			continue
		}
		parts = append(parts, part{name: s.name, content: c})
	}
	return parts, missing
}

func (l *Loader) othersWait(s *source) bool {
	return slices.ContainsFunc(l.sources, func(other *source) bool { return other != s && other.pending != nil })
}

func (l *Loader) compile(ctx context.Context, parts []part) (*policy.Snapshot, error) {
	if l.options.Config != nil && len(l.options.Config.Sources) > 0 {
		whole, settings, err := compose(parts)
		if err != nil {
			return nil, err
		}
		return l.options.Compiler.Compile(ctx, whole, settings)
	}
	var settings map[string]any
	if len(parts) > 1 {
		settings = parts[1].settings
	}
	return l.options.Compiler.Compile(ctx, parts[0].bundle, settings)
}

func (l *Loader) activate(ctx context.Context, parts []part) error {
	snapshot, err := l.compile(ctx, parts)
	if err != nil {
		return faultOf(err, ReasonPolicy)
	}
	if err := l.activator.Activate(ctx, snapshot); err != nil {
		return faultOf(err, ReasonState)
	}
	return nil
}

// commit notes that these decide now, and keeps them on disk.
func (l *Loader) commit(parts []part) {
	files := map[string][]byte{}
	for i, s := range l.sources {
		c := parts[i].content
		if c == s.pending {
			s.pending = nil
		}
		if c.raw != nil {
			files[c.digest] = c.raw
		}
		if s.active == c {
			continue
		}
		s.active = c
		revision := ""
		if c.bundle != nil {
			revision = c.bundle.Manifest.Revision
		}
		if c.sequence != nil || l.options.Config != nil && l.options.Config.AllowOlder {
			s.highest = c.sequence
		}
		if c.sequence == nil && s.downloads != nil {
			l.options.Logger.Warn("a bundle has no sequence, so that an older one would be taken for a newer one; "+
				"give its manifest a metadata.eksguard.sequence", "bundle", s.name, "revision", revision)
		}
		l.update(func() {
			s.status.SetActivateSuccess(revision)
			s.status.ETag, s.status.Sequence = c.etag, c.sequence
			s.status.setFault(nil)
		})
		l.options.Observer.Activated(s.name, revision)
	}
	l.save(files)
}

func (l *Loader) save(files map[string][]byte) {
	if l.lastGood == nil {
		return
	}
	kept := record{}
	for _, s := range l.sources {
		if s.downloads == nil {
			continue
		}
		entry := recordEntry{Source: s.identity, Sequence: s.highest}
		if s.persist {
			entry.Digest, entry.ETag = s.active.digest, s.active.etag
		}
		kept[s.name] = entry
	}
	if err := l.lastGood.save(kept, files); err != nil {
		for name := range kept {
			l.options.Observer.Failed(name, &Fault{ReasonPersist, fmt.Errorf(
				"it decides, but no copy of it is on disk for the next start: %w", err)})
		}
	}
}

// confirm notes that what s has active is the newest that its source has.
func (l *Loader) confirm(s *source) {
	if s.active == nil {
		return
	}
	now := time.Now()
	s.confirmed = true
	all := !slices.ContainsFunc(l.sources, func(s *source) bool { return !s.confirmed })
	var before bool
	l.update(func() {
		s.status.setFault(nil)
		before, l.confirmed = l.confirmed, all
	})
	l.options.Observer.Current(s.name, now)
	if all && !before {
		l.options.Confirmed()
	}
}

func (l *Loader) failed(s *source, fault *Fault) {
	l.update(func() { s.status.setFault(fault) })
	l.options.Observer.Failed(s.name, fault)
}

func (l *Loader) update(change func()) {
	l.statusMu.Lock()
	defer l.statusMu.Unlock()
	change()
}

// Names are the names by which status and metrics call what is loaded.
func (l *Loader) Names() (names []string) {
	for _, s := range l.sources {
		names = append(names, s.name)
	}
	return names
}

// Confirmed tells whether every source has said, since the start, that what decides is its newest. Until then a last good
// copy may decide, which may be older than what decided before in this cluster.
func (l *Loader) Confirmed() bool {
	l.statusMu.Lock()
	defer l.statusMu.Unlock()
	return l.confirmed
}
