package process_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	opabundle "github.com/open-policy-agent/opa/v1/bundle"
	admissionv1 "k8s.io/api/admission/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// Wherever bundles come from, two replicas behind a Service follow them while people write: from good to bad to good, with
// the source away, and through a restart meanwhile. No write is answered wrongly or not at all.
func TestReplicasFollowEverySource(t *testing.T) {
	if err := cluster.Plane(t).CreateNamespace(t.Context(), "eksguard-system"); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name     string
		source   func(testing.TB, string) *e2e.BundleServer
		unsigned bool
	}{
		{"signed, by HTTP", e2e.NewBundleServer, false},
		{"not signed, by HTTP", e2e.NewBundleServer, true},
		{"signed, from an OCI registry", e2e.NewBundleRegistry, false},
		{"not signed, from an OCI registry", e2e.NewBundleRegistry, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			source := row.source(t, reloadBundle)
			source.Unsigned = row.unsigned
			followed(t, source)
		})
	}
}

// two is what the API server has behind it: replicas, and the load on them.
type two struct {
	source   *e2e.BundleServer
	balancer *local.Balancer
	replicas []*replica
	args     [][]string
}

func followed(t *testing.T, source *e2e.BundleServer) {
	// What makes this cluster different is a bundle of its own: it forbids green where the policies' own settings forbid red.
	source.Put("cluster", source.Pack(opabundle.Bundle{
		Manifest: opabundle.Manifest{Revision: "c1", Roots: &[]string{"eksguard_settings"}},
		Data:     map[string]any{"eksguard_settings": map[string]any{"first": map[string]any{"forbidden": "green"}}},
	}))
	source.Publish(1, withoutSecond)
	w := &two{source: source, balancer: e2e.NewBalancer(t)}
	t.Cleanup(func() { cluster.Unregister(t) })
	// Those of another source are not to be taken for its own.
	if err := cluster.Clients(t).EventsV1().Events("eksguard-system").
		DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	var drain time.Duration
	if !source.Unsigned {
		drain = 3 * time.Second // they end under load
	}
	for range 2 {
		args := []string{"--config", source.Config(1, t.TempDir(), "policies", "cluster"), "--log-level", "warn"}
		w.args = append(w.args, args)
		w.replicas = append(w.replicas, startReplica(t, w.balancer, drain, args...))
	}
	for _, r := range w.replicas {
		r.awaitReady(t)
	}
	e2e.Eventually(t, 20*time.Second, "the cluster is guarded", func() error {
		return isForbidden(cluster.As(t, admin).Create(configMap(t, "green"), e2e.DryRun))
	})
	var published atomic.Bool
	stop := w.load(t, &published)
	defer stop()

	w.reports(t, "cluster=c1,policies=r1")
	w.badBundlesChangeNothing(t)

	published.Store(true)
	source.Publish(20, nil)
	e2e.Eventually(t, 20*time.Second, "the new rule bites", func() error {
		return isForbidden(cluster.As(t, admin).Create(secret(t, "red"), e2e.DryRun))
	})
	w.reports(t, "cluster=c1,policies=r20")

	if !source.Unsigned { // which makes no difference to what follows, and takes its time
		w.outage(t)
	}
	stop()
	endAll(t, w.replicas) // which gives the lease to those of the next source
}

// outage has the source away, and a restart meanwhile.
func (w *two) outage(t *testing.T) {
	t.Helper()
	w.source.Down()
	w.each(t, "it does not hear its source", func(r *replica) error { return r.failed(t, "download") })
	w.restart(t)
	unchanged := w.source.Unchanged()
	w.source.Up()
	w.each(t, "it hears its source again", func(r *replica) error {
		if status := r.status(t); !status.Confirmed || status.Bundles["policies"].Message != "" {
			return fmt.Errorf("status is %+v", status)
		}
		return nil
	})
	if !w.source.OCI() && w.source.Unchanged() == unchanged {
		t.Error("what the replicas have was sent to them again")
	}
	w.reports(t, "cluster=c1,policies=r20")
}

// restart has others take the place of the replicas, with their folders and without the source.
func (w *two) restart(t *testing.T) {
	t.Helper()
	old := slices.Clone(w.replicas)
	for i, args := range w.args {
		w.replicas[i] = startReplica(t, w.balancer, 0, args...)
	}
	for _, r := range w.replicas {
		r.awaitReady(t)
	}
	endAll(t, old)
	w.reports(t, "cluster=c1,policies=r20")
	cluster.As(t, admin).Create(secret(t, "red"), e2e.DryRun).Denied("second/forbidden")
}

