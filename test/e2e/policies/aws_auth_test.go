package policies_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// changes are what people do to aws-auth: what it is to become, from base.yaml, and the rules that deny it.
var changes = []struct {
	name, file string
	rules      []string
}{
	{"an administrator by accident", "admin2.yaml", []string{"aws-auth/admin-grant"}},
	{"an administrator whom the change confirms", "admin2-confirmed.yaml", nil},
	{"an administrator whom the settings list", "platform.yaml", nil},
	{"a role without special permissions", "codebuild.yaml", nil},
	{"a typing error", "typo.yaml", []string{"aws-auth/node-role-lost", "aws-auth/unparsable"}},
	{"the nodes' role left out", "no-nodes.yaml", []string{"aws-auth/node-role-lost"}},
	{"the last administrator left out", "no-admin.yaml", []string{"aws-auth/last-admin-lost"}},
}

func TestAWSAuth(t *testing.T) {
	base := e2e.Manifest(t, "aws-auth/base.yaml")
	if o := cluster.As(t, admin).Delete(base); o.Err != nil && !apierrors.IsNotFound(o.Err) {
		t.Fatal(o.Err)
	}
	guard := cluster.Guard(t, local.EksguardOptions{Settings: standardSettings})

	t.Run("where there is none yet", creationOfAWSAuth)
	cluster.Kubectl(t).Run("apply", "-f", "aws-auth/base.yaml").Printed("configmap/aws-auth created\n")
	t.Run("client-go", changesOfAWSAuthByClient)
	t.Run("kubectl", changesOfAWSAuthByKubectl)
	t.Run("kubectl edit", editsOfAWSAuth)
	t.Run("the way of a confirmation", confirmationOfAWSAuth)
	t.Run("deletion", deletionOfAWSAuth)
	t.Run("forms that lock out", lockoutsOfAWSAuth)
	t.Run("tools that rewrite the whole", toolsThatRewriteAWSAuth)
	t.Run("nodes that are up", nodesOfAWSAuth)
	t.Run("bindings to cluster-admin", bindingsToClusterAdmin)
	t.Run("other ConfigMaps", func(t *testing.T) { otherConfigMaps(t, guard) })
}

// restoreAWSAuth makes aws-auth what it was, when the test ends.
func restoreAWSAuth(t *testing.T) {
	t.Helper()
	before := cluster.As(t, admin).Get(e2e.Manifest(t, "aws-auth/base.yaml"))
	before.SetResourceVersion("")
	t.Cleanup(func() { cluster.As(t, admin).Update(before).Admitted() })
}

func creationOfAWSAuth(t *testing.T) {
	for _, row := range []struct {
		name, file string
		rules      []string
	}{
		{"an administrator by accident", "admin2.yaml", []string{"aws-auth/admin-grant"}},
		{"an administrator whom the creation confirms", "admin2-confirmed.yaml", nil},
		{"a typing error", "typo.yaml", []string{"aws-auth/unparsable"}},
		{"nobody to confirm", "base.yaml", nil},
	} {
		t.Run("created with "+row.name, func(t *testing.T) {
			c, o := cluster.As(t, admin), e2e.Manifest(t, "aws-auth/"+row.file)
			for _, outcome := range []*e2e.Outcome{c.Create(o, e2e.DryRun), c.Apply(o, e2e.DryRun)} {
				if row.rules == nil {
					outcome.Admitted()
				} else {
					outcome.Denied(row.rules...)
				}
			}
		})
	}
}

