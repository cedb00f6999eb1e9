// Package webhook is the admission endpoint: it turns bytes into a policy.Request, asks for a decision, and turns the
// policy.Decision into an AdmissionResponse; and it keeps the API server's webhook configurations in line with the
// catalogue. It decides nothing, and knows nothing of OPA.
package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/mozilla-iam/eksguard/internal/policy"
)

// MaxBodyBytes bounds an AdmissionReview. The API server takes objects of up to 3 MiB; an update carries two of them, and
// JSON can be several times as long as what was sent.
const MaxBodyBytes = 32 << 20

// Decider answers requests; a *policy.Engine does.
type Decider interface {
	Decide(ctx context.Context, r *policy.Request) policy.Decision
}

// Observer is told of what came of every HTTP request. Its methods may be called by any number of goroutines, and must
// not block.
type Observer interface {
	// Decided is called after a decision, with the time from the first byte of the body to the decision.
	Decided(r *policy.Request, d *policy.Decision, took time.Duration)
	// Rejected is called for a request that is no AdmissionReview which can be decided on.
	Rejected(reason Reason, err error)
}

// Reason says why an HTTP request got no decision.
type Reason string

// The reasons for which an HTTP request gets no decision. The API server takes such an answer for a failed call, so that
// the failure policy decides.
const (
	ReasonMethod      Reason = "method"
	ReasonContentType Reason = "content_type"
	ReasonTooLarge    Reason = "too_large"
	ReasonOverload    Reason = "overload"
	ReasonRead        Reason = "read"
	ReasonMalformed   Reason = "malformed"
	ReasonPolicy      Reason = "unknown_policy"
	ReasonPanic       Reason = "panic"
)

// Reasons are all of them.
var Reasons = []Reason{ReasonMethod, ReasonContentType, ReasonTooLarge, ReasonOverload, ReasonRead, ReasonMalformed,
	ReasonPolicy, ReasonPanic}

// rejection is an error with the answer that it leads to.
type rejection struct {
	reason Reason
	code   int
	err    error
}

func (r *rejection) Error() string { return r.err.Error() }

// Options are what a Handler is made of.
type Options struct {
	// Decider is required.
	Decider Decider
	// Known tells whether there is a policy of that name; required. False means that there is none, so that nothing can be
	// objected: the API server asks for a policy that was removed a moment ago. An error means that it cannot be told, and
	// the failure policy decides.
	Known func(ctx context.Context, policy string) (bool, error)
	// Observer is required.
	Observer Observer
	// Timeout bounds the reading of a body, and by itself the decision. Default: 3 s, below the 5 s that the API server
	// is told to wait.
	Timeout time.Duration
	// MaxHeldBytes bounds the bodies that are held at once, all requests together. What would exceed it is refused.
	// Default: 256 MiB.
	MaxHeldBytes int64
	// MaxDecidedBytes bounds the bodies that are decided on at once; others wait for their turn, for at most Timeout. A
	// decision may take some thirty times the memory of its review. Default: 8 MiB, an update of two of the largest objects.
	MaxDecidedBytes int64
}

// Handler serves AdmissionReviews at the paths that Path gives.
type Handler struct {
	Options
	// held is the length of the bodies that are held now.
	held atomic.Int64
	// turns is weighed by the bytes of a body.
	turns *semaphore.Weighted
}

// NewHandler makes a Handler. It panics if a required option is missing.
func NewHandler(o Options) *Handler {
	if o.Decider == nil || o.Known == nil || o.Observer == nil {
		panic("webhook: Options need Decider, Known and Observer")
	}
	if o.Timeout == 0 {
		o.Timeout = 3 * time.Second
	}
	if o.MaxHeldBytes == 0 {
		o.MaxHeldBytes = 256 << 20
	}
	if o.MaxDecidedBytes == 0 {
		o.MaxDecidedBytes = 8 << 20
	}
	return &Handler{Options: o, turns: semaphore.NewWeighted(o.MaxDecidedBytes)}
}

// Path is where the policy of that name is asked in that phase.
func Path(phase policy.Phase, name string) string {
	return "/" + phase.String() + "/" + name
}

