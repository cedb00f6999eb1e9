package controllers_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

const (
	written     = `eksguard_events_total{event="Denied"}`
	dropped     = `eksguard_events_dropped_total{reason="%s"}`
	ownership   = `[iam-role/ownership] metadata.annotations["iam.amazonaws.com/role"]: "` + foreignRole + `" belongs to `
	replicaSets = `"system:serviceaccount:kube-system:replicaset-controller"`
)

// A Deployment and a CronJob from before eksguard are told why nothing comes of them; nobody else saw the answer.
func TestDescribeTellsWhyPodsAreRefused(t *testing.T) {
	kubectl := cluster.Kubectl(t)
	kubectl.Run("apply", "-f", "refused.yaml").Succeeded()
	kubectl.Run("create", "job", "report-1", "--from=cronjob/report", "-n", namespace).Succeeded()
	t.Cleanup(func() { kubectl.Run("delete", "-f", "refused.yaml", "--cascade=foreground").Succeeded() })
	g := cluster.Guard(t, local.EksguardOptions{Settings: "testdata/settings.yaml"})
	set := replicaSetOf(t, "shop")

	// What was there is scaled and unsuspended as before.
	kubectl.Run("scale", "deployment/shop", "-n", namespace, "--replicas=2").Succeeded()
	kubectl.Run("patch", "job/report-1", "-n", namespace, "--type=merge", "-p", `{"spec": {"suspend": false}}`).Succeeded()
	for object, by := range map[string]string{
		"deployment/shop": `Pod "shop-[0-9a-z]+-…" by ` + replicaSets,
		"cronjob/report":  `Pod "report-1-…" by "system:serviceaccount:kube-system:job-controller"`,
	} {
		want := regexp.MustCompile(`\n  Warning +Denied .* eksguard +CREATE of ` + by + `: ` + regexp.QuoteMeta(ownership) +
			`environment "prod" of service "webservice-02", not to namespace "webservice-01"`)
		e2e.Eventually(t, 30*time.Second, "kubectl describe tells it", func() error {
			text := kubectl.Run("describe", "-n", namespace, object).Succeeded().Stdout
			if !want.MatchString(text) {
				return fmt.Errorf("got\n%s", text)
			}
			return nil
		})
	}

	t.Run("a dry run leaves no Event", func(t *testing.T) {
		cluster.As(t, "").Create(refused(t, managedBy("StatefulSet", "dry", "1")), e2e.DryRun).Denied("iam-role/ownership")
		cluster.As(t, "").Create(refused(t, managedBy("StatefulSet", "real", "1"))).Denied("iam-role/ownership")
		awaitEvents(t, "real", 1)
		awaitEvents(t, "dry", 0)
	})
	t.Run("an owner that there is not is told nothing", func(t *testing.T) {
		check := g.Counts(t, fmt.Sprintf(dropped, "owner"), 2)
		cluster.As(t, "").Create(refused(t, managedBy("ReplicaSet", "none", "1"))).Denied("iam-role/ownership")
		forged := managedBy("ReplicaSet", set.Name, "forged")
		cluster.As(t, "").Create(refused(t, forged)).Denied("iam-role/ownership")
		cluster.As(t, "").Create(refused(t, managedBy("StatefulSet", "after", "1"))).Denied("iam-role/ownership")
		awaitEvents(t, "after", 1)
		awaitEvents(t, "none", 0)
		awaitEvents(t, set.Name, 0)
		check()
	})
	t.Run("in a namespace that ends, nothing is written", func(t *testing.T) {
		kubectl.Run("apply", "-f", "ending.yaml").Succeeded()
		t.Cleanup(func() {
			kubectl.Run("patch", "deployment/held", "-n", "ending", "--type=merge", "-p", `{"metadata": {"finalizers": null}}`).Succeeded()
		})
		kubectl.Run("delete", "namespace", "ending", "--wait=false").Succeeded()
		check := g.Counts(t, fmt.Sprintf(dropped, "namespace_terminating"), 1)
		kubectl.Run("patch", "deployment/held", "-n", "ending", "--type=merge", "-p",
			`{"spec": {"template": {"metadata": {"annotations": {"`+roleKey+`": "`+foreignRole+`"}}}}}`).Denied("iam-role/ownership")
		e2e.Eventually(t, 10*time.Second, "it is counted", func() error {
			if g.Metric(fmt.Sprintf(dropped, "namespace_terminating")) == 0 {
				return errors.New("it is not")
			}
			return nil
		})
		check()
		if log := g.Log(); strings.Contains(log, "cannot write a Kubernetes Event;") {
			t.Errorf("it is logged:\n%s", log)
		}
	})
	t.Run("the same denial again and again is one Event with a count", func(t *testing.T) {
		const times = 1000
		before, settled := g.Metric(written), settled(g)
		flood(t, times, func(int) metav1.OwnerReference { return managedBy("ReplicaSet", set.Name, string(set.UID)) })
		awaitSettled(t, g, settled+times)
		// The controller goes on trying, too, and a minute may have passed.
		if grown := g.Metric(written) - before; grown > 15 {
			t.Errorf("%d denials led to %v writes", times, grown)
		}
		events := awaitEvents(t, "shop", 2)
		if by := events["a user"]; by.Count < 5 || !strings.Contains(by.Message, ownership) {
			t.Errorf("told %d times: %s", by.Count, by.Message)
		}
	})
	t.Run("denials of ever new objects do not flood the cluster", func(t *testing.T) {
		const objects = 400
		settled := settled(g)
		flood(t, objects, func(i int) metav1.OwnerReference { return managedBy("StatefulSet", fmt.Sprintf("flood-%d", i), "1") })
		awaitSettled(t, g, settled+objects)
		list, err := cluster.Clients(t).CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "reason=Denied"})
		if err != nil {
			t.Fatal(err)
		}
		if made := float64(len(list.Items)); made > g.Metric(written) || made > objects/2 {
			t.Errorf("there are %v Events, %v were written", made, g.Metric(written))
		}
		if g.Metric(fmt.Sprintf(dropped, "rate_limit")) < objects/2 {
			t.Error("what is not written is not counted")
		}
		// Others are told as ever.
		neighbour := refused(t, managedBy("StatefulSet", "quiet", "1"))
		neighbour.SetNamespace("default")
		cluster.As(t, "").Create(neighbour).Denied("iam-role/ownership")
		e2e.Eventually(t, 10*time.Second, "a denial in another namespace is told", func() error {
			list, err := cluster.Clients(t).CoreV1().Events("default").List(t.Context(), metav1.ListOptions{
				FieldSelector: "reason=Denied,involvedObject.name=quiet"})
			if err != nil || len(list.Items) != 1 {
				return errors.Join(err, fmt.Errorf("there are %d", len(list.Items)))
			}
			return nil
		})
	})
}

