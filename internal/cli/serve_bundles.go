package cli

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/certs"
	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/internal/reload"
	"github.com/mozilla-iam/eksguard/internal/telemetry"
)

// prepareBundles reads the configuration and all bundles that are on this machine, so that what is wrong with them is told
// before anything else is done.
func (s *server) prepareBundles(ctx context.Context) (err error) {
	var config *bundle.Config
	if s.options.config != "" {
		if config, err = bundle.ReadConfig(s.options.config, bundle.OPALogger(s.logger)); err != nil {
			return err
		}
		if s.options.bundle != "" && len(config.Sources) > 0 {
			return fmt.Errorf("--bundle %q, and bundles in configuration %q: give one of them, or the former as {resource: file:///PATH}",
				s.options.bundle, s.options.config)
		}
	}
	s.serving = certs.NewServing(s.registrationChanged)
	s.metrics = telemetry.NewMetrics(telemetry.MetricsOptions{
		Registerer: metrics.Registry, Namespaces: s.options.metricsNamespaces,
		Build:   telemetry.Build{Version: version, OPA: opaVersion()},
		Sources: telemetry.Sources{Ready: s.ready, CertificateNotAfter: s.serving.NotAfter, ClusterState: s.clusterState},
	})
	s.observers = telemetry.BundleObservers{s.metrics, telemetry.Log{Logger: s.logger}}
	s.bundles, err = bundle.NewLoader(bundle.Options{
		Config: config, Path: s.options.bundle, Settings: s.options.settings,
		Compiler: reload.Compiler{
			TestsRequired: config != nil && config.TestsRequired, Built: s.metrics.SnapshotBuilt},
		Observer: &s.observers, Confirmed: s.registrationChanged, Logger: s.logger,
	})
	if err != nil {
		return err
	}
	if config != nil {
		s.prepareReporting(config)
	}
	for _, name := range s.bundles.Names() {
		s.metrics.BundleNamed(name)
	}
	return s.bundles.Prepare(ctx)
}

// followBundles makes bundles decide as they come.
func (s *server) followBundles(ctx context.Context) error {
	if err := s.bundles.Start(ctx, s.reloader); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// followState keeps up with the kinds that come and go.
func (s *server) followState(ctx context.Context) error {
	s.state.Follow(ctx)
	return nil
}

// swapped is called when a snapshot begins to decide.
func (s *server) swapped(snapshot *policy.Snapshot) {
	s.metrics.SnapshotLoaded(snapshot, time.Now())
	s.logger.Info("policies decide", "revision", snapshot.Revision(), "policies", len(snapshot.Policies()))
	if s.decisions != nil {
		s.decisions.Follow(context.Background(), snapshot)
	}
	s.registrationChanged()
}

// clusterState tells metrics of what policies read.
func (s *server) clusterState() (states []telemetry.ClusterState) {
	snapshot := s.engine.Snapshot()
	if snapshot == nil {
		return nil
	}
	for _, need := range snapshot.Needs() {
		states = append(states, telemetry.ClusterState{
			Resource: need.Key(), Synced: s.state.Synced(need), Changed: s.state.Changed(need)})
	}
	return states
}
