package operations_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mozilla-iam/eksguard/test/e2e"
)

// What is as it should be is said to be so, and nothing is made of it.
func TestGoodCluster(t *testing.T) {
	first, second := guard(t), replica(t, good)
	args := []string{"--address", first.HealthURL, "--address", second}
	stdout, code := run(t, "doctor", append(args, "--settings", good)...)
	want, err := os.ReadFile("testdata/reports/good.txt")
	if err != nil {
		t.Fatal(err)
	}
	// The revision and the number of webhooks are the bundle's of the day, the end of the certificate is the day's.
	got := stdout
	for pattern, name := range map[*regexp.Regexp]string{revision: "REVISION", date: "DATE", number: "$1 N $2"} {
		got = pattern.ReplaceAllString(got, name)
	}
	if diff := cmp.Diff(string(want), got); diff != "" || code != 0 {
		t.Errorf("exit code %d (-want +got):\n%s", code, diff)
	}

	t.Run("the settings are those that the Deployment mounts", func(t *testing.T) {
		kubectl := cluster.Kubectl(t)
		kubectl.Run("create", "configmap", "eksguard-settings-5f6g7", "-n", "eksguard-system", "--from-file=settings.yaml=settings/good.yaml").
			Succeeded()
		kubectl.Run("apply", "-f", "setup-eksguard/deployment.yaml").Succeeded()
		t.Cleanup(func() {
			kubectl.Run("delete", "-f", "setup-eksguard/deployment.yaml").Succeeded()
			kubectl.Run("delete", "configmap", "eksguard-settings-5f6g7", "-n", "eksguard-system").Succeeded()
		})
		if found, code := findings(t, nil, args...); len(found) > 0 || code != 0 {
			t.Errorf("exit code %d: %q", code, found)
		}
	})
	t.Run("what may not be read is not taken to be well", func(t *testing.T) {
		stdout, code := run(t, "doctor", append(args, "--settings", good, "--kubeconfig", kubeconfigOf(t, "nobody"))...)
		if code != 2 || !strings.Contains(stdout, "checks could not be made") ||
			!strings.Contains(stdout, "may not create Pods") {
			t.Errorf("exit code %d:\n%s", code, stdout)
		}
	})
}

