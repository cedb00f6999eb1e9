package cli

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/bundlestatus"
	"github.com/mozilla-iam/eksguard/internal/decisionlog"
)

// reportingEnd is how long the end waits until what waits is sent.
const reportingEnd = 5 * time.Second

// prepareReporting makes what sends decisions and the status of bundles elsewhere.
func (s *server) prepareReporting(config *bundle.Config) {
	config.Console = s.console
	if config.DecisionLog != nil {
		s.decisions = decisionlog.New(decisionlog.Options{
			Config: config.DecisionLog, Manager: config.OPA, Console: s.console, Logger: s.logger, Registerer: metrics.Registry})
		s.reporting = config.OPA
	}
	if config.Status != nil {
		s.statuses = bundlestatus.New(bundlestatus.Options{
			Config: config.Status, Manager: config.OPA, Status: s.bundles.Status, Registerer: metrics.Registry})
		s.observers = append(s.observers, s.statuses)
		s.reporting = config.OPA
	}
}

// startReporting starts what was prepared. end sends what waits.
func (s *server) startReporting(ctx context.Context) (end func(), err error) {
	if s.reporting == nil {
		return func() {}, nil
	}
	if err := s.reporting.Start(ctx); err != nil {
		return nil, fmt.Errorf("decision log and status of bundles: %w", err)
	}
	if s.decisions != nil {
		s.decisions.Start()
	}
	if s.statuses != nil {
		if err := s.manager.Add(everyReplica(s.statuses.Start)); err != nil {
			return nil, err
		}
	}
	return s.endReporting, nil
}

func (s *server) endReporting() {
	ctx, cancel := context.WithTimeout(context.Background(), reportingEnd)
	defer cancel()
	if s.decisions != nil {
		s.decisions.Stop(ctx)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.reporting.Stop(ctx)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		s.logger.Error("ended before all decisions and statuses of bundles were sent", "waited", reportingEnd.String())
	}
}