func changesOfAWSAuthByClient(t *testing.T) {
	for _, change := range changes {
		o := e2e.Manifest(t, "aws-auth/"+change.file)
		for _, way := range []struct {
			name  string
			write func(c *e2e.Client) *e2e.Outcome
		}{
			{"update", func(c *e2e.Client) *e2e.Outcome { return c.Update(o, e2e.DryRun) }},
			{"merge patch", func(c *e2e.Client) *e2e.Outcome {
				return c.Patch(o, types.MergePatchType, asJSON(t, o), e2e.DryRun)
			}},
			{"strategic merge patch", func(c *e2e.Client) *e2e.Outcome {
				return c.Patch(o, types.StrategicMergePatchType, asJSON(t, o), e2e.DryRun)
			}},
			{"JSON patch", func(c *e2e.Client) *e2e.Outcome {
				return c.Patch(o, types.JSONPatchType, `[{"op": "replace", "path": "", "value": `+asJSON(t, o)+`}]`, e2e.DryRun)
			}},
			{"server-side apply", func(c *e2e.Client) *e2e.Outcome { return c.Apply(o, e2e.DryRun) }},
		} {
			t.Run(way.name+" with "+change.name, func(t *testing.T) {
				if outcome := way.write(cluster.As(t, admin)); change.rules == nil {
					outcome.Admitted()
				} else {
					outcome.Denied(change.rules...)
				}
			})
		}
	}
}

func asJSON(t *testing.T, o *unstructured.Unstructured) string {
	t.Helper()
	text, err := o.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func changesOfAWSAuthByKubectl(t *testing.T) {
	dryRun := func(args ...string) func(k *e2e.Kubectl, file string) *e2e.Terminal {
		return func(k *e2e.Kubectl, file string) *e2e.Terminal {
			return k.Run(append(args, "--dry-run=server", "-f", "aws-auth/"+file)...)
		}
	}
	stored := func(args ...string) func(k *e2e.Kubectl, file string) *e2e.Terminal {
		return func(k *e2e.Kubectl, file string) *e2e.Terminal { return k.Run(append(args, "-f", "aws-auth/"+file)...) }
	}
	for _, way := range []struct {
		name string
		run  func(k *e2e.Kubectl, file string) *e2e.Terminal
	}{
		{"apply", stored("apply")},
		{"apply --dry-run=server", dryRun("apply")},
		{"apply --server-side", dryRun("apply", "--server-side", "--force-conflicts")},
		{"replace", stored("replace")},
	} {
		for _, change := range changes {
			t.Run(way.name+" with "+change.name, func(t *testing.T) {
				k := cluster.Kubectl(t)
				restoreAWSAuth(t)
				if seen := way.run(k, change.file); change.rules == nil {
					seen.Succeeded()
				} else {
					seen.Denied(change.rules...)
				}
			})
		}
	}
	t.Run("patch with an administrator by accident", func(t *testing.T) {
		patch := `{"data": {"mapUsers": "- {userarn: arn:aws:iam::555555555555:user/admin, username: admin, groups: [system:masters]}\n` +
			`- {userarn: arn:aws:iam::555555555555:user/intern, username: intern, groups: [system:masters]}\n"}}`
		for _, form := range []string{"merge", "strategic"} {
			cluster.Kubectl(t).Run("patch", "-n", "kube-system", "configmap", "aws-auth", "--type="+form, "-p", patch).
				Denied("aws-auth/admin-grant")
		}
	})
	t.Run("patch that removes mapRoles", func(t *testing.T) {
		cluster.Kubectl(t).Run("patch", "-n", "kube-system", "configmap", "aws-auth", "--type=json",
			"-p", `[{"op": "remove", "path": "/data/mapRoles"}]`).Denied("aws-auth/node-role-lost")
	})
}

// The editor is given a file that holds the object.
func editsOfAWSAuth(t *testing.T) {
	for _, row := range []struct {
		name, edit string
		rules      []string
	}{
		{"another user in the administrator's entry", `s|user/admin|user/intern|`, []string{"aws-auth/admin-grant"}},
		{"a section in other letters", `s|mapRoles|maproles|`, []string{"aws-auth/node-role-lost", "aws-auth/unknown-section"}},
		{"one space too many", `s|^      groups|       groups|`, []string{"aws-auth/last-admin-lost", "aws-auth/node-role-lost",
			"aws-auth/unparsable", "aws-auth/unparsable"}},
		{"another username", `s|username: admin|username: administrator|`, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			k := cluster.Kubectl(t)
			restoreAWSAuth(t)
			seen := k.WithEditor(`perl -pi -e "`+row.edit+`"`).Run("edit", "-n", "kube-system", "configmap", "aws-auth")
			if row.rules == nil {
				if seen.Succeeded(); seen.Stdout != "configmap/aws-auth edited\n" {
					t.Errorf("kubectl edit printed %q", seen.Output())
				}
				return
			}
			seen.Denied(row.rules...)
		})
	}
}

