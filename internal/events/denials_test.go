package events_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/mozilla-iam/eksguard/internal/events"
	"github.com/mozilla-iam/eksguard/internal/policy"
)

const controller = "system:serviceaccount:kube-system:replicaset-controller"

// review is a request for an object in namespace shop.
type review struct {
	operation, group, version, kind, resource, subresource, object, oldObject, user string
	clusterScoped, dryRun                                                           bool
}

// aPod is a Pod that a ReplicaSet's controller creates.
func aPod(change func(*review)) review {
	r := review{
		operation: "CREATE", version: "v1", kind: "Pod", resource: "pods", user: controller, oldObject: "null",
		object: `{"metadata": {"name": "web-1-x7k2p", "generateName": "web-1-", ` + managedBy("apps/v1", "ReplicaSet", "web-1") + `}}`,
	}
	change(&r)
	return r
}

func managedBy(version, kind, name string) string {
	return fmt.Sprintf(`"ownerReferences": [{"apiVersion": %q, "kind": %q, "name": %q, "uid": "owner", "controller": true}]`,
		version, kind, name)
}

// changed is an update of an object that nothing manages.
func changed(group, kind, resource string, change func(*review)) review {
	r := review{
		operation: "UPDATE", group: group, version: "v1", kind: kind, resource: resource, user: "alice",
		object:    `{"metadata": {"name": "it", "uid": "forged", ` + managedBy("apps/v1", "ReplicaSet", "forged") + `}}`,
		oldObject: `{"metadata": {"name": "it", "uid": "stored"}}`,
	}
	change(&r)
	return r
}

func (r review) parse(t *testing.T) *policy.Request {
	t.Helper()
	namespace := "shop"
	if r.clusterScoped {
		namespace = ""
	}
	if r.kind == "Namespace" {
		namespace = "it"
	}
	request, err := policy.ParseRequest(fmt.Appendf(nil, `{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
		"request": {"uid": "u", "operation": %q, "namespace": %q, "dryRun": %v, "subResource": %q, "userInfo": {"username": %q},
			"kind": {"group": %q, "version": %q, "kind": %q}, "resource": {"group": %[6]q, "version": %[7]q, "resource": %[9]q},
			"object": %[10]s, "oldObject": %[11]s}}`,
		r.operation, namespace, r.dryRun, r.subresource, r.user, r.group, r.version, r.kind, r.resource, r.object, r.oldObject))
	if err != nil {
		t.Fatal(err)
	}
	return request
}

func as(*review) {}

var naming = policy.Violation{Policy: "iam-role", Rule: "naming", Action: policy.ActionDeny, Field: "metadata", Message: "wrong"}

