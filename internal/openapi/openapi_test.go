package openapi_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/mozilla-iam/eksguard/internal/openapi"
)

func TestWhatAReviewHolds(t *testing.T) {
	const core, batch, scale, meta = "io.k8s.api.core.v1.", "io.k8s.api.batch.v1.", "io.k8s.api.autoscaling.v1.Scale", "#/definitions/"
	anything := openapi.Schema{"type": "object", "additionalProperties": true, "properties": openapi.Schema{
		"apiVersion": openapi.Schema{"type": "string"}, "kind": openapi.Schema{"type": "string"},
		"metadata": openapi.Schema{"$ref": meta + "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"},
	}}
	for _, row := range []struct {
		reason string
		match  []admissionregistrationv1.RuleWithOperations
		want   openapi.Schema
	}{
		{"one kind", rules("", "v1", "pods"), openapi.Schema{"$ref": meta + core + "Pod"}},
		{"a subresource that takes another kind", rules("", "v1", "pods/binding"), openapi.Schema{"$ref": meta + core + "Binding"}},
		{"what is connected to", rules("", "v1", "pods/exec"), openapi.Schema{"$ref": meta + core + "PodExecOptions"}},
		{"several kinds", rules("", "*", "pods", "pods/status", "secrets"), openapi.Schema{"anyOf": []any{
			openapi.Schema{"$ref": meta + core + "Pod"}, openapi.Schema{"$ref": meta + core + "Secret"}}}},
		{"any resource of a group of Kubernetes' own", rules("batch", "v1", "*"), openapi.Schema{"anyOf": []any{
			openapi.Schema{"$ref": meta + batch + "CronJob"}, openapi.Schema{"$ref": meta + batch + "Job"}}}},
		{"any subresource of a resource", rules("apps", "v1", "deployments/*"), openapi.Schema{"anyOf": []any{
			openapi.Schema{"$ref": meta + "io.k8s.api.apps.v1.Deployment"}, openapi.Schema{"$ref": meta + scale}}}},
		{"a subresource of any resource", rules("apps", "v1", "*/scale"), openapi.Schema{"$ref": meta + scale}},
		{"all of a group, subresources among it", rules("policy", "v1", "*/*"),
			openapi.Schema{"$ref": meta + "io.k8s.api.policy.v1.PodDisruptionBudget"}},
		{"any group", rules("*", "v1", "pods"), anything},
		{"any resource of a group that is not known", rules("example.com", "v1", "*"), anything},
		{"a kind that is not known, beside one that is", append(rules("", "v1", "pods"), rules("example.com", "v1", "gadgets")...),
			anything},
		{"a version that is not known", rules("apps", "v9", "deployments"), anything},
	} {
		t.Run(row.reason, func(t *testing.T) {
			review := kubernetes(t).Review(row.match)
			for _, member := range []string{"object", "oldObject"} {
				if diff := cmp.Diff(row.want, at(review, "properties", "request", "properties", member)); diff != "" {
					t.Errorf("%s: -want +got:\n%s", member, diff)
				}
			}
			if len(review["definitions"].(openapi.Schema)) == 0 {
				t.Error("no definitions")
			}
		})
	}
}

func TestWhatAMisspeltResourceWasMeantToBe(t *testing.T) {
	for _, row := range []struct{ group, pattern, want string }{
		{"apps", "deployment", "deployments"},
		{"", "pod/exec", "pods/exec"},
		{"", "pods", ""},
		{"", "pods/*", ""},
		{"*", "deployment", ""},
		{"apps", "of-another-version", ""},
		{"example.com", "deployment", ""},
	} {
		if got := kubernetes(t).Meant(row.group, row.pattern); got != row.want {
			t.Errorf("%q of group %q: %q, want %q", row.pattern, row.group, got, row.want)
		}
	}
}

