package policies_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// replaceAWSAuth gives the cluster the aws-auth of base.yaml, while nobody guards it.
func replaceAWSAuth(t *testing.T) {
	t.Helper()
	base, c := e2e.Manifest(t, "aws-auth/base.yaml"), cluster.As(t, admin)
	if o := c.Delete(base); o.Err != nil && !apierrors.IsNotFound(o.Err) {
		t.Fatal(o.Err)
	}
	c.Create(base).Admitted()
}

func TestMessages(t *testing.T) {
	replaceAWSAuth(t)
	startMonitoring(t)
	cluster.Guard(t, local.EksguardOptions{Settings: standardSettings})
	cluster.Transcript(t, "transcripts/denials.txt")

	t.Run("client-go is told each violation as a cause", func(t *testing.T) {
		o := cluster.As(t, admin).Create(e2e.Manifest(t, "session/all-wrong.yaml"))
		const field = `spec.template.metadata.annotations["iam.amazonaws.com/role"]`
		want := metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden,
			Details: &metav1.StatusDetails{
				Name: "web", Group: "apps", Kind: "deployments",
				Causes: []metav1.StatusCause{
					{Type: "iam-role/account", Field: field, Message: `"arn:aws:iam::666666666666:role/ark-role-prod-us-west-2" is in ` +
						`account 666666666666 of partition "aws", expected account 555555555555 of partition "aws", this cluster's`},
					{Type: "iam-role/naming", Field: field, Message: `"arn:aws:iam::666666666666:role/ark-role-prod-us-west-2" is not ` +
						`named eks-<service>-<env>, where <env> is dev or stage or prod`},
					{Type: "iam-role/ownership", Field: field, Message: `"arn:aws:iam::666666666666:role/ark-role-prod-us-west-2" is not ` +
						`a role of namespace "webservice-01", whose annotation "iam.amazonaws.com/allowed-roles" is not set`},
				},
			},
		}
		got := o.Denied("iam-role/account", "iam-role/naming", "iam-role/ownership").Status()
		got.TypeMeta, got.Message = metav1.TypeMeta{}, "" // the transcripts show the message
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the status is another (-want +got):\n%s", diff)
		}
	})
}

func TestRollout(t *testing.T) {
	replaceAWSAuth(t)
	t.Cleanup(func() { cluster.Kubectl(t).Run("delete", "--ignore-not-found", "-f", "session").Succeeded() })
	guard := cluster.Guard(t, local.EksguardOptions{Settings: "testdata/settings/enforcement.yaml"})
	violations := func(policy, rule, outcome string) string {
		return `eksguard_violations_total{outcome="` + outcome + `",policy="` + policy + `",rule="` + rule + `"}`
	}
	for _, counted := range []struct {
		series string
		n      float64
	}{
		{violations("iam-role", "naming", "warn"), 1},
		{violations("iam-role", "ownership", "dryrun"), 2},
		{violations("aws-auth", "unparsable", "warn"), 1},
		{violations("aws-auth", "node-role-lost", "warn"), 1},
		{violations("flux", "namespace", "dryrun"), 1},
		{violations("iam-role", "account", "excepted"), 1},
		{violations("iam-role", "account", "deny"), 1},
		{violations("iam-role", "bare-name", "excepted"), 1},
		{violations("iam-role", "bare-name", "deny"), 1},
		{`eksguard_reviews_total{phase="validate",policy="aws-auth",verdict="allowed"}`, 1},
		{`eksguard_reviews_total{phase="validate",policy="iam-role",verdict="denied"}`, 2},
	} {
		defer guard.Counts(t, counted.series, counted.n)()
	}
	cluster.Transcript(t, "transcripts/rollout.txt")
}
