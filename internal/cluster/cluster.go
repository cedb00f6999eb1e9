// Package cluster watches the cluster state that policies read and offers it as the document data.cluster. It holds only
// the kinds that the catalogue asks for, only their metadata or some of their fields where that is enough, and never
// managedFields. Kinds that are optional come and go with their CRDs.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mozilla-iam/eksguard/internal/policy"
)

// Options are what a State is made of; all are required.
type Options struct {
	// Cache makes the watches. Its DefaultTransform is that of Pruner; its start and stop are its owner's.
	Cache  cache.Cache
	Pruner *Pruner
	// Reader reads past the cache.
	Reader client.Reader
	// Mapper finds the kind of a resource.
	Mapper meta.RESTMapper
	// Discovery tells which optional kinds there are.
	Discovery Discovery
	Logger    *slog.Logger
}

// State is the watched cluster state. It implements policy.State.
type State struct {
	options Options

	// changes counts what was seen of all kinds, so that no version comes again.
	changes atomic.Uint64

	// looking is held by who begins or ends watches of optional kinds.
	looking sync.Mutex

	mu    sync.RWMutex
	kinds map[string]*collection
}

var _ policy.State = (*State)(nil)

// NewState makes a State that watches nothing yet.
func NewState(options Options) *State {
	return &State{options: options, kinds: map[string]*collection{}}
}

// Watch begins to watch every kind of needs that is not watched yet, or not as much of it, and waits until all that there
// is of them has been seen or ctx ends, for optional kinds only some seconds. Kinds that are watched already stay so, and
// what is known of them is there all the while. It fails on a kind that the API server does not know, unless it is
// optional; Follow keeps up with those.
func (s *State) Watch(ctx context.Context, needs []policy.Need) error {
	var optional []policy.Need
	var fresh []*collection
	for _, need := range needs {
		if need.IsRead() {
			continue
		}
		if watched := s.widest(need.Key()); watched != nil {
			if watched.need.Covers(need) {
				fresh = append(fresh, watched)
				continue
			}
			need = watched.need.Merge(need)
		}
		if need.Optional {
			optional = append(optional, need)
			continue
		}
		c, err := s.watch(ctx, need)
		if err != nil {
			return fmt.Errorf("watch %s: %w", need.Key(), err)
		}
		fresh = append(fresh, c)
	}
	if err := s.look(ctx, optional); err != nil {
		return err
	}
	for _, c := range fresh {
		if c.need.Optional {
			continue
		}
		if !toolscache.WaitForCacheSync(ctx.Done(), c.synced) {
			return fmt.Errorf("watch %s: not all of it was seen in time: %w", c.need.Key(), errors.Join(context.Cause(ctx), s.drop(ctx, c)))
		}
		s.get(c.need.Key())
	}
	s.waitFor(ctx, optional)
	return nil
}

// Probe fails where eksguard may not list a kind of needs, which a watch would only wait for, or not read an object.
func (s *State) Probe(ctx context.Context, needs []policy.Need) error {
	var faults []error
	for _, need := range needs {
		if need.IsRead() {
			faults = append(faults, s.probe(ctx, need))
			continue
		}
		if watched := s.widest(need.Key()); need.Optional || watched != nil && watched.need.Covers(need) {
			continue
		}
		kind, err := s.options.Mapper.KindFor(need.GroupVersionResource())
		if err == nil {
			list := &metav1.PartialObjectMetadataList{}
			list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
			err = s.options.Reader.List(ctx, list, client.Limit(1))
		}
		switch {
		case apierrors.IsForbidden(err):
			faults = append(faults, fmt.Errorf("watch %s: grant eksguard get, list and watch of it: %w", need.Key(), err))
		case err != nil:
			faults = append(faults, fmt.Errorf("watch %s: %w", need.Key(), err))
		}
	}
	return errors.Join(faults...)
}

// probe reads an object that is read live; it need not exist.
func (s *State) probe(ctx context.Context, need policy.Need) error {
	_, err := s.read(ctx, need)
	switch {
	case apierrors.IsForbidden(err):
		return fmt.Errorf("read %s %q in namespace %q: grant eksguard get of it: %w", need.Key(), need.Name, need.Namespace, err)
	case err != nil:
		return fmt.Errorf("read %s %q in namespace %q: %w", need.Key(), need.Name, need.Namespace, err)
	}
	return nil
}

