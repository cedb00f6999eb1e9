package policies_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/cert"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

const externalIDKey = "iam.amazonaws.com/external-id"

// What one might try instead of writing the annotation of a Pod or of a template.
func TestIAMRoleByOtherPaths(t *testing.T) {
	cluster.Guard(t, local.EksguardOptions{Settings: standardSettings})
	t.Run("an Eviction", rolesInEvictions)
	t.Run("the status of what makes Pods", rolesInStatuses)
	t.Run("custom resources", rolesInCustomResources)
	t.Run("a mirror Pod", func(t *testing.T) {
		mirror := aPod.with(t, foreignRole)
		mirror.SetName("mirror")
		annotations := mirror.GetAnnotations()
		annotations["kubernetes.io/config.mirror"] = "a hash"
		mirror.SetAnnotations(annotations)
		if err := unstructured.SetNestedField(mirror.Object, "a-node", "spec", "nodeName"); err != nil {
			t.Fatal(err)
		}
		cluster.As(t, admin).Create(mirror, e2e.DryRun).Denied("iam-role/ownership").At(aPod.field())
	})
	t.Run("a mutating webhook of somebody else", rolesByAnotherWebhook)
	t.Run("external ids", externalIDs)
}

// The metadata of an Eviction is nobody's but its own.
func rolesInEvictions(t *testing.T) {
	c := cluster.As(t, admin)
	pod := aPod.with(t, ownRole)
	pod.SetName("evicted")
	c.Create(pod).Admitted()
	eviction := e2e.Parse(t, "{apiVersion: policy/v1, kind: Eviction, metadata: {name: evicted, namespace: webservice-01}}")
	eviction.SetAnnotations(map[string]string{roleKey: foreignRole})
	c.CreateIn(pod, eviction, e2e.Subresource("eviction"), e2e.DryRun).Admitted()
	if role := aPod.role(c.Get(pod)); role != ownRole {
		t.Errorf("the stored role is %q, want %q", role, ownRole)
	}
	c.CreateIn(pod, eviction, e2e.Subresource("eviction")).Admitted()
	e2e.Eventually(t, 5*time.Second, "the Pod is gone", func() error {
		if o := c.Delete(pod, e2e.DryRun); !apierrors.IsNotFound(o.Err) {
			return fmt.Errorf("it can be deleted: %w", o.Err)
		}
		return nil
	})
}

// A status is written with the template that is stored.
func rolesInStatuses(t *testing.T) {
	for _, w := range workloads {
		if w.kind == "Pod" || w.kind == "PodTemplate" {
			continue // judged, and without one
		}
		t.Run(w.kind, func(t *testing.T) {
			c := cluster.As(t, admin)
			o := w.with(t, ownRole)
			o.SetName("with-status")
			c.Create(o).Admitted()
			t.Cleanup(func() { c.Delete(o).Admitted() })
			c.Patch(o, types.MergePatchType, mergePatch(t, w.path(), foreignRole), e2e.Subresource("status")).Admitted()
			if role := w.role(c.Get(o)); role != ownRole {
				t.Errorf("the stored role is %q, want %q", role, ownRole)
			}
		})
	}
}

