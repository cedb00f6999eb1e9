package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/webhook"
)

// realMux decides by the default bundle, all of whose policies are asked by their names.
func realMux(t testing.TB, o webhook.Observer) (*http.ServeMux, []string) {
	t.Helper()
	b, err := bundle.Load("")
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := policy.NewSnapshot(context.Background(), b, nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range snapshot.Policies() {
		names = append(names, p.Name)
	}
	mux := http.NewServeMux()
	webhook.NewHandler(webhook.Options{
		Decider: policy.NewEngine(snapshot, policy.StaticState{}), Observer: o,
		Known: func(context.Context, string) (bool, error) { return true, nil },
	}).Register(mux)
	return mux, names
}

func podWith(operation, object, oldObject string) string {
	text := strings.Replace(podReview, `"CREATE"`, `"`+operation+`"`, 1)
	return strings.Replace(text, `"object":{"metadata":{"name":"web"}}`, `"object":`+object+`,"oldObject":`+oldObject, 1)
}

// Whatever a stranger sends is refused, or decided on by every policy of the default bundle, in bounded memory.
func TestHostileReviews(t *testing.T) {
	const mebi = 1 << 20
	annotated := func(value string) string {
		return `{"metadata":{"name":"web","annotations":{"iam.amazonaws.com/role":"eks-web-prod","note":` + value + `}}}`
	}
	// large is about as long as an object that the API server takes.
	large := annotated(`"` + strings.Repeat("a", 3*mebi-200) + `"`)
	nested := func(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }
	list := func(element string, length int) string {
		return "[" + strings.TrimSuffix(strings.Repeat(element+",", length/(len(element)+1)), ",") + "]"
	}
	for _, row := range []struct {
		name, body string
		code       int
		want       string // the answer; empty if there is a decision
	}{
		{"an object of 3 MiB", podWith("CREATE", large, "null"), 200, ""},
		{"an update of one such to another", podWith("UPDATE", large, strings.ReplaceAll(large, "aaaa", "abab")), 200, ""},
		{"an update whose every character is escaped", podWith("UPDATE",
			annotated(`"`+strings.Repeat(`\u003c`, 2*mebi)+`"`), annotated(`"`+strings.Repeat(`\u003e`, 2*mebi)+`"`)), 200, ""},
		{"nesting that is just allowed", podWith("CREATE", annotated(nested(9_990)), "null"), 200, ""},
		{"nesting that is not", podWith("CREATE", annotated(nested(10_001)), "null"), 400,
			"eksguard: malformed AdmissionReview: exceeded max depth"},
		{"nesting outside of the object", strings.Repeat(`{"a":`, 10_001) + "1" + strings.Repeat("}", 10_001), 400,
			"eksguard: malformed AdmissionReview: exceeded max depth"},
		{"a list of 30 MiB of lists where a policy looks", podWith("CREATE",
			`{"metadata":{"name":"web","annotations":`+list("[]", 30*mebi)+`}}`, "null"), 200, ""},
		{"a list of 3 MiB of lists where a policy looks", podWith("CREATE",
			`{"metadata":{"name":"web","annotations":`+list("[]", 3*mebi)+`}}`, "null"), 200, ""},
		{"a list of 6 MiB of numbers where a policy looks", podWith("CREATE",
			`{"metadata":{"name":"web","annotations":{"iam.amazonaws.com/role":`+list("1", 6*mebi)+`}}}`, "null"), 200, ""},
		{"a list of 6 MiB elsewhere", podWith("CREATE",
			`{"metadata":{"name":"web"},"spec":`+list("{}", 6*mebi)+"}", "null"), 200, ""},
		{"a member that stands twice", podWith("CREATE", annotated(`"x","note":"y"`), "null"), 400,
			"eksguard: malformed AdmissionReview: duplicate object member name"},
		{"the request twice", strings.TrimSuffix(podReview, "}") + `,"request":{}}`, 400,
			"eksguard: malformed AdmissionReview: duplicate object member name"},
		{"a member that stands twice, once escaped", podWith("CREATE", annotated(`"x","not\u0065":"y"`), "null"), 400,
			"eksguard: malformed AdmissionReview: duplicate object member name"},
		{"bytes that are no UTF-8", podWith("CREATE", annotated("\"\xff\""), "null"), 400,
			"eksguard: malformed AdmissionReview: invalid UTF-8"},
		{"half a surrogate pair", podWith("CREATE", annotated(`"\ud800"`), "null"), 400,
			"eksguard: malformed AdmissionReview: invalid surrogate pair"},
		{"more after it", podReview + "{}", 400, "eksguard: malformed AdmissionReview: there is more after the JSON value\n"},
		{"an unfinished one", podReview[:len(podReview)-1], 400, "eksguard: malformed AdmissionReview: the JSON ends too early\n"},
		{"a number without end", podWith("CREATE", annotated(strings.Repeat("9", mebi)), "null"), 200, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			var o panics
			mux, names := realMux(t, &o)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for _, name := range names {
				recorder := httptest.NewRecorder()
				request := httptest.NewRequest(http.MethodPost, "/validate/"+name, strings.NewReader(row.body))
				request.Header.Set("Content-Type", "application/json")
				mux.ServeHTTP(recorder, request)
				text := recorder.Body.String()
				if recorder.Code != row.code {
					t.Errorf("%s: %d %.300s, want %d", name, recorder.Code, text, row.code)
				}
				if row.want != "" {
					if !strings.HasPrefix(text, row.want) {
						t.Errorf("%s: got %.300q, want %q", name, text, row.want)
					}
					continue
				}
				var answer admissionv1.AdmissionReview
				if err := json.Unmarshal([]byte(text), &answer); err != nil || answer.Response == nil || answer.Response.UID != "one" {
					t.Errorf("%s: %v: %.300s", name, err, text)
				}
				const most = 64 << 10
				if len(text) > most {
					t.Errorf("%s: the answer has %d bytes", name, len(text))
				}
			}
			runtime.ReadMemStats(&after)
			allocated := (after.TotalAlloc - before.TotalAlloc) / uint64(len(names))
			t.Logf("%d bytes: %d KiB allocated for a decision", len(row.body), allocated>>10)
			const times = 20
			if limit := uint64(len(row.body))*times + 8*mebi; allocated > limit {
				t.Errorf("%d bytes allocated for a decision on %d bytes", allocated, len(row.body))
			}
			if o > 0 {
				t.Errorf("%d panics", o)
			}
		})
	}
}

