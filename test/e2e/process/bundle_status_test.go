package process_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// controlPlane takes statuses and decisions, from those who have its token.
type controlPlane struct {
	*httptest.Server
	mu       sync.Mutex
	statuses []map[string]any
	text     bytes.Buffer
}

const controlPlaneToken = "the-token-of-the-control-plane"

func newControlPlane(t *testing.T) *controlPlane {
	t.Helper()
	c := &controlPlane{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+controlPlaneToken {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return // who sent it has ended
		}
		if r.URL.Path != "/status/blue" {
			return
		}
		var status map[string]any
		if err := json.Unmarshal(text, &status); err != nil {
			t.Errorf("%v: %s", err, text)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.statuses = append(c.statuses, status)
		c.text.Write(text)
	}))
	t.Cleanup(c.Close)
	return c
}

// awaits waits until the newest status tells this of the bundle "policies", times and sizes left away.
func (c *controlPlane) awaits(t *testing.T, want map[string]any) {
	t.Helper()
	e2e.Eventually(t, 20*time.Second, "the status is told", func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.statuses) == 0 {
			return errors.New("nothing was told")
		}
		newest := c.statuses[len(c.statuses)-1]
		bundles, _ := newest["bundles"].(map[string]any)
		policies, _ := bundles["policies"].(map[string]any)
		got := map[string]any{}
		for key, value := range policies {
			if !strings.HasPrefix(key, "last_") && key != "size" {
				got[key] = value
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return errors.New(diff)
		}
		if labels, _ := newest["labels"].(map[string]any); labels["cluster"] != "blue" {
			return fmt.Errorf("labels are %v", labels)
		}
		return nil
	})
}

type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *syncBuffer) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(text)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Whatever becomes of a bundle is told to a control plane that takes OPA's statuses, and on standard output.
func TestTheStatusOfBundlesIsReported(t *testing.T) {
	server, control, printed := e2e.NewBundleServer(t, reloadBundle), newControlPlane(t), &syncBuffer{}
	server.Services = fmt.Sprintf("  control: {url: %q, credentials: {bearer: {token: %q}}}\n", control.URL, controlPlaneToken)
	server.Sections = `labels: {cluster: blue}
status: {service: control, partition_name: blue, console: true}
decision_logs: {service: control, console: true, reporting: {min_delay_seconds: 1, max_delay_seconds: 1}}
`
	server.Publish(1, nil)
	guard := cluster.Guard(t, local.EksguardOptions{Config: server.Config(1, t.TempDir()), Log: printed})
	good := map[string]any{"name": "policies", "active_revision": "r1", "type": "snapshot"}
	control.awaits(t, good)

	whole := server.Pack(server.Bundle(2, nil))
	server.Put("policies", whole[:len(whole)/2])
	control.awaits(t, map[string]any{"name": "policies", "active_revision": "r1", "type": "snapshot",
		"code": "bundle_error", "message": fmt.Sprintf("Get \"%s/policies.tar.gz\": the .tar.gz file is damaged or cut off: unexpected EOF", server.URL())})
	server.Publish(3, nil)
	good["active_revision"] = "r3"
	control.awaits(t, good)

	e2e.Eventually(t, 10*time.Second, "an upload is counted", func() error {
		if guard.Metric(`eksguard_status_uploads_total{result="ok"}`) == 0 {
			return errors.New("none")
		}
		return nil
	})
	cluster.As(t, admin).Create(configMap(t, "red"), e2e.DryRun).Denied("first/forbidden")
	t.Run("metrics that a configuration turns on are in the reference, as all others", func(t *testing.T) { referenced(t, guard) })
	guard.Terminate(t)
	awaitEnd(t, guard)

	for _, want := range []string{`"type":"openpolicyagent.org/status"`, `"active_revision":"r3"`, `"type":"openpolicyagent.org/decision_logs"`} {
		if !strings.Contains(printed.String(), want) {
			t.Errorf("%s was not printed:\n%s", want, printed.String())
		}
	}
	control.mu.Lock()
	defer control.mu.Unlock()
	for what, text := range map[string]string{"status": control.text.String(), "console and log": printed.String()} {
		if strings.Contains(text, controlPlaneToken) {
			t.Errorf("the token is in the %s:\n%s", what, text)
		}
	}
}

var (
	typeLine = regexp.MustCompile(`(?m)^# TYPE (eksguard_\w+) (\w+)$`)
	label    = regexp.MustCompile(`(\w+)="`)
)

// referenced fails where a metric of a running eksguard, its type or one of its labels is not in docs/metrics.md.
func referenced(t *testing.T, guard *e2e.Guard) {
	t.Helper()
	reference, err := os.ReadFile("../../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Get(guard.MetricsURL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, metric := range typeLine.FindAllStringSubmatch(string(page), -1) {
		name, kind := metric[1], metric[2]
		_, section, _ := strings.Cut(string(reference), "\n## "+name+"\n")
		section, _, _ = strings.Cut(section, "\n## ")
		if !strings.Contains(section, "\nType: "+kind+".") {
			t.Errorf("%s, a %s, is not in docs/metrics.md as such", name, kind)
		}
		for _, series := range regexp.MustCompile(`(?m)^`+name+`(?:_bucket)?{(.*)} `).FindAllStringSubmatch(string(page), -1) {
			for _, found := range label.FindAllStringSubmatch(series[1], -1) {
				if found[1] != "le" && !strings.Contains(section, "\n| `"+found[1]+"` | ") {
					t.Errorf("%s: label %s is not in docs/metrics.md", name, found[1])
				}
			}
		}
	}
	for _, name := range []string{"eksguard_decision_log_dropped_total", "eksguard_status_uploads_total", "eksguard_reviews_total"} {
		if !strings.Contains(string(page), "# TYPE "+name+" ") {
			t.Errorf("the page does not have %s", name)
		}
	}
}
