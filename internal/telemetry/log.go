package telemetry

import (
	"context"
	"log/slog"
	"time"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/webhook"
)

// Log writes what came of requests to a logger: violations and faults as they are, what was allowed at debug level. It
// writes names, never objects.
type Log struct{ Logger *slog.Logger }

// Decided logs a decision.
func (l Log) Decided(r *policy.Request, d *policy.Decision, took time.Duration) {
	quiet := d.Clean()
	level := slog.LevelInfo
	if quiet {
		level = slog.LevelDebug
	} else if len(d.Faults) > 0 {
		level = slog.LevelError
	}
	if !l.Logger.Enabled(context.Background(), level) {
		return
	}
	log := l.Logger.With(
		"uid", r.UID, "phase", r.Phase.String(), "policy", r.Policy, "operation", string(r.Operation),
		"resource", resource(r), "namespace", r.Namespace, "name", r.Name, "user", r.User, "dryRun", r.DryRun,
		"allowed", d.Allowed, "revision", d.Revision, "took", took.String())
	for i := range d.Violations {
		v := &d.Violations[i]
		log.Info("violation", "rule", v.ID(), "severity", v.Severity, "outcome", outcome(v.Action, v.Exception),
			"field", v.Field, "message", v.Message)
	}
	for i := range d.Mutations {
		m := &d.Mutations[i]
		log.Info("mutation", "rule", m.Policy+"/"+m.Rule, "applied", m.Applies())
	}
	for i := range d.Faults {
		log.Error("policy could not be evaluated", "denies", d.Faults[i].Denies, "error", d.Faults[i].Err.Error())
	}
	if quiet {
		log.Debug("allowed")
	}
}

// Rejected logs a request that got no decision.
func (l Log) Rejected(reason webhook.Reason, err error) {
	l.Logger.Warn("request got no decision", "reason", string(reason), "error", err.Error())
}

// Failed implements bundle.Observer.
func (l Log) Failed(name string, fault *bundle.Fault) {
	l.Logger.Error("bundle not taken", "bundle", name, "reason", string(fault.Reason), "error", fault.Error())
}

// Activated implements bundle.Observer.
func (l Log) Activated(name, revision string) {
	l.Logger.Info("bundle activated", "bundle", name, "revision", revision)
}

// Current implements bundle.Observer.
func (Log) Current(string, time.Time) {}

func resource(r *policy.Request) string {
	name := r.Resource.Resource
	if r.SubResource != "" {
		name += "/" + r.SubResource
	}
	if r.Resource.Group != "" {
		name += "." + r.Resource.Group
	}
	return name
}

// Observers passes everything on to each of them.
type Observers []webhook.Observer

// Decided implements webhook.Observer.
func (o Observers) Decided(r *policy.Request, d *policy.Decision, took time.Duration) {
	for _, observer := range o {
		observer.Decided(r, d, took)
	}
}

// Rejected implements webhook.Observer.
func (o Observers) Rejected(reason webhook.Reason, err error) {
	for _, observer := range o {
		observer.Rejected(reason, err)
	}
}
