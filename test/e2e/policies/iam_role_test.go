package policies_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

const (
	roleKey    = "iam.amazonaws.com/role"
	allowedKey = "iam.amazonaws.com/allowed-roles"

	roles       = "arn:aws:iam::555555555555:role/"
	ownRole     = roles + "eks-webservice-01-prod"
	ownStage    = roles + "eks-webservice-01-stage"
	foreignRole = roles + "eks-webservice-02-prod"
)

// workload is a kind that is a Pod or makes Pods. Its manifest, testdata/workloads/<file>, is of object "own" in
// namespace "webservice-01", with ownRole.
type workload struct {
	kind, file string
	// pod is the path of the Pod, or its template, in the object.
	pod []string
}

var (
	aPod        = workload{"Pod", "pod.yaml", nil}
	aDeployment = workload{"Deployment", "deployment.yaml", []string{"spec", "template"}}
)

var workloads = []workload{
	aPod,
	aDeployment,
	{"ReplicaSet", "replicaset.yaml", []string{"spec", "template"}},
	{"StatefulSet", "statefulset.yaml", []string{"spec", "template"}},
	{"DaemonSet", "daemonset.yaml", []string{"spec", "template"}},
	{"Job", "job.yaml", []string{"spec", "template"}},
	{"CronJob", "cronjob.yaml", []string{"spec", "jobTemplate", "spec", "template"}},
	{"ReplicationController", "replicationcontroller.yaml", []string{"spec", "template"}},
	{"PodTemplate", "podtemplate.yaml", []string{"template"}},
}

func (w workload) with(t *testing.T, role string) *unstructured.Unstructured {
	return e2e.Manifest(t, "workloads/"+w.file, ownRole, role)
}

// path is the path of the role.
func (w workload) path() []string {
	return append(append([]string{}, w.pod...), "metadata", "annotations", roleKey)
}

func (w workload) field() string {
	path := w.path()
	return strings.Join(path[:len(path)-1], ".") + fmt.Sprintf("[%q]", roleKey)
}

func (w workload) role(o *unstructured.Unstructured) string {
	role, _, _ := unstructured.NestedString(o.Object, w.path()...)
	return role
}

// ways are how one can give a role to an object that exists, or to a new one.
var ways = []struct {
	name string
	give func(t *testing.T, c *e2e.Client, w workload, role string) *e2e.Outcome
}{
	{"create", func(t *testing.T, c *e2e.Client, w workload, role string) *e2e.Outcome {
		o := w.with(t, role)
		o.SetName("another")
		return c.Create(o, e2e.DryRun)
	}},
	{"create with a name that the API server makes up", func(t *testing.T, c *e2e.Client, w workload, role string) *e2e.Outcome {
		o := w.with(t, role)
		o.SetName("")
		o.SetGenerateName("another-")
		return c.Create(o, e2e.DryRun)
	}},
	{"replace", func(t *testing.T, c *e2e.Client, w workload, role string) *e2e.Outcome {
		o := c.Get(w.with(t, ownRole))
		if err := unstructured.SetNestedField(o.Object, role, w.path()...); err != nil {
			t.Fatal(err)
		}
		return c.Update(o, e2e.DryRun)
	}},
	{"strategic merge patch", func(t *testing.T, c *e2e.Client, w workload, role string) *e2e.Outcome {
		return c.Patch(w.with(t, role), types.StrategicMergePatchType, mergePatch(t, w.path(), role), e2e.DryRun)
	}},
	{"merge patch", func(t *testing.T, c *e2e.Client, w workload, role string) *e2e.Outcome {
		return c.Patch(w.with(t, role), types.MergePatchType, mergePatch(t, w.path(), role), e2e.DryRun)
	}},
	{"JSON patch", func(t *testing.T, c *e2e.Client, w workload, role string) *e2e.Outcome {
		pointer := "/" + strings.Join(w.path()[:len(w.path())-1], "/") + "/iam.amazonaws.com~1role"
		patch := fmt.Sprintf(`[{"op": "replace", "path": %q, "value": %q}]`, pointer, role)
		return c.Patch(w.with(t, role), types.JSONPatchType, patch, e2e.DryRun)
	}},
	{"server-side apply", func(t *testing.T, c *e2e.Client, w workload, role string) *e2e.Outcome {
		return c.Apply(w.with(t, role), e2e.DryRun)
	}},
	{"server-side apply of what is new", func(t *testing.T, c *e2e.Client, w workload, role string) *e2e.Outcome {
		o := w.with(t, role)
		o.SetName("another")
		return c.Apply(o, e2e.DryRun)
	}},
}

