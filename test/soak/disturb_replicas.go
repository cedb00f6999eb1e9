package soak

import (
	"context"
	"errors"
)

func (s *soak) leaderDrained(ctx context.Context, _ *window) error {
	leader, _, err := s.leader(ctx)
	if err != nil {
		return err
	}
	return errors.Join(leader.drain(), leader.start(ctx))
}

func (s *soak) otherDrained(ctx context.Context, _ *window) error {
	_, other, err := s.leader(ctx)
	if err != nil {
		return err
	}
	return errors.Join(other.drain(), other.start(ctx))
}

func (s *soak) leaderKilled(ctx context.Context, w *window) error {
	leader, _, err := s.leader(ctx)
	if err != nil {
		return err
	}
	return s.killed(ctx, w, leader)
}

func (s *soak) otherKilled(ctx context.Context, w *window) error {
	_, other, err := s.leader(ctx)
	if err != nil {
		return err
	}
	return s.killed(ctx, w, other)
}

// killed kills a replica and starts it again. Once the balancer has noticed, the other one answers for both.
func (s *soak) killed(ctx context.Context, w *window, r *replica) error {
	s.windows.begin(w)
	err := r.kill()
	s.windows.close(w)
	return errors.Join(err, r.start(ctx))
}

// bothKilled has nobody answer until one of them is started again.
func (s *soak) bothKilled(ctx context.Context, w *window) error {
	for _, r := range s.replicas {
		if err := r.kill(); err != nil {
			return err
		}
	}
	if err := s.replicas[0].start(ctx); err != nil {
		return err
	}
	s.windows.close(w)
	return s.replicas[1].start(ctx)
}

func (s *soak) apiServerRestarted(ctx context.Context, _ *window) error {
	if err := s.plane.RestartAPIServer(); err != nil {
		return err
	}
	// It serves the kinds of CRDs a moment after it says that it is ready.
	usedKind := s.plane.Client().Discovery().RESTClient().Get().AbsPath("/apis/monitoring.coreos.com/v1/servicemonitors")
	fluxKind := s.plane.Client().Discovery().RESTClient().Get().AbsPath("/apis/kustomize.toolkit.fluxcd.io/v1/kustomizations")
	return eventually(ctx, "the API server serves every kind", func() error {
		return errors.Join(usedKind.Do(ctx).Error(), fluxKind.Do(ctx).Error())
	})
}
