package bundle

import (
	"context"
	"fmt"
	"strings"
)

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