func TestWhatIsTold(t *testing.T) {
	replicaSet := &corev1.ObjectReference{APIVersion: "apps/v1", Kind: "ReplicaSet", Namespace: "shop", Name: "web-1", UID: "owner"}
	for name, row := range map[string]struct {
		review  review
		allowed bool
		// regarding is nil where nothing is to be told.
		regarding *corev1.ObjectReference
		message   string
	}{
		"what manages the object is told of it": {
			review: aPod(as), regarding: replicaSet,
			message: `CREATE of Pod "web-1-…" by "` + controller + `": [iam-role/naming] metadata: wrong.`,
		},
		"nothing is told of what was allowed": {review: aPod(as), allowed: true},
		"a dry run has no effect":             {review: aPod(func(r *review) { r.dryRun = true })},
		"people are not named, whom not all who read Events may know": {
			review: aPod(func(r *review) { r.user = "alice@example.com" }), regarding: replicaSet,
			message: `CREATE of Pod "web-1-…" by a user: [iam-role/naming] metadata: wrong.`,
		},
		"what makes objects of its own kinds is told, too": {
			review: aPod(func(r *review) {
				r.object = `{"metadata": {"name": "p", ` + managedBy("sparkoperator.k8s.io/v1beta2", "SparkApplication", "pi") + `}}`
			}),
			regarding: &corev1.ObjectReference{
				APIVersion: "sparkoperator.k8s.io/v1beta2", Kind: "SparkApplication", Namespace: "shop", Name: "pi", UID: "owner"},
			message: `CREATE of Pod "p" by "` + controller + `": [iam-role/naming] metadata: wrong.`,
		},
		"an old controller of Pods is told, too": {
			review: aPod(func(r *review) {
				r.object = `{"metadata": {"name": "p", ` + managedBy("v1", "ReplicationController", "old") + `}}`
			}),
			regarding: &corev1.ObjectReference{
				APIVersion: "v1", Kind: "ReplicationController", Namespace: "shop", Name: "old", UID: "owner"},
			message: `CREATE of Pod "p" by "` + controller + `": [iam-role/naming] metadata: wrong.`,
		},
		"a Node does not manage what kubelet runs": {
			review: aPod(func(r *review) { r.object = `{"metadata": {"name": "p", ` + managedBy("v1", "Node", "n") + `}}` }),
		},
		"an owner whose API version is none": {
			review: aPod(func(r *review) { r.object = `{"metadata": {"name": "p", ` + managedBy("a/b/c", "X", "n") + `}}` }),
		},
		"an owner whose name is longer than any": {
			review: aPod(func(r *review) {
				r.object = `{"metadata": {"name": "p", ` + managedBy("apps/v1", "StatefulSet", strings.Repeat("x", 1100)) + `}}`
			}),
		},
		"who creates an object by themselves has the answer": {
			review: aPod(func(r *review) { r.object = `{"metadata": {"name": "p"}}` }),
		},
		"an object that is there is told itself, and not what the change says": {
			review: changed("apps", "Deployment", "deployments", as),
			regarding: &corev1.ObjectReference{
				APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "it", UID: "stored"},
			message: `UPDATE of Deployment "it" by a user: [iam-role/naming] metadata: wrong.`,
		},
		"a subresource that is the object": {
			review:    changed("", "Pod", "pods", func(r *review) { r.subresource = "ephemeralcontainers" }),
			regarding: &corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "it", UID: "stored"},
			message:   `UPDATE of Pod/ephemeralcontainers "it" by a user: [iam-role/naming] metadata: wrong.`,
		},
		"a subresource that is of another kind": {
			review: changed("autoscaling", "Scale", "deployments", func(r *review) { r.subresource = "scale" }),
		},
		"who reads Events may not read Secrets": {
			review:    changed("", "Secret", "secrets", as),
			regarding: &corev1.ObjectReference{APIVersion: "v1", Kind: "Secret", Namespace: "shop", Name: "it", UID: "stored"},
			message:   `UPDATE of Secret "it" by a user: [iam-role/naming]`,
		},
		"who reads Events in namespace default may not read what has no namespace": {
			review:    changed("rbac.authorization.k8s.io", "ClusterRole", "clusterroles", func(r *review) { r.clusterScoped = true }),
			regarding: &corev1.ObjectReference{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole", Name: "it", UID: "stored"},
			message:   `UPDATE of ClusterRole "it" by a user: [iam-role/naming]`,
		},
		"a Namespace has no namespace, whatever the request says": {
			review:    changed("", "Namespace", "namespaces", as),
			regarding: &corev1.ObjectReference{APIVersion: "v1", Kind: "Namespace", Name: "it", UID: "stored"},
			message:   `UPDATE of Namespace "it" by a user: [iam-role/naming]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got, want told
			events.Denials{Recorder: &got}.Decided(row.review.parse(t),
				&policy.Decision{Allowed: row.allowed, Violations: []policy.Violation{naming}}, 0)
			if row.regarding != nil {
				want = told{{Regarding: *row.regarding, Type: "Warning", Reason: "Denied", Action: "Admission", Message: row.message}}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMessages(t *testing.T) {
	const opening = `CREATE of Pod "web-1-…" by "` + controller + `": `
	as := func(action policy.Action, message string) policy.Violation {
		v := naming
		v.Action, v.Message = action, message
		return v
	}
	excepted := as(policy.ActionDeny, "excepted")
	excepted.Exception = &policy.Exception{}
	long := strings.Repeat("long", 150)
	for name, row := range map[string]struct {
		decision policy.Decision
		want     string
	}{
		"what denies is told, and nothing else": {
			policy.Decision{Violations: []policy.Violation{
				as(policy.ActionWarn, "warned"), excepted, as(policy.ActionDryrun, "noted"), as(policy.ActionDeny, "one"),
				as(policy.ActionDeny, "two")}},
			`[iam-role/naming] metadata: one. [iam-role/naming] metadata: two.`,
		},
		"an error may quote the object, and is for the log": {
			policy.Decision{Faults: []policy.Fault{
				{Policy: "iam-role", Denies: true, Err: errors.New("hunter2")}, {Policy: "ignored", Err: errors.New("boom")}}},
			`policy "iam-role" could not be evaluated.`,
		},
		"where there is no room, the number is told": {
			policy.Decision{Violations: []policy.Violation{
				as(policy.ActionDeny, "one"), as(policy.ActionDeny, long), as(policy.ActionDeny, long), as(policy.ActionDeny, "last")}},
			`[iam-role/naming] metadata: one. [iam-role/naming] metadata: ` + long + `. (and 2 more)`,
		},
		"the first is cut where it does not fit by itself": {
			policy.Decision{Violations: []policy.Violation{as(policy.ActionDeny, strings.Repeat("x", 5000)), as(policy.ActionDeny, "two")}},
			`[iam-role/naming] metadata: ` + strings.Repeat("x", 1024-len(opening)-len(" (and %d more)…[iam-role/naming] metadata: ")) +
				"… (and 1 more)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got told
			events.Denials{Recorder: &got}.Decided(aPod(func(*review) {}).parse(t), &row.decision, 0)
			if len(got) != 1 {
				t.Fatalf("%d Events", len(got))
			}
			if diff := cmp.Diff(opening+row.want, got[0].Message); diff != "" {
				t.Error(diff)
			}
			if len(got[0].Message) > 1024 {
				t.Errorf("the message has %d bytes", len(got[0].Message))
			}
		})
	}
}

// Names that are as long as they may be, and worse than they may be, leave room for the reason.
func TestAMessageHasRoomForAReason(t *testing.T) {
	var got told
	r := aPod(func(r *review) {
		r.user = "system:" + strings.Repeat("\u200b", 1000)
		r.object = fmt.Sprintf(`{"metadata": {"name": %q, %s}}`, strings.Repeat("é", 1000), managedBy("apps/v1", "ReplicaSet", "x"))
	})
	events.Denials{Recorder: &got}.Decided(r.parse(t), &policy.Decision{Violations: []policy.Violation{naming}}, 0)
	if len(got) != 1 || !strings.Contains(got[0].Message, "[iam-role/naming] metadata: wrong.") || len(got[0].Message) > 1024 {
		t.Errorf("told %q", got)
	}
}
