package review

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mozilla-iam/eksguard/internal/manifest"
	"github.com/mozilla-iam/eksguard/internal/policy"
)

// namespacesKey is the cluster state that can be given.
const namespacesKey = "v1/namespaces"

// state is the cluster state of a review. It remembers what policies looked for in vain, because their verdict may rest
// on it. It is for one goroutine.
type state struct {
	policy.StaticState
	// vain counts by the first two parts of the path.
	vain map[[2]string]int
}

func newState(snapshot *policy.Snapshot, namespaces ...[]manifest.Document) (*state, error) {
	static, err := policy.NewStaticState(map[string]any{namespacesKey: namespacesByName(snapshot, namespaces)})
	if err != nil {
		return nil, err
	}
	return &state{StaticState: static, vain: map[[2]string]int{}}, nil
}

// namespacesByName gives the Namespaces among the documents, the last one of a name, and of each what the webhook would
// know of it.
func namespacesByName(snapshot *policy.Snapshot, documents [][]manifest.Document) map[string]any {
	metadataOnly := false
	for _, need := range snapshot.Needs() {
		metadataOnly = metadataOnly || (need.Key() == namespacesKey && need.MetadataOnly)
	}
	byName := map[string]any{}
	for _, list := range documents {
		for _, document := range list {
			if !IsNamespace(document.Object) || document.Object.GetName() == "" {
				continue
			}
			object := document.Object.DeepCopy()
			object.SetManagedFields(nil)
			if metadataOnly {
				maps.DeleteFunc(object.Object, func(field string, _ any) bool {
					return !slices.Contains([]string{"apiVersion", "kind", "metadata"}, field)
				})
			}
			byName[object.GetName()] = object.Object
		}
	}
	return byName
}

// IsNamespace tells whether the object is a Namespace.
func IsNamespace(object *unstructured.Unstructured) bool {
	return object.GroupVersionKind().GroupKind() == namespaceKind
}

// Lookup implements policy.State.
func (s *state) Lookup(path []string) ast.Value {
	if value := s.StaticState.Lookup(path[:min(len(path), 2)]); value == nil {
		s.vain[prefix(path)]++
		return nil
	}
	return s.StaticState.Lookup(path)
}

// Fetch implements policy.State. The engine asks for the request's own namespace after a look of its own, which is no
// policy's.
func (s *state) Fetch(_ context.Context, need policy.Need, _, name string) (ast.Value, error) {
	if need.Key() != namespacesKey {
		return nil, nil
	}
	s.vain[[2]string{need.Key(), name}]--
	return nil, nil
}

func prefix(path []string) (p [2]string) {
	copy(p[:], path)
	return p
}

// notes tells what was looked for in vain.
func (s *state) notes() []string {
	var namespaces []string
	others := map[string]bool{}
	for path, times := range s.vain {
		switch {
		case times <= 0:
		case path[0] == namespacesKey:
			namespaces = append(namespaces, fmt.Sprintf("%q", path[1]))
		default:
			others[fmt.Sprintf("%s of the cluster are not known, and were judged as if there were none", path[0])] = true
		}
	}
	notes := slices.Sorted(maps.Keys(others))
	slices.Sort(namespaces)
	if len(namespaces) > 0 {
		notes = append(notes, fmt.Sprintf("%s %s not known, and judged as if without labels and annotations: give --namespaces",
			plural(len(namespaces), "namespace", "namespaces"), strings.Join(namespaces, ", ")))
	}
	return notes
}