// A confirmation counts in the change that writes it, for the ARNs that it names.
func confirmationOfAWSAuth(t *testing.T) {
	c := cluster.As(t, admin)
	restoreAWSAuth(t)
	confirm := func(arn, file string) *unstructured.Unstructured {
		o := e2e.Manifest(t, "aws-auth/"+file)
		o.SetAnnotations(map[string]string{"eksguard.io/confirm-admins": arn})
		return o
	}
	c.Update(confirm("arn:aws:iam::555555555555:user/other", "admin2.yaml")).Denied("aws-auth/admin-grant")
	c.Update(confirm("arn:aws:iam::555555555555:user/admin2", "admin2.yaml")).Admitted().Warned()
	// Left in place it blocks nothing …
	c.Update(confirm("arn:aws:iam::555555555555:user/admin2", "base.yaml")).Admitted()
	// … and confirms nothing.
	c.Update(confirm("arn:aws:iam::555555555555:user/admin2", "admin2.yaml")).Denied("aws-auth/admin-grant")
}

// lockoutsOfAWSAuth are what looks right and maps nobody, or too many.
func lockoutsOfAWSAuth(t *testing.T) {
	const nobody = "nobody gains or loses anything"
	base := func(replacements ...string) *unstructured.Unstructured {
		return e2e.Manifest(t, "aws-auth/base.yaml", replacements...)
	}
	const codebuild = "role/codebuild\n      username: codebuild\n      groups:\n        - deployers"
	with := func(entry string) *unstructured.Unstructured {
		return e2e.Manifest(t, "aws-auth/codebuild.yaml", codebuild, entry)
	}
	node := `- "arn:aws:iam::555555555555:role/eks-nodes" as "system:node:{{EC2PrivateDNSName}}" in "system:bootstrappers", "system:nodes"`
	user := `"arn:aws:iam::555555555555:user/admin" as "admin" in "system:masters"`
	for _, row := range []struct {
		name   string
		object *unstructured.Unstructured
		rules  []string
		effect []string
	}{
		{"a role with a path", with("role/ci/codebuild\n      username: codebuild"), []string{"aws-auth/invalid-entry"}, []string{nobody}},
		{"an assumed role", e2e.Manifest(t, "aws-auth/codebuild.yaml", "iam::555555555555:role/codebuild",
			"sts::555555555555:assumed-role/codebuild/x"), []string{"aws-auth/invalid-entry"}, []string{nobody}},
		{"the nodes' role with its path", base("role/eks-nodes", "role/path/eks-nodes"),
			[]string{"aws-auth/invalid-entry", "aws-auth/node-role-lost"}, []string{node}},
		{"a duplicate that shadows the nodes", with("role/eks-nodes\n      username: x"),
			[]string{"aws-auth/invalid-entry", "aws-auth/node-role-lost"}, []string{
				`~ ` + node[2:] + ` -> as "system:node:{{EC2PrivateDNSName}}" in "system:bootstrappers", "system:nodes" or as "x" in no group`}},
		{"a foreign account", e2e.Manifest(t, "aws-auth/codebuild.yaml", "555555555555:role/codebuild", "666666666666:role/codebuild"),
			[]string{"aws-auth/foreign-account"}, []string{`+ "arn:aws:iam::666666666666:role/codebuild" as "codebuild" in "deployers"`}},
		{"a foreign account as a whole", base("\ndata:\n", "\ndata:\n  mapAccounts: '[\"666666666666\"]'\n"),
			[]string{"aws-auth/foreign-account"},
			[]string{`+ every user and role of account "666666666666" as their own ARN in no group`}},
		{"a section in other letters", base("mapUsers", "mapusers"),
			[]string{"aws-auth/last-admin-lost", "aws-auth/unknown-section"}, []string{"- " + user}},
		{"an unquoted template", base("username: system:node:{{EC2PrivateDNSName}}", "username: {{EC2PrivateDNSName}}"),
			[]string{"aws-auth/node-role-lost", "aws-auth/unparsable"}, []string{node}},
		{"the username of a component", with("role/codebuild\n      username: system:kube-scheduler"),
			[]string{"aws-auth/reserved-username"},
			[]string{`+ "arn:aws:iam::555555555555:role/codebuild" as "system:kube-scheduler" in no group`}},
		{"a YAML tag", with("role/codebuild\n      username: !!str codebuild"), []string{"aws-auth/unclear"},
			[]string{`+ "arn:aws:iam::555555555555:role/codebuild" as "codebuild" in no group`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			cluster.As(t, admin).Update(row.object, e2e.DryRun).Denied(row.rules...).Effect(row.effect...)
		})
	}
	t.Run("the own account as a whole is warned of", func(t *testing.T) {
		cluster.As(t, admin).Update(base("\ndata:\n", "\ndata:\n  mapAccounts: '[\"555555555555\"]'\n"), e2e.DryRun).Admitted().Warned(
			`[aws-auth/account-mapped] data.mapAccounts[0]: every IAM user and role of account "555555555555" can log in. ` +
				`Fix: Map the users and roles that need access in mapUsers and mapRoles.`)
	})
	t.Run("the own entry of the one who asks", func(t *testing.T) {
		restoreAWSAuth(t)
		cluster.As(t, admin).Update(e2e.Manifest(t, "aws-auth/platform.yaml")).Admitted()
		without := e2e.Manifest(t, "aws-auth/platform.yaml", "user/admin\n", "user/admin3\n")
		without.SetAnnotations(map[string]string{"eksguard.io/confirm-admins": "arn:aws:iam::555555555555:user/admin3"})
		cluster.AsPrincipal(t, "arn:aws:iam::555555555555:user/admin").Update(without, e2e.DryRun).
			Denied("aws-auth/self-lockout").Effect(
			"- "+user, `+ "arn:aws:iam::555555555555:user/admin3" as "admin" in "system:masters"`)
		cluster.AsPrincipal(t, "arn:aws:iam::555555555555:role/platform").Update(without, e2e.DryRun).Admitted()
	})
	t.Run("frozen", func(t *testing.T) {
		frozen := base()
		frozen.Object["immutable"] = true
		cluster.As(t, admin).Update(frozen, e2e.DryRun).Denied("aws-auth/frozen").At("immutable").Effect(nobody)
		cluster.As(t, admin).Patch(base(), types.MergePatchType, `{"immutable": true}`, e2e.DryRun).Denied("aws-auth/frozen")
	})
}

