package bundle

import (
	"context"
	"fmt"
	"slices"

	"github.com/mozilla-iam/eksguard/internal/policy"
)

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
	// What was read on this machine has waited for the rest, and is not read again unless it changes.
	for _, other := range l.sources {
		if other.local != nil && !other.confirmed && other.pending == nil && other.retryAt.IsZero() {
			l.confirm(other)
		}
	}
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
