package chart_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// level is the namespace with the strictest level of Pod Security that the Pods of these values pass.
func level(values map[string]any) string {
	if values["hostNetwork"] == true {
		return "privileged"
	}
	return "restricted"
}

// monitoring are kinds that are not here: the types of Prometheus Operator stand for them.
var monitoring = map[string]func() any{
	"ServiceMonitor": func() any { return &monitoringv1.ServiceMonitor{} },
	"PrometheusRule": func() any { return &monitoringv1.PrometheusRule{} },
}

// The API server takes every object as it is, with no field that it does not know.
func TestTheAPIServerTakesEveryObject(t *testing.T) {
	kubectl := cluster.Kubectl(t)
	for name, values := range valuesFiles(t) {
		t.Run(name, func(t *testing.T) {
			for _, object := range objects(t, values, "empty") {
				text := manifest(t, object)
				if into, found := monitoring[object.GetKind()]; found {
					if err := yaml.UnmarshalStrict([]byte(text), into()); err != nil {
						t.Error(err)
					}
					continue
				}
				kubectl.Reading(text).
					Run("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-").
					Warned(printed(object), "")
			}
		})
	}
}

func printed(o *unstructured.Unstructured) string {
	kind := strings.ToLower(o.GetKind())
	if group := o.GroupVersionKind().Group; group != "" {
		kind += "." + group
	}
	return kind + "/" + o.GetName() + " serverside-applied (server dry run)\n"
}

