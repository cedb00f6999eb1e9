// Package monitoring_test makes sure that the alerts refer to what there is; what they find is tested by promtool
// (alerts_test.yaml).
package monitoring_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

type alert struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

func alerts(t *testing.T) []alert {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []alert `json:"rules"`
		} `json:"groups"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "alerts.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	return file.Groups[0].Rules
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var metric = regexp.MustCompile(`\beksguard_[a-z_]+`)

func TestAlertsAskForMetricsThatThereAre(t *testing.T) {
	reference := read(t, "../../docs/metrics.md")
	for _, a := range alerts(t) {
		for _, name := range metric.FindAllString(a.Expr, -1) {
			if !strings.Contains(reference, "\n## "+name+"\n") {
				t.Errorf("%s: there is no metric %s", a.Alert, name)
			}
		}
	}
}

func TestAlertsTellWhatToDo(t *testing.T) {
	const book = "https://github.com/mozilla-iam/eksguard/blob/main/docs/runbooks.md#"
	runbooks := strings.ToLower(read(t, "../../docs/runbooks.md"))
	severity := regexp.MustCompile(`^(critical|warning|info)$`)
	for _, a := range alerts(t) {
		if !severity.MatchString(a.Labels["severity"]) || a.Annotations["summary"] == "" || a.Annotations["description"] == "" {
			t.Errorf("%s has no severity, summary or description", a.Alert)
		}
		anchor, found := strings.CutPrefix(a.Annotations["runbook_url"], book)
		if !found || !strings.Contains(runbooks, "\n## "+anchor+"\n") {
			t.Errorf("%s: %q is not in the runbooks", a.Alert, a.Annotations["runbook_url"])
		}
	}
}

// Each is tested to fire, and not to.
func TestAlertsAreTested(t *testing.T) {
	var file struct {
		Tests []struct {
			Rules []struct {
				Alert string `json:"alertname"`
				Want  []any  `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		} `json:"tests"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "alerts_test.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	fires, rests := map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		for _, rule := range test.Rules {
			fires[rule.Alert] = fires[rule.Alert] || len(rule.Want) > 0
			rests[rule.Alert] = rests[rule.Alert] || len(rule.Want) == 0
		}
	}
	for _, a := range alerts(t) {
		if !fires[a.Alert] || !rests[a.Alert] {
			t.Errorf("%s: tested to fire %v, and not to %v", a.Alert, fires[a.Alert], rests[a.Alert])
		}
	}
}