func mergePatch(t *testing.T, path []string, value string) string {
	t.Helper()
	patch := map[string]any{}
	if err := unstructured.SetNestedField(patch, value, path...); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(patch)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestIAMRole(t *testing.T) {
	cluster.Kubectl(t).Run("apply", "-f", "workloads/legacy.yaml").Succeeded()
	cluster.Guard(t, local.EksguardOptions{Settings: standardSettings})

	for _, w := range workloads {
		t.Run(w.kind, func(t *testing.T) {
			c := cluster.As(t, admin)
			c.Create(w.with(t, ownRole)).Admitted()
			t.Cleanup(func() { c.Delete(w.with(t, ownRole)).Admitted() })
			for _, way := range ways {
				t.Run(way.name+" with the role of another service is denied", func(t *testing.T) {
					way.give(t, cluster.As(t, admin), w, foreignRole).Denied("iam-role/ownership").At(w.field())
				})
				t.Run(way.name+" with another role of its own is admitted", func(t *testing.T) {
					o := way.give(t, cluster.As(t, admin), w, ownStage).Admitted().Warned()
					if role := w.role(o.Object); role != ownStage {
						t.Errorf("the role is %q", role)
					}
				})
			}
			t.Run("not in dry run either", func(t *testing.T) {
				o := w.with(t, foreignRole)
				o.SetName("foreign")
				cluster.As(t, admin).Create(o).Denied("iam-role/ownership").At(w.field())
			})
		})
	}
	t.Run("ways to a running Pod", roleOfARunningPod)
	t.Run("what was there before", legacyRoles)
	t.Run("namespaces", rolesOfNamespaces)
	t.Run("forms", formsOfRoles)
	t.Run("a namespace and its Pod at once", func(t *testing.T) { namespaceAndPodAtOnce(t, 50) })
	t.Run("a grant that comes and goes", changingGrant)
	t.Run("many at once", manyAtOnce)
}

// kube2iam reads the annotation of the live Pod at each call for credentials, so that every way to change it counts.
func roleOfARunningPod(t *testing.T) {
	c := cluster.As(t, admin)
	running := aPod.with(t, ownRole)
	running.SetName("running")
	c.Create(running).Admitted()
	t.Cleanup(func() { c.Delete(running).Admitted() })
	storedRole := func(t *testing.T, want string) {
		t.Helper()
		if role := aPod.role(cluster.As(t, admin).Get(running)); role != want {
			t.Errorf("the stored role is %q, want %q", role, want)
		}
	}
	annotate := mergePatch(t, aPod.path(), foreignRole)

	t.Run("pods/status stores annotations, and is judged", func(t *testing.T) {
		c := cluster.As(t, admin)
		c.Patch(running, types.StrategicMergePatchType, annotate, e2e.Subresource("status")).
			Denied("iam-role/ownership").At(aPod.field())
		c.Patch(running, types.StrategicMergePatchType, mergePatch(t, aPod.path(), ownStage), e2e.Subresource("status")).Admitted()
		storedRole(t, ownStage)
	})
	t.Run("a status without a new role is admitted", func(t *testing.T) {
		status := `{"status": {"message": "all is well"}}`
		cluster.As(t, admin).Patch(running, types.StrategicMergePatchType, status, e2e.Subresource("status")).Admitted()
	})
	t.Run("pods/ephemeralcontainers does not change the role", func(t *testing.T) {
		debug := `{"metadata": {"annotations": {"iam.amazonaws.com/role": "` + foreignRole + `"}},
			"spec": {"ephemeralContainers": [{"name": "debug", "image": "busybox"}]}}`
		cluster.As(t, admin).Patch(running, types.StrategicMergePatchType, debug, e2e.Subresource("ephemeralcontainers")).Admitted()
		storedRole(t, ownStage)
	})
	t.Run("pods/resize does not change the role", func(t *testing.T) {
		resize := `{"metadata": {"annotations": {"iam.amazonaws.com/role": "` + foreignRole + `"}},
			"spec": {"containers": [{"name": "aws-cli", "resources": {}}]}}`
		cluster.As(t, admin).Patch(running, types.StrategicMergePatchType, resize, e2e.Subresource("resize")).Admitted()
		storedRole(t, ownStage)
	})
	for _, way := range []struct {
		name string
		bind func(c *e2e.Client, binding *unstructured.Unstructured, hows ...e2e.How) *e2e.Outcome
	}{
		{"pods/binding", func(c *e2e.Client, binding *unstructured.Unstructured, hows ...e2e.How) *e2e.Outcome {
			return c.CreateIn(running, binding, append(hows, e2e.Subresource("binding"))...)
		}},
		{"bindings", func(c *e2e.Client, binding *unstructured.Unstructured, hows ...e2e.How) *e2e.Outcome {
			return c.Create(binding, hows...)
		}},
	} {
		t.Run(way.name+" copies its annotations onto the Pod, and is judged", func(t *testing.T) {
			c := cluster.As(t, admin)
			binding := func(role string) *unstructured.Unstructured {
				return e2e.Manifest(t, "workloads/binding.yaml", "own\n", "running\n", ownRole, role)
			}
			way.bind(c, binding(foreignRole)).Denied("iam-role/ownership").At(aPod.field())
			storedRole(t, ownStage)
			way.bind(c, binding(ownRole), e2e.DryRun).Admitted()
		})
	}
}

// An object that was in violation before eksguard came can be operated, mended and deleted, but its role not be changed
// to another foreign one.
func legacyRoles(t *testing.T) {
	stored := aDeployment.with(t, foreignRole)
	stored.SetName("legacy")
	legacyPod := aPod.with(t, foreignRole)
	legacyPod.SetName("legacy")

	for _, row := range []struct {
		name  string
		write func(c *e2e.Client) *e2e.Outcome
		rules []string // that deny it
	}{
		{"it can be scaled", func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(stored, types.MergePatchType, `{"spec": {"replicas": 3}}`, e2e.Subresource("scale"))
		}, nil},
		{"it can be scaled as a whole object", func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(stored, types.MergePatchType, `{"spec": {"replicas": 2}}`)
		}, nil},
		{"it can be given another image", func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(stored, types.StrategicMergePatchType,
				`{"spec": {"template": {"spec": {"containers": [{"name": "legacy", "image": "fstab/aws-cli:2"}]}}}}`)
		}, nil},
		{"it can be labelled", func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(stored, types.MergePatchType, `{"metadata": {"labels": {"a": "b"}}}`)
		}, nil},
		{"it can be replaced by itself", func(c *e2e.Client) *e2e.Outcome { return c.Update(c.Get(stored)) }, nil},
		{"it can be given a finalizer", func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(stored, types.MergePatchType, `{"metadata": {"finalizers": ["eksguard.io/e2e"]}}`)
		}, nil},
		{"it can lose its finalizer", func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(stored, types.MergePatchType, `{"metadata": {"finalizers": null}}`)
		}, nil},
		{"its other annotations can be changed", func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(stored, types.MergePatchType, mergePatch(t, []string{"spec", "template", "metadata", "annotations", "a"}, "b"))
		}, nil},
		{"it cannot be given yet another foreign role", func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(stored, types.MergePatchType, mergePatch(t, aDeployment.path(), roles+"eks-webservice-03-prod"))
		}, []string{"iam-role/ownership"}},
		{"it can be mended", func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(stored, types.MergePatchType, mergePatch(t, aDeployment.path(), ownRole))
		}, nil},
		{"it cannot go back then", func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(stored, types.MergePatchType, mergePatch(t, aDeployment.path(), foreignRole))
		}, []string{"iam-role/ownership"}},
		{"it can be deleted", func(c *e2e.Client) *e2e.Outcome { return c.Delete(stored) }, nil},
		{"a Pod can be labelled", func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(legacyPod, types.MergePatchType, `{"metadata": {"labels": {"a": "b"}}}`)
		}, nil},
		{"a Pod's status can be reported", func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(legacyPod, types.MergePatchType, `{"status": {"phase": "Running"}}`, e2e.Subresource("status"))
		}, nil},
		{"a Pod cannot be given yet another foreign role", func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(legacyPod, types.MergePatchType, mergePatch(t, aPod.path(), foreignRole))
		}, []string{"iam-role/ownership"}},
		{"a Pod's role can be removed", func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(legacyPod, types.MergePatchType, `{"metadata": {"annotations": {"iam.amazonaws.com/role": null}}}`)
		}, nil},
		{"Pods can be deleted together", func(c *e2e.Client) *e2e.Outcome {
			return c.DeleteCollection(legacyPod, "metadata.name=legacy")
		}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := row.write(cluster.As(t, admin))
			if row.rules == nil {
				o.Admitted()
				return
			}
			o.Denied(row.rules...)
		})
	}
}

