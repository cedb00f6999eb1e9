package telemetry_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/telemetry"
)

func TestBundleEvents(t *testing.T) {
	recorder := events.NewFakeRecorder(3)
	e := telemetry.BundleEvents{Recorder: recorder, Regarding: &corev1.Namespace{}}
	e.Activated("policies", "r1")
	e.Failed("policies", &bundle.Fault{Reason: bundle.ReasonSignature, Err: errors.New("boom")})
	e.Failed("policies", &bundle.Fault{Reason: bundle.ReasonPolicy, Err: errors.New(strings.Repeat("é", 1000))})
	want := []string{
		`Normal BundleActivated bundle "policies", revision "r1", decides from now on`,
		`Warning BundleNotTaken bundle "policies" (signature): boom`,
		`Warning BundleNotTaken bundle "policies" (policy): ` + strings.Repeat("é", 256) + "…",
	}
	for _, want := range want {
		if diff := cmp.Diff(want, <-recorder.Events); diff != "" {
			t.Error(diff)
		}
	}
}
