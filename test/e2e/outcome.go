package e2e

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Outcome is what came of a request of client-go. Its methods fail the test if that is not what should have come of it,
// and return it, so that more can be said.
type Outcome struct {
	// Object is what the API server answered with, nil after a deletion or an error.
	Object *unstructured.Unstructured
	Err    error
	// Warnings are what a person would have been warned of.
	Warnings []string

	t    testing.TB
	what string
}

// Admitted means that nobody objected.
func (o *Outcome) Admitted() *Outcome {
	o.t.Helper()
	if o.Err != nil {
		o.t.Fatalf("%s: got %v, want it admitted", o.what, o.Err)
	}
	return o
}

// Denied means that eksguard denied it, with 403 Forbidden, for violations of exactly these rules, one each, sorted.
func (o *Outcome) Denied(rules ...string) *Outcome {
	o.t.Helper()
	status := o.Status()
	if status.Code != http.StatusForbidden || status.Reason != metav1.StatusReasonForbidden ||
		!apierrors.IsForbidden(o.Err) || !strings.Contains(status.Message, ".eksguard.io\" denied the request: ") {
		o.t.Fatalf("%s: got %d %s: %s, want a denial by eksguard", o.what, status.Code, status.Reason, status.Message)
	}
	var got []string
	for _, cause := range o.violations() {
		got = append(got, string(cause.Type))
	}
	if diff := cmp.Diff(rules, got); diff != "" {
		o.t.Fatalf("%s: denied by other rules (-want +got):\n%s%s", o.what, diff, status.Message)
	}
	return o
}

// At tells the fields at fault, one for each rule.
func (o *Outcome) At(fields ...string) *Outcome {
	o.t.Helper()
	var got []string
	for _, cause := range o.violations() {
		got = append(got, cause.Field)
	}
	if diff := cmp.Diff(fields, got); diff != "" {
		o.t.Fatalf("%s: other fields are at fault (-want +got):\n%s", o.what, diff)
	}
	return o
}

// Effect tells what the denied change would do, these lines.
func (o *Outcome) Effect(lines ...string) *Outcome {
	o.t.Helper()
	var got []string
	for _, cause := range o.Causes() {
		if cause.Type == causeEffect {
			got = append(got, strings.Split(cause.Message, "\n")...)
		}
	}
	if diff := cmp.Diff(lines, got); diff != "" {
		o.t.Fatalf("%s: another effect is told (-want +got):\n%s", o.what, diff)
	}
	if text := "\nEffect:\n" + strings.Join(lines, "\n"); !strings.HasSuffix(o.Status().Message, text) {
		o.t.Fatalf("%s: the message does not end in the effect: %s", o.what, o.Status().Message)
	}
	return o
}

// causeEffect is the type of the one cause that is no violation.
const causeEffect metav1.CauseType = "Effect"

// violations are the causes that name rules.
func (o *Outcome) violations() (causes []metav1.StatusCause) {
	o.t.Helper()
	for _, cause := range o.Causes() {
		if cause.Type != causeEffect {
			causes = append(causes, cause)
		}
	}
	return causes
}

// Causes are the details of an error.
func (o *Outcome) Causes() []metav1.StatusCause {
	o.t.Helper()
	if details := o.Status().Details; details != nil {
		return details.Causes
	}
	return nil
}

// Status is that of an error that the API server answered with.
func (o *Outcome) Status() metav1.Status {
	o.t.Helper()
	if o.Err == nil {
		o.t.Fatalf("%s: it was admitted", o.what)
	}
	var status apierrors.APIStatus
	if !errors.As(o.Err, &status) {
		o.t.Fatalf("%s: got %v, want an answer of the API server", o.what, o.Err)
	}
	return status.Status()
}

// Refused means that the API server refused it with this status code and a message that contains the text.
func (o *Outcome) Refused(code int32, text string) *Outcome {
	o.t.Helper()
	if status := o.Status(); status.Code != code || !strings.Contains(status.Message, text) {
		o.t.Fatalf("%s: got %d: %q, want %d with %q", o.what, status.Code, status.Message, code, text)
	}
	return o
}

// Unanswered means that the API server refused it because this webhook, which had to be asked, gave no answer.
func (o *Outcome) Unanswered(webhook string) *Outcome {
	o.t.Helper()
	return o.Refused(http.StatusInternalServerError, `failed calling webhook "`+webhook+`"`)
}

// Warned means that a person was warned of exactly this.
func (o *Outcome) Warned(texts ...string) *Outcome {
	o.t.Helper()
	if diff := cmp.Diff(texts, o.Warnings, cmpopts.EquateEmpty()); diff != "" {
		o.t.Errorf("%s: other warnings (-want +got):\n%s", o.what, diff)
	}
	return o
}

var ruleID = regexp.MustCompile(`\[([a-z0-9-]+/[a-z0-9-]+)\] `)

// rulesIn finds the rules that a text for people names.
func rulesIn(text string) (rules []string) {
	for _, match := range ruleID.FindAllStringSubmatch(text, -1) {
		rules = append(rules, match[1])
	}
	return rules
}