// toolsThatRewriteAWSAuth write the whole from what they know of it, and lose what others wrote.
func toolsThatRewriteAWSAuth(t *testing.T) {
	const own = `{apiVersion: v1, kind: ConfigMap, metadata: {name: aws-auth, namespace: kube-system}, data: {mapRoles: ` +
		`"- {rolearn: arn:aws:iam::555555555555:role/eks-nodes, username: 'system:node:{{EC2PrivateDNSName}}', ` +
		`groups: [system:bootstrappers, system:nodes]}", mapUsers: ""}}`
	lost := `- "arn:aws:iam::555555555555:user/admin" as "admin" in "system:masters"`
	t.Run("server-side apply by force, as terraform's kubernetes_config_map_v1_data", func(t *testing.T) {
		cluster.As(t, admin).Apply(e2e.Parse(t, own), e2e.DryRun).Denied("aws-auth/last-admin-lost").Effect(lost)
	})
	t.Run("server-side apply that gives up a section of its own", func(t *testing.T) {
		restoreAWSAuth(t)
		c := cluster.As(t, admin)
		// Whoever changes a value by force owns it alone.
		c.Apply(e2e.Manifest(t, "aws-auth/base.yaml", "username: admin", "username: administrator")).Admitted()
		nodesAlone := e2e.Manifest(t, "aws-auth/base.yaml")
		unstructured.RemoveNestedField(nodesAlone.Object, "data", "mapUsers")
		c.Apply(nodesAlone, e2e.DryRun).Denied("aws-auth/last-admin-lost").Effect(
			`- "arn:aws:iam::555555555555:user/admin" as "administrator" in "system:masters"`)
	})
	t.Run("an update of the whole, as eksctl", func(t *testing.T) {
		cluster.As(t, admin).Update(e2e.Parse(t, own), e2e.DryRun).Denied("aws-auth/last-admin-lost").Effect(lost)
	})
	t.Run("kubectl replace and replace --force", func(t *testing.T) {
		cluster.Kubectl(t).Run("replace", "-f", "aws-auth/no-nodes.yaml").Denied("aws-auth/node-role-lost")
		cluster.Kubectl(t).Run("replace", "--force", "-f", "aws-auth/no-nodes.yaml").Denied("aws-auth/deleted")
	})
}

