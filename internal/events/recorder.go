// Package events tells of denials and of bundles by Kubernetes Events, where `kubectl describe` shows them. It only
// observes: it never holds a decision up and never changes one, and what it cannot write is dropped and counted. However
// much there is to tell, it holds little of it and writes little: the same Event again raises a count, by client-go's
// correlator, and all writes together are limited.
package events

import (
	"context"
	"log/slog"
	"strings"
	"time"
	"unicode"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/tools/record/util"

	"github.com/mozilla-iam/eksguard/internal/excerpt"
)

const (
	// component is who the Events are from.
	component = "eksguard"
	// messageLimit is how many bytes the message of an Event may have, and instanceLimit the name of who reports it
	// (kubernetes/kubernetes: pkg/apis/core/validation/events.go).
	messageLimit, instanceLimit = 1024, 128
	// queueLength bounds what waits to be written.
	queueLength = 256
	// intakeBurst is how many occurrences are looked at at once, intakeRate how many a second after that: a flood of denials
	// is to cost the answers to reviews nothing.
	intakeBurst, intakeRate = 1000, 100
	// writeTimeout bounds the writing of one Event, and the looking for its object.
	writeTimeout = 5 * time.Second
	// eventBurst is how often the count of one Event is written at once, eventRate how often a second after that. What is
	// not written is in the count that is written next. An object has ten Events at most in ten minutes, which are the
	// correlator's: further messages share one.
	eventBurst, eventRate = 5, 1. / 60
	// totalBurst and totalRate are the same for all Events together: the API server keeps Events for an hour, so that
	// this also bounds what eksguard has in etcd.
	totalBurst, totalRate = 100, 2
	// quiet is how long the same trouble is not logged again.
	quiet = 10 * time.Minute
)

// Event is what is to be told.
type Event struct {
	// Regarding is what the Event is about. Its namespace is the Event's, default for what has none.
	Regarding corev1.ObjectReference
	// Type is Normal or Warning, Reason one of Reasons.
	Type, Reason string
	// Action is what was done.
	Action string
	// Message is cut where it is longer than an Event may hold.
	Message string
}

// Observer is told what came of each Event. Its methods must not block.
type Observer interface {
	// EventWritten is called for an Event that was written, or whose count was raised.
	EventWritten(reason string)
	// EventDropped is called for one that was not.
	EventDropped(why Drop)
}

// Drop says why an Event was not written.
type Drop string

// The reasons for which an Event is not written.
const (
	// DropQueueFull: Events came faster than they could be written.
	DropQueueFull Drop = "queue_full"
	// DropRateLimit: the same Event, or all together, came too fast.
	DropRateLimit Drop = "rate_limit"
	// DropOwner: the object names an owner that there is not.
	DropOwner Drop = "owner"
	// DropTerminating: the namespace is being deleted.
	DropTerminating Drop = "namespace_terminating"
	// DropForbidden: RBAC, or another webhook, does not let eksguard write it.
	DropForbidden Drop = "forbidden"
	// DropFailed: the API server did not take it for another reason, or did not answer.
	DropFailed Drop = "failed"
)

// Drops are all of them.
var Drops = []Drop{DropQueueFull, DropRateLimit, DropOwner, DropTerminating, DropForbidden, DropFailed}

// Options are what a Recorder is made of; all are required.
type Options struct {
	Client corev1client.EventsGetter
	// Owners finds what stands behind an object.
	Owners   *Owners
	Observer Observer
	// Instance is the name of this replica.
	Instance string
	Logger   *slog.Logger
}

// Recorder writes Events, one after the other. Its methods may be called by any number of goroutines.
type Recorder struct {
	Options
	queue      chan occurrence
	intake     *limiter
	correlator *record.EventCorrelator
	writes     *limiter
	// troubles are what is not logged again for a while; only Start uses them.
	troubles map[trouble]*rate.Sometimes
}

// trouble is what went wrong, and why.
type trouble struct {
	what string
	why  Drop
}

// occurrence is an Event that waits to be written.
type occurrence struct {
	Event
	at time.Time
}

// NewRecorder makes a Recorder that writes nothing before it is started.
func NewRecorder(o Options) *Recorder {
	o.Instance = excerpt.Of(o.Instance, instanceLimit-len("…"))
	return &Recorder{
		Options: o, queue: make(chan occurrence, queueLength),
		intake: newLimiter(intakeRate, intakeBurst), writes: newLimiter(totalRate, totalBurst),
		correlator: record.NewEventCorrelatorWithOptions(record.CorrelatorOptions{
			BurstSize: eventBurst, QPS: eventRate,
			// Its default is one limit for all Events of an object, so that whoever causes many silences the others.
			SpamKeyFunc: func(event *corev1.Event) string { return event.Namespace + "/" + event.Name },
		}),
		troubles: map[trouble]*rate.Sometimes{},
	}
}

