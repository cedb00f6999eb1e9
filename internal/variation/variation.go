// Package variation alters decoded JSON at random, to try properties that must hold for every object that anybody can
// write.
package variation

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// Change alters one value somewhere below node, in place: it leaves a member out, or puts something else in its place,
// often of another type. It does nothing where node is no object or has no members.
func Change(random *rand.Rand, node any) {
	values := []any{nil, true, 1, "", "x", "arn:aws:iam::555555555555:role/eks-webservice-02-prod",
		"eks-webservice-01-prod", "old-role", "shared-role", []any{}, []any{"x"}, map[string]any{}, map[string]any{"x": "y"}}
	for {
		object, ok := node.(map[string]any)
		if !ok || len(object) == 0 {
			return
		}
		keys := slices.Sorted(maps.Keys(object))
		key := keys[random.IntN(len(keys))]
		if next, ok := object[key].(map[string]any); ok && len(next) > 0 && random.IntN(4) > 0 {
			node = next
			continue
		}
		if random.IntN(4) == 0 && !strings.Contains(key, "/") {
			delete(object, key)
		} else {
			object[key] = values[random.IntN(len(values))]
		}
		return
	}
}