// Register makes mux serve the handler.
func (h *Handler) Register(mux *http.ServeMux) {
	for _, phase := range []policy.Phase{policy.Validate, policy.Mutate} {
		prefix := Path(phase, "")
		mux.HandleFunc(prefix, func(w http.ResponseWriter, r *http.Request) {
			h.serve(w, r, phase, strings.TrimPrefix(r.URL.Path, prefix))
		})
	}
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, phase policy.Phase, name string) {
	defer func() {
		if cause := recover(); cause != nil {
			h.reject(w, &rejection{ReasonPanic, http.StatusInternalServerError,
				fmt.Errorf("panic: %v\n%s", cause, debug.Stack())})
		}
	}()
	started := time.Now()
	// The request refers to its body until it is answered.
	body := bodies.Get().(*bytes.Buffer)
	defer h.releaseBody(body)
	request, refused := h.read(w, r, name, body)
	if refused != nil {
		h.reject(w, refused)
		return
	}
	request.Phase, request.Policy = phase, name
	// The server cancels the request's own context when it begins to shut down, and these are to be answered yet.
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(r.Context()), h.Timeout,
		fmt.Errorf("the limit is %v", h.Timeout))
	defer cancel()
	known, err := h.Known(ctx, name)
	if err != nil {
		h.reject(w, &rejection{ReasonPolicy, http.StatusServiceUnavailable, err})
		return
	}
	var response *admissionv1.AdmissionReview
	if known {
		// A review larger than all turns together has its turn when there is no other.
		weight := min(int64(body.Len()), h.MaxDecidedBytes)
		if err := h.turns.Acquire(ctx, weight); err != nil {
			h.reject(w, &rejection{ReasonOverload, http.StatusServiceUnavailable,
				fmt.Errorf("%w: there was no turn within %v, try again", errOverload, h.Timeout)})
			return
		}
		decision := h.decide(ctx, request, weight)
		h.Observer.Decided(request, &decision, time.Since(started))
		response = review(request, &decision)
	} else {
		h.Observer.Rejected(ReasonPolicy, fmt.Errorf("no bundle has a policy %q (any more): %s is allowed", name, request.UID))
		response = unknownPolicy(request)
	}
	answer, err := json.Marshal(response)
	if err != nil {
		h.reject(w, &rejection{ReasonPanic, http.StatusInternalServerError, fmt.Errorf("encode the response: %w", err)})
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer) // a caller that went away is not told
}

// decide ends the turn whatever the decision comes to.
func (h *Handler) decide(ctx context.Context, request *policy.Request, weight int64) policy.Decision {
	defer h.turns.Release(weight)
	return h.Decider.Decide(ctx, request)
}

// policyName is what a policy can be called.
var policyName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,98}[a-z0-9])?$`)

// bodies are kept from one request to the next.
var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// errOverload is why a body is not read to its end, or not decided on.
var errOverload = errors.New("too many large AdmissionReviews at once")

// holding reads a body and counts what is held of it, until releaseBody.
type holding struct {
	body io.Reader
	h    *Handler
}

func (r holding) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	if r.h.held.Add(int64(n)) > r.h.MaxHeldBytes {
		return n, errOverload
	}
	return n, err
}

// releaseBody gives a buffer back, unless a large review made it grow.
func (h *Handler) releaseBody(body *bytes.Buffer) {
	h.held.Add(-int64(body.Len()))
	const most = 1 << 20
	if body.Cap() <= most {
		body.Reset()
		bodies.Put(body)
	}
}

func (h *Handler) read(w http.ResponseWriter, r *http.Request, name string, body *bytes.Buffer) (*policy.Request, *rejection) {
	if r.Method != http.MethodPost {
		return nil, &rejection{ReasonMethod, http.StatusMethodNotAllowed, fmt.Errorf("method %s: want POST", r.Method)}
	}
	if !policyName.MatchString(name) {
		return nil, &rejection{ReasonPolicy, http.StatusNotFound, fmt.Errorf("there is no policy %.100q", name)}
	}
	if contentType := r.Header.Get("Content-Type"); !isJSON(contentType) {
		return nil, &rejection{ReasonContentType, http.StatusBadRequest,
			fmt.Errorf("content type %q: want application/json", contentType)}
	}
	// Slow senders hold a goroutine and a buffer; the API server would wait no longer.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(h.Timeout))
	if r.ContentLength > MaxBodyBytes {
		return nil, tooLarge()
	}
	if _, err := body.ReadFrom(holding{http.MaxBytesReader(w, r.Body, MaxBodyBytes), h}); err != nil {
		var exceeded *http.MaxBytesError
		switch {
		case errors.As(err, &exceeded):
			return nil, tooLarge()
		case errors.Is(err, errOverload):
			return nil, &rejection{ReasonOverload, http.StatusServiceUnavailable,
				fmt.Errorf("%w: the limit is %d bytes, try again", errOverload, h.MaxHeldBytes)}
		}
		return nil, &rejection{ReasonRead, http.StatusBadRequest, fmt.Errorf("read the AdmissionReview: %w", err)}
	}
	request, err := policy.ParseRequest(body.Bytes())
	if err != nil {
		return nil, &rejection{ReasonMalformed, http.StatusBadRequest, err}
	}
	return request, nil
}

func tooLarge() *rejection {
	return &rejection{ReasonTooLarge, http.StatusRequestEntityTooLarge,
		fmt.Errorf("the AdmissionReview is larger than %d bytes", MaxBodyBytes)}
}

func isJSON(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && media == "application/json"
}

func (h *Handler) reject(w http.ResponseWriter, r *rejection) {
	h.Observer.Rejected(r.reason, r.err)
	text := r.Error()
	if r.reason == ReasonPanic {
		text = "internal error" // the stack is for the log
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(r.code)
	_, _ = io.WriteString(w, "eksguard: "+text+"\n")
}