// Without the right to write Events, everything is judged as ever, and it is said once what is missing.
func TestDenialsDoNotNeedEvents(t *testing.T) {
	kubectl, plane := cluster.Kubectl(t), cluster.Plane(t)
	kubectl.Run("apply", "-f", "without-events.yaml").Succeeded()
	t.Cleanup(func() { kubectl.Run("delete", "-f", "without-events.yaml").Succeeded() })
	user, err := plane.AddUser("eksguard-without-events")
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := local.WriteKubeconfig(user, kubeconfig); err != nil {
		t.Fatal(err)
	}
	g := cluster.Guard(t, local.EksguardOptions{Settings: "testdata/settings.yaml", Kubeconfig: kubeconfig})
	before := g.Metric(fmt.Sprintf(dropped, "forbidden"))
	for i := range 3 {
		cluster.As(t, "").Create(refused(t, managedBy("ReplicaSet", "web", fmt.Sprint(i)))).Denied("iam-role/ownership")
	}
	e2e.Eventually(t, 10*time.Second, "they are counted", func() error {
		if grown := g.Metric(fmt.Sprintf(dropped, "forbidden")) - before; grown != 3 {
			return fmt.Errorf("%v are counted", grown)
		}
		return nil
	})
	for _, trouble := range []string{
		"cannot write a Kubernetes Event;", "cannot look for the owner of what a Kubernetes Event is about;",
	} {
		if n := strings.Count(g.Log(), trouble); n != 1 {
			t.Errorf("%q is logged %d times:\n%s", trouble, n, g.Log())
		}
	}
}

