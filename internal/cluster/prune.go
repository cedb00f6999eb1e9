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
	mu     sync.RWMutex
	fields map[prunedKind][][]string
}

// prunedKind tells apart what a cache tells apart.
type prunedKind struct {
	schema.GroupVersionKind
	metadataOnly bool
}

// always is kept of every object: the watch itself needs it.
var always = [][]string{
	{"apiVersion"}, {"kind"}, {"metadata", "name"}, {"metadata", "namespace"}, {"metadata", "uid"}, {"metadata", "resourceVersion"},
}

// Transform is for the cache that a State watches through.
func (p *Pruner) Transform(object any) (any, error) {
	if accessor, err := meta.Accessor(object); err == nil { // not a note that an object is gone
		accessor.SetManagedFields(nil)
	}
	switch o := object.(type) {
	case *unstructured.Unstructured:
		if fields := p.kept(prunedKind{o.GroupVersionKind(), false}); fields != nil {
			o.Object = keep(o.Object, fields)
		}
	case *metav1.PartialObjectMetadata:
		if fields := p.kept(prunedKind{o.GroupVersionKind(), true}); fields != nil {
			content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
			if err != nil {
				return nil, err
			}
			pruned := &metav1.PartialObjectMetadata{}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(keep(content, fields), pruned); err != nil {
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
		delete(p.fields, key)
		return
	}
	if p.fields == nil {
		p.fields = map[prunedKind][][]string{}
	}
	p.fields[key] = append(append([][]string{}, always...), need.Fields...)
}

func (p *Pruner) kept(kind prunedKind) [][]string {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.fields[kind]
}

func keep(object map[string]any, fields [][]string) map[string]any {
	kept, _ := prune(object, fields).(map[string]any)
	return kept
}

// prune copies of a value what lies at the ends of the paths, and the objects and arrays on the way to them.
func prune(value any, paths [][]string) any {
	for _, path := range paths {
		if len(path) == 0 {
			return value
		}
	}
	switch v := value.(type) {
	case map[string]any:
		kept := map[string]any{}
		for key, member := range v {
			if rest := below(key, paths); len(rest) > 0 {
				kept[key] = prune(member, rest)
			}
		}
		return kept
	case []any:
		kept := []any{}
		if rest := below("*", paths); len(rest) > 0 {
			for _, element := range v {
				kept = append(kept, prune(element, rest))
			}
		}
		return kept
	}
	return nil
}

// below gives what is left of the paths that go through key.
func below(key string, paths [][]string) (rest [][]string) {
	for _, path := range paths {
		if path[0] == key || path[0] == "*" {
			rest = append(rest, path[1:])
		}
	}
	return rest
}
