package process_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	opabundle "github.com/open-policy-agent/opa/v1/bundle"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

const reloadBundle = "testdata/bundles/reload"

// withoutSecond takes the second policy away.
func withoutSecond(b *opabundle.Bundle) {
	b.Modules = slices.DeleteFunc(b.Modules, func(file opabundle.ModuleFile) bool { return strings.Contains(file.Path, "second") })
}

// forbids has the first policy forbid another colour.
func forbids(colour string) func(*opabundle.Bundle) {
	return func(b *opabundle.Bundle) {
		settings := b.Data["eksguard"].(map[string]any)["settings"].(map[string]any)
		settings["first"] = map[string]any{"forbidden": colour}
	}
}

func configMap(t testing.TB, colour string) *unstructured.Unstructured {
	return e2e.Parse(t, "{apiVersion: v1, kind: ConfigMap, metadata: {generateName: c-, namespace: default}, data: {colour: "+colour+"}}")
}

func secret(t testing.TB, colour string) *unstructured.Unstructured {
	return e2e.Parse(t, "{apiVersion: v1, kind: Secret, metadata: {generateName: s-, namespace: default, annotations: {colour: "+colour+"}}}")
}

// While people write, the bundle changes from good to bad to good: settings change, a policy comes that reads other cluster
// state, and goes. No write is answered wrongly or not at all.
func TestReloadUnderLoad(t *testing.T) {
	server := e2e.NewBundleServer(t, reloadBundle)
	server.Publish(1, withoutSecond)
	guard := cluster.Guard(t, local.EksguardOptions{ExtraArgs: []string{"--config", server.Config(1, t.TempDir())}})
	c := cluster.As(t, admin)
	denied := func(o *unstructured.Unstructured) func() error {
		return func() error { return isForbidden(c.Create(o, e2e.DryRun)) }
	}
	admitted := func(o *unstructured.Unstructured) func() error {
		return func() error { return c.Create(o, e2e.DryRun).Err }
	}
	e2e.Eventually(t, 20*time.Second, "the first policy decides", denied(configMap(t, "red")))

	// Pink is never forbidden, and red is all the while.
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	var answers atomic.Int64
	for range 4 {
		c := cluster.As(t, admin)
		writers.Go(func() {
			for ctx.Err() == nil {
				for what, o := range map[string]*unstructured.Unstructured{"ConfigMap": configMap(t, "pink"), "Secret": secret(t, "pink")} {
					if err := c.Create(o, e2e.DryRun).Err; err != nil {
						t.Errorf("a pink %s: %v", what, err)
					}
				}
				if err := isForbidden(c.Create(configMap(t, "red"), e2e.DryRun)); err != nil {
					t.Errorf("a red ConfigMap: %v", err)
				}
				answers.Add(3)
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	failures := func(reason string) func() error {
		series := fmt.Sprintf(`eksguard_bundle_failures_total{bundle="policies",reason=%q}`, reason)
		return func() error {
			if guard.Metric(series) == 0 {
				return errors.New("none")
			}
			return nil
		}
	}

	server.Publish(2, func(b *opabundle.Bundle) {
		delete(b.Data["eksguard"].(map[string]any)["settings"].(map[string]any), "first")
	})
	e2e.Eventually(t, 10*time.Second, "settings without the policy's section are not taken", failures("settings"))
	server.Publish(3, func(b *opabundle.Bundle) { b.Manifest.Metadata["eksguard"] = map[string]any{"sequence": 0} })
	e2e.Eventually(t, 10*time.Second, "an older bundle is not taken", failures("older"))

	server.Publish(4, nil)
	e2e.Eventually(t, 20*time.Second, "a new policy decides", denied(secret(t, "red")))
	c.Create(configMap(t, "red"), e2e.DryRun).Denied("first/forbidden")
	server.Publish(5, withoutSecond)
	e2e.Eventually(t, 20*time.Second, "a policy that was removed does not", admitted(secret(t, "red")))
	stop()
	writers.Wait()
	if answers.Load() < 100 {
		t.Errorf("there were %d answers only", answers.Load())
	}

	server.Publish(6, forbids("blue"))
	e2e.Eventually(t, 20*time.Second, "settings that changed decide", denied(configMap(t, "blue")))
	c.Create(configMap(t, "red"), e2e.DryRun).Admitted()

	t.Run("and it is told", func(t *testing.T) {
		status := statusOf(t, guard.HealthURL)
		if got := status.Bundles["policies"]; !status.Ready || status.Revision != "r6" || got.Revision != "r6" || got.Sequence != 6 ||
			strings.Join(status.Policies, " ") != "first second" {
			t.Errorf("status is %+v", status)
		}
		e2e.Eventually(t, 10*time.Second, "there is an Event of each kind", func() error {
			events, err := cluster.Clients(t).EventsV1().Events("eksguard-system").List(t.Context(), metav1.ListOptions{})
			if err != nil {
				return err
			}
			var notes []string
			for _, event := range events.Items {
				notes = append(notes, event.Reason+" "+event.Note)
			}
			for _, want := range []string{
				`BundleNotTaken bundle "policies" (older): its sequence 0 is older than 1, which was taken before`,
				`BundleActivated bundle "policies", revision "r6", decides from now on`,
			} {
				if !strings.Contains(strings.Join(notes, "\n"), want) {
					return fmt.Errorf("none with %q in %q", want, notes)
				}
			}
			return nil
		})
	})
}

// A start at which the bundle server is down comes up on the last good copy, and guards.
func TestRestartWithTheBundleServerDown(t *testing.T) {
	server, folder := e2e.NewBundleServer(t, reloadBundle), t.TempDir()
	server.Publish(1, nil)
	config := server.Config(1, folder)
	guard := cluster.Guard(t, local.EksguardOptions{ExtraArgs: []string{"--config", config}})
	if err := guard.Stop(); err != nil {
		t.Fatal(err)
	}
	server.Down()
	guard = cluster.Guard(t, local.EksguardOptions{ExtraArgs: []string{"--config", config}})
	cluster.As(t, admin).Create(configMap(t, "red"), e2e.DryRun).Denied("first/forbidden")
	cluster.As(t, admin).Create(secret(t, "red"), e2e.DryRun).Denied("second/forbidden")
	if guard.Metric(`eksguard_bundle_info{revision="r1"}`) != 1 {
		t.Error("another revision decides")
	}
}

// Before there is any bundle it is not ready, and registers nothing.
func TestNothingIsServedBeforeTheFirstBundle(t *testing.T) {
	plane := cluster.Plane(t)
	if err := plane.CreateNamespace(t.Context(), "eksguard-system"); err != nil {
		t.Fatal(err)
	}
	server := e2e.NewBundleServer(t, reloadBundle)
	ports := e2e.FreePorts(t, 3)
	t.Cleanup(func() { cluster.Unregister(t) })
	e2e.Start(t, serve(plane.Kubeconfig, ports, "--config", server.Config(1, ""), "--leader-elect=false", "--drain-delay=0s")...)
	healthURL := "http://127.0.0.1:" + ports[1]
	e2e.Eventually(t, 20*time.Second, "it waits for the bundle", func() error {
		response, err := http.Get(healthURL + "/status")
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		if want := `"reason": "bundle \"policies\": not loaded yet: server replied with Not Found"`; !strings.Contains(string(text), want) {
			return fmt.Errorf("status is %s", text)
		}
		return nil
	})
	if e2e.Ready(healthURL) == nil {
		t.Error("it is ready")
	}
	if _, err := validating(t); !apierrors.IsNotFound(err) {
		t.Errorf("it has registered: %v", err)
	}
	server.Publish(1, nil)
	e2e.Eventually(t, 20*time.Second, "it guards", func() error {
		return isForbidden(cluster.As(t, admin).Create(configMap(t, "red"), e2e.DryRun))
	})
}

// A replica that is asked for a policy which it has not heard of asks the bundle server at once, and answers by what that
// says. Only where it gets no answer is the review refused.
func TestAReplicaThatLagsCatchesUp(t *testing.T) {
	server := e2e.NewBundleServer(t, reloadBundle)
	server.Publish(1, withoutSecond)
	guard := cluster.Guard(t, local.EksguardOptions{ExtraArgs: []string{"--config", server.Config(3600, "")}})
	ask := func(policy string, o *unstructured.Unstructured) (int, string) {
		t.Helper()
		response, err := cluster.WebhookClient(t).Post(guard.WebhookURL+"/validate/"+policy, "application/json",
			strings.NewReader(review(t, "1", o)))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(text)
	}
	server.Publish(2, nil)
	if code, answer := ask("second", secret(t, "red")); code != http.StatusOK || !strings.Contains(answer, "[second/forbidden]") {
		t.Errorf("what is new is answered with %d %s", code, answer)
	}
	if code, answer := ask("third", secret(t, "red")); code != http.StatusOK ||
		!strings.Contains(answer, `"allowed":true,"auditAnnotations":{"unknown-policy":"third"}`) {
		t.Errorf("what no bundle has is answered with %d %s", code, answer)
	}
	server.Down()
	time.Sleep(1100 * time.Millisecond) // an answer counts for a second
	if code, answer := ask("third", secret(t, "red")); code != http.StatusServiceUnavailable || !strings.HasPrefix(answer,
		`eksguard: the active bundle has no policy "third", and whether there is a newer one cannot be told: `) {
		t.Errorf("what nobody can tell is answered with %d %s", code, answer)
	}
	if code, answer := ask("second", secret(t, "red")); code != http.StatusOK || !strings.Contains(answer, "[second/forbidden]") {
		t.Errorf("what is known is answered with %d %s", code, answer)
	}
}

// A replica that starts on an old copy, and cannot ask, unregisters no policy that came since.
func TestAnOldCopyTakesNoPolicyAway(t *testing.T) {
	server, old := e2e.NewBundleServer(t, reloadBundle), t.TempDir()
	server.Publish(1, withoutSecond)
	config := server.Config(1, old)
	guard := cluster.Guard(t, local.EksguardOptions{ExtraArgs: []string{"--config", config}})
	if err := guard.Stop(); err != nil {
		t.Fatal(err)
	}
	server.Publish(2, nil)
	guard = cluster.Guard(t, local.EksguardOptions{ExtraArgs: []string{"--config", server.Config(1, "")}})
	c := cluster.As(t, admin)
	c.Create(secret(t, "red"), e2e.DryRun).Denied("second/forbidden")
	if err := guard.Stop(); err != nil {
		t.Fatal(err)
	}
	server.Down()
	cluster.Guard(t, local.EksguardOptions{ExtraArgs: []string{"--config", config}})
	c.Create(configMap(t, "red"), e2e.DryRun).Denied("first/forbidden")
	c.Create(secret(t, "red"), e2e.DryRun).Unanswered("second.eksguard.io")
}