// badBundlesChangeNothing publishes what is wrong in several ways, and waits each time until both replicas say so.
func (w *two) badBundlesChangeNothing(t *testing.T) {
	t.Helper()
	good := w.source.Bundle(10, nil)
	broken := w.source.Bundle(11, func(b *opabundle.Bundle) {
		file := &b.Modules[slices.IndexFunc(b.Modules, func(f opabundle.ModuleFile) bool { return strings.Contains(f.Path, "second") })]
		file.Raw = append(slices.Clone(file.Raw), "\ndeny contains\n"...)
	})
	overlapping := w.source.Bundle(12, func(b *opabundle.Bundle) { b.Manifest.Roots = &[]string{"eksguard", "eksguard_settings/first"} })
	whole := w.source.Pack(good)
	line := strings.Count(string(good.Modules[len(good.Modules)-1].Raw), "\n") + 3
	rows := []struct {
		name         string
		raw          []byte
		reason, want string
	}{
		{"Rego that does not parse", w.source.Pack(broken), "policy", fmt.Sprintf("policies/second/second.rego:%d: rego_parse_error: ", line)},
		{"cut off", whole[:len(whole)/2], "format", "the .tar.gz file is damaged or cut off"},
		{"roots of another bundle", w.source.Pack(overlapping), "roots",
			`bundles "cluster" and "policies": roots "eksguard_settings" and "eksguard_settings/first" of their manifests overlap`},
		{"signed by another", w.source.PackSignedByAnother(good), "signature", "signature: "},
	}
	for _, row := range rows {
		w.source.Put("policies", row.raw)
		w.each(t, "it does not take a bundle: "+row.name, func(r *replica) error {
			if err := r.failed(t, row.reason); err != nil {
				return err
			}
			if got := r.status(t).Bundles["policies"]; got.Reason != row.reason || got.Message == "" || got.Revision != "r1" {
				return fmt.Errorf("status is %+v", got)
			}
			logged, err := strconv.Unquote(`"` + r.lastLogged(`"msg":"bundle not taken","bundle":"policies","reason":"`+row.reason+`","error":"`))
			if err != nil {
				return err
			}
			if !strings.Contains(logged, row.want) {
				return fmt.Errorf("the log has %q", logged)
			}
			return nil
		})
	}
	e2e.Eventually(t, 10*time.Second, "there is an Event of each kind", func() error {
		events, err := cluster.Clients(t).EventsV1().Events("eksguard-system").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, row := range rows {
			prefix := fmt.Sprintf("bundle %q (%s): ", "policies", row.reason)
			if !slices.ContainsFunc(events.Items, func(e eventsv1.Event) bool {
				return e.Reason == "BundleNotTaken" && strings.HasPrefix(e.Note, prefix) && strings.Contains(e.Note, row.want)
			}) {
				return fmt.Errorf("none with %q and %q", prefix, row.want)
			}
		}
		return nil
	})
}

// each waits until something is so at every replica.
func (w *two) each(t *testing.T, what string, is func(*replica) error) {
	t.Helper()
	for i, r := range w.replicas {
		e2e.Eventually(t, 20*time.Second, fmt.Sprintf("replica %d: %s", i, what), func() error { return is(r) })
	}
}

// reports waits until every replica decides by these bundles, and says so, all by the same revision: at /status, by metric
// and in the audit annotations of its answers; and the API server's own audit log has it.
func (w *two) reports(t *testing.T, bundles string) {
	t.Helper()
	w.each(t, "it decides by "+bundles, func(r *replica) error {
		if status := r.status(t); !status.Ready || !strings.HasPrefix(status.Revision, bundles+"+sha256:") {
			return fmt.Errorf("status is %+v", status)
		}
		return nil
	})
	revision := w.replicas[0].status(t).Revision
	for i, r := range w.replicas {
		if got := r.status(t).Revision; got != revision {
			t.Errorf("replica %d decides by %q, and another by %q", i, got, revision)
		}
		if e2e.Metric(t, r.metricsURL, fmt.Sprintf("eksguard_bundle_info{revision=%q}", revision)) != 1 {
			t.Errorf("the metrics of replica %d do not have revision %q", i, revision)
		}
		answer, err := askFirst(t, cluster.WebhookClient(t), r.webhookURL, configMap(t, "green"))
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"revision": revision, "violations": "first/forbidden=deny"}
		if diff := cmp.Diff(want, answer.AuditAnnotations); diff != "" {
			t.Errorf("audit annotations of replica %d (-want +got):\n%s", i, diff)
		}
	}
	audited := e2e.Parse(t, fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: audited-%d, namespace: webservice-01}, data: {colour: pink}}",
		time.Now().UnixNano()))
	cluster.As(t, admin).Create(audited, e2e.DryRun).Admitted()
	log, err := os.ReadFile(cluster.Plane(t).AuditLog)
	if err != nil {
		t.Fatal(err)
	}
	_, entry, _ := strings.Cut(string(log), `"name":"`+audited.GetName()+`"`)
	entry, _, _ = strings.Cut(entry, "\n")
	if want := `"first.eksguard.io/revision":"` + revision + `"`; !strings.Contains(entry, want) {
		t.Errorf("%s is not in the API server's audit log: %q", want, entry)
	}
}

