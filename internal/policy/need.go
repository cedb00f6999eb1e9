package policy

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Need is a kind of object that a policy reads as data.cluster["<apiVersion>/<resource>"].
type Need struct {
	APIVersion   string `json:"apiVersion"`
	Resource     string `json:"resource"`
	MetadataOnly bool   `json:"metadataOnly,omitempty"`
	// Namespace and Name are those of the one object that is read live, when a rule comes to it, instead of watching the
	// kind; both are empty for a kind that is watched.
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	// Optional is true for a kind that a cluster may lack: nothing waits for it. The document is empty while the API server
	// does not serve the kind, and undefined while it is served and not listed yet.
	Optional bool `json:"optional,omitempty"`
	// Fields are the paths of what is kept of each object besides its name and namespace; all of it where there are none.
	// The step "*" is every member of an object or an array.
	Fields [][]string `json:"fields,omitempty"`
}

// Key is the need's key in data.cluster.
func (n Need) Key() string { return n.APIVersion + "/" + n.Resource }

// IsRead tells whether the need is one object that is read live, and nothing that is watched.
func (n Need) IsRead() bool { return n.Name != "" }

// path is where the object that is read live stands below data.cluster.
func (n Need) path() []string {
	if n.Namespace == "" {
		return []string{n.Key(), n.Name}
	}
	return []string{n.Key(), n.Namespace, n.Name}
}

// GroupVersionResource is the need in the terms of the API server.
func (n Need) GroupVersionResource() schema.GroupVersionResource {
	gv, _ := schema.ParseGroupVersion(n.APIVersion) // checked when the catalogue was read
	return gv.WithResource(n.Resource)
}

// Covers tells whether what is known for n is all that other asks for. Both are of the same kind.
func (n Need) Covers(other Need) bool {
	return (!n.MetadataOnly || other.MetadataOnly) && (!n.Optional || other.Optional) && n.coversFields(other)
}

func (n Need) coversFields(other Need) bool {
	if len(n.Fields) == 0 || len(other.Fields) == 0 {
		return len(n.Fields) == 0
	}
	for _, field := range other.Fields {
		if !n.keeps(field) {
			return false
		}
	}
	return true
}

func (n Need) keeps(field []string) bool {
	return slices.ContainsFunc(n.Fields, func(f []string) bool { return slices.Equal(f, field) })
}

// Merge gives the need that covers both n and other, which is of the same kind.
func (n Need) Merge(other Need) Need {
	n.MetadataOnly = n.MetadataOnly && other.MetadataOnly
	n.Optional = n.Optional && other.Optional
	if len(n.Fields) == 0 || len(other.Fields) == 0 {
		n.Fields = nil
		return n
	}
	n.Fields = slices.Clone(n.Fields)
	for _, field := range other.Fields {
		if !n.keeps(field) {
			n.Fields = append(n.Fields, field)
		}
	}
	return n
}

// always is kept of every object: who watches needs it.
var always = [][]string{
	{"apiVersion"}, {"kind"},
	{"metadata", "name"}, {"metadata", "namespace"}, {"metadata", "uid"}, {"metadata", "resourceVersion"},
}

// Keep gives what is known of an object of that kind. The object itself stays as it is.
func (n Need) Keep(object map[string]any) map[string]any {
	if n.MetadataOnly {
		object = maps.Clone(object)
		maps.DeleteFunc(object, func(field string, _ any) bool {
			return field != "apiVersion" && field != "kind" && field != "metadata"
		})
	}
	if len(n.Fields) == 0 {
		return object
	}
	kept, _ := prune(object, slices.Concat(always, n.Fields)).(map[string]any)
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