// Admits tells whether one more Event may be made for Record, of something in that namespace, at little cost. One that may not
// counts as dropped.
func (r *Recorder) Admits(namespace string) bool {
	if r.intake.allow(namespace) {
		return true
	}
	r.Observer.EventDropped(DropRateLimit)
	return false
}

// Record has an Event written soon. It never waits: where too many are waiting, it drops the Event.
func (r *Recorder) Record(e Event) {
	select {
	case r.queue <- occurrence{e, time.Now()}:
	default:
		r.Observer.EventDropped(DropQueueFull)
	}
}

// Start writes until ctx ends; what waits then is not written.
func (r *Recorder) Start(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case o := <-r.queue:
			r.write(ctx, o)
		}
	}
}

func (r *Recorder) write(ctx context.Context, o occurrence) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	regarding, why, err := r.Owners.behind(ctx, o.Regarding)
	if err != nil {
		r.log(trouble{"look for the owner of what a Kubernetes Event is about", why}, o, err)
	}
	if regarding == nil {
		r.Observer.EventDropped(why)
		return
	}
	o.Regarding = *regarding
	event := r.event(o)
	result, err := r.correlator.EventCorrelate(event)
	switch {
	case err != nil:
		r.Observer.EventDropped(DropFailed)
		r.log(trouble{"count a Kubernetes Event", DropFailed}, o, err)
		return
	case result.Skip, !r.writes.allow(event.Namespace):
		r.Observer.EventDropped(DropRateLimit)
		return
	}
	written, err := r.send(ctx, result)
	if err != nil {
		why := reasonOf(err)
		r.Observer.EventDropped(why)
		r.log(trouble{"write a Kubernetes Event", why}, o, err)
		return
	}
	r.correlator.UpdateState(written)
	r.Observer.EventWritten(o.Reason)
}

// event is the Event as the API server keeps it. It is one of core/v1, whose count and times `kubectl describe` shows as
// they are written; client-go's recorder of events.k8s.io/v1 writes the count of a series every half hour only
// (kubernetes/client-go: tools/events/event_broadcaster.go).
func (r *Recorder) event(o occurrence) *corev1.Event {
	namespace, at := o.Regarding.Namespace, metav1.NewTime(o.at)
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: util.GenerateEventName(o.Regarding.Name, o.at.UnixNano()),
		},
		InvolvedObject: o.Regarding,
		Type:           o.Type, Reason: o.Reason, Action: o.Action, Message: oneLine(o.Message),
		FirstTimestamp: at, LastTimestamp: at, Count: 1,
		Source:              corev1.EventSource{Component: component},
		ReportingController: component, ReportingInstance: r.Instance,
	}
}

// oneLine makes of a message one that stays in its line of a table, and is no longer than it may be.
func oneLine(message string) string {
	message = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, message)
	return excerpt.Of(message, messageLimit-len("…"))
}

// send writes an Event, or raises the count of one that is there; it may have expired meanwhile.
func (r *Recorder) send(ctx context.Context, result *record.EventCorrelateResult) (*corev1.Event, error) {
	event, events := result.Event, r.Client.Events(result.Event.Namespace)
	if event.Count > 1 {
		written, err := events.Patch(ctx, event.Name, types.StrategicMergePatchType, result.Patch, metav1.PatchOptions{})
		if !apierrors.IsNotFound(err) {
			return written, err
		}
	}
	event.ResourceVersion = ""
	return events.Create(ctx, event, metav1.CreateOptions{})
}

func reasonOf(err error) Drop {
	switch {
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause), apierrors.IsNotFound(err):
		return DropTerminating
	case apierrors.IsForbidden(err):
		return DropForbidden
	}
	return DropFailed
}

// log tells what went wrong, not every time. That namespaces end is no trouble.
func (r *Recorder) log(t trouble, o occurrence, err error) {
	if t.why == DropTerminating {
		return
	}
	if r.troubles[t] == nil {
		r.troubles[t] = &rate.Sometimes{First: 1, Interval: quiet}
	}
	r.troubles[t].Do(func() {
		r.Logger.Warn("cannot "+t.what+"; this is counted, and not logged again for a while", "reason", string(t.why),
			"kind", o.Regarding.Kind, "namespace", o.Regarding.Namespace, "name", o.Regarding.Name, "error", err.Error())
	})
}
