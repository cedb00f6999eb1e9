// Package reload makes a new snapshot decide without a gap: what its policies read of the cluster is watched before it is
// asked, decisions under way end by the snapshot that they began with, and reviews for a policy that the snapshot does not
// have are answered rightly while several replicas change over.
package reload

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	opabundle "github.com/open-policy-agent/opa/v1/bundle"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/policy"
)

// retireAfter is how long the state that only the last snapshot read is kept up: longer than a decision takes.
const retireAfter = 15 * time.Second

// State is the watched cluster state; a *cluster.State is one.
type State interface {
	// Probe fails where the objects of needs cannot be listed.
	Probe(ctx context.Context, needs []policy.Need) error
	// Watch returns once all of needs is known.
	Watch(ctx context.Context, needs []policy.Need) error
	// Keep ends the watches of everything else.
	Keep(ctx context.Context, needs []policy.Need) error
}

// Options are what a Reloader is made of; all are required.
type Options struct {
	Engine *policy.Engine
	State  State
	// Swapped is told of every snapshot that decides from now on.
	Swapped func(*policy.Snapshot)
	Logger  *slog.Logger
}

// Reloader implements bundle.Activator.
type Reloader struct {
	options Options
	// mu is held while the watches change.
	mu sync.Mutex
}

// New makes a Reloader.
func New(o Options) *Reloader { return &Reloader{options: o} }

// Compiler implements bundle.Compiler.
type Compiler struct {
	// TestsRequired is true where a bundle counts only if its own tests pass.
	TestsRequired bool
	// Built, if it is not nil, is told how long each compilation took, also one that failed.
	Built func(took time.Duration)
}

// Compile implements bundle.Compiler.
func (c Compiler) Compile(ctx context.Context, b *opabundle.Bundle, settings map[string]any) (*policy.Snapshot, error) {
	if c.Built != nil {
		started := time.Now()
		defer func() { c.Built(time.Since(started)) }()
	}
	snapshot, err := policy.NewSnapshot(ctx, b, settings)
	if err != nil {
		var wrong *policy.SettingsError
		if errors.As(err, &wrong) {
			return nil, &bundle.Fault{Reason: bundle.ReasonSettings, Err: err}
		}
		return nil, &bundle.Fault{Reason: bundle.ReasonPolicy, Err: err}
	}
	if c.TestsRequired {
		if err := runTests(ctx, b); err != nil {
			return nil, &bundle.Fault{Reason: bundle.ReasonTests, Err: err}
		}
	}
	return snapshot, nil
}

// Activate implements bundle.Activator.
func (r *Reloader) Activate(ctx context.Context, snapshot *policy.Snapshot) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	needs := snapshot.Needs()
	if r.options.Engine.Snapshot() != nil {
		if err := r.options.State.Probe(ctx, needs); err != nil {
			return &bundle.Fault{Reason: bundle.ReasonState, Err: err}
		}
	}
	if err := r.options.State.Watch(ctx, needs); err != nil {
		return &bundle.Fault{Reason: bundle.ReasonState, Err: err}
	}
	r.options.Engine.Swap(snapshot)
	r.options.Swapped(snapshot)
	time.AfterFunc(retireAfter, func() { r.retire(context.WithoutCancel(ctx), snapshot) })
	return nil
}

// retire ends the watches that snapshot does not need, unless another decides by now, whose turn comes yet.
func (r *Reloader) retire(ctx context.Context, snapshot *policy.Snapshot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.options.Engine.Snapshot() != snapshot {
		return
	}
	if err := r.options.State.Keep(ctx, snapshot.Needs()); err != nil {
		r.options.Logger.Warn("a watch that is not needed any more goes on", "error", err.Error())
	}
}

// Checker asks the sources of bundles for what they have now; a *bundle.Loader does.
type Checker interface {
	// Check returns nil once what decides is the newest.
	Check(ctx context.Context) error
}

// Known tells whether there is a policy of that name. Where the snapshot does not have it, this replica may lag behind the
// one that registered it: it checks its sources first, so that false means that no source has it (any more). An error
// means that this cannot be told.
func (r *Reloader) Known(ctx context.Context, checker Checker, name string) (bool, error) {
	snapshot := r.options.Engine.Snapshot()
	switch {
	case snapshot == nil:
		return false, policy.ErrNoSnapshot
	case snapshot.Policy(name) != nil:
		return true, nil
	}
	if err := checker.Check(ctx); err != nil {
		return false, fmt.Errorf("the active bundle has no policy %q, and whether there is a newer one cannot be told: %w", name, err)
	}
	return r.options.Engine.Snapshot().Policy(name) != nil, nil
}
