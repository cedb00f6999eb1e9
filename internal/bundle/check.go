package bundle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// checkInterval bounds how often sources are checked, and how old a check may be that answers for now.
const checkInterval = time.Second

// checkResult is what came of a check.
type checkResult struct {
	began time.Time
	err   error
}

// Check asks all sources for what they have now, and returns nil once what decides is the newest of all of them, as of a
// second ago at most. It waits no longer than ctx.
func (l *Loader) Check(ctx context.Context) error {
	if l.allLocal() {
		return l.look(ctx)
	}
	asked := time.Now()
	select {
	case l.checks <- struct{}{}: // one at a time
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if l.lastCheck.began.After(asked.Add(-checkInterval)) {
		defer func() { <-l.checks }()
		return l.lastCheck.err
	}
	done := make(chan error, 1)
	go func() {
		defer func() { <-l.checks }()
		l.lastCheck = checkResult{began: time.Now()}
		// It goes on for others when this one has lost its patience; the service's timeouts bound it.
		l.lastCheck.err = l.checkAll(context.WithoutCancel(ctx))
		done <- l.lastCheck.err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l *Loader) checkAll(ctx context.Context) error {
	var running sync.WaitGroup
	errs := make([]error, len(l.sources))
	for i, s := range l.sources {
		if s.downloads != nil {
			running.Go(func() {
				if err := s.downloads.check.Trigger(ctx); err != nil {
					errs[i] = fmt.Errorf("%s: %w", s.title, err)
				}
			})
		}
	}
	running.Wait()
	return errors.Join(append(errs, l.look(ctx))...)
}