func TestTheShapeOfAReviewIsThatOfItsGoType(t *testing.T) {
	review := kubernetes(t).Review(rules("", "v1", "pods"))
	want := openapi.Schema{"type": "object", "properties": openapi.Schema{
		"username": openapi.Schema{"type": "string"},
		"uid":      openapi.Schema{"type": "string"},
		"groups":   openapi.Schema{"type": "array", "items": openapi.Schema{"type": "string"}},
		"extra":    openapi.Schema{"type": "object"},
	}}
	if diff := cmp.Diff(want, at(review, "properties", "request", "properties", "userInfo")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestOpenShapesStayOpen(t *testing.T) {
	definitions := kubernetes(t).Definitions
	for _, row := range []struct {
		reason, definition, property string
		want                         openapi.Schema
	}{
		{"a map", "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "labels", openapi.Schema{"type": "object"}},
		{"a number or a string", "io.k8s.apimachinery.pkg.util.intstr.IntOrString", "", openapi.Schema{}},
		{"a quantity", "io.k8s.apimachinery.pkg.api.resource.Quantity", "", openapi.Schema{}},
		{"a number", "io.k8s.api.core.v1.PodSpec", "priority", openapi.Schema{"type": "integer"}},
	} {
		t.Run(row.reason, func(t *testing.T) {
			got := definitions[row.definition]
			if row.property != "" {
				got = at(got, "properties", row.property)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestCustomKinds(t *testing.T) {
	s := kubernetes(t)
	if err := s.AddCustomKind(object(t, `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.example.com}
spec:
  group: example.com
  names: {kind: Gadget, plural: gadgets}
  scope: Namespaced
  versions:
    - name: v1
      subresources: {status: {}, scale: {specReplicasPath: .spec.x, statusReplicasPath: .status.x}}
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              properties:
                wheels: {type: integer}
                anything: {type: object, x-kubernetes-preserve-unknown-fields: true, properties: {a: {type: string}}}
`)); err != nil {
		t.Fatal(err)
	}
	review := s.Review(rules("example.com", "v1", "gadgets", "gadgets/status", "gadgets/scale"))
	want := openapi.Schema{"anyOf": []any{
		openapi.Schema{"$ref": "#/definitions/example.com.v1.Gadget"},
		openapi.Schema{"$ref": "#/definitions/io.k8s.api.autoscaling.v1.Scale"},
	}}
	if diff := cmp.Diff(want, at(review, "properties", "request", "properties", "object")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	gadget := openapi.Schema{"type": "object", "properties": openapi.Schema{
		"apiVersion": openapi.Schema{"type": "string"},
		"kind":       openapi.Schema{"type": "string"},
		"metadata":   openapi.Schema{"$ref": "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"},
		"spec": openapi.Schema{"type": "object", "properties": openapi.Schema{
			"wheels": openapi.Schema{"type": "integer"}, "anything": openapi.Schema{"type": "object"}}},
	}}
	if diff := cmp.Diff(gadget, at(review, "definitions", "example.com.v1.Gadget")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestDefinitionsThatAreNone(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"{apiVersion: apiextensions.k8s.io/v1beta1, kind: CustomResourceDefinition, metadata: {name: a}}",
			`CustomResourceDefinition "a": apiVersion is "apiextensions.k8s.io/v1beta1", want "apiextensions.k8s.io/v1"`},
		{"{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: a}, spec: {versions: [{name: v1}]}}",
			`CustomResourceDefinition "a": version "v1": schema.openAPIV3Schema is missing`},
	} {
		if err := kubernetes(t).AddCustomKind(object(t, row.text)); err == nil || err.Error() != row.want {
			t.Errorf("error %v, want %s", err, row.want)
		}
	}
}

func kubernetes(t *testing.T) *openapi.Schemas {
	t.Helper()
	s, err := openapi.Kubernetes()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func rules(group, version string, resources ...string) []admissionregistrationv1.RuleWithOperations {
	return []admissionregistrationv1.RuleWithOperations{{Rule: admissionregistrationv1.Rule{
		APIGroups: []string{group}, APIVersions: []string{version}, Resources: resources}}}
}

func at(node any, path ...string) openapi.Schema {
	for _, key := range path {
		object, _ := node.(openapi.Schema)
		node = object[key]
	}
	schema, _ := node.(openapi.Schema)
	return schema
}

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}
