package process_test

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// While eksguard is down, what its policies care about is refused, and nothing else.
func TestOutage(t *testing.T) {
	guard := cluster.Guard(t, local.EksguardOptions{Settings: standardSettings})
	awaitMutating(t, guard)
	if err := guard.Stop(); err != nil {
		t.Fatal(err)
	}
	awsAuth := e2e.Parse(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: aws-auth, namespace: kube-system}}")
	web := e2e.Parse(t, "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: webservice-01}}")
	inNamespace := func(file, namespace string) func(*e2e.Client) *e2e.Outcome {
		return func(c *e2e.Client) *e2e.Outcome {
			return c.Create(e2e.Manifest(t, file, "webservice-01\n", namespace+"\n"), e2e.DryRun)
		}
	}
	for _, row := range []struct {
		name, user string
		write      func(c *e2e.Client) *e2e.Outcome
		webhook    string // that had to be asked
	}{
		{"a Pod with a role", admin, inNamespace("manifests/pod.yaml", "webservice-01"), "iam-role.eksguard.io"},
		{"a change of aws-auth", admin, func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(awsAuth, types.MergePatchType, `{"data": {"mapUsers": "[]"}}`, e2e.DryRun)
		}, "aws-auth.eksguard.io"},
		{"the deletion of aws-auth", admin, func(c *e2e.Client) *e2e.Outcome { return c.Delete(awsAuth, e2e.DryRun) }, "aws-auth.eksguard.io"},
		{"a write by Flux", flux, inNamespace("manifests/configmap.yaml", "webservice-01"), "flux.eksguard.io"},
		{"a write by Flux of a cluster-scoped object", flux, func(c *e2e.Client) *e2e.Outcome {
			role := e2e.Parse(t, "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: from-flux}, rules: []}")
			return c.Create(role, e2e.DryRun)
		}, "flux.eksguard.io"},

		{"a Pod without a role", admin, inNamespace("manifests/plain-pod.yaml", "webservice-01"), ""},
		{"another ConfigMap", admin, inNamespace("manifests/configmap.yaml", "webservice-01"), ""},
		{"another ConfigMap beside aws-auth", admin, inNamespace("manifests/configmap.yaml", "kube-system"), ""},
		{"a label on a Deployment with a role", admin, func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(web, types.MergePatchType, `{"metadata": {"labels": {"a": "b"}}}`, e2e.DryRun)
		}, ""},
		{"the scale of a Deployment with a role", admin, func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(web, types.MergePatchType, `{"spec": {"replicas": 0}}`, e2e.Subresource("scale"), e2e.DryRun)
		}, ""},
		{"the deletion of a Deployment with a role", admin, func(c *e2e.Client) *e2e.Outcome { return c.Delete(web, e2e.DryRun) }, ""},
		{"a write by Flux in its own namespace", flux, inNamespace("manifests/configmap.yaml", "flux-system"), ""},

		// So that eksguard can be repaired.
		{"a Pod with a role in eksguard's namespace", admin, inNamespace("manifests/pod.yaml", "eksguard-system"), ""},
		{"a write by Flux in eksguard's namespace", flux, inNamespace("manifests/configmap.yaml", "eksguard-system"), ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			if o := row.write(cluster.As(t, row.user)); row.webhook == "" {
				o.Admitted()
			} else {
				o.Unanswered(row.webhook)
			}
		})
	}
	t.Run("controllers go on making Pods without a role", func(t *testing.T) {
		deployment := e2e.Manifest(t, "manifests/plain-deployment.yaml")
		c := cluster.As(t, admin)
		c.Create(deployment).Admitted()
		t.Cleanup(func() { c.Delete(deployment).Admitted() })
		awaitPod(t, "app=plain")
	})
}

// The controllers' Pods are judged like any other.
func TestPodsOfControllers(t *testing.T) {
	guard := cluster.Guard(t, local.EksguardOptions{Settings: standardSettings})
	awaitMutating(t, guard)
	web := e2e.Parse(t, "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: webservice-01}}")
	c := cluster.As(t, admin)
	scale := func(replicas int) {
		c.Patch(web, types.MergePatchType, fmt.Sprintf(`{"spec": {"replicas": %d}}`, replicas)).Admitted()
	}
	t.Cleanup(func() { scale(0) })
	scale(1)
	if pod := awaitPod(t, "app=web"); pod.Annotations["iam.amazonaws.com/role"] != ownRole {
		t.Errorf("the role of the Pod is %q", pod.Annotations["iam.amazonaws.com/role"])
	}
	if guard.Metric(`eksguard_reviews_total{phase="validate",policy="iam-role",verdict="allowed"}`) < 2 {
		t.Error("eksguard was not asked about the Pod")
	}
}

func awaitPod(t *testing.T, selector string) (pod corev1.Pod) {
	t.Helper()
	e2e.Eventually(t, 20*time.Second, "there is a Pod of "+selector, func() error {
		pods, err := cluster.Clients(t).CoreV1().Pods("webservice-01").List(t.Context(), metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			return err
		}
		if len(pods.Items) == 0 {
			return fmt.Errorf("there is none")
		}
		pod = pods.Items[0]
		return nil
	})
	return pod
}