func nodesOfAWSAuth(t *testing.T) {
	c := cluster.As(t, admin)
	restoreAWSAuth(t)
	node := func(name, labels string) *unstructured.Unstructured {
		return e2e.Parse(t, `{apiVersion: v1, kind: Node, metadata: {name: `+name+`, labels: {`+labels+`}}}`)
	}
	const fargate = "    - rolearn: arn:aws:iam::555555555555:role/fargate\n      username: system:node:{{SessionName}}\n" +
		"      groups: [system:bootstrappers, system:nodes, system:node-proxier]\n"
	c.Update(e2e.Manifest(t, "aws-auth/base.yaml", "  mapUsers: |\n", fargate+"  mapUsers: |\n")).Admitted()
	withoutFargate := e2e.Manifest(t, "aws-auth/base.yaml")
	e2e.Eventually(t, 20*time.Second, "eksguard knows that there are no nodes", func() error {
		return c.Update(withoutFargate, e2e.DryRun).Err
	})
	t.Cleanup(func() {
		e2e.Eventually(t, 20*time.Second, "eksguard knows that the nodes are gone", func() error {
			return c.Update(withoutFargate, e2e.DryRun).Err
		})
	})
	for _, o := range []*unstructured.Unstructured{
		node("fargate-ip-10-0-0-1", "eks.amazonaws.com/compute-type: fargate"), node("ip-10-0-0-2", "eks.amazonaws.com/nodegroup: workers"),
	} {
		c.Create(o).Admitted()
		t.Cleanup(func() { c.Delete(o).Admitted() })
	}
	e2e.Eventually(t, 20*time.Second, "eksguard knows the nodes", func() error {
		if c.Update(withoutFargate, e2e.DryRun).Err == nil {
			return errors.New("the role of Fargate may go")
		}
		return nil
	})
	c.Update(withoutFargate, e2e.DryRun).Denied("aws-auth/fargate-role-lost").Effect(
		`- "arn:aws:iam::555555555555:role/fargate" as "system:node:{{SessionName}}" in ` +
			`"system:bootstrappers", "system:node-proxier", "system:nodes"`)
	// The count comes a moment after each node.
	e2e.Eventually(t, 20*time.Second, "the denial counts the nodes", func() error {
		err := c.Update(e2e.Manifest(t, "aws-auth/no-nodes.yaml"), e2e.DryRun).Err
		if err == nil || !strings.Contains(err.Error(), "would be left (nodes up now: 1)") {
			return fmt.Errorf("got %w", err)
		}
		return nil
	})
}

