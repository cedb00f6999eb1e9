package openapi

import (
	"reflect"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// reviewSchema reads the shape of an AdmissionReview off its Go type.
func reviewSchema() Schema {
	return typeSchema(reflect.TypeFor[admissionv1.AdmissionReview]())
}

func typeSchema(t reflect.Type) Schema {
	if t == reflect.TypeFor[runtime.RawExtension]() {
		return Schema{}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeSchema(t.Elem())
	case reflect.Struct:
		properties := Schema{}
		addFields(properties, t)
		return Schema{"type": "object", "properties": properties}
	case reflect.Map:
		return Schema{"type": "object"}
	case reflect.Slice:
		return Schema{"type": "array", "items": typeSchema(t.Elem())}
	case reflect.Bool:
		return Schema{"type": "boolean"}
	case reflect.String:
		return Schema{"type": "string"}
	default:
		return Schema{"type": "number"}
	}
}

func addFields(properties Schema, t reflect.Type) {
	for i := range t.NumField() {
		field := t.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" && strings.Contains(options, "inline") {
			addFields(properties, field.Type)
			continue
		}
		properties[name] = typeSchema(field.Type)
	}
}
