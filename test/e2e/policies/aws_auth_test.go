package policies_test

import (
	"testing"

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
