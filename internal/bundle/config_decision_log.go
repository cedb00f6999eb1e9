package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/plugins"
	"github.com/open-policy-agent/opa/v1/plugins/logs"

	"github.com/mozilla-iam/eksguard/internal/excerpt"
)

const (
	// DecisionLogMask is what OPA's decision log asks for masks: a rule of package decisionlog, which asks that of
	// bundles in turn.
	DecisionLogMask = "/eksguard_decision_log/mask"
	// DecisionLogDrop is what it asks, likewise, whether to drop a decision.
	DecisionLogDrop = "/eksguard_decision_log/drop"
	// decisionLogBuffer is how many bytes wait for the collector at most, gzipped: OPA's default is no bound.
	decisionLogBuffer = 16 << 20
)

// DecisionLog is where decisions are logged to.
type DecisionLog struct {
	// OPA is what OPA's plugin is made of: ConsoleLogs, the service and so on, with all defaults filled in. Its buffer
	// is bounded by bytes, and it has no rate limit.
	OPA *logs.Config
	// All is true where decisions that found nothing are logged, too.
	All bool
	// MaxPerSecond is how many decisions are logged in a second at most; no limit if it is zero.
	MaxPerSecond float64
}

// readDecisionLog reads the section decision_logs, which is absent where raw is nil.
func (c *Config) readDecisionLog(raw json.RawMessage, which string) error {
	all := false
	switch which {
	case "all":
		all = true
	case "", "findings":
	default:
		return fmt.Errorf("eksguard.decision_log is %q, want findings or all", excerpt.Of(which, maxText))
	}
	if raw == nil || bytes.Equal(raw, []byte("null")) {
		if which != "" {
			return errors.New("eksguard.decision_log: means nothing without decision_logs")
		}
		return nil
	}
	var given logs.Config
	if err := json.Unmarshal(raw, &given); err != nil {
		return fmt.Errorf("decision_logs: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if given.Service == "" && !given.ConsoleLogs {
		return errors.New("decision_logs: goes nowhere: set service to one of services, or console to true")
	}
	result := &DecisionLog{All: all}
	if limit := given.Reporting.MaxDecisionsPerSecond; limit != nil {
		if *limit <= 0 {
			return fmt.Errorf("decision_logs.reporting.max_decisions_per_second is %v, want more than 0", *limit)
		}
		// OPA would bound the buffer either by this or by bytes.
		result.MaxPerSecond, given.Reporting.MaxDecisionsPerSecond = *limit, nil
	}
	if given.Reporting.BufferSizeLimitBytes == nil {
		limit := int64(decisionLogBuffer)
		given.Reporting.BufferSizeLimitBytes = &limit
	}
	mask, drop := DecisionLogMask, DecisionLogDrop
	given.MaskDecision, given.DropDecision = &mask, &drop
	text, err := json.Marshal(given)
	if err != nil {
		return err
	}
	trigger := plugins.DefaultTriggerMode
	if result.OPA, err = logs.NewConfigBuilder().WithBytes(text).WithServices(c.OPA.Services()).
		WithTriggerMode(&trigger).WithLogger(c.OPA.Logger()).Parse(); err != nil {
		return fmt.Errorf("decision_logs: %w", err)
	}
	c.DecisionLog = result
	return nil
}
