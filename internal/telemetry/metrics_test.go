package telemetry_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/internal/telemetry"
	"github.com/mozilla-iam/eksguard/webhook"
)

const colours = `# METADATA
# title: Colours
# custom:
#   match: [{apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], operations: ["CREATE"]}]
package eksguard.colours

# METADATA
# title: No red
# custom: {id: red, severity: low}
deny contains {"rule": "red", "message": "red"} if input.request.name == "red"
`

func TestMetrics(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{"colours.rego": colours, ".manifest": `{"revision": "r1", "roots": ["eksguard"]}`,
		"data.json": `{"eksguard": {"settings": {"cluster": {"account": "", "partition": "aws"}}}}`} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := bundle.Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := policy.NewSnapshot(t.Context(), b, nil)
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewPedanticRegistry()
	m := telemetry.NewMetrics(registry, telemetry.Sources{CertificateNotAfter: func() time.Time { return time.Unix(5000, 0) }})
	m.SnapshotLoaded(snapshot, time.Unix(1000, 0))
	r := &policy.Request{Policy: "colours"}
	m.Decided(r, &policy.Decision{Allowed: true}, time.Millisecond)
	m.Decided(r, &policy.Decision{Violations: []policy.Violation{{Policy: "colours", Rule: "red", Action: policy.ActionDeny}}}, time.Millisecond)
	m.Decided(r, &policy.Decision{Allowed: true, Violations: []policy.Violation{
		{Policy: "colours", Rule: "red", Action: policy.ActionDeny, Exception: &policy.Exception{}}}}, time.Millisecond)
	m.Decided(r, &policy.Decision{Faults: []policy.Fault{{Policy: "colours", Err: errors.New("boom")}}}, time.Millisecond)
	m.Rejected(webhook.ReasonMalformed, errors.New("boom"))
	m.RegistrationRepaired("ValidatingWebhookConfiguration")
	m.BundleNamed("policies")
	m.Failed("policies", &bundle.Fault{Reason: bundle.ReasonSignature, Err: errors.New("boom")})
	m.Activated("policies", "r1")
	m.Current("policies", time.Unix(2000, 0))
	const want = `
# HELP eksguard_bundle_failures_total Bundles that were not taken, by bundle and reason; the one before goes on deciding.
# TYPE eksguard_bundle_failures_total counter
eksguard_bundle_failures_total{bundle="policies",reason="download"} 0
eksguard_bundle_failures_total{bundle="policies",reason="format"} 0
eksguard_bundle_failures_total{bundle="policies",reason="older"} 0
eksguard_bundle_failures_total{bundle="policies",reason="persist"} 0
eksguard_bundle_failures_total{bundle="policies",reason="policy"} 0
eksguard_bundle_failures_total{bundle="policies",reason="roots"} 0
eksguard_bundle_failures_total{bundle="policies",reason="settings"} 0
eksguard_bundle_failures_total{bundle="policies",reason="signature"} 1
eksguard_bundle_failures_total{bundle="policies",reason="size"} 0
eksguard_bundle_failures_total{bundle="policies",reason="state"} 0
eksguard_bundle_failures_total{bundle="policies",reason="tests"} 0
# HELP eksguard_bundle_info The bundle that decides, by revision; always 1.
# TYPE eksguard_bundle_info gauge
eksguard_bundle_info{revision="r1"} 1
# HELP eksguard_bundle_last_success_timestamp_seconds When the source of a bundle last said that the active one is its newest, in seconds since the epoch.
# TYPE eksguard_bundle_last_success_timestamp_seconds gauge
eksguard_bundle_last_success_timestamp_seconds{bundle="policies"} 2000
# HELP eksguard_bundle_loaded_timestamp_seconds When the bundle that decides was loaded, in seconds since the epoch.
# TYPE eksguard_bundle_loaded_timestamp_seconds gauge
eksguard_bundle_loaded_timestamp_seconds 1000
# HELP eksguard_certificate_expiry_timestamp_seconds When the serving certificate expires, in seconds since the epoch; 0 while there is none.
# TYPE eksguard_certificate_expiry_timestamp_seconds gauge
eksguard_certificate_expiry_timestamp_seconds 5000
# HELP eksguard_evaluation_errors_total Policies that could not be evaluated; failurePolicy decides what that means.
# TYPE eksguard_evaluation_errors_total counter
eksguard_evaluation_errors_total{policy="colours"} 1
# HELP eksguard_registration_repairs_total Webhook configurations that others had changed or deleted, and that were put right.
# TYPE eksguard_registration_repairs_total counter
eksguard_registration_repairs_total{kind="MutatingWebhookConfiguration"} 0
eksguard_registration_repairs_total{kind="ValidatingWebhookConfiguration"} 1
# HELP eksguard_rejected_requests_total HTTP requests that got no decision, by reason.
# TYPE eksguard_rejected_requests_total counter
eksguard_rejected_requests_total{reason="content_type"} 0
eksguard_rejected_requests_total{reason="malformed"} 1
eksguard_rejected_requests_total{reason="method"} 0
eksguard_rejected_requests_total{reason="overload"} 0
eksguard_rejected_requests_total{reason="panic"} 0
eksguard_rejected_requests_total{reason="read"} 0
eksguard_rejected_requests_total{reason="too_large"} 0
eksguard_rejected_requests_total{reason="unknown_policy"} 0
# HELP eksguard_reviews_total Admission reviews decided, by policy, phase (validate, mutate) and verdict (allowed, denied, error).
# TYPE eksguard_reviews_total counter
eksguard_reviews_total{phase="validate",policy="colours",verdict="allowed"} 2
eksguard_reviews_total{phase="validate",policy="colours",verdict="denied"} 1
eksguard_reviews_total{phase="validate",policy="colours",verdict="error"} 1
# HELP eksguard_violations_total Violations found, by policy, rule and outcome (deny, warn, dryrun, excepted).
# TYPE eksguard_violations_total counter
eksguard_violations_total{outcome="deny",policy="colours",rule="red"} 1
eksguard_violations_total{outcome="excepted",policy="colours",rule="red"} 1
`
	names := []string{"eksguard_bundle_failures_total", "eksguard_bundle_info", "eksguard_bundle_last_success_timestamp_seconds", "eksguard_bundle_loaded_timestamp_seconds",
		"eksguard_certificate_expiry_timestamp_seconds", "eksguard_evaluation_errors_total", "eksguard_registration_repairs_total",
		"eksguard_rejected_requests_total", "eksguard_reviews_total", "eksguard_violations_total", "eksguard_mutations_total"}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
	if n, err := testutil.GatherAndCount(registry, "eksguard_decision_duration_seconds"); err != nil || n != 1 {
		t.Errorf("%d series of the duration, %v", n, err)
	}
}