// Each fault is made for real, while eksguard runs.
func TestFaults(t *testing.T) {
	first := guard(t)
	second := replica(t, good)
	for _, row := range []struct {
		name, file string
		checks     []string
		settings   string
		args       []string
		want       []string
		code       int
	}{
		{
			name: "kube2iam gives every role, and reads what eksguard does not judge", file: "kube2iam.yaml",
			checks: []string{"kube2iam"}, code: 1,
			want: []string{
				`warning: kube2iam: DaemonSet kube-system/kube2iam runs without --namespace-restrictions`,
				`warning: kube2iam: DaemonSet kube-system/kube2iam gives a default role: "eks-default-prod"`,
				`error: kube2iam: DaemonSet kube-system/kube2iam has --namespace-key "example.com/roles", and settings.iam_role.allowed_roles_annotation is "iam.amazonaws.com/allowed-roles"`,
				`error: kube2iam: DaemonSet kube-system/kube2iam has --base-role-arn "arn:aws:iam::123456789012:role", and settings.iam_role.base_arn is "arn:aws:iam::555555555555:role/"`,
			},
		},
		{name: "kube2iam as it should be", file: "kube2iam-as-it-should-be.yaml", checks: []string{"kube2iam"}},
		{name: "kiam reads what eksguard judges", file: "kiam.yaml", checks: []string{"kiam"}},
		{
			name: "Flux writes as somebody whom the settings do not know", file: "flux.yaml", checks: []string{"flux"}, code: 1,
			want: []string{
				`error: flux: Deployment flux-system/kustomize-controller writes as "system:serviceaccount:flux-system:reconciler", which is in no entry of settings.flux.reach`,
				`info: flux: Deployment flux-system/kustomize-controller runs without --no-cross-namespace-refs=true`,
				`warning: flux: settings.flux.reach[0] names no identity that Flux has here: "system:serviceaccount:flux:flux", "system:serviceaccount:flux-system:kustomize-controller", "system:serviceaccount:flux-system:helm-controller", "system:serviceaccount:flux-system:source-controller", "system:serviceaccount:flux-system:notification-controller", and 2 more`,
			},
		},
		{
			name: "Prometheus Operator under another name", file: "operator.yaml", checks: []string{"prometheus-operator"},
			want: []string{
				`warning: prometheus-operator: seems to be Prometheus Operator, but its image is not in settings.operator_upgrade.images: "Deployment monitoring/operator registry.example.com/platform/promop:v0.27.0"`,
				`info: prometheus-operator: CRDs without a version: "podmonitors.monitoring.coreos.com"`,
			},
		},
		{
			name: "administrators by a custom resource", file: "identity-mappings.yaml", checks: []string{"aws-auth"},
			// What is registered is another bundle's, which is an error of its own.
			args: []string{"--bundle", "../process/testdata/bundles/registration"}, code: 1,
			want: []string{
				`warning: aws-auth: the cluster has CustomResourceDefinition IAMIdentityMapping, and no policy is asked about it`,
			},
		},
		{name: "a webhook that injects", file: "injector.yaml", checks: []string{"other-webhooks"}},
		{
			name: "settings that say less than they seem to", settings: smells, checks: []string{"settings"},
			want: []string{
				`warning: settings: settings.cluster.account is empty`,
				`info: settings: rules that do not deny: "flux/namespace: warn", "iam-role/naming: dryrun"`,
				`warning: settings: settings.exceptions[0] (iam-role/naming: "renamed, OPS-1") expired: 2020-01-31`,
				`info: settings: settings.exceptions[0].namespace "webservice-99" matches no namespace of this cluster`,
				`info: settings: settings.iam_role.grants["kube-systems"] matches no namespace of this cluster`,
			},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.file != "" {
				cluster.Kubectl(t).Run("apply", "-f", "faults/"+row.file).Succeeded()
				t.Cleanup(func() { remove(t, "faults/"+row.file) })
			}
			settings := row.settings
			if settings == "" {
				settings = good
			}
			args := slices.Concat(row.args, []string{"--settings", settings, "--address", first.HealthURL, "--address", second})
			found, code := findings(t, row.checks, args...)
			if diff := cmp.Diff(row.want, found); diff != "" || code != row.code {
				t.Errorf("exit code %d, want %d; findings (-want +got):\n%s", code, row.code, diff)
			}
		})
	}
	t.Run("one replica", func(t *testing.T) {
		found, code := findings(t, []string{"replicas"}, "--settings", good, "--address", first.HealthURL)
		if diff := cmp.Diff([]string{"warning: replicas: there is one replica"}, found); diff != "" || code != 0 {
			t.Errorf("exit code %d (-want +got):\n%s", code, diff)
		}
	})
	t.Run("replicas that decide differently", func(t *testing.T) {
		third := replica(t, smells)
		found, code := findings(t, []string{"replicas"}, "--settings", good, "--address", first.HealthURL, "--address", third)
		if code != 1 || len(found) != 2 ||
			!strings.HasPrefix(found[0], "error: replicas: replicas decide by different revisions: ") {
			t.Errorf("exit code %d: %q", code, found)
		}
	})
	t.Run("settings that a replica does not take", func(t *testing.T) {
		settings := filepath.Join(t.TempDir(), "settings.yaml")
		write := func(text string) {
			if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(`cluster: {account: "555555555555"}`)
		third := replica(t, settings)
		write(`iam_role: {environment: [prod]}`)
		e2e.Eventually(t, 30*time.Second, "doctor finds it", func() error {
			found, code := findings(
				t,
				[]string{"replicas"},
				"--settings",
				good,
				"--address",
				first.HealthURL,
				"--address",
				third,
			)
			want := "error: replicas: " + third + ` does not take bundle "--settings" (settings): `
			if code != 1 || len(found) == 0 || !strings.HasPrefix(found[0], want) ||
				!strings.Contains(found[0], `did you mean "environments"?`) {
				return fmt.Errorf("exit code %d: %q", code, found)
			}
			return nil
		})
	})
	t.Run("a replica that does not answer", func(t *testing.T) {
		address := "http://127.0.0.1:" + e2e.FreePorts(t, 1)[0]
		found, code := findings(
			t,
			[]string{"replicas"},
			"--settings",
			good,
			"--address",
			first.HealthURL,
			"--address",
			address,
		)
		if code != 1 || len(found) != 1 ||
			!strings.HasPrefix(found[0], "error: replicas: "+address+" does not tell its status: ") {
			t.Errorf("exit code %d: %q", code, found)
		}
	})
}

