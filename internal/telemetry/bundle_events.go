package telemetry

import (
	"fmt"
	"hash/crc32"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/excerpt"
)

// noteLimit is how long the note of a Kubernetes Event may be (kubernetes/kubernetes: pkg/apis/core/validation/events.go).
const noteLimit = 1024

// BundleEvents tells of bundles by Kubernetes Events.
type BundleEvents struct {
	Recorder events.EventRecorder
	// Regarding is what the events are about: the Pod, or the Namespace of eksguard.
	Regarding runtime.Object
}

// Failed implements bundle.Observer.
func (e BundleEvents) Failed(name string, fault *bundle.Fault) {
	e.tell(corev1.EventTypeWarning, "BundleNotTaken",
		fmt.Sprintf("bundle %q (%s): %s", name, fault.Reason, excerpt.Of(fault.Error(), noteLimit/2)))
}

// Activated implements bundle.Observer.
func (e BundleEvents) Activated(name, revision string) {
	e.tell(corev1.EventTypeNormal, "BundleActivated",
		fmt.Sprintf("bundle %q, revision %q, decides from now on", name, revision))
}

// tell makes the action another one for every note: the recorder takes events that differ in nothing else for one, and
// keeps the first note (kubernetes/client-go: tools/events/event_broadcaster.go, getKey).
func (e BundleEvents) tell(kind, reason, note string) {
	action := fmt.Sprintf("LoadBundle-%08x", crc32.ChecksumIEEE([]byte(note)))
	e.Recorder.Eventf(e.Regarding, nil, kind, reason, action, "%s", note)
}

// Current implements bundle.Observer.
func (BundleEvents) Current(string, time.Time) {}

// BundleObservers passes everything on to each of them.
type BundleObservers []bundle.Observer

// Failed implements bundle.Observer.
func (o BundleObservers) Failed(name string, fault *bundle.Fault) {
	for _, observer := range o {
		observer.Failed(name, fault)
	}
}

// Activated implements bundle.Observer.
func (o BundleObservers) Activated(name, revision string) {
	for _, observer := range o {
		observer.Activated(name, revision)
	}
}

// Current implements bundle.Observer.
func (o BundleObservers) Current(name string, at time.Time) {
	for _, observer := range o {
		observer.Current(name, at)
	}
}
