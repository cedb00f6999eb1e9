package policies_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// auditAnnotations are those of eksguard on the event of the creation of a Pod of this name, in the API server's own
// log.
func auditAnnotations(t *testing.T, name string) map[string]string {
	t.Helper()
	log, err := os.ReadFile(cluster.Plane(t).AuditLog)
	if err != nil {
		t.Fatal(err)
	}
	var found map[string]string
	for line := range strings.Lines(string(log)) {
		var event struct {
			ObjectRef   struct{ Name string }
			Annotations map[string]string
		}
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if event.ObjectRef.Name != name {
			continue
		}
		if found != nil {
			t.Fatalf("there are two events of Pod %q:\n%s", name, log)
		}
		found = map[string]string{}
		for key, value := range event.Annotations {
			if strings.Contains(key, "eksguard.io/") {
				found[key] = value
			}
		}
	}
	if found == nil {
		t.Fatalf("there is no event of Pod %q:\n%s", name, log)
	}
	return found
}

// What was found is in the API server's audit log: what was denied, what was only warned of or counted, and what was
// excepted and why.
func TestAuditAnnotations(t *testing.T) {
	cluster.Guard(t, local.EksguardOptions{Settings: "testdata/settings/enforcement.yaml"})
	pod := func(namespace, name, role string) *e2e.Outcome {
		return cluster.As(t, alice).Create(e2e.Parse(t, "{apiVersion: v1, kind: Pod, metadata: {name: "+
			""+name+", namespace: "+namespace+
			", annotations: {iam.amazonaws.com/role: '"+role+"'}}, spec: {containers: [{name: a, image: a}]}}"),
			e2e.DryRun)
	}
	const foreign = "arn:aws:iam::666666666666:role/ark"
	pod("webservice-01", "audited-admitted", foreign).Admitted()
	pod("webservice-02", "audited-denied", foreign).Denied("iam-role/account")
	pod("webservice-02", "audited-right", "arn:aws:iam::555555555555:role/eks-webservice-02-prod").Admitted()

	const prefix = "iam-role.eksguard.io/"
	right := auditAnnotations(t, "audited-right")
	revision := right[prefix+"revision"]
	if !strings.HasPrefix(revision, "sha256:") {
		t.Errorf("the revision is %q", revision)
	}
	for name, want := range map[string]map[string]string{
		"audited-right": {prefix + "revision": revision},
		"audited-admitted": {
			prefix + "revision":   revision,
			prefix + "violations": "iam-role/naming=warn,iam-role/ownership=dryrun",
			prefix + "exceptions": "iam-role/account until 2999-12-31: moves to the new account in winter",
		},
		"audited-denied": {
			prefix + "revision":   revision,
			prefix + "violations": "iam-role/account=deny,iam-role/naming=warn,iam-role/ownership=dryrun",
		},
	} {
		if diff := cmp.Diff(want, auditAnnotations(t, name)); diff != "" {
			t.Errorf("annotations of the event of Pod %q (-want +got):\n%s", name, diff)
		}
	}
}