// The kinds that settings.workloads names, here an Argo Rollout and a Knative Revision.
func rolesInCustomResources(t *testing.T) {
	k := cluster.Kubectl(t)
	k.Run("apply", "-f", "workloads/crds.yaml").Succeeded()
	k.Run("wait", "--for=condition=established", "--timeout=30s", "-f", "workloads/crds.yaml").Succeeded()
	t.Cleanup(func() { k.Run("delete", "--ignore-not-found", "-f", "workloads/crds.yaml").Succeeded() })
	for _, w := range []workload{
		{"Rollout", "rollout.yaml", []string{"spec", "template"}},
		{"Revision", "revision.yaml", nil},
	} {
		t.Run(w.kind, func(t *testing.T) {
			c := cluster.As(t, admin)
			e2e.Eventually(t, 10*time.Second, "the API server serves it", func() error {
				return c.Create(w.with(t, ownRole), e2e.DryRun).Err
			})
			c.Create(w.with(t, ownRole)).Admitted()
			foreign := mergePatch(t, w.path(), foreignRole)
			another := w.with(t, foreignRole)
			another.SetName("another")
			c.Create(another, e2e.DryRun).Denied("iam-role/ownership").At(w.field())
			c.Apply(another, e2e.DryRun).Denied("iam-role/ownership").At(w.field())
			c.Patch(w.with(t, ownRole), types.MergePatchType, foreign, e2e.DryRun).Denied("iam-role/ownership").At(w.field())
			c.Patch(w.with(t, ownRole), types.MergePatchType, foreign, e2e.Subresource("status")).Admitted()
			if role := w.role(c.Get(w.with(t, ownRole))); role != ownRole {
				t.Errorf("the stored role is %q, want %q", role, ownRole)
			}
			c.Patch(w.with(t, ownRole), types.MergePatchType, mergePatch(t, w.path(), ownStage)).Admitted()
			c.Patch(w.with(t, ownRole), types.MergePatchType, `{"spec": {"replicas": 3}}`).Admitted()
		})
	}
}

