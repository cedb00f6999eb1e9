package policies_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// written collects what is written to it.
type written struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *written) Write(text []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(text)
}

func (w *written) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// A write of Flux's deploy key is denied, and that is logged, at the latest when eksguard ends; what was to be written stands in no log, no event and no
// metric.
func TestTheDecisionLogHoldsNothingOfASecret(t *testing.T) {
	const needle = "the-key-that-nobody-may-see"
	var uploaded, printed written
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		plain, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := io.Copy(&uploaded, plain); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(collector.Close)
	config := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(config, []byte(fmt.Sprintf(`
labels: {cluster: blue}
services: {collector: {url: %q}}
decision_logs: {service: collector, console: true, reporting: {min_delay_seconds: 300, max_delay_seconds: 300}}
`, collector.URL)), 0o600); err != nil {
		t.Fatal(err)
	}
	guard := cluster.Guard(t, local.EksguardOptions{
		Settings: standardSettings, Log: &printed, ExtraArgs: []string{"--config", config, "--log-level", "debug"}})

	key := e2e.Parse(t, "{apiVersion: v1, kind: Secret, metadata: {name: flux-system, namespace: flux-system}}")
	patch, err := json.Marshal(map[string]any{
		"stringData": map[string]string{"identity": needle},
		"metadata": map[string]any{"annotations": map[string]string{
			"kubectl.kubernetes.io/last-applied-configuration": `{"data": {"identity": "` + needle + `"}}`}},
	})
	if err != nil {
		t.Fatal(err)
	}
	message := cluster.As(t, "alice").Patch(key, types.MergePatchType, string(patch)).Denied("flux-key/secret").Err.Error()

	e2e.Eventually(t, 10*time.Second, "an Event tells the denial, and nothing of the Secret", func() error {
		told := cluster.Kubectl(t).Run("get", "events", "-n", "flux-system",
			"--field-selector=reason=Denied,involvedObject.kind=Secret,involvedObject.name=flux-system",
			"-o=jsonpath={.items[*].message}").Succeeded().Stdout
		if told != `UPDATE of Secret "flux-system" by a user: [flux-key/secret]` {
			return fmt.Errorf("told %q", told)
		}
		return nil
	})

	pages := page(t, guard.MetricsURL) + page(t, guard.HealthURL+"/status")

	// It would be uploaded in five minutes; the end uploads what waits.
	guard.Terminate(t)
	e2e.Eventually(t, 30*time.Second, "the denial is at the collector", func() error {
		if !strings.Contains(uploaded.String(), `"rule":"secret"`) {
			return errors.New(uploaded.String())
		}
		return nil
	})
	<-guard.Done() // a second signal would end it before it is ready to go
	for _, want := range []string{`"path":"eksguard/flux_key"`, `"requested_by":"alice"`, `"labels":{"cluster":"blue"`,
		`"/input/request/object/data"`, `"/input/request/oldObject/data"`, `"name":"flux-system"`} {
		if !strings.Contains(uploaded.String(), want) {
			t.Errorf("%s is not in what was uploaded:\n%s", want, uploaded.String())
		}
	}
	events, err := cluster.Clients(t).EventsV1().Events("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	audit, err := os.ReadFile(cluster.Plane(t).AuditLog)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(audit), `"flux-system"`) || !strings.Contains(printed.String(), "openpolicyagent.org/decision_logs") {
		t.Errorf("the denial is not in the API server's audit log or not on the console:\n%s", printed.String())
	}
	for what, text := range map[string]string{
		"upload": uploaded.String(), "console and log": printed.String(), "audit log": string(audit), "events": events.String(),
		"metrics and status": pages, "message": message,
	} {
		for _, secret := range []string{needle, base64.StdEncoding.EncodeToString([]byte(needle))} {
			if strings.Contains(text, secret) {
				t.Errorf("the %s has what is in the Secret: %q in\n%s", what, secret, text)
			}
		}
	}
}

func page(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