// panics counts them.
type panics int

func (*panics) Decided(*policy.Request, *policy.Decision, time.Duration) {}

func (p *panics) Rejected(reason webhook.Reason, _ error) {
	if reason == webhook.ReasonPanic {
		*p++
	}
}

// What is held at once is bounded, and given back.
func TestTooManyLargeReviewsAtOnceAreRefused(t *testing.T) {
	came, finish := make(chan struct{}), make(chan struct{})
	o := &reasons{}
	mux := http.NewServeMux()
	webhook.NewHandler(webhook.Options{
		Decider: decider(func(_ context.Context, r *policy.Request) policy.Decision {
			if r.Name == "waits" {
				came <- struct{}{}
				<-finish
			}
			return policy.Decision{Allowed: true}
		}),
		Observer: o, MaxHeldBytes: 3 << 20,
		Known: func(context.Context, string) (bool, error) { return true, nil },
	}).Register(mux)
	server := httptest.NewServer(mux)
	defer server.Close()
	large := func(name string) io.Reader {
		return strings.NewReader(strings.ReplaceAll(podReview, `"web"`, `"`+name+`"`) + strings.Repeat(" ", 2<<20))
	}
	first := make(chan int)
	go func() {
		code, _ := post(t, server.URL+"/validate/colours", "application/json", large("waits"))
		first <- code
	}()
	<-came
	code, text := post(t, server.URL+"/validate/colours", "application/json", large("web"))
	const want = "eksguard: too many large AdmissionReviews at once: the limit is 3145728 bytes, try again\n"
	if code != http.StatusServiceUnavailable || text != want {
		t.Errorf("got %d %q, want 503 %q", code, text, want)
	}
	if code, text := post(t, server.URL+"/validate/colours", "application/json", strings.NewReader(podReview)); code != http.StatusOK {
		t.Errorf("a small one: %d %s", code, text)
	}
	close(finish)
	if code := <-first; code != http.StatusOK {
		t.Errorf("the first: %d", code)
	}
	for range 3 {
		if code, text := post(t, server.URL+"/validate/colours", "application/json", large("web")); code != http.StatusOK {
			t.Errorf("afterwards: %d %s", code, text)
		}
	}
	if diff := cmp.Diff([]webhook.Reason{webhook.ReasonOverload}, o.all()); diff != "" {
		t.Error(diff)
	}
}

// reasons keeps why requests were rejected.
type reasons struct {
	mu   sync.Mutex
	list []webhook.Reason
}

