package decisionlog

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	opametrics "github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/server"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/util"

	"github.com/mozilla-iam/eksguard/internal/policy"
)

// result is what a policy found, as the event's "result".
type result struct {
	Phase      string             `json:"phase"`
	Allowed    bool               `json:"allowed"`
	Violations []policy.Violation `json:"violations,omitempty"`
	Mutations  []policy.Mutation  `json:"mutations,omitempty"`
	Errors     []string           `json:"errors,omitempty"`
}

// write has OPA's plugin mask a decision, and put it into its buffer or on the console.
func (l *Log) write(r record) {
	defer l.queued.Add(-int64(len(r.review)))
	l.rules.RLock()
	defer l.rules.RUnlock()
	if !l.ruled.Load() {
		l.drop(reasonMask, "the rules of package system.log could not be installed")
		return
	}
	if err := l.log(r); err != nil {
		l.drop(reasonEncoding, err.Error())
	}
}

func (l *Log) log(r record) error {
	info, err := r.info()
	if err != nil {
		return err
	}
	// A mask that does not end would hold up all that follow it.
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return storage.Txn(ctx, l.manager.Store, storage.TransactionParams{}, func(txn storage.Transaction) error {
		info.Txn = txn
		return l.plugin.Log(ctx, info)
	})
}

// info is the decision as OPA's own server would tell it to its log.
func (r *record) info() (*server.Info, error) {
	var input any
	if err := util.UnmarshalJSON(r.review, &input); err != nil {
		// It was found valid before, and an error of the decoder may quote it.
		return nil, fmt.Errorf("the review of policy %q could not be read again", r.policy)
	}
	request := member(input, "request")
	found := result{Phase: r.phase.String(), Allowed: r.decision.Allowed, Violations: r.decision.Violations,
		Mutations: r.decision.Mutations}
	if isSecret(request) {
		found.Mutations = redactMutations(found.Mutations)
	}
	for i := range r.decision.Faults {
		found.Errors = append(found.Errors, r.decision.Faults[i].Error())
	}
	redact(input)
	var results any = found
	if err := util.RoundTrip(&results); err != nil {
		return nil, fmt.Errorf("the result of policy %q: %w", r.policy, err)
	}
	return &server.Info{
		DecisionID: uuid.NewString(),
		Bundles:    map[string]server.BundleInfo{"eksguard": {Revision: r.decision.Revision}},
		Path:       "eksguard/" + strings.ReplaceAll(r.policy, "-", "_"),
		Input:      &input,
		Results:    &results,
		RemoteAddr: r.user,
		Timestamp:  r.at,
		Metrics:    duration{opametrics.NoOp(), r.took},
	}, nil
}

// duration is OPA's metric of how long a decision took.
type duration struct {
	opametrics.Metrics
	took time.Duration
}

// All implements metrics.Metrics.
func (d duration) All() map[string]any {
	return map[string]any{"timer_server_handler_ns": d.took.Nanoseconds()}
}
