// Package bundlestatus reports the status of bundles in OPA's format, by OPA's own status plugin: to a service by HTTP, to
// standard output, or both. It reports whatever changes, and once in a while what did not, so that what a service missed it
// is told again. It holds up nothing: of several changes, the last one counts.
package bundlestatus

import (
	"context"
	"time"

	"github.com/open-policy-agent/opa/v1/plugins"
	opabundle "github.com/open-policy-agent/opa/v1/plugins/bundle"
	"github.com/open-policy-agent/opa/v1/plugins/status"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/mozilla-iam/eksguard/internal/bundle"
)

// Options are what a Reporter is made of.
type Options struct {
	// Config is the section status; required.
	Config *status.Config
	// Manager is OPA's, which knows the services; required. It is started after New, and after the decision log was made,
	// whose plugin tells the status plugin how its uploads fare.
	Manager *plugins.Manager
	// Status gives the status of every bundle, by name; required.
	Status func() map[string]bundle.Status
	// Registerer is required.
	Registerer prometheus.Registerer
	// Repeat is after what time a status is reported that did not change. Default: a minute.
	Repeat time.Duration
}

// Reporter reports the status of bundles. It implements bundle.Observer.
type Reporter struct {
	options Options
	plugin  *status.Plugin
	wake    chan struct{}
}

// New makes a Reporter. It reports nothing before Start, and nothing that is older than the manager's own start.
func New(o Options) *Reporter {
	if o.Repeat == 0 {
		o.Repeat = time.Minute
	}
	logger := o.Manager.Logger()
	o.Manager.SetLogger(&uploadLogger{Logger: logger, uploads: newUploads(o.Registerer), remote: o.Config.Service != ""})
	defer o.Manager.SetLogger(logger)
	r := &Reporter{options: o, plugin: status.New(o.Config, o.Manager), wake: make(chan struct{}, 1)}
	o.Manager.Register(status.Name, r.plugin)
	return r
}

// Start reports until ctx ends.
func (r *Reporter) Start(ctx context.Context) error {
	ticker := time.NewTicker(r.options.Repeat)
	defer ticker.Stop()
	var last map[string]*opabundle.Status
	for ctx.Err() == nil {
		repeated := false
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		case <-ticker.C:
			repeated = true
		}
		if now := r.now(); repeated || changed(last, now) {
			r.plugin.BulkUpdateBundleStatus(now)
			last = now
		}
	}
	return nil
}

// now is the status of the moment in OPA's format.
func (r *Reporter) now() map[string]*opabundle.Status {
	all := map[string]*opabundle.Status{}
	for name, s := range r.options.Status() {
		all[name] = &s.Status
	}
	return all
}

// changed tells whether there is more to tell than that time went by.
func changed(before, now map[string]*opabundle.Status) bool {
	if len(before) != len(now) {
		return true
	}
	for name, s := range now {
		former := before[name]
		if former == nil {
			return true
		}
		timeless := *s
		timeless.LastRequest, timeless.LastSuccessfulRequest = former.LastRequest, former.LastSuccessfulRequest
		timeless.LastSuccessfulDownload = former.LastSuccessfulDownload
		if !timeless.Equal(former) {
			return true
		}
	}
	return false
}

// Failed implements bundle.Observer.
func (r *Reporter) Failed(string, *bundle.Fault) { r.look() }

// Activated implements bundle.Observer.
func (r *Reporter) Activated(string, string) { r.look() }

// Current implements bundle.Observer.
func (r *Reporter) Current(string, time.Time) { r.look() }

func (r *Reporter) look() {
	select {
	case r.wake <- struct{}{}:
	default: // it will look anyway
	}
}
