package examples

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/internal/review"
	"github.com/mozilla-iam/eksguard/internal/spelling"
)

// state is data.cluster with what the example puts there: of each object what the policy would be told by the watch, and
// nothing of every other kind that it needs.
func (e *Example) state(p *policy.Policy, kinds *review.Kinds) (policy.StaticState, error) {
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
			return policy.StaticState{}, fmt.Errorf(".cluster[%d]: the policy does not need %s%s", i, key, spelling.Suggest(key, keys))
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
			return policy.StaticState{}, fmt.Errorf(".unknown[%d]: the policy does not need %q%s", i, key, spelling.Suggest(key, keys))
		}
		delete(document, key)
	}
	return policy.NewStaticState(document)
}
