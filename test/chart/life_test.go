package chart_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/doctor"
	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/test/e2e"
)

// A replica that starts after the authority was replaced waits until that was announced for long enough.
const (
	installed = `
image: {repository: registry.example.com/eksguard}
extraArgs: [--certificate-propagation=3s]
settings:
  cluster: {account: "555555555555"}
  iam_role: {complete_bare_names: true}
  aws_auth: {backends: [EKSConfigMap, CRD]}
`
	upgraded = `
image: {repository: registry.example.com/eksguard}
extraArgs: [--certificate-propagation=3s]
config:
  bundles:
    policies: {resource: embedded}
settings:
  cluster: {account: "555555555555"}
  enforcement: {iam-role/account: warn}
`
)

// From the first day to the last: what an administrator does with the chart, and what eksguard does meanwhile with no
// more than the chart grants it.
func TestLifeOfARelease(t *testing.T) {
	kubectl, helm := cluster.Kubectl(t), newHelm(t, admin)
	life, begin := t, time.Now() // what is started in a part of it outlives that part
	createOptionalKinds(t)
	kubectl.Run("apply", "-f", "../../../deploy/flux/installer/namespace.yaml").Succeeded()
	kubectl.Run("apply", "-f", "refused.yaml").Succeeded()

	helm.Install(values(t, installed))
	t.Cleanup(func() { cluster.Unregister(t) })
	podsAre(t, 2)
	first := start(t)
	denied(t)
	// As docs/install.md and the chart's notes have it.
	kubectl.Run("run", "eksguard-try", "-n", "default", "--image=none", "--dry-run=server",
		"--annotations=iam.amazonaws.com/role=arn:aws:iam::SOMETHING").Denied("iam-role/form")
	leader := holder(t)
	// An older API server cannot stream lists, so that client-go falls back to what it did before.
	second := start(t, "KUBE_FEATURE_WatchListClient=false")

	t.Run("doctor asks each Pod through the API server", func(t *testing.T) {
		report := examine(t)
		for _, check := range report.Checks {
			if check.Name == "replicas" && (check.Error != "" || !strings.HasPrefix(check.Saw, "2, revision ")) {
				t.Errorf("%+v", check)
			}
		}
		for _, finding := range report.Findings {
			if finding.Severity != doctor.Info { // such as that there is no aws-auth
				t.Errorf("%+v", finding)
			}
		}
	})
	t.Run("what others do to the registration is undone", func(t *testing.T) { undoesDrift(t) })
	t.Run("the certificate is renewed", func(t *testing.T) { renewsCertificate(t) })
	t.Run("a namespace that is not known yet is read", func(t *testing.T) { readsNamespace(t, first) })
	t.Run("a denial is told to what manages the object", func(t *testing.T) { tellsDenials(t) })
	t.Run("an object that a rule comes to is read", func(*testing.T) {
		kubectl.Reading(`
apiVersion: iamauthenticator.k8s.aws/v1alpha1
kind: One-iamidentitymappings
metadata: {name: mallory}
spec: {arn: "arn:aws:iam::555555555555:user/mallory", username: mallory, groups: ["system:masters"]}
`).Run("create", "-f", "-").Denied("aws-auth/admin-grant")
	})
	t.Run("another replica takes over", func(t *testing.T) {
		first.Terminate()
		if code := first.Exit(time.Minute); code != 0 {
			t.Fatalf("exit status %d:\n%s", code, first.Output())
		}
		e2e.Eventually(t, time.Minute, "there is another leader", func() error {
			if now := holder(t); now == "" || now == leader {
				return fmt.Errorf("the leader is %q, after %q", now, leader)
			}
			return nil
		})
		undoesDrift(t)
	})

	t.Run("other settings roll the Pods", func(t *testing.T) {
		before := checksum(t)
		helm.Upgrade(values(t, upgraded))
		if after := checksum(t); before == "" || after == before {
			t.Fatalf("the checksum was %q and is %q", before, after)
		}
		second.Terminate()
		if code := second.Exit(time.Minute); code != 0 {
			t.Fatalf("exit status %d:\n%s", code, second.Output())
		}
		second = start(life)
		e2e.Eventually(t, time.Minute, "the new settings count", func() error {
			o := cluster.As(t, admin).Create(otherAccount(t), e2e.DryRun)
			if o.Err != nil || len(o.Warnings) != 1 || !strings.HasPrefix(o.Warnings[0], "[iam-role/account] ") {
				return fmt.Errorf("warnings %q, error %w", o.Warnings, o.Err)
			}
			return nil
		})
		// No rule of these settings mutates.
		e2e.Eventually(t, time.Minute, "there is no mutating webhook", func() error {
			m, err := mutating(t)
			if err != nil {
				return err
			}
			if n := len(m.(*admissionv1.MutatingWebhookConfiguration).Webhooks); n > 0 {
				return fmt.Errorf("there are %d", n)
			}
			return nil
		})
		denied(t)
	})

	t.Run("settings that are wrong are told", func(t *testing.T) { tellsWrongSettings(t, second) })

	t.Run("every grant is used", func(t *testing.T) { everyGrantIsUsed(t, begin, func(grant) bool { return true }) })
	t.Run("nothing else is granted", nothingElseIsGranted)

	t.Run("nothing is left in the way", func(t *testing.T) {
		helm.Uninstall()
		// The last replica still runs, which is not to undo what the administrator does.
		e2e.Eventually(t, time.Minute, "the webhook configurations are gone", func() error {
			return errors.Join(gone(validating(t)), gone(mutating(t)))
		})
		e2e.Eventually(t, time.Minute, "a bad Pod passes again", func() error {
			return cluster.As(t, admin).Create(badPod(t), e2e.DryRun).Err
		})
		second.Terminate()
		if code := second.Exit(time.Minute); code != 0 {
			t.Errorf("exit status %d:\n%s", code, second.Output())
		}
		if err := errors.Join(gone(validating(t)), gone(mutating(t))); err != nil {
			t.Error(err)
		}
		kubectl.Run("get", "clusterrole,clusterrolebinding", "-l=app.kubernetes.io/name=eksguard", "-o=name").Printed("")
		kubectl.Run("delete", "namespace", namespace, "--timeout=60s").Printed("namespace \"" + namespace + "\" deleted\n")
	})
}

