package openapi

import (
	"errors"
	"fmt"
	"maps"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// objectMeta is the definition of an object's metadata, scale that of what a scale subresource takes.
const (
	objectMeta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
	scale      = "io.k8s.api.autoscaling.v1.Scale"
)

// AddCustomKind adds the kind of a CustomResourceDefinition (apiextensions.k8s.io/v1), with its subresources, in all
// its versions. An object of another kind adds nothing.
func (s *Schemas) AddCustomKind(object *unstructured.Unstructured) error {
	if object.GetKind() != "CustomResourceDefinition" {
		return nil
	}
	if version := object.GetAPIVersion(); version != apiextensionsv1.SchemeGroupVersion.String() {
		return fmt.Errorf("CustomResourceDefinition %q: apiVersion is %q, want %q",
			object.GetName(), version, apiextensionsv1.SchemeGroupVersion)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &crd); err != nil {
		return fmt.Errorf("CustomResourceDefinition %q: %w", object.GetName(), err)
	}
	for i := range crd.Spec.Versions {
		if err := s.addVersion(&crd, &crd.Spec.Versions[i]); err != nil {
			return fmt.Errorf("CustomResourceDefinition %q: version %q: %w", crd.Name, crd.Spec.Versions[i].Name, err)
		}
	}
	s.sort()
	return nil
}

func (s *Schemas) addVersion(
	crd *apiextensionsv1.CustomResourceDefinition, version *apiextensionsv1.CustomResourceDefinitionVersion) error {
	if version.Schema == nil || version.Schema.OpenAPIV3Schema == nil {
		return errors.New("schema.openAPIV3Schema is missing")
	}
	full, err := runtime.DefaultUnstructuredConverter.ToUnstructured(version.Schema.OpenAPIV3Schema)
	if err != nil {
		return err
	}
	schema := compact(full)
	// Every object has these, whether its definition says so or not.
	if properties, ok := schema["properties"].(Schema); ok {
		maps.Copy(properties, anyObject()["properties"].(Schema))
	} else {
		schema = anyObject()
	}
	name := crd.Spec.Group + "." + version.Name + "." + crd.Spec.Names.Kind
	s.Definitions[name] = schema
	add := func(resource, definition string) {
		s.Resources = append(s.Resources, Resource{
			Group: crd.Spec.Group, Version: version.Name, Name: resource, Definition: definition})
	}
	add(crd.Spec.Names.Plural, name)
	if sub := version.Subresources; sub != nil {
		if sub.Status != nil {
			add(crd.Spec.Names.Plural+"/status", name)
		}
		if sub.Scale != nil {
			add(crd.Spec.Names.Plural+"/scale", scale)
		}
	}
	return nil
}