func bindingsToClusterAdmin(t *testing.T) {
	binding := func(kind, name, role, subject, annotations string) *unstructured.Unstructured {
		return e2e.Parse(t, `{apiVersion: rbac.authorization.k8s.io/v1, kind: `+kind+`, metadata: {name: `+name+
			annotations+`}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: `+role+`}, subjects: [`+subject+`]}`)
	}
	const interns = "{kind: Group, name: interns, apiGroup: rbac.authorization.k8s.io}"
	const intern = "{kind: User, name: intern, apiGroup: rbac.authorization.k8s.io}"
	for _, row := range []struct {
		name   string
		object *unstructured.Unstructured
		effect string // of what is denied
	}{
		{"a group", binding("ClusterRoleBinding", "b", "cluster-admin", interns, ""), `+ group "interns" as cluster administrator`},
		{"a user", binding("ClusterRoleBinding", "b", "cluster-admin", intern, ""), `+ user "intern" as cluster administrator`},
		{"a group that is confirmed", binding("ClusterRoleBinding", "b", "cluster-admin", interns,
			", annotations: {eksguard.io/confirm-admins: interns}"), ""},
		{"a group of the settings", binding("ClusterRoleBinding", "b", "cluster-admin",
			"{kind: Group, name: 'system:masters', apiGroup: rbac.authorization.k8s.io}", ""), ""},
		{"a ServiceAccount", binding("ClusterRoleBinding", "b", "cluster-admin",
			"{kind: ServiceAccount, name: tool, namespace: kube-system}", ""), ""},
		{"another role", binding("ClusterRoleBinding", "b", "view", interns, ""), ""},
		{"a namespace alone, which makes no cluster administrator",
			binding("RoleBinding", "b, namespace: kube-system", "cluster-admin", interns, ""), ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			if o := cluster.As(t, admin).Create(row.object, e2e.DryRun); row.effect == "" {
				o.Admitted()
			} else {
				o.Denied("aws-auth/admin-binding").At("subjects").Effect(row.effect)
			}
		})
	}
	t.Run("a subject added later", func(t *testing.T) {
		c := cluster.As(t, admin)
		o := binding("ClusterRoleBinding", "tools", "cluster-admin", "{kind: ServiceAccount, name: tool, namespace: kube-system}", "")
		c.Create(o).Admitted()
		t.Cleanup(func() { c.Delete(o).Admitted() })
		c.Patch(o, types.MergePatchType, `{"subjects": [`+`{"kind": "Group", "name": "interns", "apiGroup": "rbac.authorization.k8s.io"}]}`,
			e2e.DryRun).Denied("aws-auth/admin-binding")
	})
}

func deletionOfAWSAuth(t *testing.T) {
	awsAuth := e2e.Manifest(t, "aws-auth/base.yaml")
	for _, row := range []struct {
		name   string
		delete func(c *e2e.Client) *e2e.Outcome
	}{
		{"by its name", func(c *e2e.Client) *e2e.Outcome { return c.Delete(awsAuth) }},
		{"by its name in dry run", func(c *e2e.Client) *e2e.Outcome { return c.Delete(awsAuth, e2e.DryRun) }},
		{"in a collection", func(c *e2e.Client) *e2e.Outcome { return c.DeleteCollection(awsAuth, "metadata.name=aws-auth") }},
		{"in a collection of everything", func(c *e2e.Client) *e2e.Outcome { return c.DeleteCollection(awsAuth, "") }},
	} {
		t.Run(row.name+" is denied", func(t *testing.T) {
			c := cluster.As(t, admin)
			row.delete(c).Denied("aws-auth/deleted").At("metadata.name")
			c.Get(awsAuth)
		})
	}
	t.Run("kubectl delete is denied", func(t *testing.T) {
		cluster.Kubectl(t).Run("delete", "-f", "aws-auth/base.yaml").Denied("aws-auth/deleted")
	})
	t.Run("kubectl replace --force, which deletes first, is denied", func(t *testing.T) {
		cluster.Kubectl(t).Run("replace", "--force", "-f", "aws-auth/base.yaml").Denied("aws-auth/deleted")
	})
	t.Run("a collection without it is admitted", func(t *testing.T) {
		cluster.As(t, admin).DeleteCollection(awsAuth, "metadata.name!=aws-auth").Admitted()
	})
}

func otherConfigMaps(t *testing.T, guard *e2e.Guard) {
	unasked := guard.Counts(t, `eksguard_reviews_total{phase="validate",policy="aws-auth",verdict="allowed"}`, 0)
	for _, row := range []struct{ reason, namespace, name string }{
		{"an aws-auth elsewhere is nothing that the authenticator reads", "default", "aws-auth"},
		{"another one beside it neither", "kube-system", "aws-auth-backup"},
	} {
		t.Run(row.reason, func(t *testing.T) {
			c := cluster.As(t, admin)
			o := e2e.Manifest(t, "aws-auth/typo.yaml", "name: aws-auth", "name: "+row.name, "kube-system", row.namespace)
			c.Create(o).Admitted().Warned()
			c.Patch(o, types.MergePatchType, `{"data": {"mapUsers": "["}}`).Admitted().Warned()
			c.Delete(o).Admitted().Warned()
		})
	}
	unasked()
}
