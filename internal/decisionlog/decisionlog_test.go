package decisionlog_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"
	opabundle "github.com/open-policy-agent/opa/v1/bundle"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/decisionlog"
	"github.com/mozilla-iam/eksguard/internal/policy"
)

// collector takes uploads as an OPA-compatible collector does.
type collector struct {
	*httptest.Server
	mu     sync.Mutex
	events []map[string]any
	text   bytes.Buffer
	status int
}

func newCollector(t *testing.T) *collector {
	c := &collector{status: http.StatusOK}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.status != http.StatusOK {
			w.WriteHeader(c.status)
			return
		}
		if r.URL.Path != "/logs" || r.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%s with encoding %q, want gzip at /logs", r.URL.Path, r.Header.Get("Content-Encoding"))
		}
		plain, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		var events []map[string]any
		text := &bytes.Buffer{}
		if _, err := text.ReadFrom(plain); err != nil {
			t.Error(err)
		}
		c.text.Write(text.Bytes())
		if err := json.Unmarshal(text.Bytes(), &events); err != nil {
			t.Error(err)
		}
		c.events = append(c.events, events...)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) answer(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status = status
}

func (c *collector) got() ([]map[string]any, string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.events, c.text.String()
}

// world is a log that runs, and all that can be seen of it.
type world struct {
	*decisionlog.Log
	console, said syncBuffer
	registry      *prometheus.Registry
	stop          func()
}

type syncBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *syncBuffer) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(text)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

// start starts a log with that configuration. rules, if there are any, are the bundle's package system.log.
func start(t *testing.T, config, rules string) *world {
	t.Helper()
	w := &world{registry: prometheus.NewRegistry()}
	return w.start(t, config, rules, &w.console)
}

func (w *world) start(t *testing.T, config, rules string, console io.Writer) *world {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.NewJSONHandler(&w.said, nil))
	c, err := bundle.ReadConfig(path, bundle.OPALogger(logger))
	if err != nil {
		t.Fatal(err)
	}
	w.Log = decisionlog.New(decisionlog.Options{Config: c.DecisionLog, Manager: c.OPA, Console: console, Logger: logger,
		Registerer: w.registry})
	if err := c.OPA.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Start()
	w.stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		w.Stop(ctx)
		c.OPA.Stop(ctx)
	})
	t.Cleanup(w.stop)
	w.Follow(t.Context(), snapshot(t, rules))
	return w
}

const colours = `# METADATA
# title: Colours
# description: Some colours are forbidden.
# custom:
#   match: [{apiGroups: [""], apiVersions: [v1], resources: [secrets], operations: [CREATE]}]
#   failurePolicy: Fail
package eksguard.colours

# METADATA
# title: A colour
# description: A colour that is forbidden.
# custom: {id: colour, severity: low, fix: Take another.}
deny contains {"rule": "colour", "field": "metadata", "message": "red"} if input.request.object.metadata.labels.colour == "red"
`

