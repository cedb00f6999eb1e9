package events

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/excerpt"
)

// Bundles tells of bundles. It implements bundle.Observer.
type Bundles struct {
	Recorder interface{ Record(e Event) }
	// Regarding is what the Events are about: the Pod, or the Namespace of eksguard.
	Regarding corev1.ObjectReference
}

// Failed implements bundle.Observer.
func (b Bundles) Failed(name string, fault *bundle.Fault) {
	b.tell(corev1.EventTypeWarning, ReasonBundleNotTaken,
		fmt.Sprintf("bundle %q (%s): %s", name, fault.Reason, excerpt.Of(fault.Error(), messageLimit/2)))
}

// Activated implements bundle.Observer.
func (b Bundles) Activated(name, revision string) {
	b.tell(corev1.EventTypeNormal, ReasonBundleActivated,
		fmt.Sprintf("bundle %q, revision %q, decides from now on", name, revision))
}

func (b Bundles) tell(kind, reason, message string) {
	b.Recorder.Record(Event{Regarding: b.Regarding, Type: kind, Reason: reason, Action: "LoadBundle", Message: message})
}

// Current implements bundle.Observer.
func (Bundles) Current(string, time.Time) {}
