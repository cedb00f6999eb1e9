package process_test

import (
	"net/http"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// A policy that cannot be evaluated refuses, or lets pass with a warning, as its failurePolicy says.
func TestFaultyPolicies(t *testing.T) {
	guard := cluster.Guard(t, local.EksguardOptions{Bundle: "testdata/bundles/faulty"})
	configMap := func(name, number string) *unstructured.Unstructured {
		return e2e.Parse(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: `+name+`, namespace: default}, data: {number: "`+number+`"}}`)
	}
	faults := func(policy string) string { return `eksguard_evaluation_errors_total{policy="` + policy + `"}` }

	t.Run("it works while there is no fault", func(t *testing.T) {
		defer guard.Counts(t, faults("erring"), 0)()
		cluster.As(t, admin).Create(configMap("erring", "1"), e2e.DryRun).Admitted().Warned()
		cluster.As(t, admin).Create(configMap("erring", "2"), e2e.DryRun).Denied("erring/number")
	})
	t.Run("an error, and Fail", func(t *testing.T) {
		defer guard.Counts(t, faults("erring"), 1)()
		cluster.As(t, admin).Create(configMap("erring", "one"), e2e.DryRun).Refused(http.StatusInternalServerError,
			`admission webhook "erring.eksguard.io" denied the request: eksguard could not evaluate policy "erring", `+
				`whose failurePolicy is Fail: `)
	})
	t.Run("an error, and Ignore", func(t *testing.T) {
		defer guard.Counts(t, faults("erring-ignored"), 1)()
		cluster.As(t, admin).Create(configMap("erring-ignored", "one"), e2e.DryRun).Admitted().
			Warned(`eksguard could not evaluate policy "erring-ignored", whose failurePolicy is Ignore: not checked`)
	})
	t.Run("no end, and Fail", func(t *testing.T) {
		defer guard.Counts(t, faults("slow"), 1)()
		began := time.Now()
		cluster.As(t, admin).Create(configMap("slow", "1"), e2e.DryRun).Refused(http.StatusInternalServerError,
			`admission webhook "slow.eksguard.io" denied the request: eksguard could not evaluate policy "slow", `+
				`whose failurePolicy is Fail: evaluation was not done in time: the limit is 3s`)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %s", took)
		}
	})
	t.Run("no end, and Ignore", func(t *testing.T) {
		defer guard.Counts(t, faults("slow-ignored"), 1)()
		cluster.As(t, admin).Create(configMap("slow-ignored", "1"), e2e.DryRun).Admitted().
			Warned(`eksguard could not evaluate policy "slow-ignored", whose failurePolicy is Ignore: not checked`)
	})
	t.Run("what a person sees", func(t *testing.T) { cluster.Transcript(t, "transcripts/faults.txt") })
}