func rolesOfNamespaces(t *testing.T) {
	for _, row := range []struct {
		reason, namespace, role string
		rules                   []string // that deny it
	}{
		{"a namespace named after the service has its roles of every environment", "webservice-01", "eks-webservice-01-stage", nil},
		{"a namespace named after service and environment has that role", "webservice-01-stage", "eks-webservice-01-stage", nil},
		{"but not that of another environment", "webservice-01-stage", "eks-webservice-01-prod", []string{"iam-role/ownership"}},
		{"a namespace has the roles that its annotation allows by a pattern", "reports", "eks-webservice-02-dev", nil},
		{"and by an ARN", "reports", "eks-billing-prod", nil},
		{"but no others", "reports", "eks-webservice-01-prod", []string{"iam-role/ownership"}},
		{"an annotation that does not parse allows nothing", "broken-reports", "eks-webservice-02-dev", []string{"iam-role/ownership"}},
		{"a grant in the settings admits a role that breaks the convention", "monitoring", "cloudwatch-exporter-prod", nil},
		{"in that namespace only", "webservice-01", "cloudwatch-exporter-prod", []string{"iam-role/naming", "iam-role/ownership"}},
		{"and that role only", "monitoring", "cluster-autoscaler-prod-us-west-2", []string{"iam-role/naming", "iam-role/ownership"}},
	} {
		t.Run(row.reason, func(t *testing.T) {
			pod := e2e.Manifest(t, "workloads/pod.yaml", "namespace: webservice-01", "namespace: "+row.namespace, ownRole, roles+row.role)
			o := cluster.As(t, admin).Create(pod, e2e.DryRun)
			if row.rules == nil {
				o.Admitted()
				return
			}
			o.Denied(row.rules...)
		})
	}
}

