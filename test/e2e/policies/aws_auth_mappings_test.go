package policies_test

import (
	"errors"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// startMappings makes the CRD of IAMIdentityMappings and these objects of testdata/identity-mappings, while nobody guards
// the cluster.
func startMappings(t *testing.T, files ...string) {
	t.Helper()
	kubectl := cluster.Kubectl(t)
	kubectl.Run("apply", "-f", "identity-mappings/crd.yaml").Succeeded()
	kubectl.Run("wait", "--for=condition=Established", "--timeout=30s", "-f", "identity-mappings/crd.yaml").Succeeded()
	for _, file := range files {
		kubectl.Run("apply", "-f", "identity-mappings/"+file).Succeeded()
	}
	t.Cleanup(func() { kubectl.Run("delete", "-f", "identity-mappings/crd.yaml").Succeeded() })
}

// untilMappingsAreKnown waits for the watch, which is told of objects of a kind a moment after it is told of the kind:
// until then the viewer, of whom there is a second mapping, might be the only one.
func untilMappingsAreKnown(t *testing.T) {
	t.Helper()
	conflict := e2e.Manifest(t, "identity-mappings/viewer.yaml", "name: viewer\nspec", "name: viewer2\nspec", "[viewers]", "[others]")
	e2e.Eventually(t, 20*time.Second, "eksguard knows the IAMIdentityMappings", func() error {
		if cluster.As(t, admin).Create(conflict, e2e.DryRun).Err == nil {
			return errors.New("a second mapping of the viewer is admitted")
		}
		return nil
	})
}

func TestIAMIdentityMappings(t *testing.T) {
	replaceAWSAuth(t)
	startMappings(t, "admin.yaml", "viewer.yaml")
	cluster.Guard(t, local.EksguardOptions{Settings: standardSettings})
	untilMappingsAreKnown(t)
	viewer := func(replacements ...string) *unstructured.Unstructured {
		return e2e.Manifest(t, "identity-mappings/viewer.yaml", replacements...)
	}
	theAdmin := e2e.Manifest(t, "identity-mappings/admin.yaml")
	merge := func(o *unstructured.Unstructured, patch string, hows ...e2e.How) func(*e2e.Client) *e2e.Outcome {
		return func(c *e2e.Client) *e2e.Outcome {
			return c.Patch(o, types.MergePatchType, patch, append(hows, e2e.DryRun)...)
		}
	}
	create := func(replacements ...string) func(*e2e.Client) *e2e.Outcome {
		o := viewer(append([]string{"name: viewer\nspec", "name: another\nspec"}, replacements...)...)
		return func(c *e2e.Client) *e2e.Outcome { return c.Create(o, e2e.DryRun) }
	}
	const grant = `+ "arn:aws:iam::555555555555:user/other" as "viewer" in "system:masters"`
	for _, row := range []struct {
		name   string
		write  func(c *e2e.Client) *e2e.Outcome
		rules  []string // that deny it
		effect []string
	}{
		{"somebody new", create("user/viewer", "user/other"), nil, nil},
		{"a new administrator", create("user/viewer", "user/other", "[viewers]", "[system:masters]"),
			[]string{"aws-auth/admin-grant"}, []string{grant}},
		{"a viewer who becomes administrator", merge(viewer(), `{"spec": {"groups": ["system:masters"]}}`),
			[]string{"aws-auth/admin-grant"}, []string{
				`~ "arn:aws:iam::555555555555:user/viewer" as "viewer" in "viewers" -> as "viewer" in "system:masters"`}},
		{"a confirmed administrator", merge(viewer(), `{"metadata": {"annotations": {"eksguard.io/confirm-admins": `+
			`"arn:aws:iam::555555555555:user/viewer"}}, "spec": {"groups": ["system:masters"]}}`), nil, nil},
		{"the username of a component", create("user/viewer", "user/other", "username: viewer", "username: system:kube-scheduler"),
			[]string{"aws-auth/reserved-username"}, []string{
				`+ "arn:aws:iam::555555555555:user/other" as "system:kube-scheduler" in "viewers"`}},
		{"a foreign account", create("555555555555", "666666666666"), []string{"aws-auth/foreign-account"}, []string{
			`+ "arn:aws:iam::666666666666:user/viewer" as "viewer" in "viewers"`}},
		{"a role with a path", create("user/viewer", "role/path/viewer"), []string{"aws-auth/invalid-entry"},
			[]string{"nobody gains or loses anything"}},
		{"a session of a role, which the authenticator takes for the role",
			create("iam::555555555555:user/viewer", "sts::555555555555:assumed-role/other/session"), nil, nil},
		{"a second mapping that says something else", create("[viewers]", "[others]"), []string{"aws-auth/invalid-entry"}, []string{
			`~ "arn:aws:iam::555555555555:user/viewer" as "viewer" in "viewers" -> ` +
				`as "viewer" in "others" or as "viewer" in "viewers"`}},
		{"the last administrator deleted", func(c *e2e.Client) *e2e.Outcome { return c.Delete(theAdmin, e2e.DryRun) },
			[]string{"aws-auth/last-admin-lost"}, []string{`- "arn:aws:iam::555555555555:user/admin" as "admin" in "system:masters"`}},
		{"all mappings deleted at once", func(c *e2e.Client) *e2e.Outcome { return c.DeleteCollection(theAdmin, "", e2e.DryRun) },
			[]string{"aws-auth/last-admin-lost"}, []string{`- "arn:aws:iam::555555555555:user/admin" as "admin" in "system:masters"`}},
		{"the last administrator demoted", merge(theAdmin, `{"spec": {"groups": ["viewers"]}}`),
			[]string{"aws-auth/last-admin-lost"}, []string{
				`~ "arn:aws:iam::555555555555:user/admin" as "admin" in "system:masters" -> as "admin" in "viewers"`}},
		{"the viewer deleted", func(c *e2e.Client) *e2e.Outcome { return c.Delete(viewer(), e2e.DryRun) }, nil, nil},
		{"the viewer's label", merge(viewer(), `{"metadata": {"labels": {"a": "b"}}}`), nil, nil},
		{"the status of its spec", merge(theAdmin, `{"status": {"canonicalARN": "arn:aws:iam::555555555555:user/admin"}}`,
			e2e.Subresource("status")), nil, nil},
		{"the status of somebody else", merge(theAdmin, `{"status": {"canonicalARN": "arn:aws:iam::555555555555:user/mallory"}}`,
			e2e.Subresource("status")), []string{"aws-auth/admin-grant", "aws-auth/forged-status"}, []string{
			`+ "arn:aws:iam::555555555555:user/mallory" as "admin" in "system:masters"`}},
		{"a status on creation, which the API server drops", func(c *e2e.Client) *e2e.Outcome {
			o := viewer("name: viewer\nspec", "name: another\nspec", "user/viewer", "user/other")
			o.Object["status"] = map[string]any{"canonicalARN": "arn:aws:iam::555555555555:user/mallory"}
			return c.Create(o, e2e.DryRun)
		}, nil, nil},
		{"the CRD deleted", func(c *e2e.Client) *e2e.Outcome {
			return c.Delete(e2e.Manifest(t, "identity-mappings/crd.yaml"), e2e.DryRun)
		}, []string{"aws-auth/deleted"}, []string{
			`- "arn:aws:iam::555555555555:user/admin" as "admin" in "system:masters"`,
			`- "arn:aws:iam::555555555555:user/viewer" as "viewer" in "viewers"`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if o := row.write(cluster.As(t, admin)); row.rules == nil {
				o.Admitted()
			} else {
				o.Denied(row.rules...).Effect(row.effect...)
			}
		})
	}
	t.Run("an ARN that is not understood leaves the former one mapped", func(t *testing.T) {
		c := cluster.As(t, admin)
		// As the authenticator does.
		c.Patch(viewer(), types.MergePatchType, `{"status": {"canonicalARN": "arn:aws:iam::555555555555:user/viewer"}}`,
			e2e.Subresource("status")).Admitted()
		merge(viewer(), `{"spec": {"arn": "arn:aws:iam::555555555555:usr/viewer"}}`)(c).
			Denied("aws-auth/invalid-entry").Effect("nobody gains or loses anything")
	})
	t.Run("nobody deletes their own", func(t *testing.T) {
		cluster.AsPrincipal(t, "arn:aws:iam::555555555555:user/viewer").Delete(viewer(), e2e.DryRun).Denied("aws-auth/self-lockout")
	})
}

// With both backends in the settings each answers for the other; the ConfigMap is read when it is asked for.
func TestBackendsOfTheAuthenticator(t *testing.T) {
	replaceAWSAuth(t)
	startMappings(t, "admin.yaml", "viewer.yaml")
	cluster.Guard(t, local.EksguardOptions{Settings: "testdata/settings/backends.yaml"})
	untilMappingsAreKnown(t)
	c := cluster.As(t, admin)
	theAdmin, base := e2e.Manifest(t, "identity-mappings/admin.yaml"), e2e.Manifest(t, "aws-auth/base.yaml")

	c.Delete(theAdmin, e2e.DryRun).Admitted()
	c.Patch(base, types.MergePatchType, `{"data": {"mapUsers": ""}}`, e2e.DryRun).Admitted()
	c.Create(e2e.Manifest(t, "identity-mappings/admin.yaml", "name: admin\nspec", "name: shadowed\nspec", "[system:masters]", "[dev]"),
		e2e.DryRun).Denied("aws-auth/invalid-entry", "aws-auth/invalid-entry", "aws-auth/last-admin-lost")
	c.Patch(base, types.MergePatchType, `{"data": {"mapAccounts": "- \"555555555555\""}}`, e2e.DryRun).
		Denied("aws-auth/invalid-entry").At("data.mapAccounts")

	// Of two administrators one may go: in aws-auth, and then no more among the mappings.
	c.Patch(base, types.MergePatchType, `{"data": {"mapUsers": ""}}`).Admitted()
	c.Delete(theAdmin, e2e.DryRun).Denied("aws-auth/last-admin-lost")

	t.Run("principals of IAM", func(t *testing.T) {
		c := cluster.As(t, admin)
		entry := func(kind, name string) string {
			return `{"data": {"mapUsers": "- {userarn: \"arn:aws:iam::555555555555:` + kind + `/` + name + `\", username: u, groups: [dev]}"}}`
		}
		patch := func(kind, name string) *e2e.Outcome {
			return c.Patch(base, types.MergePatchType, entry(kind, name), e2e.DryRun)
		}
		patch("role", "codebuild").Admitted()
		patch("user", "amdin").Denied("aws-auth/unknown-principal").
			Effect(`+ "arn:aws:iam::555555555555:user/amdin" as "u" in "dev"`)
		patch("user", "intern").Denied("aws-auth/no-mfa")
		seen := cluster.Kubectl(t).Run("patch", "--dry-run=server", "-n", "kube-system", "configmap", "aws-auth", "--type=merge",
			"-p", entry("role", "codebiuld"))
		seen.Denied("aws-auth/unknown-principal")
	})
}