// Keep ends the watches of all kinds but those of needs.
func (s *State) Keep(ctx context.Context, needs []policy.Need) error {
	s.looking.Lock()
	defer s.looking.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	var faults []error
	for key, c := range s.kinds {
		if slices.ContainsFunc(needs, func(need policy.Need) bool { return !need.IsRead() && need.Key() == key }) {
			continue
		}
		delete(s.kinds, key)
		for ; c != nil; c = c.next {
			if !c.absent {
				faults = append(faults, s.options.Cache.RemoveInformer(ctx, c.empty()))
			}
		}
	}
	return errors.Join(faults...)
}

// get gives what is known of a kind, nil if it is not watched. A wider collection takes its predecessor's place once all
// that there is has been seen.
func (s *State) get(key string) *collection {
	s.mu.RLock()
	c := s.kinds[key]
	ready := c != nil && c.next != nil && c.next.synced()
	s.mu.RUnlock()
	if !ready {
		return c
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c = s.kinds[key]
	if c == nil || c.next == nil || !c.next.synced() {
		return c
	}
	if c.need.MetadataOnly != c.next.need.MetadataOnly && !c.absent {
		// Its informer is another one. What goes wrong is tried again when nobody needs the kind.
		_ = s.options.Cache.RemoveInformer(context.Background(), c.empty())
	}
	c.next.mu.Lock()
	c.next.changed()
	c.next.mu.Unlock()
	s.kinds[key] = c.next
	return c.next
}

// widest gives the collection that is to be the one of a kind, though it may not have seen all yet.
func (s *State) widest(key string) *collection {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c := s.kinds[key]
	for c != nil && c.next != nil {
		c = c.next
	}
	return c
}

// adopt takes a collection that has begun to watch: as the one of its kind, or as the successor of the one that is there.
func (s *State) adopt(c *collection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.kinds[c.need.Key()]; known != nil && !known.absent {
		known.next = c
		return
	}
	s.kinds[c.need.Key()] = c
}

// drop ends the watch of a kind that nobody could read yet. A successor goes on, since it took its predecessor's informer.
func (s *State) drop(ctx context.Context, c *collection) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kinds[c.need.Key()] != c {
		return nil
	}
	delete(s.kinds, c.need.Key())
	return s.options.Cache.RemoveInformer(context.WithoutCancel(ctx), c.empty())
}

func (s *State) watch(ctx context.Context, need policy.Need) (*collection, error) {
	kind, err := s.options.Mapper.KindFor(need.GroupVersionResource())
	if err != nil {
		return nil, err
	}
	mapping, err := s.options.Mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return nil, err
	}
	c, err := s.begin(ctx, need, kind, mapping.Scope.Name() == meta.RESTScopeNameNamespace)
	if err != nil {
		return nil, err
	}
	s.adopt(c)
	return c, nil
}

// begin watches a kind anew, though the cache may watch it already and keep less of it.
func (s *State) begin(ctx context.Context, need policy.Need, kind schema.GroupVersionKind, namespaced bool) (*collection, error) {
	c := &collection{
		need:       need,
		kind:       kind,
		namespaced: namespaced,
		objects:    map[client.ObjectKey]ast.Value{},
		changes:    &s.changes,
	}
	if err := s.options.Cache.RemoveInformer(ctx, c.empty()); err != nil {
		return nil, err
	}
	s.options.Pruner.set(kind, need)
	informer, err := s.options.Cache.GetInformer(ctx, c.empty(), cache.BlockUntilSynced(false))
	if err != nil {
		return nil, err
	}
	registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    c.put,
		UpdateFunc: func(_, object any) { c.put(object) },
		DeleteFunc: c.remove,
	})
	if err != nil {
		return nil, err
	}
	c.synced = registration.HasSynced
	return c, nil
}

// Synced implements policy.State. Of an optional kind it is enough to know whether there is such a kind; what is
// read live waits for nothing.
func (s *State) Synced(need policy.Need) bool {
	if need.IsRead() {
		return true
	}
	c := s.get(need.Key())
	return c != nil && (c.need.Optional || c.synced())
}

