package bundle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"os"
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
		if s.local == nil {
			continue
		}
		failing := !s.retryAt.IsZero()
		if s.local.look() == s.local.seen && (!failing || time.Now().Before(s.retryAt)) {
			if s.active != nil && !failing {
				l.options.Observer.Current(s.name, time.Now())
			}
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
