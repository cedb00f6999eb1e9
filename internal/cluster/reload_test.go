package cluster

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/test/local"
	"github.com/mozilla-iam/eksguard/test/local/localtest"
)

var (
	labels      = policy.Need{APIVersion: "v1", Resource: "configmaps", MetadataOnly: true, Fields: [][]string{{"metadata", "labels"}}}
	annotations = policy.Need{APIVersion: "v1", Resource: "configmaps", MetadataOnly: true, Fields: [][]string{{"metadata", "annotations"}}}
	data        = policy.Need{APIVersion: "v1", Resource: "configmaps", Fields: [][]string{{"data"}}}
	secrets     = policy.Need{APIVersion: "v1", Resource: "secrets", MetadataOnly: true}
)

// TestWhatIsWatchedGrowsAndShrinks is what reloads ask of a State, against a real API server: more of a kind is seen without
// what was seen before being gone for a moment, and kinds that nobody needs are forgotten.
func TestWhatIsWatchedGrowsAndShrinks(t *testing.T) {
	c := localtest.ControlPlane(t, local.Options{})
	w := newWorld(t, c.Kubeconfig)
	must(t, c.CreateNamespace(t.Context(), "here"))
	w.create(&unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"a": "d"},
		"metadata": map[string]any{"name": "one", "namespace": "here",
			"labels": map[string]any{"a": "l"}, "annotations": map[string]any{"a": "a"}},
	}})
	one := func(path ...string) string {
		value := w.state.Lookup(append([]string{labels.Key(), "here", "one"}, path...))
		if value == nil {
			return ""
		}
		return value.String()
	}

	must(t, w.state.Watch(t.Context(), []policy.Need{labels}))
	if one("metadata", "labels") != `{"a": "l"}` || one("metadata", "annotations") != "" {
		t.Fatalf("at first, %s is known", one())
	}
	before := w.state.Version(labels)
	// What is known stays known while more is looked for.
	lost := make(chan bool, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		gone := false
		for ctx.Err() == nil {
			gone = gone || one("metadata", "labels") == "" || !w.state.Synced(labels)
		}
		lost <- gone
	}()
	must(t, w.state.Watch(t.Context(), []policy.Need{annotations}))
	must(t, w.state.Watch(t.Context(), []policy.Need{data, secrets}))
	stop()
	if <-lost {
		t.Error("what was known was gone for a moment")
	}
	for _, need := range []policy.Need{labels, annotations, data} {
		if !w.state.widest(need.Key()).need.Covers(need) {
			t.Errorf("%v is not watched", need)
		}
	}
	if one("metadata", "labels") != `{"a": "l"}` || one("metadata", "annotations") != `{"a": "a"}` || one("data") != `{"a": "d"}` {
		t.Errorf("in the end, %s is known", one())
	}
	if w.state.Version(labels) == before {
		t.Error("the version is the one from before more was known")
	}
	w.create(&unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": "two", "namespace": "here"}}})
	w.poll("the watch", func() bool { return w.state.Lookup([]string{labels.Key(), "here", "two"}) != nil })

	must(t, w.state.Keep(t.Context(), []policy.Need{secrets}))
	if w.state.Synced(labels) || w.state.Lookup([]string{labels.Key()}) != nil || !w.state.Synced(secrets) {
		t.Error("it keeps what nobody needs, or forgets what somebody does")
	}
	must(t, w.state.Watch(t.Context(), []policy.Need{labels}))
	if one("metadata", "labels") != `{"a": "l"}` {
		t.Errorf("when it is needed again, %s is known", one())
	}
}

func TestWhatMayNotBeListedIsToldAtOnce(t *testing.T) {
	c := localtest.ControlPlane(t, local.Options{})
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	must(t, err)
	config.Impersonate = rest.ImpersonationConfig{UserName: "nobody"}
	nobody, err := client.New(config, client.Options{})
	must(t, err)
	w := newWorld(t, c.Kubeconfig)
	w.state.options.Reader = nobody
	err = w.state.Probe(t.Context(), []policy.Need{secrets, colours, required})
	for _, want := range []string{
		"watch v1/secrets: grant eksguard get, list and watch of it: secrets is forbidden: User \"nobody\" cannot list",
		"watch example.com/v1/colours: no matches for",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q in it", err, want)
		}
	}
}

// TestAWatchThatFailsLeavesWhatIsKnown holds for a kind of which more is asked for and does not come.
func TestAWatchThatFailsLeavesWhatIsKnown(t *testing.T) {
	c := localtest.ControlPlane(t, local.Options{})
	w := newWorld(t, c.Kubeconfig)
	listed := make(chan struct{})
	w.state = NewState(Options{Cache: &unlistable{listed: listed}, Pruner: &Pruner{}, Mapper: w.client.RESTMapper(),
		Discovery: served{}, Logger: slog.New(slog.DiscardHandler)})
	known := &collection{need: labels, synced: func() bool { return true }, changes: &w.state.changes,
		objects: map[client.ObjectKey]ast.Value{{Name: "one"}: ast.NewObject()}}
	w.state.kinds[labels.Key()] = known
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := w.state.Watch(ctx, []policy.Need{annotations, secrets})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
	if w.state.get(labels.Key()) != known || !w.state.Synced(labels) {
		t.Error("what was known is gone")
	}
	close(listed) // as it may be at last
	if got := w.state.get(labels.Key()); got == known || !got.need.Covers(annotations) || !got.need.Covers(labels) {
		t.Errorf("what has come is not there: %+v", got.need)
	}
}