// Changed is when anything of that kind was last heard of, zero if it never was.
func (s *State) Changed(need policy.Need) time.Time {
	c := s.get(need.Key())
	if c == nil {
		return time.Time{}
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.heard
}

// Version implements policy.State.
func (s *State) Version(need policy.Need) uint64 {
	c := s.get(need.Key())
	if c == nil {
		return 0
	}
	c.isKnown()
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.version
}

// Lookup implements policy.State.
func (s *State) Lookup(path []string) ast.Value {
	if len(path) == 0 {
		s.mu.RLock()
		keys := slices.Collect(maps.Keys(s.kinds))
		s.mu.RUnlock()
		all := ast.NewObject()
		for _, key := range keys {
			if c := s.get(key); c != nil {
				if document := c.lookup(nil); document != nil {
					all.Insert(ast.StringTerm(key), ast.NewTerm(document))
				}
			}
		}
		return all
	}
	c := s.get(path[0])
	if c == nil {
		return nil
	}
	return c.lookup(path[1:])
}

// Fetch implements policy.State. An object that is read as such, and not watched, comes whole.
func (s *State) Fetch(ctx context.Context, need policy.Need, namespace, name string) (ast.Value, error) {
	if need.IsRead() {
		return s.read(ctx, need)
	}
	c := s.get(need.Key())
	if c == nil {
		return nil, fmt.Errorf("%s is not watched", need.Key())
	}
	object := c.empty()
	err := s.options.Reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, object)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	pruned, err := s.options.Pruner.Transform(object)
	if err != nil {
		return nil, err
	}
	return toValue(pruned.(client.Object))
}

func (s *State) read(ctx context.Context, need policy.Need) (ast.Value, error) {
	kind, err := s.options.Mapper.KindFor(need.GroupVersionResource())
	if err != nil {
		return nil, err
	}
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(kind)
	err = s.options.Reader.Get(ctx, client.ObjectKey{Namespace: need.Namespace, Name: need.Name}, object)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	object.SetManagedFields(nil)
	return toValue(object)
}

// collection holds the objects of one kind.
type collection struct {
	need       policy.Need
	kind       schema.GroupVersionKind
	namespaced bool
	synced     func() bool
	// absent is true of an optional kind that the API server does not serve.
	absent bool
	// next watches more of the same kind, and takes this one's place once it has seen all. State.mu guards it.
	next *collection

	mu sync.RWMutex
	// pending is true of an optional kind while it is not known what there is of it.
	pending bool
	objects map[client.ObjectKey]ast.Value
	changes *atomic.Uint64
	version uint64
	// heard is when an object last came, changed or went.
	heard time.Time
	// whole is all objects as one document, made when it is first asked for after a change.
	whole ast.Value
}

func (c *collection) empty() client.Object {
	if c.need.MetadataOnly {
		object := &metav1.PartialObjectMetadata{}
		object.SetGroupVersionKind(c.kind)
		return object
	}
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(c.kind)
	return object
}

func (c *collection) put(object any) {
	o, ok := object.(client.Object)
	if !ok {
		return
	}
	value, err := toValue(o)
	if err != nil {
		return // what came as JSON converts to JSON
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.objects[client.ObjectKeyFromObject(o)] = value
	c.heard = time.Now()
	c.changed()
}

func (c *collection) remove(object any) {
	if gone, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
		object = gone.Obj
	}
	o, ok := object.(client.Object)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.objects, client.ObjectKeyFromObject(o))
	c.heard = time.Now()
	c.changed()
}

// changed is called with the lock held, so that who sees the new version sees the new objects.
func (c *collection) changed() {
	c.whole = nil
	c.version = c.changes.Add(1)
}

func (c *collection) lookup(path []string) ast.Value {
	if !c.isKnown() {
		return nil
	}
	keys := 1
	if c.namespaced {
		keys = 2
	}
	if len(path) < keys {
		return policy.Find(c.document(), path)
	}
	key := client.ObjectKey{Name: path[keys-1]}
	if c.namespaced {
		key.Namespace = path[0]
	}
	c.mu.RLock()
	value := c.objects[key]
	c.mu.RUnlock()
	return policy.Find(value, path[keys:])
}

func (c *collection) document() ast.Value {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.whole != nil {
		return c.whole
	}
	all := ast.NewObject()
	namespaces := map[string]ast.Object{}
	for key, value := range c.objects {
		into := all
		if c.namespaced {
			if namespaces[key.Namespace] == nil {
				namespaces[key.Namespace] = ast.NewObject()
			}
			into = namespaces[key.Namespace]
		}
		into.Insert(ast.StringTerm(key.Name), ast.NewTerm(value))
	}
	for name, objects := range namespaces {
		all.Insert(ast.StringTerm(name), ast.NewTerm(objects))
	}
	c.whole = all
	return all
}

func toValue(object client.Object) (ast.Value, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, err
	}
	return ast.InterfaceToValue(content)
}
