package soak

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// verb is how something is written.
type verb string

const (
	create           verb = "create"
	update           verb = "update"
	patch            verb = "patch"
	apply            verb = "apply"
	remove           verb = "delete"
	removeCollection verb = "deletecollection"
)

// Who writes. All of them may do everything as far as RBAC is concerned.
const (
	admin = ""
	alice = "alice"
	flux  = "system:serviceaccount:flux-system:kustomize-controller"
)

// write is one write, and what is to come of it.
type write struct {
	// policy is the one that is asked. Empty: nobody is, so that the write is admitted whatever becomes of eksguard.
	policy string
	user   string
	verb   verb
	// object is YAML; in it ID stands for what makes a name unique.
	object string
	// patch is what patch merges into the object.
	patch string
	// subresource is that of the object to which is written; empty: the object itself.
	subresource string
	dryRun      bool
	// rules are those that are to deny it, sorted. None: it is to be admitted.
	rules []string
	// unmutated are the rules that deny it when nobody has mutated it.
	unmutated []string
	// check tells what is wrong with what was admitted. Default: nothing.
	check func(*unstructured.Unstructured) error
}

// scenario is writes that follow each other. If one of them comes out other than it should, the rest is left out.
type scenario struct {
	writes []write
	// alone has one writer do it, since it changes what all share.
	alone bool
}

func (w *write) parse(id string) (*unstructured.Unstructured, error) {
	var o unstructured.Unstructured
	if err := yaml.UnmarshalStrict([]byte(strings.ReplaceAll(w.object, "ID", id)), &o.Object); err != nil {
		return nil, fmt.Errorf("%w:\n%s", err, w.object)
	}
	return &o, nil
}

// title tells a person what is written.
func (w *write) title() string {
	o, err := w.parse("ID")
	if err != nil {
		return err.Error()
	}
	title := fmt.Sprintf("%s %s", w.verb, o.GetKind())
	if w.subresource != "" {
		title += "/" + w.subresource
	}
	title += fmt.Sprintf(" %s/%s", o.GetNamespace(), o.GetName())
	if w.user != "" {
		title += " as " + w.user
	}
	if w.dryRun {
		title += " (dry run)"
	}
	return title
}

func (w *write) expectation() string {
	if len(w.rules) == 0 {
		return "admitted"
	}
	return "denied by " + strings.Join(w.rules, ", ")
}

// makes tells whether the object is there, under a name of its own, if this is admitted.
func (w *write) makes() bool {
	return !w.dryRun && (w.verb == create || w.verb == apply) && w.subresource == "" && strings.Contains(w.object, "ID")
}

const (
	roles       = "arn:aws:iam::555555555555:role/"
	ownRole     = roles + "eks-webservice-01-prod"
	foreignRole = roles + "eks-webservice-02-prod"
	awsAuth     = "{apiVersion: v1, kind: ConfigMap, metadata: {name: aws-auth, namespace: kube-system}}"
	usedCRD     = "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, " +
		"metadata: {name: servicemonitors.monitoring.coreos.com}}"
	fluxKey = "{apiVersion: v1, kind: Secret, metadata: {name: flux-system, namespace: flux-system}}"
)

func pod(namespace, metadata string) string {
	return "{apiVersion: v1, kind: Pod, metadata: {name: soak-ID, namespace: " + namespace + metadata +
		"}, spec: {containers: [{name: a, image: a}]}}"
}

func podAs(namespace, role string) string {
	return pod(namespace, ", annotations: {iam.amazonaws.com/role: '"+role+"'}")
}

func deployment(role string) string {
	return "{apiVersion: apps/v1, kind: Deployment, metadata: {name: soak-ID, namespace: webservice-01}, " +
		"spec: {replicas: 0, selector: {matchLabels: {app: soak-ID}}, template: {metadata: {labels: {app: soak-ID}, " +
		"annotations: {iam.amazonaws.com/role: '" + role + "'}}, spec: {containers: [{name: a, image: a}]}}}}"
}

func operator(image string) string {
	return "{apiVersion: apps/v1, kind: Deployment, metadata: {name: soak-ID, namespace: monitoring}, " +
		"spec: {replicas: 0, selector: {matchLabels: {app: soak-ID}}, template: {metadata: {labels: {app: soak-ID}}, " +
		"spec: {containers: [{name: a, image: '" + image + "'}]}}}}"
}

