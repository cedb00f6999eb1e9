package operations_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mozilla-iam/eksguard/internal/review"
)

// more than one page of the audit, which is of 500.
const many = 600

// What is in the cluster is judged, page by page, by the settings that are to be.
func TestAudit(t *testing.T) {
	kubectl := cluster.Kubectl(t)
	kubectl.Run("apply", "-f", "faults/audited.yaml").Succeeded()
	t.Cleanup(func() { kubectl.Run("delete", "--force", "-f", "faults/audited.yaml").Succeeded() })
	accounts := cluster.Clients(t).CoreV1().ServiceAccounts("webservice-01")
	for i := range many {
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
			Name:   fmt.Sprintf("own-%03d", i),
			Labels: map[string]string{"many": "true"},
			Annotations: map[string]string{
				"eks.amazonaws.com/role-arn": "arn:aws:iam::555555555555:role/eks-webservice-01-prod",
			},
		}}
		if _, err := accounts.Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		ours := metav1.ListOptions{LabelSelector: "many=true"}
		if err := accounts.DeleteCollection(context.WithoutCancel(t.Context()), metav1.DeleteOptions{}, ours); err != nil {
			t.Error(err)
		}
	})

	found := []string{
		"ConfigMap kube-system/aws-auth: aws-auth/admin-grant",
		"Pod webservice-01/aws-cli: iam-role/form",
		"ServiceAccount webservice-01/zz-foreign: irsa/ownership",
	}
	t.Run("what would be denied is told, and nothing else", func(t *testing.T) {
		report, code := audit(t, "--settings", good)
		if diff := cmp.Diff(found, violationsIn(report)); diff != "" || code != 1 {
			t.Errorf("exit code %d (-want +got):\n%s", code, diff)
		}
		if s := report.Summary; s.Objects < many || s.Denied != 3 || s.Unread != 0 || len(report.Objects) != 3 {
			t.Errorf("%d objects are kept; %+v", len(report.Objects), s)
		}
		want := `policy "flux" is not audited: it is asked about every kind, because of who writes`
		if diff := cmp.Diff([]string{want}, report.Notes); diff != "" {
			t.Errorf("notes (-want +got):\n%s", diff)
		}
	})
	t.Run("what may not be listed is not taken to be well", func(t *testing.T) {
		report, code := audit(t, "--settings", good, "--kubeconfig", kubeconfigOf(t, "auditor"))
		var without []string
		for _, line := range found {
			if !strings.HasPrefix(line, "Pod ") {
				without = append(without, line)
			}
		}
		if diff := cmp.Diff(without, violationsIn(report)); diff != "" || code != 2 {
			t.Errorf("exit code %d (-want +got):\n%s", code, diff)
		}
		if len(report.Errors) != 1 || report.Errors[0].File != "pods" ||
			!strings.Contains(report.Errors[0].Error, "forbidden") {
			t.Errorf("errors %+v", report.Errors)
		}
	})
	t.Run("without the cluster state that policies read nothing is judged", func(t *testing.T) {
		stdout, code := run(t, "audit", "--settings", good, "--kubeconfig", kubeconfigOf(t, "nobody"))
		if stdout != "" || code != 2 {
			t.Errorf("exit code %d:\n%s", code, stdout)
		}
	})
}

func audit(t *testing.T, args ...string) (report review.Report, code int) {
	t.Helper()
	stdout, code := run(t, "audit", append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatalf("%v:\n%s", err, stdout)
	}
	return report, code
}

func violationsIn(report review.Report) (lines []string) {
	for i := range report.Objects {
		o := &report.Objects[i]
		for j := range o.Violations {
			lines = append(lines, fmt.Sprintf("%s %s/%s: %s", o.Kind, o.Namespace, o.Name, o.Violations[j].ID()))
		}
	}
	return lines
}
