package doctor

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mozilla-iam/eksguard/internal/excerpt"
	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/webhook"
)

// The rule that is tried: a Pod whose role is empty breaks it in every cluster.
const (
	triedPolicy = "iam-role"
	triedRule   = "form"
	// failedCall is how the API server says that it got no answer (k8s.io/apiserver:
	// pkg/admission/plugin/webhook/generic and pkg/util/webhook/error.go).
	failedCall = "failed calling webhook"
)

// lookAtAdmission has the API server ask eksguard: whether it reaches eksguard, and trusts it, only it knows.
func lookAtAdmission(ctx context.Context, e *examination) (string, error) {
	p, annotation := e.Snapshot.Policy(triedPolicy), e.settings.text("iam_role", "annotation")
	if p == nil || p.Rule(triedRule) == nil || annotation == "" {
		return "not tried: the bundle has no rule " + triedPolicy + "/" + triedRule, nil
	}
	rule := p.Rule(triedRule)
	denies := e.Snapshot.Action(p, rule) == policy.ActionDeny && !rule.Off
	_, err := e.Clients.CoreV1().Pods(metav1.NamespaceDefault).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "eksguard-doctor-", Annotations: map[string]string{annotation: ""}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "none", Image: "none"}}},
	}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	switch {
	case err == nil && denies:
		e.find(Finding{
			Severity: Error,
			What: fmt.Sprintf(
				"a Pod in namespace %q whose annotation %q is empty was admitted (dry run)",
				"default",
				annotation,
			),
			Why: fmt.Sprintf(
				"rule %s/%s denies it, so that the API server did not ask eksguard, or eksguard has other settings "+
					"or an exception: what it is to deny passes",
				triedPolicy,
				triedRule,
			),
			Do: "see the findings of registration and replicas; kubectl get validatingwebhookconfiguration " +
				webhook.ConfigurationName,
		})
		return "a Pod that is to be denied was admitted", nil
	case err == nil:
		return fmt.Sprintf("not tried: %s/%s does not deny by these settings; the write that it is asked about passed",
			triedPolicy, triedRule), nil
	case strings.Contains(err.Error(), "["+triedPolicy+"/"+triedRule+"]"):
		return fmt.Sprintf("the API server asked eksguard, which denied what %s/%s denies", triedPolicy, triedRule), nil
	case strings.Contains(err.Error(), failedCall) && strings.Contains(err.Error(), webhook.Domain):
		e.find(unanswered(err, e.Namespace))
		return "the API server got no answer", nil
	default:
		if apierrors.IsForbidden(err) && !strings.Contains(err.Error(), "admission webhook") {
			err = fmt.Errorf("may not create Pods, or another admission plugin was first: %w", err)
		}
		return "", fmt.Errorf("try a Pod as a dry run: %w", err)
	}
}

// unanswered tells what to do about a call that failed, as far as its message gives the cause away.
func unanswered(err error, namespace string) Finding {
	text := err.Error()
	do := fmt.Sprintf("kubectl -n %s get pods,endpointslices; %s", namespace, logs(namespace))
	switch {
	case strings.Contains(text, "x509:"):
		do = fmt.Sprintf(
			"the API server does not trust the certificate: kubectl -n %s rollout restart deployment/eksguard",
			namespace,
		)
	case strings.Contains(text, "no endpoints available"), strings.Contains(text, "not found"):
		do = "no replica is ready: " + described(namespace)
	case strings.Contains(text, "deadline exceeded"), strings.Contains(text, "timeout"):
		do = "let the API server's security group reach the Pods' port 9443, or set hostNetwork where the CNI's addresses " +
			"cannot be reached from it (docs/install.md)"
	}
	return Finding{
		Severity: Error,
		What:     "the API server got no answer from eksguard: " + excerpt.Of(text, maxText),
		Why:      "what policies with failurePolicy Fail are asked about is refused, and those with Ignore check nothing",
		Do:       do,
	}
}
