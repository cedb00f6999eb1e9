package soak

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
)

// newBundle publishes another revision of the same policies.
func (s *soak) newBundle(ctx context.Context, _ *window) error {
	if err := s.bundles.publish(good); err != nil {
		return err
	}
	return s.decides(ctx, s.bundles.revision())
}

// badBundles publishes one after the other what must not be taken, and then a good one.
func (s *soak) badBundles(ctx context.Context, w *window) error {
	decided := s.bundles.revision()
	for _, v := range bad {
		series := fmt.Sprintf(`eksguard_bundle_failures_total{bundle="policies",reason=%q}`, v.reason)
		before := map[*replica]float64{}
		for _, r := range s.replicas {
			page, err := metricsOf(r.guard.MetricsURL)
			if err != nil {
				return err
			}
			before[r] = page[series]
		}
		if err := s.bundles.publish(v); err != nil {
			return err
		}
		for _, r := range s.replicas {
			err := eventually(ctx, fmt.Sprintf("replica %s refuses a bundle for its %s", r.name, v.reason), func() error {
				page, err := metricsOf(r.guard.MetricsURL)
				if err != nil {
					return err
				}
				if page[series] <= before[r] {
					return errors.New("it has not yet")
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		if err := s.decides(ctx, decided); err != nil {
			return err
		}
	}
	return s.newBundle(ctx, w)
}

// policyComesAndGoes publishes a bundle with a policy more, and then one without it.
func (s *soak) policyComesAndGoes(ctx context.Context, w *window) error {
	without := s.wanted
	if err := s.bundles.publish(extended); err != nil {
		return err
	}
	if err := s.decides(ctx, s.bundles.revision()); err != nil {
		return err
	}
	if err := eventually(ctx, "the policy is registered", func() error {
		now, err := s.registration(ctx)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(now.validating, func(h admissionv1.ValidatingWebhook) bool { return h.Name == "soak.eksguard.io" }) {
			return errors.New("it is not")
		}
		s.wanted = now
		return nil
	}); err != nil {
		return err
	}
	if err := s.recovered(ctx); err != nil {
		return err
	}
	if err := sleep(ctx, calm); err != nil {
		return err
	}
	s.wanted = without
	return s.newBundle(ctx, w)
}

// decides returns once both replicas decide by this revision, with their settings.
func (s *soak) decides(ctx context.Context, revision string) error {
	prefix := fmt.Sprintf(`eksguard_bundle_info{revision="policies=%s+`, revision)
	for _, r := range s.replicas {
		err := eventually(ctx, fmt.Sprintf("replica %s decides by revision %s", r.name, revision), func() error {
			page, err := metricsOf(r.guard.MetricsURL)
			if err != nil {
				return err
			}
			for series, value := range page {
				if strings.HasPrefix(series, prefix) && value == 1 {
					return nil
				}
			}
			return errors.New("it does not")
		})
		if err != nil {
			return err
		}
	}
	return nil
}