func (*reasons) Decided(*policy.Request, *policy.Decision, time.Duration) {}

func (r *reasons) Rejected(reason webhook.Reason, _ error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, reason)
}

func (r *reasons) all() []webhook.Reason {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.list
}

// FuzzEndpoint holds that whatever is sent is refused with a 4xx, or answered with an AdmissionReview of the same uid
// whose verdict is whole; and never a panic.
func FuzzEndpoint(f *testing.F) {
	var o panics
	mux, names := realMux(f, &o)
	for i := range names {
		f.Add(uint8(i), false, []byte(podReview))
	}
	f.Add(uint8(0), true, []byte(podReview))
	f.Add(uint8(0), false, []byte(podWith("UPDATE", `{"metadata":{"annotations":{"iam.amazonaws.com/role":1}}}`, `{}`)))
	f.Add(uint8(0), false, []byte(podWith("DELETE", `null`, `{"metadata":[]}`)))
	for i := range names {
		f.Add(uint8(i), false, []byte(strings.NewReplacer("pods", "configmaps", "Pod", "ConfigMap", `"here"`, `"kube-system"`, `"web"`, `"aws-auth"`,
			`"object":{`, `"object":{"data":{"mapRoles":"- rolearn: a\n  groups: [system:masters]\n"},`).Replace(podReview)))
	}
	f.Fuzz(func(t *testing.T, which uint8, mutate bool, body []byte) {
		path := "/validate/"
		if mutate {
			path = "/mutate/"
		}
		request := httptest.NewRequest(http.MethodPost, path+names[int(which)%len(names)], bytes.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		recorder := httptest.NewRecorder()
		mux.ServeHTTP(recorder, request)
		if o > 0 {
			t.Fatalf("panic: %s", recorder.Body)
		}
		if recorder.Code >= 400 && recorder.Code < 500 {
			return
		}
		parsed, err := policy.ParseRequest(body)
		if err != nil {
			t.Fatalf("%d for what is malformed: %v", recorder.Code, err)
		}
		var answer admissionv1.AdmissionReview
		if err := json.Unmarshal(recorder.Body.Bytes(), &answer); err != nil {
			t.Fatal(err)
		}
		switch response := answer.Response; {
		case recorder.Code != http.StatusOK, response == nil, string(response.UID) != parsed.UID:
			t.Errorf("%d: %s", recorder.Code, recorder.Body)
		case !response.Allowed && (response.Result == nil || response.Result.Message == "" || response.Patch != nil):
			t.Errorf("a denial without a reason, or with a patch: %s", recorder.Body)
		}
	})
}

// What is decided on at once is bounded: a large review waits for its turn, and is refused when that does not come.
func TestLargeReviewsTakeTurns(t *testing.T) {
	came, finish := make(chan struct{}), make(chan struct{})
	o := &reasons{}
	options := webhook.Options{
		Decider: decider(func(_ context.Context, r *policy.Request) policy.Decision {
			if r.Name == "waits" {
				came <- struct{}{}
				<-finish
			}
			return policy.Decision{Allowed: true}
		}),
		Observer: o, MaxDecidedBytes: 32 << 10, Timeout: time.Second,
		Known: func(context.Context, string) (bool, error) { return true, nil },
	}
	mux := http.NewServeMux()
	webhook.NewHandler(options).Register(mux)
	server := httptest.NewServer(mux)
	defer server.Close()
	large := func(name string) io.Reader {
		return strings.NewReader(strings.ReplaceAll(podReview, `"web"`, `"`+name+`"`) + strings.Repeat(" ", 64<<10))
	}
	first := make(chan int)
	go func() {
		code, _ := post(t, server.URL+"/validate/colours", "application/json", large("waits"))
		first <- code
	}()
	<-came
	code, text := post(t, server.URL+"/validate/colours", "application/json", strings.NewReader(podReview))
	const want = "eksguard: too many large AdmissionReviews at once: there was no turn within 1s, try again\n"
	if code != http.StatusServiceUnavailable || text != want {
		t.Errorf("got %d %q, want 503 %q", code, text, want)
	}
	close(finish)
	if code := <-first; code != http.StatusOK {
		t.Errorf("the first: %d", code)
	}
	if code, text := post(t, server.URL+"/validate/colours", "application/json", large("web")); code != http.StatusOK {
		t.Errorf("afterwards: %d %s", code, text)
	}
	if diff := cmp.Diff([]webhook.Reason{webhook.ReasonOverload}, o.all()); diff != "" {
		t.Error(diff)
	}
}
