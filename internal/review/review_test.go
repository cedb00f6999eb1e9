package review_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/mozilla-iam/eksguard/internal/manifest"
	"github.com/mozilla-iam/eksguard/internal/review"
)

func documents(t *testing.T, text string) []manifest.Document {
	t.Helper()
	if text == "" {
		return nil
	}
	documents, errs := manifest.Read([]string{"-"}, strings.NewReader(text))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return documents
}

func subjects(t *testing.T, objects, old string) (reviews []*admissionv1.AdmissionReview) {
	t.Helper()
	subjects, err := review.Subjects(review.Input{
		Objects: documents(t, objects), Old: documents(t, old), User: authenticationv1.UserInfo{Username: "jane"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range subjects {
		reviews = append(reviews, s.Review)
	}
	return reviews
}

const (
	deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n"
	node       = "apiVersion: v1\nkind: Node\nmetadata: {name: one, namespace: nowhere}\n"
)

func TestReviewsAreThoseOfTheAPIServer(t *testing.T) {
	options := func(kind string) runtime.RawExtension {
		return runtime.RawExtension{Raw: []byte(`{"apiVersion":"meta.k8s.io/v1","dryRun":["All"],"kind":"` + kind + `"}`)}
	}
	object := func(text string) runtime.RawExtension { return runtime.RawExtension{Raw: []byte(text)} }
	dryRun := true
	request := func(operation admissionv1.Operation, change func(*admissionv1.AdmissionRequest)) *admissionv1.AdmissionReview {
		kind := metav1.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}
		resource := metav1.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
		r := &admissionv1.AdmissionRequest{
			UID: "stdin:1", Operation: operation, Name: "web", Namespace: "default",
			Kind: kind, RequestKind: &kind, Resource: resource, RequestResource: &resource,
			UserInfo: authenticationv1.UserInfo{Username: "jane"}, DryRun: &dryRun,
		}
		change(r)
		return &admissionv1.AdmissionReview{
			TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Request: r}
	}
	const web = `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"default"}}`
	for _, row := range []struct {
		name, objects, old string
		want               *admissionv1.AdmissionReview
	}{
		{
			name: "a new object, in the default namespace", objects: deployment,
			want: request("CREATE", func(r *admissionv1.AdmissionRequest) {
				r.Object, r.Options = object(web), options("CreateOptions")
			}),
		},
		{
			name: "one that was there, in another version", objects: deployment,
			old: "apiVersion: apps/v1beta1\nkind: Deployment\nmetadata: {name: web, namespace: default}\nspec: {}\n",
			want: request("UPDATE", func(r *admissionv1.AdmissionRequest) {
				r.Object, r.Options = object(web), options("UpdateOptions")
				r.OldObject = object(`{"apiVersion":"apps/v1beta1","kind":"Deployment",` +
					`"metadata":{"name":"web","namespace":"default"},"spec":{}}`)
			}),
		},
		{
			name: "one that is gone", old: deployment,
			want: request("DELETE", func(r *admissionv1.AdmissionRequest) {
				r.OldObject, r.Options = object(web), options("DeleteOptions")
			}),
		},
		{
			name: "a generated name, which no old object has", objects: strings.Replace(deployment, "name:", "generateName:", 1),
			old: strings.Replace(deployment, "name:", "generateName:", 1),
			want: request("CREATE", func(r *admissionv1.AdmissionRequest) {
				r.Name, r.Options = "", options("CreateOptions")
				r.Object = object(strings.Replace(web, `"name"`, `"generateName"`, 1))
			}),
		},
		{
			name: "a cluster-scoped kind, which loses its namespace", objects: node,
			want: request("CREATE", func(r *admissionv1.AdmissionRequest) {
				r.Kind = metav1.GroupVersionKind{Version: "v1", Kind: "Node"}
				r.Resource = metav1.GroupVersionResource{Version: "v1", Resource: "nodes"}
				r.RequestKind, r.RequestResource = &r.Kind, &r.Resource
				r.Name, r.Namespace, r.Options = "one", "", options("CreateOptions")
				r.Object = object(`{"apiVersion":"v1","kind":"Node","metadata":{"name":"one"}}`)
			}),
		},
		{
			name: "a Namespace, whose request is in itself", objects: "apiVersion: v1\nkind: Namespace\nmetadata: {name: web}\n",
			want: request("CREATE", func(r *admissionv1.AdmissionRequest) {
				r.Kind = metav1.GroupVersionKind{Version: "v1", Kind: "Namespace"}
				r.Resource = metav1.GroupVersionResource{Version: "v1", Resource: "namespaces"}
				r.RequestKind, r.RequestResource = &r.Kind, &r.Resource
				r.Namespace, r.Options = "web", options("CreateOptions")
				r.Object = object(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"web"}}`)
			}),
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			if diff := cmp.Diff([]*admissionv1.AdmissionReview{row.want}, subjects(t, row.objects, row.old)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestWhereAnObjectGoes(t *testing.T) {
	const definition = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: oxen.farm.io}\n" +
		"spec: {group: farm.io, scope: %, names: {kind: Ox, plural: oxen}}\n---\n"
	for _, row := range []struct{ name, text, namespace, resource string }{
		{"a kind that is younger than most lists of kinds", "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler", "default", "horizontalpodautoscalers"},
		{"a plural in -ies", "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy", "default", "networkpolicies"},
		{"a plural in -es", "apiVersion: networking.k8s.io/v1\nkind: IngressClass", "", "ingressclasses"},
		{"no plural", "apiVersion: v1\nkind: Endpoints", "default", "endpoints"},
		{"a cluster-scoped kind with a namespaced relative", "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole", "", "clusterroles"},
		{"a definition", "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition", "", "customresourcedefinitions"},
		{"an unknown kind", "apiVersion: farm.io/v1\nkind: Ox", "", "oxs"},
		{"a custom resource that is defined as namespaced",
			strings.Replace(definition, "%", "Namespaced", 1) + "apiVersion: farm.io/v1\nkind: Ox", "default", "oxen"},
		{"a custom resource that is defined as cluster-scoped",
			strings.Replace(definition, "%", "Cluster", 1) + "apiVersion: farm.io/v1\nkind: Ox", "", "oxen"},
	} {
		t.Run(row.name, func(t *testing.T) {
			all := subjects(t, row.text+"\nmetadata: {name: a}\n", "")
			got := all[len(all)-1].Request
			if got.Namespace != row.namespace || got.Resource.Resource != row.resource {
				t.Errorf("got %q in %q, want %q in %q", got.Resource.Resource, got.Namespace, row.resource, row.namespace)
			}
		})
	}
	t.Run("an unknown kind with a namespace", func(t *testing.T) {
		got := subjects(t, "apiVersion: farm.io/v1\nkind: Cow\nmetadata: {name: a, namespace: field}\n", "")[0].Request
		if got.Namespace != "field" || got.Resource.Resource != "cows" {
			t.Errorf("%+v", got)
		}
	})
}

func TestOperations(t *testing.T) {
	all := subjects(t,
		deployment+"---\n"+node+"---\n"+strings.Replace(deployment, "web", "new", 1),
		node+"---\n"+deployment+"---\n"+strings.Replace(deployment, "web", "gone", 1)+"---\n"+strings.Replace(deployment, "web", "gone", 1))
	var got []string
	for _, r := range all {
		got = append(got, string(r.Request.Operation)+" "+r.Request.Name)
	}
	if diff := cmp.Diff([]string{"UPDATE web", "UPDATE one", "CREATE new", "DELETE gone"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestUser(t *testing.T) {
	for _, row := range []struct {
		name   string
		groups []string
		want   authenticationv1.UserInfo
	}{
		{"", nil, authenticationv1.UserInfo{Username: "kubernetes-admin", Groups: []string{"system:masters", "system:authenticated"}}},
		{"jane", nil, authenticationv1.UserInfo{Username: "jane", Groups: []string{"system:authenticated"}}},
		{"jane", []string{"dev"}, authenticationv1.UserInfo{Username: "jane", Groups: []string{"dev", "system:authenticated"}}},
		{"system:anonymous", nil, authenticationv1.UserInfo{Username: "system:anonymous", Groups: []string{"system:unauthenticated"}}},
		{"system:serviceaccount:flux:flux", nil, authenticationv1.UserInfo{Username: "system:serviceaccount:flux:flux",
			Groups: []string{"system:serviceaccounts", "system:serviceaccounts:flux", "system:authenticated"}}},
		{"system:serviceaccount:flux:flux", []string{"a"}, authenticationv1.UserInfo{Username: "system:serviceaccount:flux:flux",
			Groups: []string{"a", "system:authenticated"}}},
	} {
		if diff := cmp.Diff(row.want, review.User(row.name, row.groups)); diff != "" {
			t.Errorf("%q %q: -want +got:\n%s", row.name, row.groups, diff)
		}
	}
}

func TestNothingOfAManifestSteersTheTerminal(t *testing.T) {
	var text strings.Builder
	r := review.Report{Errors: []review.Unread{{File: "a\nb.yaml", Line: 1, Error: "key \"\x1b[2Jx\u202e\" twice"}}}
	if err := r.WriteText(&text, false); err != nil {
		t.Fatal(err)
	}
	if got, want := text.String(), "a b.yaml:1: not read: key \"\ufffd[2Jx\ufffd\" twice\n\n0 objects\n"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestNoListOfTheJSONIsNull(t *testing.T) {
	text, err := json.Marshal(review.NewReport("r"))
	if err != nil || strings.Contains(string(text), "null") {
		t.Errorf("%s, %v", text, err)
	}
}
