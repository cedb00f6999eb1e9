package policies_test

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// Whoever may do everything else in Flux's namespace still does not come to its deploy key.
func TestFluxKey(t *testing.T) {
	installFlux(t)
	startFluxObjects(t)
	cluster.Guard(t, local.EksguardOptions{Settings: standardSettings})
	object := func(text string) func() *unstructured.Unstructured {
		return func() *unstructured.Unstructured { return e2e.Parse(t, text) }
	}
	created := func(o func() *unstructured.Unstructured) func(c *e2e.Client) *e2e.Outcome {
		return func(c *e2e.Client) *e2e.Outcome { return c.Create(o(), e2e.DryRun) }
	}
	key := object("{apiVersion: v1, kind: Secret, metadata: {name: flux-system, namespace: flux-system}}") // made by setup/flux.yaml
	pod := func(spec string) func(c *e2e.Client) *e2e.Outcome {
		return created(object("{apiVersion: v1, kind: Pod, metadata: {name: mine, namespace: flux-system}, spec: {" + spec +
			"containers: [{name: a, image: a}]}}"))
	}
	role := func(rule string) func() *unstructured.Unstructured {
		return object("{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: mine, namespace: " +
			"flux-system}, rules: [" + rule + "]}")
	}
	binding := func(kind, role string) func() *unstructured.Unstructured {
		return object("{apiVersion: rbac.authorization.k8s.io/v1, kind: " + kind + ", metadata: {name: mine, " +
			"namespace: flux-system}, " +
			"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: '" + role + "'}, " +
			"subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: mallory}]}")
	}
	for _, row := range []struct {
		name  string
		write func(c *e2e.Client) *e2e.Outcome
		rule  string // that denies it to alice, or several
	}{
		{"another key", func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(key(), types.MergePatchType, `{"stringData": {"identity": "mine"}}`, e2e.DryRun)
		}, "flux-key/secret"},
		{"deletion of the key", func(c *e2e.Client) *e2e.Outcome { return c.Delete(key(), e2e.DryRun) }, "flux-key/secret"},
		{"deletion of all Secrets", func(c *e2e.Client) *e2e.Outcome { return c.DeleteCollection(key(), "", e2e.DryRun) }, "flux-key/secret"},
		{"a Pod with the key", pod("volumes: [{name: key, secret: {secretName: flux-system}}], "), "flux-key/pod"},
		{"a Pod as Flux", pod("serviceAccountName: kustomize-controller, "), "flux-key/pod"},
		{"a Pod without either", pod(""), ""},
		{"a token of Flux", func(c *e2e.Client) *e2e.Outcome {
			account := e2e.Parse(t, "{apiVersion: v1, kind: ServiceAccount, metadata: {name: kustomize-controller, namespace: flux-system}}")
			request := e2e.Parse(t, "{apiVersion: authentication.k8s.io/v1, kind: TokenRequest, metadata: {name: kustomize-controller}, spec: {audiences: [a]}}")
			return c.CreateIn(account, request, e2e.Subresource("token"), e2e.DryRun)
		}, "flux-key/token"},
		{"a right to read the key", created(object("{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: reader, namespace: flux-system}, " +
			`rules: [{apiGroups: [""], resources: [secrets], verbs: [get]}]}`)), "flux-key/rbac"},
		{"a right to read something else", created(object("{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: reader, namespace: flux-system}, " +
			`rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]}`)), ""},
		{"a Secret elsewhere", created(object("{apiVersion: v1, kind: Secret, metadata: {name: flux-system, namespace: webservice-01}}")), ""},

		{"a patch of the key that changes nothing", func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(key(), types.MergePatchType, `{}`, e2e.DryRun)
		}, "flux-key/secret"},
		{"a JSON patch of the key", func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(key(), types.JSONPatchType, `[{"op": "replace", "path": "/data/identity", "value": `+
				`"bWluZQ=="}]`, e2e.DryRun)
		}, "flux-key/secret"},
		{"a strategic patch of the key", func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(key(), types.StrategicMergePatchType, `{"data": {"identity": "bWluZQ=="}}`, e2e.DryRun)
		}, "flux-key/secret"},
		{"another key, applied", func(c *e2e.Client) *e2e.Outcome {
			o := key()
			o.Object["stringData"] = map[string]any{"identity": "mine"}
			return c.Apply(o, e2e.DryRun)
		}, "flux-key/secret"},
		{"an annotation on the key, by which others copy it", func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(key(), types.MergePatchType,
				`{"metadata": {"annotations": {"reflector.v1.k8s.emberstack.com/reflection-allowed": "true"}}}`,
				e2e.DryRun)
		}, "flux-key/secret"},
		{"a key with a generated name", created(object("{apiVersion: v1, kind: Secret, metadata: {generateName: " +
			"sops-, namespace: flux-system}}")),
			"flux-key/secret"},
		{"a Secret that a GitRepository names", created(object("{apiVersion: v1, kind: Secret, metadata: {name: " +
			"apps-key, namespace: flux-system}}")),
			"flux-key/secret"},
		{"another Secret there", created(object("{apiVersion: v1, kind: Secret, metadata: {name: other, namespace: " +
			"flux-system}}")), ""},
		{"a Secret with a token of Flux", created(object("{apiVersion: v1, kind: Secret, type: " +
			"kubernetes.io/service-account-token, metadata: " +
			"{name: other, namespace: flux-system, annotations: {kubernetes.io/service-account.name: " +
			"kustomize-controller}}}")), "flux-key/token"},

		{"a Pod with the key in a variable", pod("initContainers: [{name: b, image: b, env: [{name: K, valueFrom: " +
			"{secretKeyRef: {name: flux-system, key: identity}}}]}], "), "flux-key/pod"},
		{"a Pod with the key as environment", pod("initContainers: [{name: b, image: b, envFrom: [{secretRef: " +
			"{name: flux-system}}]}], "), "flux-key/pod"},
		{"a Pod with the key in a projected volume", pod("volumes: [{name: key, projected: {sources: [{secret: " +
			"{name: flux-system}}]}}], "), "flux-key/pod"},
		{"a Pod with the key for a CSI driver", pod("volumes: [{name: key, csi: {driver: a, nodePublishSecretRef: " +
			"{name: flux-system}}}], "), "flux-key/pod"},
		{"a Pod that is pulled with the key", pod("imagePullSecrets: [{name: flux-system}], "), "flux-key/pod"},
		{"a Pod with the key of a GitRepository", pod("volumes: [{name: key, secret: {secretName: apps-key}}], "),
			"flux-key/pod"},
		{"a Pod as Flux, by the old field", pod("serviceAccount: kustomize-controller, "), "flux-key/pod"},
		{"a Deployment as Flux", created(object("{apiVersion: apps/v1, kind: Deployment, metadata: {name: mine, " +
			"namespace: flux-system}, spec: " + asFluxInTemplate)), "flux-key/pod"},
		{"a ReplicaSet as Flux", created(object("{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: mine, " +
			"namespace: flux-system}, spec: " + asFluxInTemplate)), "flux-key/pod"},
		{"a StatefulSet as Flux", created(object("{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: mine, " +
			"namespace: flux-system}, spec: " + asFluxInTemplate)), "flux-key/pod"},
		{"a DaemonSet as Flux", created(object("{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: mine, " +
			"namespace: flux-system}, spec: " + asFluxInTemplate)), "flux-key/pod"},
		{"a ReplicationController as Flux", created(object("{apiVersion: v1, kind: ReplicationController, metadata: " +
			"{name: mine, namespace: flux-system}, spec: " +
			"{selector: {app: mine}, template: {metadata: {labels: {app: mine}}, spec: {serviceAccountName: " +
			"kustomize-controller, containers: [{name: a, image: a}]}}}}")), "flux-key/pod"},
		{"a Job as Flux", created(object("{apiVersion: batch/v1, kind: Job, metadata: {name: mine, namespace: " +
			"flux-system}, spec: " + jobAsFlux + "}")), "flux-key/pod"},
		{"a CronJob as Flux", created(object("{apiVersion: batch/v1, kind: CronJob, metadata: {name: mine, " +
			"namespace: flux-system}, spec: " +
			"{schedule: '* * * * *', jobTemplate: {spec: " + jobAsFlux + "}}}")), "flux-key/pod"},
		{"a PodTemplate as Flux", created(object("{apiVersion: v1, kind: PodTemplate, metadata: {name: mine, " +
			"namespace: flux-system}, template: " +
			"{metadata: {labels: {app: mine}}, spec: {serviceAccountName: kustomize-controller, containers: [{name: " +
			"a, image: a}]}}}")), "flux-key/pod"},
		{"the revision of a StatefulSet that runs as Flux", created(object("{apiVersion: apps/v1, kind: " +
			"ControllerRevision, revision: 1, metadata: {name: mine, namespace: flux-system}, " +
			"data: {spec: {template: {$patch: replace, spec: {serviceAccountName: kustomize-controller, containers: " +
			"[{name: a, image: a}]}}}}}")), "flux-key/pod"},
		{"another image for a Pod of Flux", func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(object("{apiVersion: apps/v1, kind: Deployment, metadata: {name: source-controller, "+
				"namespace: flux-system}}")(), types.StrategicMergePatchType,
				`{"spec": {"template": {"spec": {"containers": [{"name": "manager", "image": "mine"}]}}}}`, e2e.DryRun)
		}, "flux-key/pod"},
		{"more replicas of Flux", func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(object("{apiVersion: apps/v1, kind: Deployment, metadata: {name: source-controller, "+
				"namespace: flux-system}}")(), types.MergePatchType,
				`{"spec": {"replicas": 0}}`, e2e.DryRun)
		}, ""},
		{"a container that is added to a Pod of Flux", func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(object("{apiVersion: v1, kind: Pod, metadata: {name: source-controller, namespace: "+
				"flux-system}}")(), types.StrategicMergePatchType,
				`{"spec": {"ephemeralContainers": [{"name": "debug", "image": "mine"}]}}`,
				e2e.Subresource("ephemeralcontainers"), e2e.DryRun)
		}, "flux-key/connect"},

		{"a source with another url", func(c *e2e.Client) *e2e.Outcome {
			return c.Create(fluxObject(t, "GitRepository", "flux-system",
				"{interval: 1h, url: 'https://example.com/mine', secretRef: {name: flux-system}}"), e2e.DryRun)
		}, "flux-key/apply flux-key/source"},
		{"the url of a source", func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(fluxApps(t, "GitRepository"), types.MergePatchType,
				`{"spec": {"url": "https://example.com/mine"}}`, e2e.DryRun)
		}, "flux-key/apply flux-key/source"},
		{"a source without its key", func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(fluxApps(t, "GitRepository"), types.MergePatchType, `{"spec": {"secretRef": null}}`,
				e2e.DryRun)
		}, "flux-key/apply flux-key/source"},
		{"the deletion of a source, whose key is then no key", func(c *e2e.Client) *e2e.Outcome {
			return c.Delete(fluxApps(t, "GitRepository"), e2e.DryRun)
		}, "flux-key/apply flux-key/source"},
		{"the deletion of all sources", func(c *e2e.Client) *e2e.Outcome {
			return c.DeleteCollection(fluxApps(t, "GitRepository"), "", e2e.DryRun)
		}, "flux-key/apply flux-key/source"},
		{"another artifact in the status of a source", func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(fluxApps(t, "GitRepository"), types.MergePatchType, `{"status": {"observedGeneration": `+
				`7}}`, e2e.Subresource("status"), e2e.DryRun)
		}, "flux-key/status"},
		{"a Bucket with the key", func(c *e2e.Client) *e2e.Outcome {
			return c.Create(fluxObject(t, "Bucket", "flux-system", "{interval: 1h, bucketName: a, endpoint: "+
				"example.com, secretRef: {name: flux-system}}"), e2e.DryRun)
		}, "flux-key/apply flux-key/source"},
		{"a HelmRepository with the key", func(c *e2e.Client) *e2e.Outcome {
			return c.Create(fluxObject(t, "HelmRepository", "flux-system", "{url: 'https://example.com', secretRef: "+
				"{name: flux-system}}"), e2e.DryRun)
		}, "flux-key/apply flux-key/source"},
		{"an OCIRepository with the key", func(c *e2e.Client) *e2e.Outcome {
			return c.Create(fluxObject(t, "OCIRepository", "flux-system",
				"{interval: 1h, url: 'oci://example.com/a', secretRef: {name: flux-system}}"), e2e.DryRun)
		}, "flux-key/apply flux-key/source"},
		{"an OCIRepository with a token of Flux", func(c *e2e.Client) *e2e.Outcome {
			return c.Create(fluxObject(t, "OCIRepository", "flux-system",
				"{interval: 1h, url: 'oci://example.com/a', serviceAccountName: source-controller}"), e2e.DryRun)
		}, "flux-key/apply flux-key/source"},
		{"an ImageRepository with the key", func(c *e2e.Client) *e2e.Outcome {
			return c.Create(fluxObject(t, "ImageRepository", "flux-system", "{interval: 1h, image: example.com/a, "+
				"secretRef: {name: flux-system}}"), e2e.DryRun)
		}, "flux-key/source"},
		{"image automation that pushes", func(c *e2e.Client) *e2e.Outcome {
			return c.Create(fluxObject(t, "ImageUpdateAutomation", "flux-system",
				"{interval: 1h, sourceRef: {kind: GitRepository, name: apps}, git: {commit: {author: {email: "+
					"a@example.com}}}}"), e2e.DryRun)
		}, "flux-key/source"},
		{"a Provider with the key", func(c *e2e.Client) *e2e.Outcome {
			return c.Create(fluxObject(t, "Provider", "flux-system", "{type: generic, address: "+
				"'https://example.com', secretRef: {name: flux-system}}"), e2e.DryRun)
		}, "flux-key/source"},
		{"a Receiver with the key", func(c *e2e.Client) *e2e.Outcome {
			return c.Create(fluxObject(t, "Receiver", "flux-system", "{type: generic, secretRef: {name: "+
				"flux-system}, resources: [{kind: GitRepository, name: apps}]}"), e2e.DryRun)
		}, "flux-key/source"},
		{"a Kustomization that runs as Flux", func(c *e2e.Client) *e2e.Outcome {
			return c.Create(fluxObject(t, "Kustomization", "flux-system", "{interval: 1h, prune: true, sourceRef: "+
				"{kind: GitRepository, name: apps}}"), e2e.DryRun)
		}, "flux-key/apply"},
		{"a Kustomization that runs as Flux by its name", func(c *e2e.Client) *e2e.Outcome {
			return c.Create(fluxObject(t, "Kustomization", "flux-system",
				"{interval: 1h, prune: true, serviceAccountName: kustomize-controller, sourceRef: {kind: "+
					"GitRepository, name: apps}}"), e2e.DryRun)
		}, "flux-key/source"},
		{"a Kustomization that runs as another", func(c *e2e.Client) *e2e.Outcome {
			return c.Create(fluxObject(t, "Kustomization", "flux-system",
				"{interval: 1h, prune: true, serviceAccountName: apps, sourceRef: {kind: GitRepository, name: "+
					"apps}}"), e2e.DryRun)
		}, ""},
		{"a Kustomization that writes the key into what it makes", func(c *e2e.Client) *e2e.Outcome {
			return c.Create(fluxObject(t, "Kustomization", "flux-system", "{interval: 1h, prune: true, "+
				"serviceAccountName: apps, "+
				"sourceRef: {kind: GitRepository, name: apps}, postBuild: {substituteFrom: [{kind: Secret, name: "+
				"flux-system}]}}"), e2e.DryRun)
		}, "flux-key/source"},
		{"a Kustomization that decrypts with the key", func(c *e2e.Client) *e2e.Outcome {
			return c.Create(fluxObject(t, "Kustomization", "flux-system", "{interval: 1h, prune: true, "+
				"serviceAccountName: apps, "+
				"sourceRef: {kind: GitRepository, name: apps}, decryption: {provider: sops, secretRef: {name: "+
				"sops-age}}}"), e2e.DryRun)
		}, "flux-key/source"},
		{"another path of a Kustomization of Flux", func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(fluxApps(t, "Kustomization"), types.MergePatchType, `{"spec": {"path": "./mine"}}`,
				e2e.DryRun)
		}, "flux-key/apply"},
		{"what a Kustomization of Flux is to prune", func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(fluxApps(t, "Kustomization"), types.MergePatchType,
				`{"status": {"inventory": {"entries": [{"id": "kube-system_aws-auth__ConfigMap", "v": "v1"}]}}}`,
				e2e.Subresource("status"), e2e.DryRun)
		}, "flux-key/status"},
		{"the deletion of a Kustomization of Flux", func(c *e2e.Client) *e2e.Outcome {
			return c.Delete(fluxApps(t, "Kustomization"), e2e.DryRun)
		}, "flux-key/apply"},
		{"a request to reconcile", func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(fluxApps(t, "Kustomization"), types.MergePatchType,
				`{"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "now"}}}`, e2e.DryRun)
		}, ""},
		{"a HelmRelease with the key as values", func(c *e2e.Client) *e2e.Outcome {
			return c.Create(fluxObject(t, "HelmRelease", "flux-system",
				"{interval: 1h, serviceAccountName: apps, chartRef: {kind: OCIRepository, name: a}, valuesFrom: "+
					"[{kind: Secret, name: flux-system}]}"), e2e.DryRun)
		}, "flux-key/source"},
		{"a HelmRelease that runs as Flux", func(c *e2e.Client) *e2e.Outcome {
			return c.Create(fluxObject(t, "HelmRelease", "flux-system", "{interval: 1h, chartRef: {kind: "+
				"OCIRepository, name: a}}"), e2e.DryRun)
		}, "flux-key/apply"},
		{"a ResourceSet that runs as Flux Operator", func(c *e2e.Client) *e2e.Outcome {
			return c.Create(fluxObject(t, "ResourceSet", "flux-system", "{resources: []}"), e2e.DryRun)
		}, "flux-key/apply"},

		{"a right to make tokens of Flux", created(role("{apiGroups: [''], resources: [serviceaccounts/token], " +
			"verbs: [create]}")), "flux-key/rbac"},
		{"a right to go into Pods of Flux", created(role("{apiGroups: [''], resources: ['*/exec'], verbs: " +
			"[create]}")), "flux-key/rbac"},
		{"a right to act as Flux", created(object("{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, " +
			"metadata: {name: mine}, " +
			"rules: [{apiGroups: [''], resources: [serviceaccounts], verbs: [impersonate]}]}")), "flux-key/rbac"},
		{"a right to act as Flux where that is constrained",
			created(object("{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: mine}, " +
				"rules: [{apiGroups: [authentication.k8s.io], resources: [serviceaccounts], verbs: " +
				"['impersonate:serviceaccount']}]}")), "flux-key/rbac"},
		{"a right to go through nodes", created(object("{apiVersion: rbac.authorization.k8s.io/v1, kind: " +
			"ClusterRole, metadata: {name: mine}, " +
			"rules: [{apiGroups: [''], resources: [nodes/proxy], verbs: [get]}]}")), "flux-key/rbac"},
		{"a ClusterRole that others fill", created(object("{apiVersion: rbac.authorization.k8s.io/v1, kind: " +
			"ClusterRole, metadata: {name: mine}, " +
			"aggregationRule: {clusterRoleSelectors: [{matchLabels: {a: b}}]}}")), "flux-key/rbac"},
		{"a label by which a ClusterRole fills others", func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(object("{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: "+
				"cluster-admin}}")(), types.MergePatchType,
				`{"metadata": {"labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}}}`, e2e.DryRun)
		}, "flux-key/rbac"},
		{"a binding to a role that opens the key", created(binding("RoleBinding",
			"system:kube-controller-manager")), "flux-key/rbac"},
		{"a binding to a role that opens nothing", created(binding("RoleBinding", "system:discovery")), ""},
		{"a binding to a role that is not filled yet", created(binding("RoleBinding", "admin")), "flux-key/rbac"},
		{"a binding in all namespaces", created(binding("ClusterRoleBinding", "system:kube-controller-manager")),
			"flux-key/rbac"},
		{"one more subject of a binding", func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(object("{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: "+
				"{name: 'system:kube-controller-manager'}}")(), types.JSONPatchType,
				`[{"op": "add", "path": "/subjects/-", "value": {"apiGroup": "rbac.authorization.k8s.io", "kind": `+
					`"User", "name": "mallory"}}]`, e2e.DryRun)
		}, "flux-key/rbac"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if o := row.write(cluster.As(t, alice)); row.rule == "" {
				o.Admitted()
			} else {
				o.Denied(strings.Fields(row.rule)...)
			}
			// The administrator of the control plane, in group system:masters, keeps the key.
			row.write(cluster.As(t, admin)).Admitted()
		})
	}
	t.Run("Flux writes the status of its objects, and its own way", func(t *testing.T) {
		cluster.As(t, "system:serviceaccount:flux-system:source-controller").Patch(fluxApps(t, "GitRepository"),
			types.MergePatchType,
			`{"status": {"observedGeneration": 7}}`, e2e.Subresource("status"), e2e.DryRun).Admitted()
		cluster.As(t, kustomize).Apply(fluxObject(t, "Kustomization", "flux-system", "{interval: 1h, prune: true, "+
			"sourceRef: {kind: GitRepository, name: apps}}"),
			e2e.DryRun).Admitted()
	})
	t.Run("going into a Pod of Flux", func(t *testing.T) {
		for _, row := range []struct {
			command string
			// otherwise is what the command comes to if nobody objects: there are no nodes here.
			otherwise string
		}{
			{"exec -n flux-system source-controller -- cat /var/run/key", "does not have a host assigned"},
			{"cp flux-system/source-controller:/var/run/key /dev/null", "does not have a host assigned"},
			{"attach -n flux-system source-controller", "does not have a host assigned"},
			{"get --raw /api/v1/namespaces/flux-system/pods/source-controller/proxy/", "address not allowed"},
			{"get --raw /api/v1/namespaces/flux-system/services/source-controller/proxy/", "no endpoints available"},
			{"debug -n flux-system source-controller --image=mine --attach=false --quiet", ""},
		} {
			t.Run(row.command, func(t *testing.T) {
				k := cluster.Kubectl(t)
				k.Run(append([]string{"--as", alice}, strings.Fields(row.command)...)...).Denied("flux-key/connect")
				if row.otherwise == "" {
					return // it would change the Pod for good
				}
				if seen := k.Run(strings.Fields(row.command)...); !strings.Contains(seen.Stderr, row.otherwise) {
					t.Errorf("kubectl %s printed %q", row.command, seen.Output())
				}
			})
		}
		t.Run("port-forward", func(t *testing.T) {
			// kubectl looks first whether the Pod runs. What it then asks is this.
			o := cluster.Kubectl(t).Run("--as", alice, "create", "--raw",
				"/api/v1/namespaces/flux-system/pods/source-controller/portforward?ports=80", "-f", "/dev/null")
			o.Denied("flux-key/connect")
		})
	})
	t.Run("custom resources that make Pods as Flux", func(t *testing.T) {
		kubectl := cluster.Kubectl(t)
		kubectl.Run("apply", "-f", "workloads/crds.yaml").Succeeded()
		kubectl.Run("wait", "--for=condition=established", "--timeout=30s", "-f", "workloads/crds.yaml").Succeeded()
		t.Cleanup(func() { kubectl.Run("delete", "--ignore-not-found", "-f", "workloads/crds.yaml").Succeeded() })
		rollout := e2e.Parse(t, "{apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {name: mine, namespace: "+
			"flux-system}, spec: "+asFluxInTemplate)
		e2e.Eventually(t, 10*time.Second, "the API server serves it", func() error {
			return cluster.As(t, admin).Create(rollout, e2e.DryRun).Err
		})
		cluster.As(t, alice).Create(rollout, e2e.DryRun).Denied("flux-key/pod")
		cluster.As(t, alice).Apply(rollout, e2e.DryRun).Denied("flux-key/pod")
	})
}

