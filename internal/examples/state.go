package examples

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/internal/review"
	"github.com/mozilla-iam/eksguard/internal/spelling"
)

// state is one example's. The snapshot remembers answers by the version of what they rest on, so that each has its own.
type state struct {
	policy.StaticState
	version uint64
}

// Version implements policy.State.
func (s state) Version(policy.Need) uint64 { return s.version }

// document is data.cluster with what the example puts there: of each object what the policy would be told by the watch,
// and nothing of every other kind that it needs.
func (e *Example) document(p *policy.Policy, kinds *review.Kinds) (map[string]any, error) {
	document := map[string]any{}
	needs := map[string]policy.Need{}
	var keys []string
	for _, need := range p.Needs {
		document[need.Key()] = map[string]any{}
		needs[need.Key()] = need
		keys = append(keys, need.Key())
	}
	for i, manifest := range e.Cluster {
		object := &unstructured.Unstructured{Object: manifest}
		gvr := kinds.Resource(object.GroupVersionKind())
		key := policy.Need{APIVersion: gvr.GroupVersion().String(), Resource: gvr.Resource}.Key()
		need, ok := needs[key]
		if !ok {
			return nil, fmt.Errorf(".cluster[%d]: the policy does not need %s%s", i, key, spelling.Suggest(key, keys))
		}
		of := document[need.Key()].(map[string]any)
		if namespace := kinds.Namespace(object); namespace != "" {
			if of[namespace] == nil {
				of[namespace] = map[string]any{}
			}
			of = of[namespace].(map[string]any)
		}
		of[object.GetName()] = need.Keep(manifest)
	}
	for i, key := range e.Unknown {
		if !slices.Contains(keys, key) {
			return nil, fmt.Errorf(".unknown[%d]: the policy does not need %q%s", i, key, spelling.Suggest(key, keys))
		}
		delete(document, key)
	}
	return document, nil
}
