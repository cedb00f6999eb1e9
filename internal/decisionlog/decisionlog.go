// Package decisionlog writes decisions in OPA's decision log format, by OPA's own plugin: to a collector by HTTP, or to
// standard output. It never holds a decision up, and never changes one: what cannot be written is dropped and counted.
// What is in a Secret, and tokens, are taken out before anything else sees them.
package decisionlog

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/plugins"
	"github.com/open-policy-agent/opa/v1/plugins/logs"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/webhook"
)

const (
	// queueLength and queueBytes bound what waits to be masked and encoded.
	queueLength = 1000
	queueBytes  = 32 << 20
)

// Options are what a Log is made of; all are required.
type Options struct {
	// Config is the section decision_logs.
	Config *bundle.DecisionLog
	// Manager is OPA's, which knows the services. It is started after New and before Start, and stopped after Stop.
	Manager *plugins.Manager
	// Console is where decisions go with console: true, a JSON object a line.
	Console io.Writer
	// Logger gets what goes wrong with the log.
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Log is a decision log. It implements webhook.Observer.
type Log struct {
	config  *bundle.DecisionLog
	manager *plugins.Manager
	plugin  *logs.Plugin
	logger  *slog.Logger
	metrics *metrics
	// sink is what the plugin logs to.
	sink    *pluginLogger
	limiter *rate.Limiter

	queue  chan record
	queued atomic.Int64
	stop   chan struct{}
	done   sync.WaitGroup
	// rules is held while rules are installed, so that what is decided by a new bundle waits for its masks.
	rules sync.RWMutex
	// ruled is false before there are rules of a bundle, and where they could not be installed: nothing is logged past
	// a mask.
	ruled atomic.Bool
	// followed is closed by the first call of Follow.
	followed  chan struct{}
	followOne sync.Once
}

// New makes a Log that writes nothing before it is started.
func New(o Options) *Log {
	l := &Log{
		config: o.Config, manager: o.Manager, logger: o.Logger, metrics: newMetrics(o.Registerer),
		queue: make(chan record, queueLength), stop: make(chan struct{}),
		followed: make(chan struct{}),
	}
	if limit := o.Config.MaxPerSecond; limit > 0 {
		l.limiter = rate.NewLimiter(rate.Limit(limit), max(1, int(limit)))
	}
	// What one sink says over and over is said once in a while.
	loud := o.Manager.Logger()
	l.sink = &pluginLogger{Logger: loud, metrics: l.metrics, throttle: newThrottle()}
	o.Manager.SetLogger(l.sink)
	defer o.Manager.SetLogger(loud)
	config := *o.Config.OPA
	if config.ConsoleLogs {
		name := consoleName
		config.ConsoleLogs, config.Plugin = false, &name
		o.Manager.Register(consoleName, newConsole(o.Console, func(err error) {
			l.drop(reasonConsole, err.Error())
		}))
	}
	l.plugin = logs.New(&config, o.Manager).WithMetrics(l.metrics.opa)
	o.Manager.Register(logs.Name, l.plugin)
	return l
}

// Start begins to write, once Follow has been called: until then, what is decided waits. A Log can be started once.
func (l *Log) Start() { l.done.Go(l.work) }

// Stop hands over what waits, for as long as ctx lasts, and ends; the end of the manager uploads it. No decision may come
// after it.
func (l *Log) Stop(ctx context.Context) {
	close(l.stop)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.done.Wait()
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		l.logger.Error("decision log: ended with decisions that were not written")
	}
}

// record is one decision that waits to be written.
type record struct {
	review   []byte
	phase    policy.Phase
	policy   string
	user     string
	decision policy.Decision
	at       time.Time
	took     time.Duration
}

// Decided implements webhook.Observer: it copies what is to be logged, and leaves all else to another goroutine.
func (l *Log) Decided(r *policy.Request, d *policy.Decision, took time.Duration) {
	if !l.config.All && d.Clean() {
		return
	}
	if l.limiter != nil && !l.limiter.Allow() {
		l.drop(reasonRateLimit, "more decisions than max_decisions_per_second")
		return
	}
	size := int64(len(r.Review()))
	if l.queued.Add(size) > queueBytes {
		l.queued.Add(-size)
		l.drop(reasonQueueFull, "decisions come faster than they can be written")
		return
	}
	select {
	case l.queue <- record{review: bytes.Clone(r.Review()), phase: r.Phase, policy: r.Policy, user: r.User,
		decision: *d, at: time.Now(), took: took}:
	default:
		l.queued.Add(-size)
		l.drop(reasonQueueFull, "decisions come faster than they can be written")
	}
}

// Rejected implements webhook.Observer: what got no decision is not logged here.
func (l *Log) Rejected(webhook.Reason, error) {}

func (l *Log) drop(reason reason, why string) {
	l.metrics.dropped[reason].Add(1)
	l.sink.Error("decisions dropped ("+string(reason)+"): %s", why)
}

// work writes until there is an end, and then what is in the queue.
func (l *Log) work() {
	select {
	case <-l.followed:
	case <-l.stop:
	}
	for {
		select {
		case r := <-l.queue:
			l.write(r)
		case <-l.stop:
			for {
				select {
				case r := <-l.queue:
					l.write(r)
				default:
					return
				}
			}
		}
	}
}
