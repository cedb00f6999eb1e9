package cluster

import (
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/mozilla-iam/eksguard/internal/policy"
)

// Pruner cuts what a cache keeps down to what policies read, before it is kept. The zero value is ready: it takes
// managedFields from every object.
type Pruner struct {
	mu    sync.RWMutex
	needs map[prunedKind]policy.Need
}

// prunedKind tells apart what a cache tells apart.
type prunedKind struct {
	schema.GroupVersionKind
	metadataOnly bool
}

// Transform is for the cache that a State watches through.
func (p *Pruner) Transform(object any) (any, error) {
	if accessor, err := meta.Accessor(object); err == nil { // not a note that an object is gone
		accessor.SetManagedFields(nil)
	}
	switch o := object.(type) {
	case *unstructured.Unstructured:
		if need, ok := p.need(prunedKind{o.GroupVersionKind(), false}); ok {
			o.Object = need.Keep(o.Object)
		}
	case *metav1.PartialObjectMetadata:
		if need, ok := p.need(prunedKind{o.GroupVersionKind(), true}); ok {
			content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
			if err != nil {
				return nil, err
			}
			pruned := &metav1.PartialObjectMetadata{}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(need.Keep(content), pruned); err != nil {
				return nil, err
			}
			return pruned, nil
		}
	}
	return object, nil
}

// set says what is kept of a kind from now on.
func (p *Pruner) set(kind schema.GroupVersionKind, need policy.Need) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := prunedKind{kind, need.MetadataOnly}
	if len(need.Fields) == 0 {
		delete(p.needs, key)
		return
	}
	if p.needs == nil {
		p.needs = map[prunedKind]policy.Need{}
	}
	p.needs[key] = need
}

func (p *Pruner) need(kind prunedKind) (policy.Need, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	need, ok := p.needs[kind]
	return need, ok
}