// Flux installs the release under the installer's name, which may do no more than that.
func TestTheInstallerMayInstall(t *testing.T) {
	kubectl := cluster.Kubectl(t)
	kubectl.Run("apply", "-k", "../../../deploy/flux/installer").Succeeded()
	kubectl.Run("apply", "-f", "../../../deploy/flux/helm/records.yaml").Succeeded()
	t.Cleanup(func() {
		kubectl.Run("delete", "clusterrole,clusterrolebinding", "eksguard-installer").Succeeded()
		kubectl.Run("delete", "namespace", namespace, "--timeout=60s").Succeeded()
	})
	helm := newHelm(t, "system:serviceaccount:eksguard-system:eksguard-installer")
	helm.Install(values(t, installed))
	helm.Upgrade(values(t, upgraded))
	helm.Uninstall()
	kubectl.Run("get", "clusterrole,clusterrolebinding", "-l=app.kubernetes.io/name=eksguard", "-o=name").Printed("")
}

// examine is what `eksguard doctor` tells of the cluster.
func examine(t testing.TB) (report doctor.Report) {
	t.Helper()
	output, err := exec.Command(e2e.Binary(t), "doctor", "--kubeconfig", cluster.Plane(t).Kubeconfig, "-o", "json").Output()
	if err := json.Unmarshal(output, &report); err != nil {
		t.Fatalf("%v:\n%s", err, output)
	}
	if _, found := errors.AsType[*exec.ExitError](err); err != nil && !found { // that it has findings is no fault of it
		t.Fatal(err)
	}
	return report
}