func formsOfRoles(t *testing.T) {
	for _, row := range []struct {
		reason, role string
		rules        []string // that deny it
	}{
		{"an empty role", "", []string{"iam-role/form"}},
		{"an ARN that is none", "arn:aws:iam::SOMETHING", []string{"iam-role/form"}},
		{"white space after it", ownRole + " ", []string{"iam-role/form"}},
		{"a line after it", ownRole + "\n", []string{"iam-role/form"}},
		{"a tab before it", "\t" + ownRole, []string{"iam-role/form"}},
		{"a space without a break", ownRole + "\u00a0", []string{"iam-role/form"}},
		{"a space without a width", ownRole + "\u200b", []string{"iam-role/form"}},
		{"a letter that looks alike", strings.Replace(ownRole, "webservice", "w\u0435bservice", 1), []string{"iam-role/form"}},
		{"other letter case before the account", strings.Replace(foreignRole, "arn:", "ARN:", 1), []string{"iam-role/form"}},
		{"its own role by a bare name", "eks-webservice-01-prod", []string{"iam-role/bare-name"}},
		{"another account", "arn:aws:iam::666666666666:role/eks-webservice-01-prod", []string{"iam-role/account"}},
		{"another partition", "arn:aws-cn:iam::555555555555:role/eks-webservice-01-prod", []string{"iam-role/account"}},
		{"all that is wrong is told at once", "arn:aws:iam::666666666666:role/ark-role",
			[]string{"iam-role/account", "iam-role/naming", "iam-role/ownership"}},
	} {
		t.Run(row.reason, func(t *testing.T) {
			pod := e2e.Manifest(t, "workloads/pod.yaml", ownRole, fmt.Sprintf("%q", row.role))
			cluster.As(t, admin).Create(pod, e2e.DryRun).Denied(row.rules...)
		})
	}
}