const (
	asFluxInTemplate = "{selector: {matchLabels: {app: mine}}, template: {metadata: {labels: {app: mine}}, spec: " +
		"{serviceAccountName: kustomize-controller, containers: [{name: a, image: a}]}}}}"
	jobAsFlux = "{template: {spec: {serviceAccountName: kustomize-controller, restartPolicy: Never, containers: " +
		"[{name: a, image: a}]}}}"
)

// startFluxObjects makes what Flux would have: a GitRepository with a key of its own, a Kustomization, a controller.
func startFluxObjects(t *testing.T) {
	t.Helper()
	c := cluster.As(t, admin)
	for _, o := range []*unstructured.Unstructured{
		fluxApps(t, "GitRepository"), fluxApps(t, "Kustomization"),
		e2e.Parse(t, "{apiVersion: apps/v1, kind: Deployment, metadata: {name: source-controller, namespace: "+
			"flux-system}, spec: {selector: {matchLabels: {app: source}}, "+
			"template: {metadata: {labels: {app: source}}, spec: {serviceAccountName: source-controller, "+
			"containers: [{name: manager, image: source-controller}]}}}}"),
		e2e.Parse(t, "{apiVersion: v1, kind: Service, metadata: {name: source-controller, namespace: flux-system}, "+
			"spec: {ports: [{port: 80}], selector: {app: none}}}"),
	} {
		c.Create(o).Admitted()
		t.Cleanup(func() { c.Delete(o).Admitted() })
	}
}

// fluxApps is the GitRepository or the Kustomization called apps in Flux's namespace.
func fluxApps(t testing.TB, kind string) *unstructured.Unstructured {
	t.Helper()
	o := fluxObject(t, kind, "flux-system", map[string]string{
		"GitRepository": "{interval: 1h, url: 'https://git.example.com/apps', secretRef: {name: apps-key}}",
		"Kustomization": "{interval: 1h, prune: true, sourceRef: {kind: GitRepository, name: apps}}",
	}[kind])
	o.SetName("apps")
	return o
}