func namespace(allowed string) string {
	return "{apiVersion: v1, kind: Namespace, metadata: {name: soak-ID, annotations: " +
		"{iam.amazonaws.com/allowed-roles: '" + allowed + "'}}}"
}

func allowedRoles(allowed string) string {
	return fmt.Sprintf(`{"metadata": {"annotations": {"iam.amazonaws.com/allowed-roles": %q}}}`, allowed)
}

func serviceAccount(role string) string {
	return "{apiVersion: v1, kind: ServiceAccount, metadata: {name: soak-ID, namespace: webservice-01, annotations: " +
		"{eks.amazonaws.com/role-arn: '" + role + "'}}}"
}

func configMap(namespace, metadata string) string {
	return "{apiVersion: v1, kind: ConfigMap, metadata: {name: soak-ID, namespace: " + namespace + metadata + "}}"
}

func kustomization(spec string) string {
	return "{apiVersion: kustomize.toolkit.fluxcd.io/v1, kind: Kustomization, metadata: {name: soak-ID, " +
		"namespace: webservice-02}, spec: {interval: 1h, prune: true, sourceRef: {kind: GitRepository, name: a}" + spec + "}}"
}

func secret(name string) string {
	return "{apiVersion: v1, kind: Secret, metadata: {name: " + name + ", namespace: flux-system}}"
}

func mapUsers(users ...string) string {
	var text strings.Builder
	for _, user := range users {
		fmt.Fprintf(&text, `- userarn: arn:aws:iam::555555555555:user/%s\n  username: %[1]s\n  groups: [system:masters]\n`, user)
	}
	return `{"data": {"mapUsers": "` + text.String() + `"}}`
}

func mapRoles(more string) string {
	return `{"data": {"mapRoles": "- rolearn: arn:aws:iam::555555555555:role/eks-nodes\n` +
		`  username: system:node:{{EC2PrivateDNSName}}\n  groups: [system:bootstrappers, system:nodes]\n` + more + `"}}`
}

const codebuild = `- rolearn: arn:aws:iam::555555555555:role/codebuild\n  username: codebuild\n  groups: [deployers]\n`

// hasOwnRole means that a bare name was completed.
func hasOwnRole(o *unstructured.Unstructured) error {
	if role := o.GetAnnotations()["iam.amazonaws.com/role"]; role != ownRole {
		return fmt.Errorf("its role is %q, want %q", role, ownRole)
	}
	return nil
}