func manifest(t testing.TB, o *unstructured.Unstructured) string {
	t.Helper()
	text, err := yaml.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// find decodes the object of this kind.
func find[T any](t testing.TB, objects []*unstructured.Unstructured, kind string) (into T) {
	t.Helper()
	for _, object := range objects {
		if object.GetKind() == kind {
			converter := runtime.DefaultUnstructuredConverter
			if err := converter.FromUnstructuredWithValidation(object.Object, &into, true); err != nil {
				t.Fatal(err)
			}
			return into
		}
	}
	t.Fatalf("there is no %s", kind)
	return into
}

// A Pod as the Deployment makes them passes the level restricted of Pod Security, and with hostNetwork only privileged.
func TestPodSecurity(t *testing.T) {
	clients := cluster.Clients(t)
	for name, values := range valuesFiles(t) {
		t.Run(name, func(t *testing.T) {
			for _, into := range []string{"restricted", "privileged"} {
				deployment := find[appsv1.Deployment](t, objects(t, values, into), "Deployment")
				pod := &corev1.Pod{
					ObjectMeta: metav1.ObjectMeta{GenerateName: "eksguard-", Labels: deployment.Spec.Template.Labels},
					Spec:       deployment.Spec.Template.Spec,
				}
				dryRun := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
				_, err := clients.CoreV1().Pods(into).Create(t.Context(), pod, dryRun)
				switch {
				case into == "restricted" && level(values) != into:
					const want = `violates PodSecurity "restricted:latest": host namespaces (hostNetwork=true)`
					if err == nil || !strings.Contains(err.Error(), want) {
						t.Errorf("%s: %v", into, err)
					}
				case err != nil:
					t.Errorf("%s: %v", into, err)
				}
			}
		})
	}
}

// What is left when the drain delay and the reviews under way are done is seconds, and never less than none.
func TestThePodIsGivenTheTimeToDrain(t *testing.T) {
	for name, row := range map[string]struct {
		values string
		grace  int64
	}{
		"by default":     {"{image: {repository: x}}", 5 + 15},
		"no delay":       {"{image: {repository: x}, drainDelaySeconds: 0}", 15},
		"a longer delay": {"{image: {repository: x}, drainDelaySeconds: 60}", 60 + 15},
	} {
		t.Run(name, func(t *testing.T) {
			deployment := find[appsv1.Deployment](t, objects(t, values(t, row.values), namespace), "Deployment")
			if got := *deployment.Spec.Template.Spec.TerminationGracePeriodSeconds; got != row.grace {
				t.Errorf("terminationGracePeriodSeconds is %d, want %d", got, row.grace)
			}
		})
	}
}

func TestGoIsToldNineTenthsOfTheMemoryLimit(t *testing.T) {
	for limit, want := range map[string]string{
		"{memory: 512Mi}": "460MiB", "{memory: 1Gi}": "921MiB", "{memory: 500M}": "", "{memory: null}": "",
		"{cpu: 1}": "460MiB",
	} {
		t.Run(limit, func(t *testing.T) {
			deployment := find[appsv1.Deployment](t, objects(t,
				values(t, "{image: {repository: x}, resources: {limits: "+limit+"}}"), namespace), "Deployment")
			got := ""
			for _, variable := range deployment.Spec.Template.Spec.Containers[0].Env {
				if variable.Name == "GOMEMLIMIT" {
					got = variable.Value
				}
			}
			if got != want {
				t.Errorf("GOMEMLIMIT is %q, want %q", got, want)
			}
		})
	}
}

// Turned off, Events about denials need no rights.
func TestWithoutDenialEventsNothingIsGrantedForThem(t *testing.T) {
	for enabled, want := range map[string][]string{"true": {"events", "jobs", "replicasets"}, "false": nil} {
		t.Run(enabled, func(t *testing.T) {
			made := objects(t, values(t, "{image: {repository: x}, denialEvents: {enabled: "+enabled+"}}"), namespace)
			var granted []string
			for _, rule := range find[rbacv1.ClusterRole](t, made, "ClusterRole").Rules {
				for _, resource := range rule.Resources {
					if slices.Contains([]string{"events", "jobs", "replicasets"}, resource) {
						granted = append(granted, resource)
					}
				}
			}
			slices.Sort(granted)
			if diff := cmp.Diff(want, granted); diff != "" {
				t.Errorf("granted (-want +got):\n%s", diff)
			}
			args := find[appsv1.Deployment](t, made, "Deployment").Spec.Template.Spec.Containers[0].Args
			if flag := "--denial-events=" + enabled; !slices.Contains(args, flag) {
				t.Errorf("%q is not among %q", flag, args)
			}
		})
	}
}

// Only other settings roll the Pods.
func TestOtherSettingsRollThePods(t *testing.T) {
	template := func(text string) corev1.PodTemplateSpec {
		return find[appsv1.Deployment](t, objects(t, values(t, text), namespace), "Deployment").Spec.Template
	}
	const key = "checksum/settings"
	before := template("{image: {repository: x}, settings: {enforcement: {flux: warn}}}").Annotations[key]
	after := template("{image: {repository: x}, settings: {enforcement: {flux: dryrun}}}").Annotations[key]
	same := template("{image: {repository: x}, settings: {enforcement: {flux: warn}}, replicas: 5}").Annotations[key]
	if before == "" || before == after || before != same {
		t.Errorf("checksums are %q, %q with other settings, %q with the same", before, after, same)
	}
}

func values(t testing.TB, text string) map[string]any {
	t.Helper()
	values := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &values); err != nil {
		t.Fatal(err)
	}
	return values
}

// The dashboard is the one in deploy/monitoring, where Grafana's sidecar finds it.
func TestTheDashboardIsForGrafanasSidecar(t *testing.T) {
	want, err := os.ReadFile("../../deploy/monitoring/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	got := find[corev1.ConfigMap](t, objects(t,
		values(t, "{image: {repository: x}, dashboard: {enabled: true, annotations: {grafana_folder: EKS}}}"), namespace),
		"ConfigMap")
	got.Labels = map[string]string{"grafana_dashboard": got.Labels["grafana_dashboard"]}
	if diff := cmp.Diff(corev1.ConfigMap{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{
			Name: "eksguard-dashboard", Namespace: namespace,
			Labels:      map[string]string{"grafana_dashboard": "1"},
			Annotations: map[string]string{"grafana_folder": "EKS"},
		},
		Data: map[string]string{"eksguard.json": string(want)},
	}, got); diff != "" {
		t.Error(diff)
	}
}
