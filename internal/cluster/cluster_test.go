package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/test/local"
	"github.com/mozilla-iam/eksguard/test/local/localtest"
)

var (
	colours  = policy.Need{APIVersion: "example.com/v1", Resource: "colours", MetadataOnly: true, Optional: true}
	required = policy.Need{APIVersion: "example.com/v1", Resource: "colours"}
	crds     = policy.Need{APIVersion: "apiextensions.k8s.io/v1", Resource: "customresourcedefinitions",
		Fields: [][]string{{"spec", "names", "kind"}, {"metadata", "annotations", "example.com/version"}}}
)

// TestOptionalKindsComeAndGo is the life of an optional kind against a real API server: it is empty while it does not exist,
// its objects are seen once it does, and it is empty again when its CRD is gone.
func TestOptionalKindsComeAndGo(t *testing.T) {
	c := localtest.ControlPlane(t, local.Options{})
	w := newWorld(t, c.Kubeconfig)

	if err := w.state.Watch(t.Context(), []policy.Need{required}); err == nil {
		t.Error("a required kind that does not exist was no error")
	}
	if w.state.Synced(colours) {
		t.Error("an optional kind is synced before anybody looked for it")
	}
	if err := w.state.Watch(t.Context(), []policy.Need{colours, crds}); err != nil {
		t.Fatal(err)
	}
	if !w.state.Synced(colours) || !w.state.Synced(crds) {
		t.Error("an optional kind that does not exist holds up the rest")
	}
	w.wantObjects("before the kind exists", colours, "{}")
	absent := w.state.Version(colours)

	w.follow()
	w.create(definition())
	w.eventually("the pruned definition", crds, `{"colours.example.com":{"apiVersion":"apiextensions.k8s.io/v1",`+
		`"kind":"CustomResourceDefinition","metadata":{"annotations":{"example.com/version":"1"},"name":"colours.example.com"},`+
		`"spec":{"names":{"kind":"Colour"}}}}`)
	w.createEventually(colour())
	w.eventually("after an object was made", colours, `{"default":{"red":{"apiVersion":"example.com/v1","kind":"Colour",`+
		`"metadata":{"name":"red","namespace":"default"}}}}`)
	if w.state.Version(colours) == absent {
		t.Error("the version did not change with the objects")
	}

	w.remove(definition())
	w.eventually("after the kind was removed", colours, "{}")
	w.create(definition())
	w.createEventually(colour())
	w.eventually("after the kind came back", colours, `{"default":{"red":{"apiVersion":"example.com/v1","kind":"Colour",`+
		`"metadata":{"name":"red","namespace":"default"}}}}`)

	// What is known as optional and in part may be asked for as a whole later.
	if err := w.state.Watch(t.Context(), []policy.Need{required}); err != nil {
		t.Fatal(err)
	}
	w.eventually("when it is asked for as a whole", required, `{"default":{"red":{"apiVersion":"example.com/v1","hue":"warm",`+
		`"kind":"Colour","metadata":{"name":"red","namespace":"default"}}}}`)
}