// createOptionalKinds makes the kinds that policies read where there are any, so that eksguard reads them.
func createOptionalKinds(t testing.TB) {
	t.Helper()
	b, err := bundle.Load("")
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := policy.NewSnapshot(t.Context(), b, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, need := range snapshot.Needs() {
		resource := need.GroupVersionResource()
		if !need.Optional || resource.Group == "" {
			continue
		}
		cluster.As(t, admin).Create(e2e.Parse(t, fmt.Sprintf(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[1]s.%[2]s}
spec:
  group: %[2]s
  scope: Cluster
  names: {plural: %[1]s, singular: one-%[1]s, kind: One-%[1]s}
  versions: [{name: %[3]s, served: true, storage: true, 
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
`, resource.Resource, resource.Group, resource.Version))).Admitted()
	}
	t.Cleanup(func() {
		cluster.Kubectl(t).Run("delete", "crd", "--all", "--timeout=30s").Succeeded()
	})
}

// podsAre waits until the controllers have made the Deployment's Pods, which they may only if Pod Security lets them.
func podsAre(t testing.TB, n int) {
	t.Helper()
	e2e.Eventually(t, time.Minute, "the Pods are there", func() error {
		pods, err := cluster.Clients(t).CoreV1().Pods(namespace).
			List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=eksguard"})
		if err != nil || len(pods.Items) != n {
			return fmt.Errorf("%d Pods, want %d: %w", len(pods.Items), n, err)
		}
		return nil
	})
}

// denied waits until a bad Pod is denied; the API server needs a moment to learn of a registration.
func denied(t testing.TB) {
	t.Helper()
	e2e.Eventually(t, 30*time.Second, "the cluster is guarded", func() error {
		err := cluster.As(t, admin).Create(badPod(t), e2e.DryRun).Err
		if err == nil || !strings.Contains(err.Error(), "[iam-role/form] ") {
			return fmt.Errorf("got %w", err)
		}
		return nil
	})
}

func validating(t testing.TB) (metav1.Object, error) {
	return cluster.Clients(t).AdmissionregistrationV1().ValidatingWebhookConfigurations().
		Get(t.Context(), "eksguard", metav1.GetOptions{})
}

func mutating(t testing.TB) (metav1.Object, error) {
	return cluster.Clients(t).AdmissionregistrationV1().MutatingWebhookConfigurations().
		Get(t.Context(), "eksguard", metav1.GetOptions{})
}

// gone makes an error of an object that is there.
func gone(o metav1.Object, err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("%T %q is there", o, o.GetName())
	}
	return err
}

// undoesDrift adds to both configurations, and deletes one.
func undoesDrift(t *testing.T) {
	t.Helper()
	hooks := cluster.Clients(t).AdmissionregistrationV1()
	e2e.Eventually(t, 30*time.Second, "both configurations are there", func() error {
		_, err := validating(t)
		_, other := mutating(t)
		return errors.Join(err, other)
	})
	before, err := validating(t)
	if err != nil {
		t.Fatal(err)
	}
	add := `[{"op": "add", "path": "/webhooks/-", "value": {"name": "other.example.com", "sideEffects": "None",
		"admissionReviewVersions": ["v1"], "clientConfig": {"url": "https://localhost:1/"}, "failurePolicy": "Ignore"}}]`
	_, err = hooks.ValidatingWebhookConfigurations().
		Patch(t.Context(), "eksguard", types.JSONPatchType, []byte(add), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := hooks.MutatingWebhookConfigurations().
		Patch(t.Context(), "eksguard", types.JSONPatchType, []byte(add), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	changed := m.ResourceVersion
	e2e.Eventually(t, 30*time.Second, "the mutating configuration is as it was", func() error {
		m, err := hooks.MutatingWebhookConfigurations().Get(t.Context(), "eksguard", metav1.GetOptions{})
		if err != nil {
			return err
		}
		added := func(w admissionv1.MutatingWebhook) bool { return w.Name == "other.example.com" }
		if m.ResourceVersion == changed || slices.ContainsFunc(m.Webhooks, added) {
			return errors.New("the webhook that was added is still there")
		}
		return nil
	})
	if err := hooks.MutatingWebhookConfigurations().Delete(t.Context(), "eksguard", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	role, err := cluster.Clients(t).RbacV1().ClusterRoles().Get(t.Context(), "eksguard", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	owner := []metav1.OwnerReference{
		{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole", Name: "eksguard", UID: role.UID}}
	e2e.Eventually(t, 30*time.Second, "both are as they were", func() error {
		v, err := hooks.ValidatingWebhookConfigurations().Get(t.Context(), "eksguard", metav1.GetOptions{})
		if err != nil {
			return err
		}
		m, err := hooks.MutatingWebhookConfigurations().Get(t.Context(), "eksguard", metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, w := range v.Webhooks {
			if w.Name == "other.example.com" {
				return errors.New("the webhook that was added is still there")
			}
		}
		if diff := cmp.Diff(owner, m.OwnerReferences) + cmp.Diff(before.GetOwnerReferences(), v.OwnerReferences); diff != "" {
			return errors.New(diff)
		}
		return nil
	})
}

// renewsCertificate empties the Secret, and deletes it. Both times the API server soon trusts what it is shown.
func renewsCertificate(t *testing.T) {
	t.Helper()
	secrets := cluster.Clients(t).CoreV1().Secrets(namespace)
	const name = "eksguard-certificate"
	certificate := func() (string, error) {
		secret, err := secrets.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		return string(secret.Data["tls.crt"]), nil
	}
	for what, damage := range map[string]func() error{
		"it is emptied": func() error {
			empty := []byte(`[{"op": "remove", "path": "/data"}]`)
			_, err := secrets.Patch(t.Context(), name, types.JSONPatchType, empty, metav1.PatchOptions{})
			return err
		},
		"it is deleted": func() error { return secrets.Delete(t.Context(), name, metav1.DeleteOptions{}) },
	} {
		before, err := certificate()
		if err != nil || before == "" {
			t.Fatalf("certificate %q, %v", before, err)
		}
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		e2e.Eventually(t, 30*time.Second, "there is another certificate after "+what, func() error {
			if after, err := certificate(); err != nil || after == "" || after == before {
				return fmt.Errorf("the certificate is the same, or none: %w", err)
			}
			return nil
		})
		denied(t)
	}
}

// readsNamespace asks the webhook about a Pod in a namespace that there is not, which it takes for one that its watch
// has not told of yet.
func readsNamespace(t *testing.T, r *replica) {
	t.Helper()
	pod := badPod(t)
	pod.SetNamespace("not-known")
	pod.SetName("probe")
	review, err := json.Marshal(map[string]any{
		"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
		"request": map[string]any{
			"uid": "1", "operation": "CREATE", "namespace": "not-known", "name": "probe",
			"kind":            map[string]any{"group": "", "version": "v1", "kind": "Pod"},
			"resource":        map[string]any{"group": "", "version": "v1", "resource": "pods"},
			"requestKind":     map[string]any{"group": "", "version": "v1", "kind": "Pod"},
			"requestResource": map[string]any{"group": "", "version": "v1", "resource": "pods"},
			"userInfo":        map[string]any{"username": "somebody"}, "object": pod.Object,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	// What the API server is told to trust follows a renewal with a delay.
	e2e.Eventually(t, 30*time.Second, "the webhook has answered", func() error {
		client := cluster.WebhookClient(t)
		client.Transport.(*http.Transport).TLSClientConfig.ServerName = "eksguard." + namespace + ".svc"
		response, err := client.Post("https://"+r.webhook+"/validate/iam-role", "application/json", bytes.NewReader(review))
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }() // what counts has been read
		answer, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(answer), "[iam-role/form] ") {
			return fmt.Errorf("%s: %s, %w", response.Status, answer, err)
		}
		return nil
	})
}

// tellsDenials lets controllers make Pods that are denied, of what was there before eksguard.
func tellsDenials(t *testing.T) {
	t.Helper()
	kubectl := cluster.Kubectl(t)
	kubectl.Run("scale", "deployment/refused", "-n", "default", "--replicas=1").Succeeded()
	kubectl.Run("patch", "job/refused", "-n", "default", "--type=merge", "-p", `{"spec": {"suspend": false}}`).Succeeded()
	for _, object := range []string{"deployment/refused", "job/refused"} {
		// More than once, so that a count is written, too.
		want := regexp.MustCompile(`\n  Warning +Denied .*\(x\d+ over .*\) +eksguard +CREATE of Pod "refused-.*: \[iam-role/form\] `)
		e2e.Eventually(t, 30*time.Second, "kubectl describe tells it", func() error {
			if text := kubectl.Run("describe", "-n", "default", object).Succeeded().Stdout; !want.MatchString(text) {
				return fmt.Errorf("got\n%s", text)
			}
			return nil
		})
	}
	kubectl.Run("delete", "-f", "refused.yaml").Succeeded()
}

// tellsWrongSettings writes wrong settings where a replica reads them, twice, which is one Event that is told again.
func tellsWrongSettings(t *testing.T, r *replica) {
	t.Helper()
	file := r.file(t, "/etc/eksguard/settings/settings.yaml")
	for i, seen := range []string{"1", "2"} {
		if err := os.WriteFile(file, fmt.Appendf(nil, "enforcment: {} # %d\n", i), 0o600); err != nil {
			t.Fatal(err)
		}
		e2e.Eventually(t, 30*time.Second, "there is an Event", func() error {
			told := cluster.Kubectl(t).Run("get", "events", "-n", namespace, "--field-selector=reason=BundleNotTaken",
				`-o=jsonpath={range .items[*]}{.involvedObject.kind}/{.involvedObject.name} {.count} {.message}{"\n"}{end}`).
				Succeeded().Stdout
			want := "Pod/" + r.pod.Name + " " + seen + " "
			if !strings.HasPrefix(told, want) || !strings.Contains(told, "settings.enforcment: unknown key") {
				return fmt.Errorf("told %q, want %q", told, want)
			}
			return nil
		})
	}
	denied(t)
}

// holder is who holds the Lease.
func holder(t testing.TB) string {
	t.Helper()
	lease, err := cluster.Clients(t).CoordinationV1().Leases(namespace).Get(t.Context(), "eksguard", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

// checksum is what the Deployment's Pods are rolled by.
func checksum(t testing.TB) string {
	t.Helper()
	deployment, err := cluster.Clients(t).AppsV1().Deployments(namespace).Get(t.Context(), "eksguard", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return deployment.Spec.Template.Annotations["checksum/settings"]
}
