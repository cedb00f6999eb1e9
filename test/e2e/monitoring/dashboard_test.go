// Package monitoring_test runs every query of the dashboard on a real Prometheus, which scrapes a real eksguard and the API
// server that asks it.
package monitoring_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

var cluster = e2e.NewCluster(local.Options{}, "testdata/setup")

func TestMain(m *testing.M) { os.Exit(cluster.Run(m)) }

// The names of the variables' values, and of the interval that Grafana computes.
var grafana = strings.NewReplacer("$job", ".*", "$instance", ".*", "$policy", ".*", "$__rate_interval", "30s")

const (
	pod = `
apiVersion: v1
kind: Pod
metadata:
  generateName: watched-
  namespace: %s
  annotations: {iam.amazonaws.com/role: %q}
spec:
  containers: [{name: none, image: none}]
`
	own     = "arn:aws:iam::555555555555:role/eks-webservice-01-prod"
	foreign = "arn:aws:iam::555555555555:role/eks-other-prod"
)

func TestDashboard(t *testing.T) {
	guard := cluster.Guard(t, local.EksguardOptions{Settings: "testdata/settings.yaml"})
	prometheus := startPrometheus(t, cluster.Plane(t), guard)
	prometheus.awaitScrapes(t, 3)
	admin := cluster.As(t, "")
	for range 20 {
		admin.Create(e2e.Parse(t, fmt.Sprintf(pod, "webservice-01", own))).Admitted()
		admin.Create(e2e.Parse(t, fmt.Sprintf(pod, "webservice-01", "eks-webservice-01-prod"))).Admitted()
		admin.Create(e2e.Parse(t, fmt.Sprintf(pod, "webservice-01", foreign))).Denied("iam-role/ownership")
		admin.Create(e2e.Parse(t, fmt.Sprintf(pod, "webservice-02", foreign))).Admitted()
	}
	prometheus.awaitScrapes(t, 3) // two samples of what was not there before, as it takes for an increase
	fail(t, guard)
	prometheus.awaitScrapes(t, 3)
	for _, panel := range panels(t) {
		for _, target := range panel.Targets {
			t.Run(panel.Title+" "+target.RefID, func(t *testing.T) {
				// A minute back eksguard may not have run, and now it does not run any more: a range has both.
				found := prometheus.ask(t, grafana.Replace(target.Expr))
				if len(found) == 0 {
					t.Fatalf("nothing comes of %s", target.Expr)
				}
				for _, series := range found {
					for _, word := range strings.Split(target.LegendFormat, "{{")[1:] {
						label, _, _ := strings.Cut(word, "}}")
						if _, there := series.Metric[model.LabelName(label)]; !there && !optional[label] {
							t.Errorf("legend %q: %s has no label %s", target.LegendFormat, series.Metric, label)
						}
					}
				}
			})
		}
	}
}

// optional are labels that are empty, and so absent, where all is meant.
var optional = map[string]bool{"resource_namespace": true, "rule": true}

// fail makes calls of the API server fail: first refused, and then, where failurePolicy says so, let pass.
func fail(t *testing.T, guard *e2e.Guard) {
	t.Helper()
	if err := guard.Stop(); err != nil {
		t.Fatal(err)
	}
	admin, asked := cluster.As(t, ""), e2e.Parse(t, fmt.Sprintf(pod, "webservice-01", own))
	if outcome := admin.Create(asked); outcome.Err == nil {
		t.Fatal("it was admitted though eksguard is not there")
	}
	hooks := cluster.Clients(t).AdmissionregistrationV1()
	v, err := hooks.ValidatingWebhookConfigurations().Get(t.Context(), "eksguard", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ignore := admissionv1.Ignore
	for i := range v.Webhooks {
		v.Webhooks[i].FailurePolicy = &ignore
	}
	_, err = hooks.ValidatingWebhookConfigurations().Update(t.Context(), v, metav1.UpdateOptions{})
	if err := errors.Join(err, hooks.MutatingWebhookConfigurations().Delete(t.Context(), "eksguard", metav1.DeleteOptions{})); err != nil {
		t.Fatal(err)
	}
	e2e.Eventually(t, 10*time.Second, "it is let pass", func() error { return admin.Create(asked).Err })
}

type panel struct {
	Title       string   `json:"title"`
	Type        string   `json:"type"`
	Description string   `json:"description"`
	Grid        gridPos  `json:"gridPos"`
	Targets     []target `json:"targets"`
	FieldConfig struct {
		Defaults struct {
			Unit       string `json:"unit"`
			Thresholds struct {
				Steps []any `json:"steps"`
			} `json:"thresholds"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
}

type gridPos struct{ X, Y, W, H int }

type target struct {
	RefID        string `json:"refId"`
	Expr         string `json:"expr"`
	LegendFormat string `json:"legendFormat"`
}

func panels(t *testing.T) []panel {
	t.Helper()
	text, err := os.ReadFile("../../../deploy/monitoring/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []panel `json:"panels"`
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	return board.Panels
}

func TestPanelsCanBeReadAndDoNotOverlap(t *testing.T) {
	taken := map[[2]int]string{}
	for _, p := range panels(t) {
		for x := p.Grid.X; x < p.Grid.X+p.Grid.W; x++ {
			for y := p.Grid.Y; y < p.Grid.Y+p.Grid.H; y++ {
				if other, is := taken[[2]int{x, y}]; is || x >= 24 {
					t.Fatalf("%q is in the place of %q or beyond the board", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.FieldConfig.Defaults.Thresholds.Steps) != 3 || len(p.Targets) == 0 {
			t.Errorf("%q has no description, unit, thresholds or query: %+v", p.Title, p)
		}
	}
}
