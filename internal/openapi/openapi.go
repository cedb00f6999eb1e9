// Package openapi knows what Kubernetes' objects look like: which members each kind has and of what type they are, as
// JSON Schema in the form that OPA's type checker reads. What the built-in kinds look like is part of the binary, taken
// from the API server's own OpenAPI documents; custom kinds are added from their CustomResourceDefinitions.
//
// Only shapes are kept: members, items, references and types. Where a shape is open (maps, preserved unknown fields,
// values of several types) the schema allows everything.
package openapi

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
)

// What an API server of the version in test/controlplane/go.mod says of its kinds; `make schemas` writes it.
//
//go:embed kubernetes.json.gz
var kubernetes []byte

// definitionsPrefix is where a schema refers to another one.
const definitionsPrefix = "#/definitions/"

// Schema is a JSON Schema as decoded JSON.
type Schema = map[string]any

// Resource says which kind of object is sent to a resource of the API.
type Resource struct {
	Group   string `json:"group,omitempty"`
	Version string `json:"version"`
	// Name is the plural, with "/" and the subresource if it is one: pods, pods/binding.
	Name string `json:"name"`
	// Definition is the name of the schema in Definitions of what is created, updated or deleted there.
	Definition string `json:"definition"`
}

// Schemas are the schemas of a set of kinds.
type Schemas struct {
	Definitions map[string]Schema `json:"definitions"`
	// Resources are sorted by group, version and name.
	Resources []Resource `json:"resources"`
}

// Kubernetes gives the schemas of the built-in kinds. The caller may add to them.
func Kubernetes() (*Schemas, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(kubernetes))
	if err != nil {
		return nil, fmt.Errorf("schemas of Kubernetes: %w", err)
	}
	s := &Schemas{}
	if err := json.NewDecoder(unzipped).Decode(s); err != nil {
		return nil, fmt.Errorf("schemas of Kubernetes: %w", err)
	}
	s.addConnections()
	return s, nil
}

// Review gives the schema of the AdmissionReviews that the API server sends for these rules, whole and for itself. Its
// object and oldObject are those of any kind that a rule matches; where a rule has a wildcard for a group, or matches a
// kind that is not known, they may have any members besides those that all objects have.
func (s *Schemas) Review(match []admissionregistrationv1.RuleWithOperations) Schema {
	review := reviewSchema()
	names, known := s.matched(match)
	object := anyObject()
	if known {
		object = anyOf(names)
	} else {
		names = []string{objectMeta}
	}
	request := review["properties"].(Schema)["request"].(Schema)["properties"].(Schema)
	request["object"], request["oldObject"] = object, object
	review["definitions"] = s.closure(names)
	return review
}

// anyObject is what all objects have, and whatever else one may have.
func anyObject() Schema {
	return Schema{"type": "object", "additionalProperties": true, "properties": Schema{
		"apiVersion": Schema{"type": "string"},
		"kind":       Schema{"type": "string"},
		"metadata":   Schema{"$ref": definitionsPrefix + objectMeta},
	}}
}

func anyOf(names []string) Schema {
	references := make([]any, len(names))
	for i, name := range names {
		references[i] = Schema{"$ref": definitionsPrefix + name}
	}
	if len(references) == 1 {
		return references[0].(Schema)
	}
	return Schema{"anyOf": references}
}

// matched gives the definitions of all that the rules match. It is false where that cannot be told.
func (s *Schemas) matched(match []admissionregistrationv1.RuleWithOperations) (names []string, known bool) {
	for i := range match {
		rule := &match[i]
		for _, group := range rule.APIGroups {
			for _, pattern := range rule.Resources {
				found := s.find(group, rule.APIVersions, pattern)
				if len(found) == 0 {
					return nil, false
				}
				names = append(names, found...)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), len(names) > 0
}

// find gives the definitions of the resources that one pattern names; none if it may name one that is not known: those
// of a group that has some of Kubernetes' own are all known.
func (s *Schemas) find(group string, versions []string, pattern string) (names []string) {
	for _, r := range s.Resources {
		if r.Group == group && covers(pattern, r.Name) && (slices.Contains(versions, "*") || slices.Contains(versions, r.Version)) {
			names = append(names, r.Definition)
		}
	}
	return names
}

// Meant gives the resource of Kubernetes' own that a pattern of a rule misspells; it is empty where the pattern names some
// that are known, or resembles none: another version of Kubernetes may have it.
func (s *Schemas) Meant(group, pattern string) string {
	const near = 2
	meant, least := "", near+1
	for _, r := range s.Resources {
		if r.Group != group {
			continue
		}
		if covers(pattern, r.Name) {
			return ""
		}
		if d := levenshtein.ComputeDistance(pattern, r.Name); d < least && d < len(pattern)/2 {
			meant, least = r.Name, d
		}
	}
	return meant
}

// covers tells whether a pattern of a rule names a resource: * is every resource, */* every one with all subresources.
func covers(pattern, name string) bool {
	if pattern == name || pattern == "*/*" {
		return true
	}
	resource, sub, isSub := strings.Cut(name, "/")
	wantedResource, wantedSub, wantsSub := strings.Cut(pattern, "/")
	return isSub == wantsSub && (wantedResource == "*" || wantedResource == resource) && (wantedSub == "*" || wantedSub == sub)
}

// closure gives the definitions and all that they refer to.
func (s *Schemas) closure(names []string) Schema {
	reached := Schema{}
	var visit func(node any)
	visit = func(node any) {
		switch node := node.(type) {
		case Schema:
			if reference, ok := node["$ref"].(string); ok {
				name := strings.TrimPrefix(reference, definitionsPrefix)
				if _, done := reached[name]; !done {
					reached[name] = s.Definitions[name]
					visit(s.Definitions[name])
				}
				return
			}
			for _, child := range node {
				visit(child)
			}
		case []any:
			for _, child := range node {
				visit(child)
			}
		}
	}
	for _, name := range names {
		visit(Schema{"$ref": definitionsPrefix + name})
	}
	return reached
}