func snapshot(t *testing.T, rules string) *policy.Snapshot {
	t.Helper()
	b := &opabundle.Bundle{Data: map[string]any{"eksguard": map[string]any{"settings": map[string]any{
		"cluster": map[string]any{"account": "555555555555", "partition": "aws"}}}}}
	files := map[string]string{"colours.rego": colours}
	if rules != "" {
		files["log.rego"] = rules
	}
	for path, text := range files {
		module, err := ast.ParseModuleWithOpts(path, text, ast.ParserOptions{ProcessAnnotation: true})
		if err != nil {
			t.Fatal(err)
		}
		b.Modules = append(b.Modules, opabundle.ModuleFile{Path: path, Raw: []byte(text), Parsed: module})
	}
	s, err := policy.NewSnapshot(t.Context(), b, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const secretReview = `{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
	"uid": "u", "operation": "UPDATE", "namespace": "flux", "name": "flux-git-deploy",
	"kind": {"group": "", "version": "v1", "kind": "Secret"},
	"resource": {"group": "", "version": "v1", "resource": "secrets"},
	"userInfo": {"username": "eve", "groups": ["g"], "extra": {"token": ["hunter2"]}},
	"object": {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": {"identity": "hunter2"},
		"stringData": {"a": "hunter2"}, "metadata": {"name": "flux-git-deploy", "labels": {"colour": "red"},
		"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "hunter2", "objectset.rio.cattle.io/applied": "hunter2"}}},
	"oldObject": {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": {"identity": "hunter2"},
		"metadata": {"name": "flux-git-deploy"}}}}`

func parse(t testing.TB, review string) *policy.Request {
	t.Helper()
	r, err := policy.ParseRequest([]byte(review))
	if err != nil {
		t.Fatal(err)
	}
	r.Policy = "flux-key"
	return r
}

func denial() *policy.Decision {
	return &policy.Decision{Revision: "r7", Policies: []string{"flux-key"}, Violations: []policy.Violation{{
		Policy: "flux-key", Rule: "write", Severity: "high", Action: policy.ActionDeny, Field: "data", Message: "no"}}}
}

func clean() *policy.Decision {
	return &policy.Decision{Allowed: true, Revision: "r7", Policies: []string{"flux-key"}}
}

func remote(c *collector, more string) string {
	return fmt.Sprintf("labels: {cluster: blue}\nservices: {c: {url: %q}}\ndecision_logs: {service: c, reporting: {%s}}\n", c.URL, more)
}

func TestAnEventIsInOPAsFormatAndHoldsNothingOfASecret(t *testing.T) {
	c := newCollector(t)
	w := start(t, strings.Replace(remote(c, "min_delay_seconds: 60, max_delay_seconds: 60"), "service: c,", "service: c, console: true,", 1), "")
	w.Decided(parse(t, secretReview), denial(), 1500*time.Microsecond)
	// What waits at the end is uploaded.
	w.stop()
	events, text := c.got()
	if len(events) != 1 {
		t.Fatalf("%d events, want 1; the log said\n%s", len(events), w.said.String())
	}
	event := events[0]
	if event["decision_id"] == "" || event["timestamp"] == "" {
		t.Errorf("event has no decision_id or no timestamp: %v", event)
	}
	delete(event, "decision_id")
	delete(event, "timestamp")
	delete(event["labels"].(map[string]any), "version")
	delete(event["labels"].(map[string]any), "id")
	object := func(annotations map[string]any) map[string]any {
		metadata := map[string]any{"name": "flux-git-deploy"}
		if annotations != nil {
			metadata["annotations"], metadata["labels"] = annotations, map[string]any{"colour": "red"}
		}
		return map[string]any{"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata}
	}
	want := map[string]any{
		"labels":       map[string]any{"cluster": "blue"},
		"bundles":      map[string]any{"eksguard": map[string]any{"revision": "r7"}},
		"path":         "eksguard/flux_key",
		"requested_by": "eve",
		"metrics":      map[string]any{"timer_server_handler_ns": 1.5e6},
		"erased": []any{"/input/request/object/data", "/input/request/object/stringData", "/input/request/oldObject/data",
			"/input/request/userInfo/extra"},
		"input": map[string]any{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": map[string]any{
			"uid": "u", "operation": "UPDATE", "namespace": "flux", "name": "flux-git-deploy",
			"kind":     map[string]any{"group": "", "version": "v1", "kind": "Secret"},
			"resource": map[string]any{"group": "", "version": "v1", "resource": "secrets"},
			"userInfo": map[string]any{"username": "eve", "groups": []any{"g"}},
			"object": object(map[string]any{"kubectl.kubernetes.io/last-applied-configuration": "(erased)",
				"objectset.rio.cattle.io/applied": "(erased)"}),
			"oldObject": object(nil),
		}},
		"result": map[string]any{"phase": "validate", "allowed": false, "violations": []any{map[string]any{
			"policy": "flux-key", "rule": "write", "severity": "high", "action": "deny", "field": "data", "message": "no"}}},
	}
	if diff := cmp.Diff(want, event); diff != "" {
		t.Errorf("event is not as wanted (-want +got):\n%s", diff)
	}
	for what, written := range map[string]string{"upload": text, "console": w.console.String(), "log": w.said.String()} {
		if strings.Contains(written, "hunter2") {
			t.Errorf("the %s holds what is in the Secret:\n%s", what, written)
		}
	}
	var line map[string]any
	if err := json.Unmarshal([]byte(w.console.String()), &line); err != nil {
		t.Fatalf("the console is no JSON line: %v\n%s", err, w.console.String())
	}
	if line["type"] != "openpolicyagent.org/decision_logs" || !cmp.Equal(line["result"], want["result"]) || !cmp.Equal(line["input"], want["input"]) {
		t.Errorf("the console has another event:\n%s", w.console.String())
	}
}

func TestTokensAreTakenOut(t *testing.T) {
	w := start(t, "decision_logs: {console: true}", "")
	w.Decided(parse(t, `{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "u", "operation": "CREATE",
		"resource": {"group": "", "version": "v1", "resource": "serviceaccounts"}, "subResource": "token",
		"object": {"kind": "TokenRequest", "spec": {"audiences": ["a"]}, "status": {"token": "hunter2"}}}}`), denial(), 0)
	w.stop()
	if text := w.console.String(); strings.Contains(text, "hunter2") || !strings.Contains(text, `"/input/request/object/status/token"`) {
		t.Errorf("the token is there, or is not told as erased:\n%s", text)
	}
}

func TestWhatIsLogged(t *testing.T) {
	const configMap = `{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "u", "operation": "CREATE",
		"namespace": "n", "resource": {"group": "", "version": "v1", "resource": "configmaps"}, "object": {"data": {"a": "visible"}}}}`
	for _, row := range []struct {
		name, config, rules string
		review              string
		decision            *policy.Decision
		lines               int
		has, hasNot         string
	}{
		{name: "findings by default", decision: denial(), review: configMap, lines: 1, has: "visible"},
		{name: "nothing else by default", decision: clean(), review: configMap},
		{name: "all, where that is wanted", config: "eksguard: {decision_log: all}", decision: clean(), review: configMap, lines: 1},
		{name: "not what a bundle's rule drops", decision: denial(), review: configMap,
			rules: `drop if input.input.request.namespace == "n"`},
		{name: "what a bundle's rule does not drop", decision: denial(), review: configMap, lines: 1,
			rules: `drop if input.input.request.namespace == "other"`},
		{name: "not what a bundle masks", decision: denial(), review: configMap, lines: 1, hasNot: "visible",
			has: `"/input/request/object/data"`, rules: `mask contains "/input/request/object/data"`},
		{name: "nothing of a Secret that a bundle's mask would show", decision: denial(), review: secretReview, lines: 1, hasNot: "hunter2",
			rules: `mask contains {"op": "upsert", "path": "/input/leak", "value": input.input}`},
		{name: "nothing of a Secret where a bundle masks something else", decision: denial(), review: secretReview, lines: 1,
			hasNot: "hunter2", rules: `mask := ["/input/request/name"]`},
		{name: "nothing at all where a bundle's mask is none", decision: denial(), review: configMap,
			rules: `mask := ["no path"]`},
	} {
		t.Run(row.name, func(t *testing.T) {
			rules := row.rules
			if rules != "" {
				rules = "package system.log\n\n" + rules
			}
			w := start(t, "decision_logs: {console: true}\n"+row.config, rules)
			w.Decided(parse(t, row.review), row.decision, 0)
			w.stop()
			text := w.console.String()
			if got := strings.Count(text, "\n"); got != row.lines {
				t.Errorf("%d lines, want %d", got, row.lines)
			}
			if !strings.Contains(text, row.has) {
				t.Errorf("the log does not have %s", row.has)
			}
			if row.hasNot != "" && strings.Contains(text, row.hasNot) {
				t.Errorf("the log has %s", row.hasNot)
			}
			if t.Failed() {
				t.Logf("console:\n%s\nlog:\n%s", text, w.said.String())
			}
		})
	}
}

func TestMasksFollowTheBundle(t *testing.T) {
	w := start(t, "decision_logs: {console: true}", "")
	w.Decided(parse(t, secretReview), denial(), 0)
	wait(t, "it is logged", func() bool { return strings.Count(w.console.String(), "\n") == 1 })
	w.Follow(t.Context(), snapshot(t, "package system.log\n\ndrop := true"))
	w.Decided(parse(t, secretReview), denial(), 0)
	w.Follow(t.Context(), snapshot(t, "package system.log\n\nmask := [\"/input\"]"))
	w.Decided(parse(t, secretReview), denial(), 0)
	w.stop()
	if _, last, _ := strings.Cut(w.console.String(), "\n"); strings.Contains(last, `"input":`) {
		t.Errorf("console:\n%s", w.console.String())
	}
}

// The example of the docs masks the environment, and drops what Flux is warned of.
func TestTheRulesInTheDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/decision-log.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rules, _ := strings.Cut(string(page), "```rego\n")
	rules, _, found := strings.Cut(rules, "```")
	if !found {
		t.Fatal("the page has no Rego")
	}
	const pod = `{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "u", "operation": "CREATE",
		"resource": {"group": "", "version": "v1", "resource": "pods"}, "userInfo": {"username": "USER"},
		"object": {"spec": {"containers": [{"name": "a"}, {"name": "b", "env": [{"name": "PASSWORD", "value": "hunter2"}]}]}}}}`
	w := start(t, "decision_logs: {console: true}", rules)
	warning := denial()
	warning.Allowed = true
	w.Decided(parse(t, strings.Replace(pod, "USER", "system:serviceaccount:flux-system:helm-controller", 1)), warning, 0)
	w.Decided(parse(t, strings.Replace(pod, "USER", "eve", 1)), denial(), 0)
	w.stop()
	text := w.console.String()
	if strings.Count(text, "\n") != 1 || strings.Contains(text, "hunter2") || !strings.Contains(text, `"/input/request/object/spec/containers/1/env"`) {
		t.Errorf("console:\n%s\nlog:\n%s", text, w.said.String())
	}
}

type closed struct{}

func (closed) Write([]byte) (int, error) { return 0, errors.New("the pipe is closed") }

func (w *world) dropped(t *testing.T, reason string) float64 {
	t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "eksguard_decision_log_dropped_total" && m.GetLabel()[0].GetValue() == reason {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("there is no series of reason %q", reason)
	return 0
}

func TestWhatIsDroppedIsCountedAndToldOnce(t *testing.T) {
	t.Run("decisions beyond the rate", func(t *testing.T) {
		w := start(t, "decision_logs: {console: true, reporting: {max_decisions_per_second: 0.001}}", "")
		for range 5 {
			w.Decided(parse(t, secretReview), denial(), 0)
		}
		w.stop()
		if lines, dropped := strings.Count(w.console.String(), "\n"), w.dropped(t, "rate_limit"); lines != 1 || dropped != 4 {
			t.Errorf("%d logged, %v dropped, want 1 and 4", lines, dropped)
		}
		if told := strings.Count(w.said.String(), "max_decisions_per_second"); told != 1 {
			t.Errorf("told %d times, want once:\n%s", told, w.said.String())
		}
	})
	t.Run("what a mask failed for", func(t *testing.T) {
		w := start(t, "decision_logs: {console: true}", "package system.log\n\nmask := \"all\"")
		w.Decided(parse(t, secretReview), denial(), 0)
		w.stop()
		if dropped := w.dropped(t, "mask"); w.console.String() != "" || dropped != 1 {
			t.Errorf("%v dropped; logged:\n%s", dropped, w.console.String())
		}
	})
	t.Run("an event larger than an upload may be", func(t *testing.T) {
		c := newCollector(t)
		w := start(t, remote(c, "upload_size_limit_bytes: 90"), "")
		w.Decided(parse(t, secretReview), denial(), 0)
		w.stop()
		if events, _ := c.got(); len(events) > 0 || w.dropped(t, "encoding") == 0 {
			t.Errorf("%d events, %v dropped", len(events), w.dropped(t, "encoding"))
		}
	})
	t.Run("what standard output does not take", func(t *testing.T) {
		w := (&world{registry: prometheus.NewRegistry()}).start(t, "decision_logs: {console: true}", "", closed{})
		for range 3 {
			w.Decided(parse(t, secretReview), denial(), 0)
		}
		w.stop()
		if dropped, told := w.dropped(t, "console"), strings.Count(w.said.String(), "the pipe is closed"); dropped != 3 || told != 1 {
			t.Errorf("%v dropped, told %d times, want 3 and once:\n%s", dropped, told, w.said.String())
		}
	})
	t.Run("what the buffer has no room for", func(t *testing.T) {
		c := newCollector(t)
		c.answer(http.StatusInternalServerError)
		w := start(t, remote(c, "upload_size_limit_bytes: 1000, buffer_size_limit_bytes: 2000, min_delay_seconds: 60, max_delay_seconds: 60"), "")
		for range 50 {
			w.Decided(parse(t, secretReview), denial(), 0)
		}
		wait(t, "the buffer is full", func() bool { return w.dropped(t, "buffer_full") > 0 })
		c.answer(http.StatusOK)
	})
}

func TestACollectorThatWasAwayGetsWhatWaited(t *testing.T) {
	c := newCollector(t)
	c.answer(http.StatusServiceUnavailable)
	w := start(t, remote(c, "min_delay_seconds: 1, max_delay_seconds: 1"), "")
	w.Decided(parse(t, secretReview), denial(), 0)
	failed := func() bool {
		return testutil.CollectAndCompare(w.registry, strings.NewReader(`
# HELP eksguard_decision_log_uploads_total Uploads to the collector of the decision log.
# TYPE eksguard_decision_log_uploads_total counter
eksguard_decision_log_uploads_total{result="failed"} 0
eksguard_decision_log_uploads_total{result="ok"} 0
`), "eksguard_decision_log_uploads_total") != nil
	}
	wait(t, "an upload failed", failed)
	if !strings.Contains(w.said.String(), "503") {
		t.Errorf("the log does not tell of it:\n%s", w.said.String())
	}
	c.answer(http.StatusOK)
	wait(t, "the event arrives", func() bool { events, _ := c.got(); return len(events) == 1 })
}

func TestTheEndDoesNotWaitForACollectorThatIsAway(t *testing.T) {
	c := newCollector(t)
	c.answer(http.StatusServiceUnavailable)
	w := start(t, remote(c, ""), "")
	w.Decided(parse(t, secretReview), denial(), 0)
	w.stop() // or the test's own limit ends it
	if !strings.Contains(w.said.String(), "decision log") {
		t.Errorf("nothing is told of what was lost:\n%s", w.said.String())
	}
}

func wait(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 600 {
		if is() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("not so after half a minute: %s", what)
}