// A webhook that answers before eksguard's validation cannot bring in what that would deny, since it sees the last form.
func rolesByAnotherWebhook(t *testing.T) {
	patch, err := json.Marshal([]map[string]any{
		{"op": "add", "path": "/metadata/annotations", "value": map[string]string{roleKey: foreignRole}}})
	if err != nil {
		t.Fatal(err)
	}
	url, ca := serveWebhook(t, func(review *admissionv1.AdmissionReview) {
		form := admissionv1.PatchTypeJSONPatch
		review.Response = &admissionv1.AdmissionResponse{
			UID: review.Request.UID, Allowed: true, Patch: patch, PatchType: &form}
		review.Request = nil
	})
	fail, none := admissionregistrationv1.Fail, admissionregistrationv1.SideEffectClassNone
	hooks := cluster.Clients(t).AdmissionregistrationV1().MutatingWebhookConfigurations()
	configuration := &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "zzz-somebody-else"},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "role.example.com", ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: ca},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{"CREATE"},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			}},
			ObjectSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"mutated": "by-somebody-else"}},
			FailurePolicy:  &fail, SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
		}},
	}
	if _, err := hooks.Create(t.Context(), configuration, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c := cluster.As(t, admin)
	pod := aPod.with(t, ownRole)
	pod.SetName("mutated")
	pod.SetAnnotations(nil)
	pod.SetLabels(map[string]string{"mutated": "by-somebody-else"})
	t.Cleanup(func() {
		if err := hooks.Delete(context.WithoutCancel(t.Context()), configuration.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	e2e.Eventually(t, 10*time.Second, "the other webhook is asked", func() error {
		if c.Create(pod, e2e.DryRun).Err == nil {
			return errors.New("the Pod is admitted")
		}
		return nil
	})
	c.Create(pod, e2e.DryRun).Denied("iam-role/ownership").At(aPod.field())
}

// serveWebhook serves a webhook on loopback until the test ends, and returns its URL and the certificate to trust.
func serveWebhook(t *testing.T, answer func(*admissionv1.AdmissionReview)) (url string, ca []byte) {
	t.Helper()
	certificate, key, err := cert.GenerateSelfSignedCertKey("127.0.0.1", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer(&review)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(review)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL, bytes.TrimSpace(certificate)
}

// An external id goes with the role, and is read from the live Pod as the role is.
func externalIDs(t *testing.T) {
	c := cluster.As(t, admin)
	field := fmt.Sprintf("metadata.annotations[%q]", externalIDKey)
	pod := func(id string) *unstructured.Unstructured {
		o := aPod.with(t, ownRole)
		o.SetName("external")
		o.SetAnnotations(map[string]string{roleKey: ownRole, externalIDKey: id})
		return o
	}
	c.Create(pod("acme-1")).Admitted() // the settings give it
	t.Cleanup(func() { c.Delete(pod("acme-1")).Admitted() })
	give := func(id string) string { return mergePatch(t, []string{"metadata", "annotations", externalIDKey}, id) }
	c.Patch(pod(""), types.MergePatchType, give("other-1")).Denied("iam-role/external-id").At(field)
	c.Patch(pod(""), types.MergePatchType, give("other-1"), e2e.Subresource("status")).Denied("iam-role/external-id").At(field)
	c.Patch(pod(""), types.MergePatchType, give("a b")).Denied("iam-role/external-id-form").At(field)
	c.Patch(pod(""), types.MergePatchType, give("acme-2")).Admitted()
	c.Patch(pod(""), types.MergePatchType, mergePatch(t, []string{"metadata", "labels", "a"}, "b")).Admitted()
	alone := pod("acme-1")
	alone.SetName("alone")
	alone.SetAnnotations(map[string]string{externalIDKey: "acme-1"})
	c.Create(alone, e2e.DryRun).Denied("iam-role/external-id-alone").At(field)
	binding := e2e.Manifest(t, "workloads/binding.yaml", "own\n", "external\n", roleKey, externalIDKey, ownRole, "other-1")
	c.CreateIn(pod(""), binding, e2e.Subresource("binding")).Denied("iam-role/external-id").At(field)
}

// With kiam it is what a Namespace permits that counts.
func TestKiam(t *testing.T) {
	cluster.Guard(t, local.EksguardOptions{Settings: "testdata/settings/kiam.yaml"})
	c := cluster.As(t, admin)
	namespace := e2e.Parse(t, "{apiVersion: v1, kind: Namespace, metadata: {generateName: kiam-}}")
	namespace.SetAnnotations(map[string]string{"iam.amazonaws.com/permitted": roles + "eks-webservice-02-(dev|prod)"})
	permitted := c.Create(namespace).Admitted().Object.GetName()
	pod := func(namespace, role string) *unstructured.Unstructured {
		return e2e.Manifest(t, "workloads/pod.yaml", "namespace: webservice-01", "namespace: "+namespace, ownRole, role)
	}
	c.Create(pod(permitted, foreignRole), e2e.DryRun).Admitted()
	c.Create(pod(permitted, roles+"eks-webservice-02-stage"), e2e.DryRun).Denied("iam-role/ownership")
	// Its annotation is kube2iam's.
	c.Create(pod("reports", roles+"eks-billing-prod"), e2e.DryRun).Denied("iam-role/ownership")

	field := `metadata.annotations["iam.amazonaws.com/permitted"]`
	change := func(user, expression string) *e2e.Outcome {
		o := e2e.Parse(t, "{apiVersion: v1, kind: Namespace, metadata: {name: webservice-01}}")
		return cluster.As(t, user).Patch(o, types.MergePatchType,
			mergePatch(t, []string{"metadata", "annotations", "iam.amazonaws.com/permitted"}, expression), e2e.DryRun)
	}
	change(alice, ownRole).Admitted()
	change(alice, foreignRole).Denied("iam-grants/administrator").At(field)
	change(admin, foreignRole).Admitted()
	change(admin, ".*").Denied("iam-grants/reach").At(field)
	change(admin, foreignRole+"|"+ownRole).Denied("iam-grants/reach").At(field)
	change(admin, "^eks-webservice-02-prod$").Denied("iam-grants/form").At(field)
}

// A TokenRequest stores no annotation.
func TestTokenOfAServiceAccount(t *testing.T) {
	cluster.Guard(t, local.EksguardOptions{Settings: standardSettings})
	c := cluster.As(t, admin)
	account := e2e.Parse(t, "{apiVersion: v1, kind: ServiceAccount, metadata: {name: token, namespace: webservice-01}}")
	c.Create(account).Admitted()
	t.Cleanup(func() { c.Delete(account).Admitted() })
	request := e2e.Parse(t, "{apiVersion: authentication.k8s.io/v1, kind: TokenRequest, metadata: {name: token}, spec: {audiences: [sts.amazonaws.com]}}")
	request.SetAnnotations(map[string]string{"eks.amazonaws.com/role-arn": foreignRole})
	c.CreateIn(account, request, e2e.Subresource("token")).Admitted()
	if annotations := c.Get(account).GetAnnotations(); len(annotations) > 0 {
		t.Errorf("the ServiceAccount has annotations %q", annotations)
	}
}