// TestAnObjectIsReadLive reads, against a real API server, what nobody watches.
func TestAnObjectIsReadLive(t *testing.T) {
	c := localtest.ControlPlane(t, local.Options{})
	w := newWorld(t, c.Kubeconfig)
	need := policy.Need{APIVersion: "v1", Resource: "configmaps", Namespace: "default", Name: "palette"}
	must(t, w.state.Probe(t.Context(), []policy.Need{need}))
	must(t, w.state.Watch(t.Context(), []policy.Need{need}))
	must(t, w.state.Keep(t.Context(), []policy.Need{need}))
	if !w.state.Synced(need) || w.state.Lookup([]string{need.Key()}) != nil {
		t.Error("the kind is waited for or watched")
	}
	if value, err := w.state.Fetch(t.Context(), need, "default", "palette"); err != nil || value != nil {
		t.Errorf("before there is one: %v, %v", value, err)
	}
	w.create(&unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": "palette", "namespace": "default"}, "data": map[string]any{"red": "bad"}}})
	value, err := w.state.Fetch(t.Context(), need, "default", "palette")
	must(t, err)
	if got := policy.Find(value, []string{"data"}); got == nil || got.String() != `{"red": "bad"}` {
		t.Errorf("data: %v", got)
	}
	if got := policy.Find(value, []string{"metadata", "managedFields"}); got != nil {
		t.Errorf("managedFields are kept: %v", got)
	}
}

// TestAnOptionalKindThatCannotBeListedIsUnknown holds for an API server that serves a kind and fails to list it.
func TestAnOptionalKindThatCannotBeListedIsUnknown(t *testing.T) {
	listed := make(chan struct{})
	fake := &unlistable{listed: listed}
	s := NewState(Options{Cache: fake, Pruner: &Pruner{}, Discovery: served{}, Logger: slog.New(slog.DiscardHandler)})
	if err := s.look(t.Context(), []policy.Need{colours}); err != nil {
		t.Fatal(err)
	}
	before := s.Version(colours)
	if !s.Synced(colours) || s.Lookup([]string{colours.Key()}) != nil || s.Lookup(nil).Compare(ast.NewObject()) != 0 {
		t.Errorf("while it is not listed: %v", s.Lookup(nil))
	}
	close(listed)
	if got := s.Lookup([]string{colours.Key()}); got == nil || s.Version(colours) == before {
		t.Errorf("once it is listed: %v", got)
	}
}

// TestAFailedLookLeavesWhatIsKnown holds for an API server that does not answer.
func TestAFailedLookLeavesWhatIsKnown(t *testing.T) {
	s := NewState(Options{Discovery: broken{}, Logger: slog.New(slog.DiscardHandler)})
	if err := s.Watch(t.Context(), []policy.Need{colours}); !errors.Is(err, errBoom) || s.Synced(colours) {
		t.Errorf("first look: %v, synced %v", err, s.Synced(colours))
	}
	s.kinds[colours.Key()] = &collection{need: colours, absent: true}
	if err := s.look(t.Context(), s.optional()); !errors.Is(err, errBoom) || !s.Synced(colours) {
		t.Errorf("later look: %v, synced %v", err, s.Synced(colours))
	}
}

var errBoom = errors.New("boom")

type broken struct{}

func (broken) ServerResourcesForGroupVersion(string) (*metav1.APIResourceList, error) {
	return nil, errBoom
}

type served struct{}

func (served) ServerResourcesForGroupVersion(string) (*metav1.APIResourceList, error) {
	return &metav1.APIResourceList{APIResources: []metav1.APIResource{
		{Name: "colours/status", Kind: "Colour"}, {Name: "colours", Kind: "Colour", Namespaced: true}}}, nil
}

// world is a State at work.
type world struct {
	*testing.T
	client client.Client
	state  *State
}

func newWorld(t *testing.T, kubeconfig string) *world {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	must(t, err)
	http, err := rest.HTTPClientFor(config)
	must(t, err)
	mapper, err := apiutil.NewDynamicRESTMapper(config, http)
	must(t, err)
	direct, err := client.New(config, client.Options{HTTPClient: http, Mapper: mapper})
	must(t, err)
	kinds, err := discovery.NewDiscoveryClientForConfigAndClient(config, http)
	must(t, err)
	var pruner Pruner
	watches, err := cache.New(config, cache.Options{HTTPClient: http, Mapper: mapper, DefaultTransform: pruner.Transform})
	must(t, err)
	background(t, func(ctx context.Context) {
		if err := watches.Start(ctx); err != nil {
			t.Error(err)
		}
	})
	return &world{t, direct, NewState(Options{Cache: watches, Pruner: &pruner, Reader: direct, Mapper: mapper,
		Discovery: kinds, Logger: slog.New(slog.DiscardHandler)})}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// background runs f until the test ends, and waits for its end.
func background(t *testing.T, f func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

func (w *world) follow() { background(w.T, w.state.Follow) }

func (w *world) create(object *unstructured.Unstructured) {
	w.Helper()
	must(w.T, w.client.Create(w.Context(), object))
}

func (w *world) remove(object *unstructured.Unstructured) {
	w.Helper()
	must(w.T, w.client.Delete(w.Context(), object))
	w.poll("removal of "+object.GetName(), func() bool {
		return w.client.Get(w.Context(), client.ObjectKeyFromObject(object), object.DeepCopy()) != nil
	})
}

// createEventually waits until the kind is served.
func (w *world) createEventually(object *unstructured.Unstructured) {
	w.Helper()
	w.poll("creation of "+object.GetName(), func() bool { return w.client.Create(w.Context(), object.DeepCopy()) == nil })
}

func (w *world) poll(what string, done func() bool) {
	w.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if done() {
			return
		}
	}
	w.Fatalf("%s: not within a minute", what)
}

func (w *world) eventually(when string, need policy.Need, want string) {
	w.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end) && w.objects(need) != want; {
		time.Sleep(50 * time.Millisecond)
	}
	w.wantObjects(when, need, want)
}

func (w *world) wantObjects(when string, need policy.Need, want string) {
	w.Helper()
	if diff := cmp.Diff(want, w.objects(need)); diff != "" {
		w.Fatalf("%s: %s", when, diff)
	}
}

// objects are those of a kind, without what each run makes anew.
func (w *world) objects(need policy.Need) string {
	w.Helper()
	document := w.state.Lookup([]string{need.Key()})
	if document == nil {
		return "unknown"
	}
	content, err := ast.JSON(document)
	must(w.T, err)
	forget(content)
	text, err := json.Marshal(content)
	must(w.T, err)
	return string(text)
}

func forget(node any) {
	object, _ := node.(map[string]any)
	for _, name := range []string{"uid", "resourceVersion", "generation", "creationTimestamp"} {
		delete(object, name)
	}
	for _, member := range object {
		forget(member)
	}
}

func definition() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": "colours.example.com", "annotations": map[string]any{"example.com/version": "1"}},
		"spec": map[string]any{
			"group": "example.com", "scope": "Namespaced",
			"names": map[string]any{"kind": "Colour", "listKind": "ColourList", "plural": "colours", "singular": "colour"},
			"versions": []any{map[string]any{"name": "v1", "served": true, "storage": true, "schema": map[string]any{
				"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}},
		},
	}}
}

func colour() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "example.com/v1", "kind": "Colour", "hue": "warm",
		"metadata": map[string]any{"name": "red", "namespace": "default"},
	}}
}