// newNamespace makes a namespace whose annotation allows these roles; none if allowed is empty.
func newNamespace(t *testing.T, allowed string) *unstructured.Unstructured {
	t.Helper()
	namespace := &unstructured.Unstructured{}
	namespace.SetAPIVersion("v1")
	namespace.SetKind("Namespace")
	namespace.SetGenerateName("fresh-")
	if allowed != "" {
		namespace.SetAnnotations(map[string]string{allowedKey: allowed})
	}
	return cluster.As(t, admin).Create(namespace).Admitted().Object
}

func namespaceAndPodAtOnce(t *testing.T, times int) {
	for i := range times {
		allowed := ""
		if i%2 == 0 {
			allowed = fmt.Sprintf(`["eks-granted-%d-prod"]`, i)
		}
		t.Run(fmt.Sprintf("%d, where the annotation is %q", i, allowed), func(t *testing.T) {
			// The API server itself takes its time with a Pod in a namespace that it does not know yet.
			t.Parallel()
			namespace := newNamespace(t, allowed).GetName()
			pod := e2e.Manifest(t, "workloads/pod.yaml", "namespace: webservice-01", "namespace: "+namespace,
				ownRole, fmt.Sprintf("%seks-granted-%d-prod", roles, i))
			if o := cluster.As(t, admin).Create(pod, e2e.DryRun); allowed != "" {
				o.Admitted()
			} else {
				o.Denied("iam-role/ownership")
			}
		})
	}
}

// A namespace that its watch has not told it of yet is one that eksguard reads before it decides.
func TestIAMRoleInANamespaceThatIsNotKnownYet(t *testing.T) {
	watch := cluster.SlowWatch(t, "/api/v1/namespaces")
	cluster.Guard(t, local.EksguardOptions{
		Settings: standardSettings, Kubeconfig: watch.Kubeconfig, AdminKubeconfig: cluster.Plane(t).Kubeconfig,
	})
	watch.Hold()
	t.Run("while the watch is late", func(t *testing.T) { namespaceAndPodAtOnce(t, 10) })

	t.Run("many of them", func(t *testing.T) {
		var namespaces []string
		for range 40 {
			namespaces = append(namespaces, newNamespace(t, `["eks-granted-prod"]`).GetName())
		}
		var wait sync.WaitGroup
		for _, namespace := range namespaces {
			wait.Go(func() {
				pod := e2e.Manifest(t, "workloads/pod.yaml", "namespace: webservice-01", "namespace: "+namespace,
					ownRole, roles+"eks-granted-prod")
				if err := cluster.As(t, admin).Create(pod, e2e.DryRun).Err; err != nil {
					t.Errorf("a role that the annotation allows is answered with %v", err)
				}
			})
		}
		wait.Wait()
	})

	t.Run("what it has not been told", func(t *testing.T) {
		// That the watch is late at all shows in a grant to a namespace that is known: it does not count yet.
		c, pod := cluster.As(t, admin), e2e.Manifest(t, "workloads/pod.yaml", ownRole, foreignRole)
		namespace := e2e.Parse(t, "{apiVersion: v1, kind: Namespace, metadata: {name: webservice-01}}")
		annotate := func(value string) {
			c.Patch(namespace, types.MergePatchType, `{"metadata": {"annotations": {"iam.amazonaws.com/allowed-roles": `+value+`}}}`).Admitted()
		}
		annotate(`"[\"eks-webservice-02-prod\"]"`)
		t.Cleanup(func() { annotate("null") })
		c.Create(pod, e2e.DryRun).Denied("iam-role/ownership")
		watch.Release()
		e2e.Eventually(t, 5*time.Second, "it has been told", func() error { return c.Create(pod, e2e.DryRun).Err })
	})
}

