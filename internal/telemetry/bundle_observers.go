package telemetry

import (
	"time"

	"github.com/mozilla-iam/eksguard/internal/bundle"
)

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