// load writes, over and over, what is to be admitted and what is to be denied, until it is stopped: through the API
// server, which keeps to one connection and so to one replica, and straight to the balancer, each time by a new
// connection, as many API servers would. The rule against red Secrets is unknown until published; once it was heard of,
// it holds.
func (w *two) load(t *testing.T, published *atomic.Bool) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	var answers atomic.Int64
	repeat := func(once func()) {
		writers.Go(func() {
			for ctx.Err() == nil {
				once()
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	for range 2 {
		c := cluster.As(t, admin)
		repeat(func() {
			for what, o := range map[string]*unstructured.Unstructured{"ConfigMap": configMap(t, "pink"), "Secret": secret(t, "pink")} {
				if err := c.Create(o, e2e.DryRun).Err; err != nil {
					t.Errorf("a pink %s: %v", what, err)
				}
			}
			if err := isForbidden(c.Create(configMap(t, "green"), e2e.DryRun)); err != nil {
				t.Errorf("a green ConfigMap: %v", err)
			}
			answers.Add(3)
		})
	}
	red, heard := cluster.As(t, admin), false
	repeat(func() {
		before := published.Load()
		switch o := red.Create(secret(t, "red"), e2e.DryRun); {
		case o.Err == nil && heard:
			t.Error("a red Secret is admitted, and was denied before")
		case o.Err != nil && (isForbidden(o) != nil || !before && !published.Load()):
			t.Errorf("a red Secret: %v", o.Err)
		case o.Err != nil:
			heard = true
		}
		answers.Add(1)
	})
	client := cluster.WebhookClient(t)
	client.Transport.(*http.Transport).DisableKeepAlives = true
	repeat(func() {
		for colour, allowed := range map[string]bool{"pink": true, "green": false} {
			answer, err := askFirst(t, client, "https://localhost:"+w.balancer.Port(), configMap(t, colour))
			if err != nil {
				t.Errorf("a %s ConfigMap: %v", colour, err)
			} else if answer.Allowed != allowed {
				t.Errorf("a %s ConfigMap is answered with %v", colour, answer)
			}
			answers.Add(1)
		}
	})
	return sync.OnceFunc(func() {
		cancel()
		writers.Wait()
		t.Logf("%d answers", answers.Load())
		if answers.Load() < 100 {
			t.Errorf("there were %d answers only", answers.Load())
		}
		for i, r := range w.replicas {
			if e2e.Metric(t, r.metricsURL, `eksguard_reviews_total{phase="validate",policy="first",verdict="denied"}`) == 0 {
				t.Errorf("replica %d was not asked", i)
			}
		}
	})
}

// askFirst asks the policy "first" as the API server does.
func askFirst(t *testing.T, client *http.Client, webhookURL string, o *unstructured.Unstructured) (*admissionv1.AdmissionResponse, error) {
	request, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodPost, webhookURL+"/validate/first",
		strings.NewReader(review(t, "1", o)))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	var answer admissionv1.AdmissionReview
	if err := json.Unmarshal(text, &answer); err != nil || answer.Response == nil {
		return nil, fmt.Errorf("%s: %s", response.Status, text)
	}
	return answer.Response, nil
}

// serverStatus is the page /status, as far as it is about bundles.
type serverStatus struct {
	Ready     bool                    `json:"ready"`
	Revision  string                  `json:"revision"`
	Confirmed bool                    `json:"confirmed"`
	Policies  []string                `json:"policies"`
	Bundles   map[string]bundleStatus `json:"bundles"`
}

type bundleStatus struct {
	Revision string `json:"active_revision"`
	Sequence int    `json:"sequence"`
	Reason   string `json:"reason"`
	Message  string `json:"message"`
}

func statusOf(t *testing.T, healthURL string) (status serverStatus) {
	t.Helper()
	response, err := http.Get(healthURL + "/status")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if err := json.NewDecoder(response.Body).Decode(&status); err != nil {
		t.Fatal(err)
	}
	return status
}

func (r *replica) status(t *testing.T) serverStatus {
	t.Helper()
	return statusOf(t, r.healthURL)
}

// lastLogged is what stands in the last line with this text in its log after it, as far as the JSON string goes.
func (r *replica) lastLogged(text string) string {
	output := r.Output()
	i := strings.LastIndex(output, text)
	if i < 0 {
		return `"`
	}
	line, _, _ := strings.Cut(output[i+len(text):], "\n")
	return strings.TrimSuffix(line, "}")
}

// failed returns nil once a bundle was not taken for that reason.
func (r *replica) failed(t *testing.T, reason string) error {
	t.Helper()
	if e2e.Metric(t, r.metricsURL, fmt.Sprintf(`eksguard_bundle_failures_total{bundle="policies",reason=%q}`, reason)) == 0 {
		return errors.New("none")
	}
	return nil
}