func changingGrant(t *testing.T) {
	c, namespace := cluster.As(t, admin), newNamespace(t, "")
	pod := e2e.Manifest(t, "workloads/pod.yaml", "namespace: webservice-01", "namespace: "+namespace.GetName())
	c.Create(pod, e2e.DryRun).Denied("iam-role/ownership")
	for range 3 {
		c.Patch(namespace, types.MergePatchType, mergePatch(t, []string{"metadata", "annotations", allowedKey}, `["eks-webservice-01-prod"]`)).
			Admitted()
		e2e.Eventually(t, 5*time.Second, "the grant counts", func() error { return c.Create(pod, e2e.DryRun).Err })
		c.Patch(namespace, types.MergePatchType, `{"metadata": {"annotations": {"iam.amazonaws.com/allowed-roles": null}}}`).Admitted()
		e2e.Eventually(t, 5*time.Second, "the grant counts no more", func() error {
			if c.Create(pod, e2e.DryRun).Err == nil {
				return errors.New("the Pod is admitted")
			}
			return nil
		})
	}
	c.Create(pod, e2e.DryRun).Denied("iam-role/ownership")
}

// Each request gets the answer to itself, however many there are at a time.
func manyAtOnce(t *testing.T) {
	var wait sync.WaitGroup
	for worker := range 8 {
		c := cluster.As(t, admin)
		wait.Go(func() {
			for i := range 25 {
				service := fmt.Sprintf("webservice-0%d", 1+(worker+i)%2)
				role := fmt.Sprintf("%seks-%s-prod", roles, service)
				pod := e2e.Manifest(t, "workloads/pod.yaml", ownRole, role)
				// The longer it is, the longer it is read.
				pod.SetLabels(map[string]string{"worker": strings.Repeat("x", 1+worker*7)})
				o := c.Create(pod, e2e.DryRun)
				switch denied := o.Err != nil; {
				case service == "webservice-01" && denied:
					t.Errorf("its own role is denied: %v", o.Err)
				case service == "webservice-02" && !denied:
					t.Errorf("the role of another service is admitted")
				case denied && !strings.Contains(o.Err.Error(), role):
					t.Errorf("%q is denied for another role: %v", role, o.Err)
				}
			}
		})
	}
	wait.Wait()
}

func TestCompletionOfBareNames(t *testing.T) {
	cluster.Guard(t, local.EksguardOptions{Settings: "testdata/settings/complete-bare-names.yaml"})
	e2e.Eventually(t, 5*time.Second, "the API server asks for mutations too", func() error {
		return cluster.As(t, admin).Create(aPod.with(t, "eks-webservice-01-prod"), e2e.DryRun).Err
	})

	for _, w := range workloads {
		t.Run(w.kind+": the name of a role of its own becomes the ARN", func(t *testing.T) {
			c := cluster.As(t, admin)
			bare := w.with(t, "eks-webservice-01-prod")
			bare.SetName("bare")
			c.Create(bare).Admitted()
			t.Cleanup(func() { c.Delete(bare).Admitted() })
			if role := w.role(c.Get(bare)); role != ownRole {
				t.Errorf("the stored role is %q, want %q", role, ownRole)
			}
		})
		t.Run(w.kind+": the name of a foreign role is denied as it stands", func(t *testing.T) {
			bare := w.with(t, "eks-webservice-02-prod")
			cluster.As(t, admin).Create(bare, e2e.DryRun).Denied("iam-role/bare-name", "iam-role/ownership")
		})
	}
	t.Run("to apply the same file again changes nothing", func(t *testing.T) {
		k := cluster.Kubectl(t)
		pod := aPod.with(t, ownRole)
		pod.SetName("bare")
		k.Run("apply", "-f", "workloads/bare-pod.yaml").Printed("pod/bare created\n")
		c := cluster.As(t, admin)
		t.Cleanup(func() { c.Delete(pod).Admitted() })
		first := c.Get(pod)
		k.Run("apply", "-f", "workloads/bare-pod.yaml").Succeeded()
		second := c.Get(pod)
		if role := aPod.role(second); role != ownRole {
			t.Errorf("the stored role is %q, want %q", role, ownRole)
		}
		if first.GetResourceVersion() != second.GetResourceVersion() {
			t.Errorf("the Pod was written again: resource version %s, then %s",
				first.GetResourceVersion(), second.GetResourceVersion())
		}
	})
}
