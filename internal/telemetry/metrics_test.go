package telemetry_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/decisionlog"
	"github.com/mozilla-iam/eksguard/internal/events"
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

# METADATA
# title: Paint
# custom: {id: paint, severity: low}
mutate contains {"rule": "paint", "patch": []} if input.request.name == "white"
`

const settings = `{"eksguard": {"settings": {
	"cluster": {"account": "", "partition": "aws"},
	"exceptions": [
		{"policy": "colours", "rule": "red", "namespace": "one", "reason": "known", "expires": "1970-01-02"},
		{"policy": "colours", "rule": "red", "namespace": "one", "reason": "known", "expires": "1970-01-01"},
		{"policy": "colours", "user": "a", "reason": "known", "expires": "1970-01-01T00:00:07Z"}]}}}`

// everything makes metrics that everything has happened to.
func everything(t *testing.T) *prometheus.Registry {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	m := telemetry.NewMetrics(telemetry.MetricsOptions{
		Registerer: registry, Build: telemetry.Build{Version: "v1.2.3", OPA: "v1.0.0"}, Namespaces: 2,
		Sources: telemetry.Sources{
			Ready:               func() error { return errors.New("draining") },
			CertificateNotAfter: func() time.Time { return time.Unix(5000, 0) },
			ClusterState: func() []telemetry.ClusterState {
				return []telemetry.ClusterState{
					{Resource: "v1/namespaces", Synced: true, Changed: time.Unix(3000, 0)}, {Resource: "v1/pods"}}
			},
		}})
	m.SnapshotBuilt(time.Second)
	s := snapshot(t)
	m.SnapshotLoaded(s, time.Unix(1000, 0))
	r := &policy.Request{Policy: "colours", Namespace: "one"}
	red := policy.Violation{Policy: "colours", Rule: "red", Action: policy.ActionDeny}
	m.Decided(r, &policy.Decision{Allowed: true}, time.Millisecond)
	m.Decided(r, &policy.Decision{Violations: []policy.Violation{red}}, time.Millisecond)
	excepted := red
	excepted.Exception = s.Exceptions()[0]
	m.Decided(r, &policy.Decision{Allowed: true, Violations: []policy.Violation{excepted}}, time.Millisecond)
	m.Decided(r, &policy.Decision{Faults: []policy.Fault{{Policy: "colours", Err: errors.New("boom")}}}, time.Millisecond)
	for _, namespace := range []string{"", "three", "four", "one"} {
		m.Decided(&policy.Request{Policy: "colours", Namespace: namespace},
			&policy.Decision{Violations: []policy.Violation{red}}, time.Millisecond)
	}
	m.Decided(&policy.Request{Policy: "colours", Phase: policy.Mutate},
		&policy.Decision{Allowed: true, Mutations: []policy.Mutation{
			{Policy: "colours", Rule: "paint", Action: policy.ActionDeny}, {Policy: "colours", Rule: "paint", Action: policy.ActionWarn},
		}}, time.Millisecond)
	m.Rejected(webhook.ReasonMalformed, errors.New("boom"))
	m.RegistrationRepaired("ValidatingWebhookConfiguration")
	m.EventWritten(events.ReasonDenied)
	m.EventDropped(events.DropRateLimit)
	m.BundleNamed("policies")
	m.Failed("policies", &bundle.Fault{Reason: bundle.ReasonSignature, Err: errors.New("boom")})
	m.Activated("policies", "r1")
	m.Current("policies", time.Unix(2000, 0))
	return registry
}

func snapshot(t *testing.T) *policy.Snapshot {
	t.Helper()
	folder := t.TempDir()
	for name, text := range map[string]string{
		"colours.rego": colours, ".manifest": `{"revision": "r1", "roots": ["eksguard"]}`, "data.json": settings,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := bundle.Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	s, err := policy.NewSnapshot(t.Context(), b, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMetrics(t *testing.T) {
	text, err := os.ReadFile("testdata/metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(string(text), "GO_VERSION", runtime.Version())
	registry := everything(t)
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
}

func TestHistogramsAreNativeToo(t *testing.T) {
	families, err := everything(t).Gather()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]bool{
		"eksguard_decision_duration_seconds": {true, true}, "eksguard_snapshot_build_duration_seconds": {true}}
	got := map[string][]bool{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if h := metric.GetHistogram(); h != nil {
				native := h.Schema != nil && len(h.GetPositiveSpan()) > 0
				got[family.GetName()] = append(got[family.GetName()], native && len(h.GetBucket()) > 0)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNamespacesAreNotToldApart(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	m := telemetry.NewMetrics(telemetry.MetricsOptions{Registerer: registry, Sources: telemetry.Sources{
		Ready: func() error { return nil }, CertificateNotAfter: func() time.Time { return time.Time{} },
		ClusterState: func() []telemetry.ClusterState { return nil },
	}})
	m.Decided(&policy.Request{Policy: "colours", Namespace: "one"},
		&policy.Decision{Violations: []policy.Violation{{Policy: "colours", Rule: "red", Action: policy.ActionDeny}}}, 0)
	if n, err := testutil.GatherAndCount(registry, "eksguard_namespace_violations_total"); err != nil || n != 0 {
		t.Errorf("%d series, %v", n, err)
	}
}

func TestReferenceTellsOfEveryMetricAndLabel(t *testing.T) {
	others := prometheus.NewRegistry()
	decisionlog.RegisterMetrics(others)
	families, err := prometheus.Gatherers{everything(t), others}.Gather()
	if err != nil {
		t.Fatal(err)
	}
	reference, err := telemetry.Reference(others)
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		_, section, found := strings.Cut(reference, "\n## "+family.GetName()+"\n\n"+family.GetHelp()+"\n\nType: ")
		if !found {
			t.Errorf("nothing of %s", family.GetName())
			continue
		}
		section, _, _ = strings.Cut(section, "\n## ")
		for _, label := range family.GetMetric()[0].GetLabel() {
			if !regexp.MustCompile("(?m)^\\| `" + label.GetName() + "` \\| .+ \\|$").MatchString(section) {
				t.Errorf("%s: nothing of label %s", family.GetName(), label.GetName())
			}
		}
	}
	if n := strings.Count(reference, "\n## "); n != len(families) {
		t.Errorf("the reference has %d metrics, and there are %d", n, len(families))
	}
}
