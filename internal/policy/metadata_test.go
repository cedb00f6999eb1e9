package policy_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mozilla-iam/eksguard/internal/policy"
)

func TestMetadata(t *testing.T) {
	yes := true
	const owners = `"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "1"},
		{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "2", "controller": true}]`
	replicaSet := &metav1.OwnerReference{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-1", UID: "2", Controller: &yes}
	for name, row := range map[string]struct {
		operation, object, oldObject string
		want                         policy.Metadata
	}{
		"a new object has no UID, and says who made it": {
			"CREATE", `{"metadata": {"name": "web-1-x", "generateName": "web-1-", ` + owners + `}, "spec": {}}`, "null",
			policy.Metadata{GenerateName: "web-1-", Controller: replicaSet}},
		"what is stored counts, and not what an update makes of it": {
			"UPDATE", `{"metadata": {"uid": "8", ` + owners + `}}`, `{"metadata": {"uid": "9"}}`,
			policy.Metadata{Stored: true, UID: "9"}},
		"what is deleted is stored": {
			"DELETE", "null", `{"kind": "Pod", "metadata": {"uid": "9", ` + owners + `}}`,
			policy.Metadata{Stored: true, UID: "9", Controller: replicaSet}},
		"an owner that manages nothing is none": {
			"CREATE", `{"metadata": {"ownerReferences": [{"name": "c", "controller": false}, {"name": "d"}]}}`, "null",
			policy.Metadata{}},
		"metadata of another form name nobody": {
			"CREATE", `{"metadata": {"uid": 1, "ownerReferences": {"controller": true}}}`, "null", policy.Metadata{}},
		"there are no metadata":   {"CREATE", `{"spec": {"metadata": {"uid": "1"}}}`, "null", policy.Metadata{}},
		"owners are no list":      {"CREATE", `{"metadata": {"ownerReferences": ["x", 1, [{"controller": true}]]}}`, "null", policy.Metadata{}},
		"metadata are no object":  {"CREATE", `{"metadata": []}`, "null", policy.Metadata{}},
		"a name in other letters": {"CREATE", `{"metadata": {"UID": "1"}}`, "null", policy.Metadata{}},
		"there is no object":      {"CONNECT", "null", "null", policy.Metadata{}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := policy.ParseRequest(fmt.Appendf(nil, `{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
				"request": {"uid": "u", "operation": %q, "resource": {"resource": "pods"}, "object": %s, "oldObject": %s}}`,
				row.operation, row.object, row.oldObject))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, r.Metadata()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