// A registration that nobody repairs, since eksguard is down.
func TestFaultsOfRegistration(t *testing.T) {
	down := guard(t)
	hooks := cluster.Clients(t).AdmissionregistrationV1().ValidatingWebhookConfigurations()
	asRegistered, err := hooks.Get(t.Context(), "eksguard", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := down.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, patch string
		want        []string
	}{
		{
			"a webhook that fails open", `[{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]`,
			[]string{`error: registration: ValidatingWebhookConfiguration: webhook "aws-auth.eksguard.io" has failurePolicy Ignore, and its policy asks for Fail`},
		},
		{
			"a namespace that is exempt",
			`[{"op": "replace", "path": "/webhooks/0/namespaceSelector/matchExpressions/0/values", "value": ["eksguard-system", "kube-system"]}]`,
			[]string{
				`error: registration: ValidatingWebhookConfiguration: webhook "aws-auth.eksguard.io" differs from its policy in namespaceSelector`,
				`error: registration: namespaces are exempt, "kube-system", from webhooks "aws-auth.eksguard.io"`,
			},
		},
		{
			"match conditions and rules that hold more back",
			`[{"op": "replace", "path": "/webhooks/0/rules", "value": [{"apiGroups": ["none.example.com"], "apiVersions": ["v1"], "resources": ["nothings"], "operations": ["CREATE"], "scope": "*"}]},
			  {"op": "add", "path": "/webhooks/0/matchConditions/-", "value": {"name": "never", "expression": "false"}}]`,
			[]string{`error: registration: ValidatingWebhookConfiguration: webhook "aws-auth.eksguard.io" differs from its policy in matchConditions, rules`},
		},
		{
			"a webhook that is gone, and one that is too many", `[{"op": "replace", "path": "/webhooks/0/name", "value": "other.eksguard.io"}]`,
			[]string{
				`error: registration: ValidatingWebhookConfiguration: webhooks are missing: "aws-auth.eksguard.io"`,
				`warning: registration: ValidatingWebhookConfiguration: webhooks that no policy of this bundle asks for: "other.eksguard.io"`,
			},
		},
		{
			"an authority that did not sign", `[{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": "` + otherAuthority(t) + `"}]`,
			[]string{`error: certificate: webhook "aws-auth.eksguard.io": the API server does not trust the serving certificate: x509: certificate signed by unknown authority`},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			if _, err := hooks.Patch(
				t.Context(),
				"eksguard",
				types.JSONPatchType,
				[]byte(row.patch),
				metav1.PatchOptions{},
			); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { restore(t, asRegistered) })
			found, code := findings(t, []string{"registration", "certificate"}, "--settings", good)
			if diff := cmp.Diff(row.want, found); diff != "" || code != 1 {
				t.Errorf("exit code %d (-want +got):\n%s", code, diff)
			}
		})
	}
	t.Run("a certificate that was not renewed", func(t *testing.T) {
		shorten(t)
		found, code := findings(t, []string{"certificate"}, "--settings", good)
		if code != 1 || len(found) != 1 ||
			!strings.HasPrefix(found[0], "warning: certificate: the serving certificate expires at ") {
			t.Errorf("exit code %d: %q", code, found)
		}
	})
	t.Run("nobody answers", func(t *testing.T) {
		found, code := findings(t, []string{"admission", "replicas"}, "--settings", good)
		if code != 1 || len(found) != 2 ||
			!strings.HasPrefix(found[0], "error: admission: the API server got no answer from eksguard: ") ||
			found[1] != `error: replicas: namespace "eksguard-system" has no Pod with label app.kubernetes.io/name=eksguard` {
			t.Errorf("exit code %d: %q", code, found)
		}
	})
	t.Run("nothing is registered", func(t *testing.T) {
		cluster.Unregister(t)
		found, code := findings(t, []string{"admission", "registration", "certificate"}, "--settings", good)
		want := []string{
			`error: admission: a Pod in namespace "default" whose annotation "iam.amazonaws.com/role" is empty was admitted (dry run)`,
			`error: registration: eksguard is not registered: there is no webhook configuration eksguard`,
		}
		if diff := cmp.Diff(want, found); diff != "" || code != 1 {
			t.Errorf("exit code %d (-want +got):\n%s", code, diff)
		}
	})
	t.Run("nobody is mapped by aws-auth", func(t *testing.T) {
		awsAuth := e2e.Parse(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: aws-auth, namespace: kube-system}}")
		cluster.As(t, "").Delete(awsAuth).Admitted()
		t.Cleanup(func() { cluster.Kubectl(t).Run("apply", "-f", "setup/aws-auth.yaml").Succeeded() })
		found, _ := findings(t, []string{"aws-auth"}, "--settings", good)
		want := []string{
			`info: aws-auth: there is no ConfigMap kube-system/aws-auth: the cluster maps by EKS access entries alone, or nobody yet`,
		}
		if diff := cmp.Diff(want, found); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}
