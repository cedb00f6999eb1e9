package events

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/mozilla-iam/eksguard/internal/excerpt"
	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/webhook"
)

// The reasons of eksguard's Events.
const (
	ReasonDenied          = "Denied"
	ReasonBundleNotTaken  = "BundleNotTaken"
	ReasonBundleActivated = "BundleActivated"
)

// Reasons are all of them.
var Reasons = []string{ReasonDenied, ReasonBundleNotTaken, ReasonBundleActivated}

// Denials tells of requests that were denied: to what manages the object, such as the Deployment whose Pods are refused,
// or else to the object itself. It implements webhook.Observer.
//
// Nothing is told of a dry run, whose effects are to be none, nor of what is only warned of or noted: it happened, and
// whoever asked for it was warned. Nothing is told where there is no object to tell it to, as of an object that was
// denied to somebody who created it: that somebody has the answer.
type Denials struct {
	Recorder interface {
		Admits(namespace string) bool
		Record(e Event)
	}
}

// Rejected implements webhook.Observer: what got no decision was not denied by one.
func (Denials) Rejected(webhook.Reason, error) {}

// Decided implements webhook.Observer.
func (d Denials) Decided(r *policy.Request, decision *policy.Decision, _ time.Duration) {
	if decision.Allowed || r.DryRun || !d.Recorder.Admits(r.Namespace) {
		return
	}
	m := r.Metadata()
	if regarding := regarding(r, &m); regarding != nil {
		d.Recorder.Record(Event{
			Regarding: *regarding, Type: corev1.EventTypeWarning, Reason: ReasonDenied, Action: "Admission",
			Message: denial(r, &m, decision),
		})
	}
}

// wholeObjects are the subresources in whose reviews the object is the one that they are of, and no other kind.
var wholeObjects = []string{"", "status", "ephemeralcontainers", "resize", "approval", "finalize"}

// regarding is what is told of a denial, nil if there is nothing.
func regarding(r *policy.Request, m *policy.Metadata) *corev1.ObjectReference {
	if !slices.Contains(wholeObjects, r.SubResource) {
		return nil
	}
	namespace := r.Namespace
	if clusterScoped(r) {
		namespace = ""
	}
	if owner := m.Controller; owner != nil && namespace != "" && tellable(owner) {
		return reference(owner, namespace)
	}
	if !m.Stored || m.UID == "" {
		return nil
	}
	return &corev1.ObjectReference{
		APIVersion: schema.GroupVersion{Group: r.Kind.Group, Version: r.Kind.Version}.String(), Kind: r.Kind.Kind,
		Namespace: namespace, Name: r.Name, UID: m.UID}
}

// tellable tells whether an owner can be one of an object in a namespace. The API server does not look whether there is such
// a thing, nor how long its name is (kubernetes/apimachinery: pkg/api/validation/objectmeta.go).
func tellable(owner *metav1.OwnerReference) bool {
	const most = 1024
	if len(owner.APIVersion)+len(owner.Kind)+len(owner.Name)+len(owner.UID) > most {
		return false
	}
	// Of the core group, only these manage objects in a namespace; a Node is named by those that kubelet runs by itself.
	version, err := schema.ParseGroupVersion(owner.APIVersion)
	return err == nil && (version.Group != "" || owner.Kind == "ReplicationController" || owner.Kind == "Pod")
}

// clusterScoped tells whether the object has no namespace. Requests for a Namespace name it as their namespace, too.
func clusterScoped(r *policy.Request) bool {
	return r.Namespace == "" || (r.Resource.Group == "" && r.Resource.Resource == "namespaces")
}

// maxName bounds what is quoted of names.
const maxName = 100

// denial says what was denied, to whom and why: as many violations as there is room for. An Event has more readers than
// the answer to a request. So it names identities of the cluster, and no people; and where those who read Events may not
// read the object, it names the rules alone: for a Secret, and for an object without a namespace, whose Events are in
// namespace default.
func denial(r *policy.Request, m *policy.Metadata, d *policy.Decision) string {
	by := "a user"
	if strings.HasPrefix(r.User, "system:") {
		by = fmt.Sprintf("%q", excerpt.Of(r.User, maxName))
	}
	resource := r.Kind.Kind
	if r.SubResource != "" {
		resource += "/" + r.SubResource
	}
	name := excerpt.Of(r.Name, maxName)
	if !m.Stored && m.GenerateName != "" {
		// The API server has made up a name already, another one at every try: with it, no Event would be like the one before.
		name = excerpt.Of(m.GenerateName, maxName) + "…"
	}
	opening := fmt.Sprintf("%s of %s %q by %s: ", r.Operation, resource, name, by)
	var reasons []string
	hidden := clusterScoped(r) || r.Kind.Kind == "Secret"
	for i := range d.Violations {
		v := &d.Violations[i]
		switch {
		case !v.Denies():
		case hidden:
			if reason := "[" + v.ID() + "]"; !slices.Contains(reasons, reason) {
				reasons = append(reasons, reason)
			}
		default:
			reasons = append(reasons, v.String())
		}
	}
	for i := range d.Faults {
		// What went wrong may quote the object. The log has it.
		if f := &d.Faults[i]; f.Denies {
			reasons = append(reasons, fmt.Sprintf("policy %q could not be evaluated.", f.Policy))
		}
	}
	return opening + fitting(reasons, messageLimit-len(opening))
}

// fitting joins as many of the texts as there is room for, the first in any case, and tells how many are left out.
func fitting(texts []string, room int) string {
	const more = " (and %d more)"
	room = max(0, room-len(more)-len("…"))
	joined := ""
	for i, text := range texts {
		switch {
		case i == 0:
			joined = excerpt.Of(text, room)
		case len(joined)+1+len(text) > room:
			return joined + fmt.Sprintf(more, len(texts)-i)
		default:
			joined += " " + text
		}
	}
	return joined
}
