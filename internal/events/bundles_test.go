package events_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/events"
)

// told notes what it is told, and admits everything.
type told []events.Event

func (*told) Admits(string) bool { return true }

func (t *told) Record(e events.Event) { *t = append(*t, e) }

func TestBundles(t *testing.T) {
	var got told
	pod := corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: "eksguard-system", Name: "eksguard-1"}
	b := events.Bundles{Recorder: &got, Regarding: pod}
	b.Activated("policies", "r1")
	b.Failed("policies", &bundle.Fault{Reason: bundle.ReasonSignature, Err: errors.New("boom")})
	b.Failed("policies", &bundle.Fault{Reason: bundle.ReasonPolicy, Err: errors.New(strings.Repeat("é", 1000))})
	event := func(kind, reason, message string) events.Event {
		return events.Event{Regarding: pod, Type: kind, Reason: reason, Action: "LoadBundle", Message: message}
	}
	want := told{
		event("Normal", "BundleActivated", `bundle "policies", revision "r1", decides from now on`),
		event("Warning", "BundleNotTaken", `bundle "policies" (signature): boom`),
		event("Warning", "BundleNotTaken", `bundle "policies" (policy): `+strings.Repeat("é", 256)+"…"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
