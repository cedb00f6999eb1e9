package openapi

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// documentPrefix is where an OpenAPI document refers to another schema.
const documentPrefix = "#/components/schemas/"

// document is what is read of an OpenAPI v3 document of the API server, /openapi/v3/<group version>.
type document struct {
	Paths      map[string]map[string]json.RawMessage `json:"paths"`
	Components struct {
		Schemas map[string]Schema `json:"schemas"`
	} `json:"components"`
}

// operation is what is read of one verb of a path.
type operation struct {
	RequestBody struct {
		Content map[string]struct {
			Schema Schema `json:"schema"`
		} `json:"content"`
	} `json:"requestBody"`
}

// Compact takes the shapes out of OpenAPI v3 documents as the API server serves them, keyed by their path below
// /openapi/v3: api/v1, apis/apps/v1 and so on.
func Compact(documents map[string][]byte) (*Schemas, error) {
	s := &Schemas{Definitions: map[string]Schema{}}
	for _, path := range slices.Sorted(maps.Keys(documents)) {
		var d document
		if err := json.Unmarshal(documents[path], &d); err != nil {
			return nil, fmt.Errorf("OpenAPI document %q: %w", path, err)
		}
		for name, schema := range d.Components.Schemas {
			s.Definitions[name] = compact(schema)
		}
		for _, p := range slices.Sorted(maps.Keys(d.Paths)) {
			r, ok := resourceOf(p)
			if !ok {
				continue
			}
			definition, err := bodyOf(d.Paths[p])
			if err != nil {
				return nil, fmt.Errorf("OpenAPI document %q: path %q: %w", path, p, err)
			}
			if r.Definition = definition; definition != "" {
				s.Resources = append(s.Resources, r)
			}
		}
	}
	s.sort()
	s.prune()
	return s, nil
}

// Encode gives the form that is kept in the binary; the same schemas give the same bytes.
func (s *Schemas) Encode() ([]byte, error) {
	var text bytes.Buffer
	zipped, err := gzip.NewWriterLevel(&text, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if err := json.NewEncoder(zipped).Encode(s); err != nil {
		return nil, err
	}
	if err := zipped.Close(); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}

func (s *Schemas) sort() {
	slices.SortFunc(s.Resources, func(a, b Resource) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Name, b.Name),
			cmp.Compare(a.Definition, b.Definition))
	})
	s.Resources = slices.Compact(s.Resources)
}

// prune drops the definitions that no resource leads to, but for those that custom kinds need.
func (s *Schemas) prune() {
	names := []string{objectMeta}
	for _, r := range s.Resources {
		names = append(names, r.Definition)
	}
	kept := map[string]Schema{}
	for name, schema := range s.closure(names) {
		kept[name] = schema.(Schema)
	}
	s.Definitions = kept
}

// resourceOf reads the resource out of a path of the API: /apis/<group>/<version>[/namespaces/{namespace}]/<plural>
// [/{name}[/<subresource>]].
func resourceOf(path string) (Resource, bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	var r Resource
	switch {
	case len(parts) > 2 && parts[0] == "api":
		r.Version, parts = parts[1], parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		r.Group, r.Version, parts = parts[1], parts[2], parts[3:]
	default:
		return r, false
	}
	if len(parts) > 2 && parts[0] == "namespaces" && parts[1] == "{namespace}" {
		parts = parts[2:]
	}
	if parts[0] == "watch" || slices.Contains(parts, "{path}") {
		return r, false
	}
	r.Name = parts[0]
	if len(parts) > 2 {
		r.Name += "/" + parts[2]
	}
	return r, true
}

// bodyOf gives the definition of what is sent to a path, empty if nothing is.
func bodyOf(verbs map[string]json.RawMessage) (string, error) {
	for _, verb := range []string{"post", "put"} {
		if verbs[verb] == nil {
			continue
		}
		var o operation
		if err := json.Unmarshal(verbs[verb], &o); err != nil {
			return "", err
		}
		if reference, ok := o.RequestBody.Content["*/*"].Schema["$ref"].(string); ok {
			return strings.TrimPrefix(reference, documentPrefix), nil
		}
	}
	return "", nil
}

// compact keeps the shape of a schema.
func compact(s Schema) Schema {
	if reference, ok := s["$ref"].(string); ok {
		return Schema{"$ref": definitionsPrefix + strings.TrimPrefix(reference, documentPrefix)}
	}
	// A default beside a reference makes the API server wrap it.
	if all, ok := s["allOf"].([]any); ok && len(all) == 1 {
		if only, ok := all[0].(Schema); ok {
			return compact(only)
		}
	}
	kind, _ := s["type"].(string)
	properties, _ := s["properties"].(Schema)
	switch {
	case isTrue(s["x-kubernetes-int-or-string"]), kind == "":
		return Schema{}
	case kind == "array":
		items, _ := s["items"].(Schema)
		return Schema{"type": kind, "items": compact(items)}
	case kind != "object":
		return Schema{"type": kind}
	case len(properties) == 0, isOpen(s):
		return Schema{"type": kind}
	}
	kept := Schema{}
	for name, property := range properties {
		schema, _ := property.(Schema)
		kept[name] = compact(schema)
	}
	return Schema{"type": kind, "properties": kept}
}

func isTrue(v any) bool { b, _ := v.(bool); return b }

// isOpen tells whether an object may have members that its schema does not name.
func isOpen(s Schema) bool {
	additional := s["additionalProperties"]
	return isTrue(s["x-kubernetes-preserve-unknown-fields"]) || isTrue(s["x-kubernetes-embedded-resource"]) ||
		(additional != nil && additional != false)
}
