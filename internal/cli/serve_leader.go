package cli

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"
	clientleaderelection "k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"sigs.k8s.io/controller-runtime/pkg/leaderelection"
)

// How long a Lease counts, how long its holder tries to renew it before it takes itself for no leader any more, and how
// often. They are shorter than controller-runtime's defaults (15 s, 10 s, 2 s): nobody repairs an altered registration while
// the Lease of a leader that died still counts, and a leader that loses it for no good reason loses nothing by that.
const (
	leaseDuration = 8 * time.Second
	renewDeadline = 5 * time.Second
	retryPeriod   = time.Second

	leaseName = "eksguard"
)

// leadership has one of several replicas do the registration. A manager of controller-runtime ends the process once it has
// lost its Lease; here it goes on answering reviews, as it must while it cannot reach an API server that still reaches
// it, and stands for election again.
type leadership struct {
	// changed is told when it begins to lead; it must not block.
	changed func()
	logger  *slog.Logger
	// lock is nil where no leader is elected, and then this is the one.
	lock    resourcelock.Interface
	leading atomic.Bool
}

func (l *leadership) leads() bool { return l.lock == nil || l.leading.Load() }

// Start stands for election until ctx ends, and then gives the Lease back. It implements manager.Runnable.
func (l *leadership) Start(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := l.stand(ctx); err != nil {
			return err
		}
	}
	return nil
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (*leadership) NeedLeaderElection() bool { return false }

// stand stands for election, leads, and returns when that is lost.
func (l *leadership) stand(ctx context.Context) error {
	begun := make(chan struct{})
	elector, err := clientleaderelection.NewLeaderElector(clientleaderelection.LeaderElectionConfig{
		Name: leaseName, Lock: l.lock,
		LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod, ReleaseOnCancel: true,
		Callbacks: clientleaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) {
				defer close(begun)
				l.leading.Store(true)
				l.changed()
			},
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return fmt.Errorf("elect a leader: %w", err)
	}
	elector.Run(ctx)
	// It tells of the begin in a goroutine, and has not begun at all if ctx ended before.
	if ctx.Err() == nil {
		<-begun
		l.logger.Warn("lost the lead: another replica does the registration, or the Lease could not be renewed; reviews are answered as before")
	}
	l.leading.Store(false)
	return nil
}

// lead makes the manager run the election, unless there is to be none.
func (s *server) lead() (err error) {
	if !s.options.leaderElect {
		return nil
	}
	s.leadership.lock, err = leaderelection.NewResourceLock(rest.CopyConfig(s.manager.GetConfig()), s.manager, leaderelection.Options{
		LeaderElection: true, LeaderElectionID: leaseName, LeaderElectionNamespace: s.options.namespace, RenewDeadline: renewDeadline})
	if err != nil {
		return fmt.Errorf("elect a leader: %w", err)
	}
	return s.manager.Add(s.leadership)
}
