package webhook

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mozilla-iam/eksguard/internal/policy"
)

// Keys of the audit annotations; the API server puts the webhook's name before them.
const (
	auditRevision   = "revision"
	auditViolations = "violations"
	auditExceptions = "exceptions"
	auditUnknown    = "unknown-policy"
)

// causeEffect is the type of the cause that tells what a denied change would do; those of violations are rule ids.
const causeEffect metav1.CauseType = "Effect"

// unknownPolicy is the answer to a request for a policy that no bundle has.
func unknownPolicy(r *policy.Request) *admissionv1.AdmissionReview {
	return answer(&admissionv1.AdmissionResponse{
		UID:              types.UID(r.UID),
		Allowed:          true,
		Warnings:         []string{fmt.Sprintf("eksguard has no policy %q (any more): not checked by it", r.Policy)},
		AuditAnnotations: map[string]string{auditUnknown: r.Policy},
	})
}

func answer(response *admissionv1.AdmissionResponse) *admissionv1.AdmissionReview {
	return &admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"},
		Response: response,
	}
}

// review is the answer to a request, ready to be encoded.
func review(r *policy.Request, d *policy.Decision) *admissionv1.AdmissionReview {
	response := &admissionv1.AdmissionResponse{
		UID:              types.UID(r.UID),
		Allowed:          d.Allowed,
		Warnings:         warnings(d),
		AuditAnnotations: auditAnnotations(d),
	}
	if !d.Allowed {
		response.Result = denial(r, d)
	} else if len(d.Patch) > 0 {
		patch, err := json.Marshal(d.Patch)
		if err != nil {
			panic(fmt.Sprintf("encode patch: %v", err)) // it was decoded from JSON
		}
		patchType := admissionv1.PatchTypeJSONPatch
		response.Patch, response.PatchType = patch, &patchType
	}
	return answer(response)
}

// denial says what is wrong, all of it. The code is 403 and nothing else for a violation: Flux takes Conflict and Invalid
// for an immutable field, and may delete and recreate the object (fluxcd/pkg, ssa/errors and ssa/manager_apply.go).
func denial(r *policy.Request, d *policy.Decision) *metav1.Status {
	status := &metav1.Status{
		Status: metav1.StatusFailure,
		Code:   http.StatusForbidden,
		Reason: metav1.StatusReasonForbidden,
		Details: &metav1.StatusDetails{
			Name: r.Name, Group: r.Resource.Group, Kind: r.Resource.Resource,
		},
	}
	var lines []string
	for i := range d.Violations {
		v := &d.Violations[i]
		if !v.Denies() {
			continue
		}
		lines = append(lines, v.String())
		status.Details.Causes = append(status.Details.Causes, metav1.StatusCause{
			Type: metav1.CauseType(v.ID()), Field: v.Field, Message: v.Message})
	}
	for i := range d.Effects {
		if e := &d.Effects[i]; denies(d, e.Policy) {
			lines = append(lines, e.String())
			status.Details.Causes = append(status.Details.Causes, metav1.StatusCause{
				Type: causeEffect, Message: strings.Join(e.Lines, "\n")})
		}
	}
	if len(lines) == 0 {
		status.Code, status.Reason = http.StatusInternalServerError, metav1.StatusReasonInternalError
	}
	for i := range d.Faults {
		if f := &d.Faults[i]; f.Denies {
			lines = append(lines, fmt.Sprintf("eksguard could not evaluate policy %q, whose failurePolicy is Fail: %v",
				f.Policy, f.Err))
		}
	}
	status.Message = strings.Join(lines, "\n")
	return status
}

// denies tells whether a violation of the policy denies.
func denies(d *policy.Decision, name string) bool { return has(d, name, (*policy.Violation).Denies) }

func has(d *policy.Decision, name string, quality func(*policy.Violation) bool) bool {
	return slices.ContainsFunc(d.Violations, func(v policy.Violation) bool { return v.Policy == name && quality(&v) })
}

func warnings(d *policy.Decision) (warnings []string) {
	for i := range d.Violations {
		if v := &d.Violations[i]; v.Warns() {
			warnings = append(warnings, v.String())
		}
	}
	for i := range d.Effects {
		if e := &d.Effects[i]; !denies(d, e.Policy) && has(d, e.Policy, (*policy.Violation).Warns) {
			warnings = append(warnings, fmt.Sprintf("[%s] Effect: %s.", e.Policy, strings.Join(e.Lines, "; ")))
		}
	}
	for i := range d.Faults {
		if f := &d.Faults[i]; !f.Denies {
			warnings = append(warnings, fmt.Sprintf(
				"eksguard could not evaluate policy %q, whose failurePolicy is Ignore: not checked", f.Policy))
		}
	}
	return warnings
}

func auditAnnotations(d *policy.Decision) map[string]string {
	annotations := map[string]string{auditRevision: d.Revision}
	var violations, exceptions []string
	for i := range d.Violations {
		v := &d.Violations[i]
		if v.Exception != nil {
			exceptions = append(exceptions, fmt.Sprintf("%s until %s: %s", v.ID(), v.Exception.Expires, v.Exception.Reason))
			continue
		}
		violations = append(violations, v.ID()+"="+string(v.Action))
	}
	if len(violations) > 0 {
		annotations[auditViolations] = strings.Join(violations, ",")
	}
	if len(exceptions) > 0 {
		annotations[auditExceptions] = strings.Join(exceptions, "; ")
	}
	return annotations
}
