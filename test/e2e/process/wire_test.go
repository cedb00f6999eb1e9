package process_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// review is what the API server sends when a Pod is created.
func review(t *testing.T, uid string, o *unstructured.Unstructured) string {
	t.Helper()
	object, err := o.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: types.UID(uid), Operation: admissionv1.Create, Name: o.GetName(), Namespace: o.GetNamespace(),
			Kind:     metav1.GroupVersionKind{Version: "v1", Kind: o.GetKind()},
			Resource: metav1.GroupVersionResource{Version: "v1", Resource: strings.ToLower(o.GetKind()) + "s"},
			Object:   runtime.RawExtension{Raw: object},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What the API server never sends: the tests of this file alone talk to eksguard itself.
func TestBadRequests(t *testing.T) {
	guard := cluster.Guard(t, local.EksguardOptions{Settings: standardSettings})
	client := cluster.WebhookClient(t)
	good := review(t, "1234", e2e.Manifest(t, "manifests/pod.yaml"))
	replaced := func(old, with string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in %s", old, good)
		}
		return strings.Replace(good, old, with, 1)
	}
	withoutObject := func(t *testing.T) string {
		var review map[string]any
		if err := json.Unmarshal([]byte(good), &review); err != nil {
			t.Fatal(err)
		}
		review["request"].(map[string]any)["object"] = nil
		text, err := json.Marshal(review)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	const jsonType = "application/json"
	for _, row := range []struct {
		name                            string
		method, path, contentType, body string
		code                            int
		reason                          string // by which it is counted
		text                            string
	}{
		{"another content type", http.MethodPost, "/validate/iam-role", "application/yaml", good, 400, "content_type",
			`eksguard: content type "application/yaml": want application/json`},
		{"no content type", http.MethodPost, "/validate/iam-role", "", good, 400, "content_type",
			`eksguard: content type "": want application/json`},
		{"another method", http.MethodGet, "/validate/iam-role", jsonType, "", 405, "method",
			`eksguard: method GET: want POST`},
		{"what no policy can be called", http.MethodPost, "/validate/iam_rule", jsonType, good, 404, "unknown_policy",
			`eksguard: there is no policy "iam_rule"`},
		{"no policy", http.MethodPost, "/validate/", jsonType, good, 404, "unknown_policy",
			`eksguard: there is no policy ""`},
		{"nothing", http.MethodPost, "/validate/iam-role", jsonType, "", 400, "malformed",
			`eksguard: malformed AdmissionReview: the JSON ends too early`},
		{"no JSON", http.MethodPost, "/validate/iam-role", jsonType, "pod", 400, "malformed",
			`eksguard: malformed AdmissionReview: `},
		{"JSON that ends too early", http.MethodPost, "/validate/iam-role", jsonType, good[:len(good)-2], 400, "malformed",
			`eksguard: malformed AdmissionReview: `},
		{"two reviews at once", http.MethodPost, "/validate/iam-role", jsonType, good + good, 400, "malformed",
			`eksguard: malformed AdmissionReview: there is more after the JSON value`},
		{"a key twice", http.MethodPost, "/validate/iam-role", jsonType, replaced(`"operation":"CREATE"`,
			`"operation":"CREATE","operation":"DELETE"`), 400, "malformed", `eksguard: malformed AdmissionReview: `},
		{"another version", http.MethodPost, "/validate/iam-role", jsonType, replaced("admission.k8s.io/v1", "admission.k8s.io/v1beta1"),
			400, "malformed", `eksguard: malformed AdmissionReview: apiVersion is "admission.k8s.io/v1beta1", want "admission.k8s.io/v1"`},
		{"another kind", http.MethodPost, "/validate/iam-role", jsonType, replaced("AdmissionReview", "ConversionReview"),
			400, "malformed", `eksguard: malformed AdmissionReview: kind is "ConversionReview", want "AdmissionReview"`},
		{"no request", http.MethodPost, "/validate/iam-role", jsonType, `{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}`,
			400, "malformed", `eksguard: malformed AdmissionReview: request is missing`},
		{"no object", http.MethodPost, "/validate/iam-role", jsonType, withoutObject(t),
			400, "malformed", `eksguard: malformed AdmissionReview: request.object is null in a CREATE`},
		{"no uid", http.MethodPost, "/validate/iam-role", jsonType, replaced(`"uid":"1234"`, `"uid":""`),
			400, "malformed", `eksguard: malformed AdmissionReview: request.uid is missing`},
		{"more than 32 MiB", http.MethodPost, "/validate/iam-role", jsonType, strings.Repeat(" ", 32<<20) + good,
			413, "too_large", `eksguard: the AdmissionReview is larger than 33554432 bytes`},
	} {
		t.Run(row.name, func(t *testing.T) {
			defer guard.Counts(t, `eksguard_rejected_requests_total{reason="`+row.reason+`"}`, 1)()
			code, text := ask(t, client, row.method, guard.WebhookURL+row.path, row.contentType, row.body)
			if code != row.code || !strings.HasPrefix(text, row.text) {
				t.Errorf("got %d: %q, want %d: %q", code, text, row.code, row.text)
			}
		})
	}
	t.Run("almost 32 MiB are taken", func(t *testing.T) {
		padding := strings.Repeat(" ", 32<<20-len(good))
		if code, text := ask(t, client, http.MethodPost, guard.WebhookURL+"/validate/iam-role", jsonType, padding+good); code != 200 {
			t.Errorf("got %d: %q", code, text)
		}
	})
	t.Run("a charset is allowed", func(t *testing.T) {
		if code, text := ask(t, client, http.MethodPost, guard.WebhookURL+"/validate/iam-role", "application/json; charset=utf-8", good); code != 200 {
			t.Errorf("got %d: %q", code, text)
		}
	})
	t.Run("another path", func(t *testing.T) {
		if code, _ := ask(t, client, http.MethodPost, guard.WebhookURL+"/", jsonType, good); code != http.StatusNotFound {
			t.Errorf("got %d", code)
		}
	})
	t.Run("a body that does not come is cut off", func(t *testing.T) {
		defer guard.Counts(t, `eksguard_rejected_requests_total{reason="read"}`, 1)()
		connection, err := cluster.WebhookConnection(t, guard, nil)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := fmt.Fprintf(connection, "POST /validate/iam-role HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+
			"Content-Length: %d\r\n\r\n%s", len(good), good[:10]); err != nil {
			t.Fatal(err)
		}
		_ = connection.SetReadDeadline(time.Now().Add(20 * time.Second))
		response, err := http.ReadResponse(bufio.NewReader(connection), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode != http.StatusBadRequest || !response.Close {
			t.Errorf("got %s, and the connection is kept: %t", response.Status, !response.Close)
		}
		if took := time.Since(began); took < 2*time.Second || took > 6*time.Second {
			t.Errorf("it took %s, want about 3s", took)
		}
	})
	t.Run("and a good one is answered", func(t *testing.T) {
		_, text := ask(t, client, http.MethodPost, guard.WebhookURL+"/validate/iam-role", jsonType, good)
		var answer admissionv1.AdmissionReview
		if err := json.Unmarshal([]byte(text), &answer); err != nil {
			t.Fatal(err)
		}
		if answer.Response != nil {
			answer.Response.AuditAnnotations = nil
		}
		want := admissionv1.AdmissionReview{
			TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
			Response: &admissionv1.AdmissionResponse{UID: "1234", Allowed: true},
		}
		if diff := cmp.Diff(want, answer); diff != "" {
			t.Errorf("another answer (-want +got):\n%s", diff)
		}
	})
}

func ask(t *testing.T, client *http.Client, method, url, contentType, body string) (code int, text string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(answer)
}
