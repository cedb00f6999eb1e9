package monitoring_test

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// prometheus is a running Prometheus.
type prometheus struct{ promv1.API }

const configuration = `
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: eksguard
    static_configs: [{targets: [%q]}]
  - job_name: apiserver
    scheme: https
    tls_config: {ca_file: ca.pem, cert_file: cert.pem, key_file: key.pem}
    static_configs: [{targets: [%q]}]
`

// startPrometheus starts one that scrapes eksguard and the API server. It ends with the test.
func startPrometheus(t *testing.T, plane *local.ControlPlane, guard *e2e.Guard) *prometheus {
	t.Helper()
	binary := cluster.Program(t, "prometheus", "prometheus")
	dir, port := t.TempDir(), e2e.FreePorts(t, 1)[0]
	for name, text := range map[string]string{
		"ca.pem": string(plane.Config.CAData), "cert.pem": string(plane.Config.CertData), "key.pem": string(plane.Config.KeyData),
		"prometheus.yaml": fmt.Sprintf(configuration, host(t, guard.MetricsURL), host(t, plane.Config.Host)),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log strings.Builder
	cmd := exec.Command(binary, "--config.file="+filepath.Join(dir, "prometheus.yaml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:"+port, "--log.level=warn")
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended, or is to
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	client, err := api.NewClient(api.Config{Address: "http://127.0.0.1:" + port})
	if err != nil {
		t.Fatal(err)
	}
	return &prometheus{promv1.NewAPI(client)}
}

func host(t *testing.T, address string) string {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Host
}

// awaitScrapes waits for so many more scrapes of the API server and of eksguard each; the first may be under way already.
func (p *prometheus) awaitScrapes(t *testing.T, n float64) {
	t.Helper()
	scrapes := func() (float64, error) {
		found, _, _, err := p.Query(t.Context(), `min(count_over_time(up[1h]))`, time.Now())
		if err != nil {
			return 0, err
		}
		if samples := found.(model.Vector); len(samples) == 1 {
			return float64(samples[0].Value), nil
		}
		return 0, nil
	}
	var before float64
	e2e.Eventually(t, 30*time.Second, "Prometheus answers", func() (err error) {
		before, err = scrapes()
		return err
	})
	e2e.Eventually(t, 30*time.Second, "Prometheus scrapes", func() error {
		now, err := scrapes()
		if err == nil && now < before+n {
			return fmt.Errorf("%v scrapes, want %v", now, before+n)
		}
		return err
	})
}

// ask asks for the last two minutes.
func (p *prometheus) ask(t *testing.T, query string) model.Matrix {
	t.Helper()
	now := time.Now()
	found, warnings, _, err := p.QueryRange(t.Context(), query, promv1.Range{Start: now.Add(-2 * time.Minute), End: now, Step: time.Second})
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	if len(warnings) > 0 {
		t.Errorf("%s: %q", query, warnings)
	}
	return found.(model.Matrix)
}