// scenarios has writes that every policy allows and denies.
func scenarios() []scenario {
	return []scenario{
		{writes: []write{ // the life of a Deployment
			{policy: "iam-role", verb: create, object: deployment(ownRole)},
			{policy: "iam-role", user: alice, verb: apply, object: deployment(foreignRole), rules: []string{"iam-role/ownership"}},
			{policy: "iam-role", verb: update, object: deployment(foreignRole), rules: []string{"iam-role/ownership"}},
			{policy: "iam-role", verb: patch, object: deployment(ownRole), patch: `{"spec": {"template": {"metadata": ` +
				`{"annotations": {"iam.amazonaws.com/role": "arn:aws:iam::SOMETHING"}}}}}`, rules: []string{"iam-role/form"}},
			{policy: "iam-role", user: alice, verb: apply, object: deployment(roles + "eks-webservice-01-dev")},
			{verb: patch, object: deployment(ownRole), patch: `{"spec": {"replicas": 0}}`, subresource: "scale"},
			{verb: patch, object: deployment(ownRole), patch: `{"metadata": {"labels": {"a": "b"}}}`},
			{verb: remove, object: deployment(ownRole)},
		}},
		{writes: []write{ // Pods
			{policy: "iam-role", verb: create, object: podAs("webservice-01", foreignRole), rules: []string{"iam-role/ownership"}},
			{policy: "iam-role", verb: create, object: podAs("webservice-01", "arn:aws:iam::SOMETHING"), dryRun: true,
				rules: []string{"iam-role/form"}},
			{policy: "iam-role", verb: create, object: podAs("webservice-01", "arn:aws:iam::111111111111:role/eks-webservice-01-prod"),
				rules: []string{"iam-role/account"}},
			{policy: "iam-role", verb: create, object: podAs("webservice-01", "eks-webservice-01-prod"), check: hasOwnRole,
				unmutated: []string{"iam-role/bare-name"}},
			{verb: remove, object: podAs("webservice-01", "")},
			{verb: create, object: pod("webservice-01", "")},
			{verb: remove, object: pod("webservice-01", "")},
		}},
		{writes: []write{ // a Namespace that is granted a role, which counts at once
			{policy: "iam-grants", user: alice, verb: create, object: namespace(`["eks-webservice-02-prod"]`),
				rules: []string{"iam-grants/administrator"}},
			{policy: "iam-grants", verb: create, object: namespace(`["eks-webservice-02-prod"]`)},
			{policy: "iam-role", verb: create, object: podAs("soak-ID", roles+"eks-webservice-03-prod"),
				rules: []string{"iam-role/ownership"}},
			{policy: "iam-role", verb: create, object: podAs("soak-ID", foreignRole)},
			{verb: remove, object: podAs("soak-ID", foreignRole)},
		}},
		{writes: []write{ // grants to a Namespace that is there
			{policy: "iam-grants", verb: patch, object: "{apiVersion: v1, kind: Namespace, metadata: {name: webservice-01}}",
				patch: allowedRoles(`["eks-*"]`), dryRun: true, rules: []string{"iam-grants/reach"}},
			{policy: "iam-grants", user: alice, verb: patch, object: "{apiVersion: v1, kind: Namespace, metadata: {name: webservice-01}}",
				patch: allowedRoles(`["eks-webservice-01-prod"]`), dryRun: true},
			{verb: patch, object: "{apiVersion: v1, kind: Namespace, metadata: {name: webservice-01}}",
				patch: `{"metadata": {"labels": {"a": "b"}}}`, dryRun: true},
		}},
		{writes: []write{ // ServiceAccounts
			{policy: "irsa", user: alice, verb: create, object: serviceAccount(foreignRole), rules: []string{"irsa/ownership"}},
			{policy: "irsa", user: alice, verb: create, object: serviceAccount(ownRole)},
			{policy: "irsa", user: alice, verb: apply, object: serviceAccount("eks-webservice-01-prod"), rules: []string{"irsa/form"}},
			{policy: "irsa", verb: update, object: serviceAccount(foreignRole), rules: []string{"irsa/ownership"}},
			{verb: remove, object: serviceAccount(ownRole)},
		}},
		{writes: []write{ // aws-auth, which all share: what is denied is a dry run
			{policy: "aws-auth", verb: patch, object: awsAuth, patch: mapUsers("admin", "admin2"), dryRun: true,
				rules: []string{"aws-auth/admin-grant"}},
			{policy: "aws-auth", verb: patch, object: awsAuth, patch: `{"data": {"mapUsers": ""}}`, dryRun: true,
				rules: []string{"aws-auth/last-admin-lost"}},
			{policy: "aws-auth", verb: patch, object: awsAuth, patch: `{"data": {"mapRoles": "["}}`, dryRun: true,
				rules: []string{"aws-auth/node-role-lost", "aws-auth/unparsable"}},
			{policy: "aws-auth", user: alice, verb: remove, object: awsAuth, dryRun: true, rules: []string{"aws-auth/deleted"}},
			{policy: "aws-auth", user: alice, verb: patch, object: awsAuth, patch: mapRoles(codebuild), dryRun: true},
			{policy: "aws-auth", verb: create, object: "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, " +
				"metadata: {name: soak-ID}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}, " +
				"subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: soak-ID}]}",
				rules: []string{"aws-auth/admin-binding"}},
		}},
		{alone: true, writes: []write{ // aws-auth, changed
			{policy: "aws-auth", verb: patch, object: awsAuth, patch: mapRoles(codebuild)},
			{policy: "aws-auth", verb: patch, object: awsAuth, patch: mapRoles("")},
		}},
		{writes: []write{ // Flux, within its reach and out of it
			{policy: "flux", user: flux, verb: apply, object: configMap("webservice-01", "")},
			{policy: "flux", user: flux, verb: apply, object: configMap("kube-system", ""), rules: []string{"flux/namespace"}},
			{policy: "flux", user: flux, verb: create, object: configMap("monitoring", ""), rules: []string{"flux/namespace"}},
			{policy: "flux", user: flux, verb: removeCollection, object: configMap("monitoring", ""), dryRun: true,
				rules: []string{"flux/namespace"}},
			{policy: "flux", user: flux, verb: apply, object: "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, " +
				"metadata: {name: soak-ID}, rules: []}"},
			{policy: "flux", user: flux, verb: create, object: "{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, " +
				"metadata: {name: soak-ID}, value: 1}", rules: []string{"flux/cluster-kind"}},
			{policy: "flux", user: flux, verb: remove, object: configMap("webservice-01", "")},
			{verb: create, object: configMap("kube-system", "")},
		}},
		{writes: []write{ // the deploy key
			{policy: "flux-key", user: alice, verb: create, object: secret("sops-ID"), rules: []string{"flux-key/secret"}},
			{policy: "flux-key", user: alice, verb: patch, object: fluxKey, patch: `{"stringData": {"identity": "mine"}}`, dryRun: true,
				rules: []string{"flux-key/secret"}},
			{policy: "flux-key", user: alice, verb: remove, object: fluxKey, dryRun: true, rules: []string{"flux-key/secret"}},
			{policy: "flux-key", user: alice, verb: create, object: "{apiVersion: v1, kind: Pod, metadata: {name: soak-ID, namespace: " +
				"flux-system}, spec: {serviceAccountName: kustomize-controller, containers: [{name: a, image: a}]}}",
				rules: []string{"flux-key/pod"}},
			{policy: "flux-key", user: alice, verb: create, object: "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: " +
				"{name: soak-ID, namespace: flux-system}, rules: [{apiGroups: [''], resources: [secrets], verbs: [get]}]}",
				rules: []string{"flux-key/rbac"}},
			{policy: "flux-key", user: alice, verb: create, object: secret("soak-ID")},
			{policy: "flux-key", user: alice, verb: remove, object: secret("soak-ID")},
			{verb: patch, object: fluxKey, patch: `{"stringData": {"identity": "a key"}}`},
		}},
		{writes: []write{ // Flux objects of a tenant
			{policy: "flux-tenancy", user: alice, verb: create, object: kustomization(""), rules: []string{"flux-tenancy/service-account"}},
			{policy: "flux-tenancy", user: alice, verb: apply, object: kustomization(", serviceAccountName: deployer")},
			{policy: "flux-tenancy", user: alice, verb: patch, object: kustomization(""),
				patch: `{"spec": {"targetNamespace": "webservice-01"}}`, rules: []string{"flux-tenancy/target"}},
			{policy: "flux-tenancy", user: alice, verb: patch, object: kustomization(""), patch: `{"spec": {"interval": "2h"}}`},
			{verb: remove, object: kustomization("")},
		}},
		{writes: []write{ // Prometheus Operator and a CRD in use
			{policy: "operator-upgrade", verb: create, object: operator("quay.io/prometheus-operator/prometheus-operator:v0.93.0"),
				rules: []string{"operator-upgrade/crds-first"}},
			{policy: "operator-upgrade", verb: create, object: operator("quay.io/coreos/prometheus-operator:v0.27.0")},
			{policy: "operator-upgrade", verb: remove, object: usedCRD, dryRun: true, rules: []string{"operator-upgrade/crd-delete"}},
			{policy: "operator-upgrade", verb: patch, object: usedCRD, dryRun: true,
				patch: `{"metadata": {"annotations": {"operator.prometheus.io/version": "0.79.0"}}}`,
				rules: []string{"operator-upgrade/crd-downgrade"}},
			{policy: "operator-upgrade", verb: patch, object: usedCRD, dryRun: true,
				patch: `{"metadata": {"annotations": {"operator.prometheus.io/version": "0.93.0"}}}`},
			{verb: remove, object: operator("")},
		}},
		{writes: []write{ // a policy that comes and goes, and never denies this
			{policy: "soak", verb: create, object: configMap("default", ", labels: {soak: green}"), dryRun: true},
		}},
	}
}
