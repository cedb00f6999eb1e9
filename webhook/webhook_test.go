package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/webhook"
)

const podReview = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"one","operation":"CREATE",
"kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},
"namespace":"here","name":"web","object":{"metadata":{"name":"web"}}}}`

// decider answers every request alike.
type decider func(ctx context.Context, r *policy.Request) policy.Decision

func (d decider) Decide(ctx context.Context, r *policy.Request) policy.Decision { return d(ctx, r) }

func answer(d policy.Decision) decider {
	return func(context.Context, *policy.Request) policy.Decision { return d }
}

// observer keeps what it is told.
type observer struct {
	decided  []string
	rejected []webhook.Reason
}

func (o *observer) Decided(r *policy.Request, d *policy.Decision, _ time.Duration) {
	o.decided = append(o.decided, fmt.Sprintf("%s %s %s %v", r.Phase, r.Policy, r.Name, d.Allowed))
}

func (o *observer) Rejected(reason webhook.Reason, _ error) { o.rejected = append(o.rejected, reason) }

func newMux(d webhook.Decider, o *observer) *http.ServeMux {
	mux := http.NewServeMux()
	webhook.NewHandler(webhook.Options{
		Decider: d, Observer: o, Timeout: time.Second,
		Known: func(_ context.Context, name string) (bool, error) {
			if name == "later" {
				return false, errors.New("whether there is a policy \"later\" cannot be told")
			}
			return name == "colours", nil
		},
	}).Register(mux)
	return mux
}

func serve(t *testing.T, d webhook.Decider, o *observer) string {
	t.Helper()
	server := httptest.NewServer(newMux(d, o))
	t.Cleanup(server.Close)
	return server.URL
}

func post(t *testing.T, url, contentType string, body io.Reader) (int, string) {
	t.Helper()
	response, err := http.Post(url, contentType, body)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestResponses(t *testing.T) {
	red := policy.Violation{Policy: "colours", Rule: "bad", Action: policy.ActionDeny,
		Field: "metadata.labels.colour", Message: `"red" is bad`, Fix: "Take another."}
	with := func(change func(*policy.Violation)) policy.Violation { v := red; change(&v); return v }
	forbidden := func(message string, causes ...metav1.StatusCause) *metav1.Status {
		return &metav1.Status{Status: "Failure", Code: 403, Reason: "Forbidden", Message: message,
			Details: &metav1.StatusDetails{Name: "web", Kind: "pods", Causes: causes}}
	}
	cause := metav1.StatusCause{Type: "colours/bad", Field: "metadata.labels.colour", Message: `"red" is bad`}
	jsonPatch := admissionv1.PatchTypeJSONPatch
	for _, row := range []struct {
		name string
		give policy.Decision
		want admissionv1.AdmissionResponse
	}{
		{
			name: "what is allowed carries the revision for the audit log",
			give: policy.Decision{Allowed: true, Revision: "r1"},
			want: admissionv1.AdmissionResponse{Allowed: true, AuditAnnotations: map[string]string{"revision": "r1"}},
		},
		{
			name: "a denial tells every violation, and has a cause for each",
			give: policy.Decision{Revision: "r1", Violations: []policy.Violation{red,
				with(func(v *policy.Violation) { v.Rule, v.Message, v.Fix = "worse", "it is worse", "" })}},
			want: admissionv1.AdmissionResponse{
				Result: forbidden("[colours/bad] metadata.labels.colour: \"red\" is bad. Fix: Take another.\n"+
					"[colours/worse] metadata.labels.colour: it is worse.",
					cause, metav1.StatusCause{Type: "colours/worse", Field: "metadata.labels.colour", Message: "it is worse"}),
				AuditAnnotations: map[string]string{"revision": "r1", "violations": "colours/bad=deny,colours/worse=deny"},
			},
		},
		{
			name: "a denial ends in what the change does, and has a cause for that",
			give: policy.Decision{Violations: []policy.Violation{red},
				Effects: []policy.Effect{{Policy: "colours", Lines: []string{"+ red", "- blue"}}, {Policy: "shapes", Lines: []string{"+ 1"}}}},
			want: admissionv1.AdmissionResponse{
				Result: forbidden("[colours/bad] metadata.labels.colour: \"red\" is bad. Fix: Take another.\nEffect:\n+ red\n- blue",
					cause, metav1.StatusCause{Type: "Effect", Message: "+ red\n- blue"}),
				AuditAnnotations: map[string]string{"revision": "", "violations": "colours/bad=deny"}},
		},
		{
			name: "a warning in place of a denial tells in one line what the change does",
			give: policy.Decision{Allowed: true, Effects: []policy.Effect{{Policy: "colours", Lines: []string{"+ red", "- blue"}}},
				Violations: []policy.Violation{with(func(v *policy.Violation) { v.Action = policy.ActionWarn })}},
			want: admissionv1.AdmissionResponse{Allowed: true,
				Warnings: []string{`[colours/bad] metadata.labels.colour: "red" is bad. Fix: Take another.`,
					"[colours] Effect: + red; - blue."},
				AuditAnnotations: map[string]string{"revision": "", "violations": "colours/bad=warn"}},
		},
		{
			name: "a warning warns and does not deny",
			give: policy.Decision{Allowed: true, Violations: []policy.Violation{
				with(func(v *policy.Violation) { v.Action = policy.ActionWarn })}},
			want: admissionv1.AdmissionResponse{Allowed: true,
				Warnings:         []string{`[colours/bad] metadata.labels.colour: "red" is bad. Fix: Take another.`},
				AuditAnnotations: map[string]string{"revision": "", "violations": "colours/bad=warn"}},
		},
		{
			name: "dryrun is seen in the audit log alone",
			give: policy.Decision{Allowed: true, Violations: []policy.Violation{
				with(func(v *policy.Violation) { v.Action = policy.ActionDryrun })}},
			want: admissionv1.AdmissionResponse{Allowed: true,
				AuditAnnotations: map[string]string{"revision": "", "violations": "colours/bad=dryrun"}},
		},
		{
			name: "so is an exception, with its reason",
			give: policy.Decision{Allowed: true, Violations: []policy.Violation{with(func(v *policy.Violation) {
				v.Exception = &policy.Exception{Reason: "art", Expires: "2027-01-31"}
			})}},
			want: admissionv1.AdmissionResponse{Allowed: true,
				AuditAnnotations: map[string]string{"revision": "", "exceptions": "colours/bad until 2027-01-31: art"}},
		},
		{
			name: "a policy that could not be evaluated is an internal error and no verdict",
			give: policy.Decision{Faults: []policy.Fault{{Policy: "colours", Denies: true, Err: errors.New("boom")}}},
			want: admissionv1.AdmissionResponse{
				Result: &metav1.Status{Status: "Failure", Code: 500, Reason: "InternalError",
					Message: `eksguard could not evaluate policy "colours", whose failurePolicy is Fail: boom`,
					Details: &metav1.StatusDetails{Name: "web", Kind: "pods"}},
				AuditAnnotations: map[string]string{"revision": ""}},
		},
		{
			name: "a violation goes before a policy that could not be evaluated",
			give: policy.Decision{Violations: []policy.Violation{red},
				Faults: []policy.Fault{{Policy: "shapes", Denies: true, Err: errors.New("boom")}}},
			want: admissionv1.AdmissionResponse{
				Result: forbidden("[colours/bad] metadata.labels.colour: \"red\" is bad. Fix: Take another.\n"+
					`eksguard could not evaluate policy "shapes", whose failurePolicy is Fail: boom`, cause),
				AuditAnnotations: map[string]string{"revision": "", "violations": "colours/bad=deny"}},
		},
		{
			name: "failurePolicy Ignore warns",
			give: policy.Decision{Allowed: true, Faults: []policy.Fault{{Policy: "colours", Err: errors.New("boom")}}},
			want: admissionv1.AdmissionResponse{Allowed: true,
				Warnings:         []string{`eksguard could not evaluate policy "colours", whose failurePolicy is Ignore: not checked`},
				AuditAnnotations: map[string]string{"revision": ""}},
		},
		{
			name: "a patch is JSON Patch",
			give: policy.Decision{Allowed: true, Patch: []policy.PatchOperation{{Op: "add", Path: "/a", Value: json.RawMessage(`1`)}}},
			want: admissionv1.AdmissionResponse{Allowed: true, PatchType: &jsonPatch, Patch: []byte(`[{"op":"add","path":"/a","value":1}]`),
				AuditAnnotations: map[string]string{"revision": ""}},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			var o observer
			code, body := post(t, serve(t, answer(row.give), &o)+"/validate/colours", "application/json", strings.NewReader(podReview))
			var got admissionv1.AdmissionReview
			if err := json.Unmarshal([]byte(body), &got); err != nil || code != http.StatusOK {
				t.Fatalf("%d: %v\n%s", code, err, body)
			}
			row.want.UID = "one"
			want := admissionv1.AdmissionReview{
				TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Response: &row.want}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]string{fmt.Sprintf("validate colours web %v", row.give.Allowed)}, o.decided); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestNothingLooksLikeAnImmutableField: Flux deletes and recreates what it believes cannot be changed.
func TestNothingLooksLikeAnImmutableField(t *testing.T) {
	code, body := post(t, serve(t, answer(policy.Decision{Violations: []policy.Violation{{Action: policy.ActionDeny, Message: "no"}}}),
		&observer{})+"/validate/colours", "application/json", strings.NewReader(podReview))
	var got admissionv1.AdmissionReview
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if code != http.StatusOK || got.Response.Result.Code != http.StatusForbidden || strings.Contains(body, "immutable") {
		t.Errorf("%d: %s", code, body)
	}
}

// The API server goes on asking for a policy that was removed until it has learnt of that.
func TestAPolicyThatNoBundleHasObjectsToNothing(t *testing.T) {
	var o observer
	url := serve(t, answer(policy.Decision{}), &o)
	code, body := post(t, url+"/validate/shapes", "application/json", strings.NewReader(podReview))
	const want = `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"one","allowed":true,` +
		`"auditAnnotations":{"unknown-policy":"shapes"},"warnings":["eksguard has no policy \"shapes\" (any more): not checked by it"]}}`
	if code != http.StatusOK || body != want {
		t.Errorf("got  %d %s\nwant 200 %s", code, body, want)
	}
	if diff := cmp.Diff([]webhook.Reason{webhook.ReasonPolicy}, o.rejected); diff != "" || len(o.decided) > 0 {
		t.Error(diff)
	}
}

// endless is a body that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte(" "), len(p))), nil }

// stalled is a body of which nothing comes.
type stalled struct{ done <-chan struct{} }

func (s stalled) Read([]byte) (int, error) { <-s.done; return 0, io.EOF }

func TestRequestsThatGetNoDecision(t *testing.T) {
	for _, row := range []struct {
		name, path, contentType string
		body                    io.Reader
		code                    int
		want                    string
		reason                  webhook.Reason
	}{
		{"another content type", "/validate/colours", "text/plain", strings.NewReader(podReview), 400,
			"eksguard: content type \"text/plain\": want application/json\n", webhook.ReasonContentType},
		{"no content type", "/validate/colours", "", strings.NewReader(podReview), 400,
			"eksguard: content type \"\": want application/json\n", webhook.ReasonContentType},
		{"what no policy can be called", "/validate/two/shapes", "application/json", strings.NewReader(podReview), 404,
			"eksguard: there is no policy \"two/shapes\"\n", webhook.ReasonPolicy},
		{"no policy", "/validate/", "application/json", strings.NewReader(podReview), 404,
			"eksguard: there is no policy \"\"\n", webhook.ReasonPolicy},
		{"a policy of which it cannot be told whether there is one", "/validate/later", "application/json",
			strings.NewReader(podReview), 503, "eksguard: whether there is a policy \"later\" cannot be told\n", webhook.ReasonPolicy},
		{"no JSON", "/mutate/colours", "application/json", strings.NewReader("{"), 400,
			"eksguard: malformed AdmissionReview: the JSON ends too early\n", webhook.ReasonMalformed},
		{"nothing", "/validate/colours", "application/json", strings.NewReader(""), 400,
			"eksguard: malformed AdmissionReview: the JSON ends too early\n", webhook.ReasonMalformed},
		{"too much", "/validate/colours", "application/json", endless{}, 413,
			"eksguard: the AdmissionReview is larger than 33554432 bytes\n", webhook.ReasonTooLarge},
	} {
		t.Run(row.name, func(t *testing.T) {
			var o observer
			request := httptest.NewRequest(http.MethodPost, row.path, row.body)
			request.Header.Set("Content-Type", row.contentType)
			recorder := httptest.NewRecorder()
			newMux(answer(policy.Decision{Allowed: true}), &o).ServeHTTP(recorder, request)
			if code, body := recorder.Code, recorder.Body.String(); code != row.code || body != row.want {
				t.Errorf("got  %d %swant %d %s", code, body, row.code, row.want)
			}
			if diff := cmp.Diff([]webhook.Reason{row.reason}, o.rejected); diff != "" || len(o.decided) > 0 {
				t.Error(diff)
			}
		})
	}
	t.Run("GET", func(t *testing.T) {
		var o observer
		response, err := http.Get(serve(t, answer(policy.Decision{}), &o) + "/validate/colours")
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusMethodNotAllowed || len(o.rejected) != 1 || o.rejected[0] != webhook.ReasonMethod {
			t.Errorf("%d, %v", response.StatusCode, o.rejected)
		}
	})
	t.Run("a body that does not come", func(t *testing.T) {
		var o observer
		done := make(chan struct{})
		defer close(done)
		url := serve(t, answer(policy.Decision{Allowed: true}), &o)
		request, err := http.NewRequest(http.MethodPost, url+"/validate/colours", stalled{done})
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode != http.StatusBadRequest {
				t.Errorf("%d", response.StatusCode)
			}
		}
	})
	t.Run("a panic", func(t *testing.T) {
		var o observer
		url := serve(t, decider(func(context.Context, *policy.Request) policy.Decision { panic("boom") }), &o)
		code, body := post(t, url+"/validate/colours", "application/json", strings.NewReader(podReview))
		if code != http.StatusInternalServerError || body != "eksguard: internal error\n" || len(o.rejected) != 1 ||
			o.rejected[0] != webhook.ReasonPanic {
			t.Errorf("%d %s %v", code, body, o.rejected)
		}
	})
}

func TestDecisionsHaveADeadline(t *testing.T) {
	var left time.Duration
	url := serve(t, decider(func(ctx context.Context, _ *policy.Request) policy.Decision {
		deadline, _ := ctx.Deadline()
		left = time.Until(deadline)
		return policy.Decision{Allowed: true}
	}), &observer{})
	post(t, url+"/validate/colours", "application/json; charset=utf-8", strings.NewReader(podReview))
	if left <= 0 || left > time.Second {
		t.Errorf("%v left of 1s", left)
	}
}

// TestReviewsAtOnceAreNotMixedUp: a request refers to its body for as long as it is decided on.
func TestReviewsAtOnceAreNotMixedUp(t *testing.T) {
	b, err := bundle.Load("testdata/names")
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := policy.NewSnapshot(t.Context(), b, nil)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	webhook.NewHandler(webhook.Options{
		Decider: slow{policy.NewEngine(snapshot, policy.StaticState{})}, Observer: discard{}, Known: func(context.Context, string) (bool, error) { return true, nil },
	}).Register(mux)
	server := httptest.NewServer(mux)
	defer server.Close()
	var senders sync.WaitGroup
	for sender := range 8 {
		senders.Go(func() {
			for i := range 50 {
				name := fmt.Sprintf("name-%d-%d", sender, i)
				code, body := post(t, server.URL+"/validate/names", "application/json",
					strings.NewReader(strings.ReplaceAll(podReview, `"web"`, `"`+name+`"`)))
				if code != http.StatusOK || !strings.Contains(body, "it is "+name+".") {
					t.Errorf("%s: %d %s", name, code, body)
					return
				}
			}
		})
	}
	senders.Wait()
}

// slow lets other requests come in between.
type slow struct{ webhook.Decider }

func (s slow) Decide(ctx context.Context, r *policy.Request) policy.Decision {
	time.Sleep(time.Millisecond)
	return s.Decider.Decide(ctx, r)
}

type discard struct{}

func (discard) Decided(*policy.Request, *policy.Decision, time.Duration) {}
func (discard) Rejected(webhook.Reason, error)                           {}