// refused is a Pod that is managed so, and asks for a role of another namespace.
func refused(t *testing.T, owner metav1.OwnerReference) *unstructured.Unstructured {
	t.Helper()
	pod := e2e.Parse(t, `
apiVersion: v1
kind: Pod
metadata:
  generateName: web-
  namespace: `+namespace+`
  annotations: {`+roleKey+`: "`+foreignRole+`"}
spec:
  containers: [{name: none, image: none}]
`)
	pod.SetOwnerReferences([]metav1.OwnerReference{owner})
	return pod
}

func managedBy(kind, name, uid string) metav1.OwnerReference {
	yes := true
	return metav1.OwnerReference{APIVersion: "apps/v1", Kind: kind, Name: name, UID: types.UID(uid), Controller: &yes}
}

// replicaSetOf waits for the ReplicaSet of the Deployment.
func replicaSetOf(t *testing.T, app string) (set *appsv1.ReplicaSet) {
	t.Helper()
	e2e.Eventually(t, 30*time.Second, "there is a ReplicaSet", func() error {
		list, err := cluster.Clients(t).AppsV1().ReplicaSets(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app=" + app})
		if err != nil || len(list.Items) != 1 {
			return errors.Join(err, fmt.Errorf("%d ReplicaSets", len(list.Items)))
		}
		set = &list.Items[0]
		return nil
	})
	return set
}

// flood has so many Pods refused, several at once.
func flood(t *testing.T, times int, owner func(i int) metav1.OwnerReference) {
	t.Helper()
	pods := cluster.Clients(t).CoreV1().Pods(namespace)
	numbers := make(chan int)
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for i := range numbers {
				pod := &corev1.Pod{
					ObjectMeta: metav1.ObjectMeta{
						GenerateName: "web-", Annotations: map[string]string{roleKey: foreignRole},
						OwnerReferences: []metav1.OwnerReference{owner(i)},
					},
					Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "none", Image: "none"}}},
				}
				if _, err := pods.Create(t.Context(), pod, metav1.CreateOptions{}); err == nil || !strings.Contains(err.Error(), ownership) {
					t.Errorf("got %v", err)
				}
			}
		})
	}
	for i := range times {
		numbers <- i
	}
	close(numbers)
	writers.Wait()
}

// settled is how many Events were written or dropped.
func settled(g *e2e.Guard) float64 {
	sum := g.Metric(written)
	for _, why := range []string{"queue_full", "rate_limit", "owner", "namespace_terminating", "forbidden", "failed"} {
		sum += g.Metric(fmt.Sprintf(dropped, why))
	}
	return sum
}

func awaitSettled(t *testing.T, g *e2e.Guard, n float64) {
	t.Helper()
	e2e.Eventually(t, 30*time.Second, "all are written or dropped", func() error {
		if now := settled(g); now < n {
			return fmt.Errorf("%v are, of %v", now, n)
		}
		return nil
	})
}

// awaitEvents waits until there are so many Events of denials about that object, and gives them by whom they name.
func awaitEvents(t *testing.T, name string, n int) (by map[string]corev1.Event) {
	t.Helper()
	e2e.Eventually(t, 10*time.Second, fmt.Sprintf("there are %d Events of %q", n, name), func() error {
		list, err := cluster.Clients(t).CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{
			FieldSelector: "reason=Denied,involvedObject.name=" + name})
		if err != nil {
			return err
		}
		if len(list.Items) != n {
			return fmt.Errorf("there are %d", len(list.Items))
		}
		by = map[string]corev1.Event{}
		for _, event := range list.Items {
			_, rest, _ := strings.Cut(event.Message, " by ")
			who, _, _ := strings.Cut(rest, ": ")
			by[who] = event
		}
		return nil
	})
	return by
}
