package check

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/openapi"
	"github.com/mozilla-iam/eksguard/internal/policy"
)

func TestAMisspeltPathOfADefaultPolicyIsFound(t *testing.T) {
	schemas, err := openapi.Kubernetes()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ file, old, misspelt, want string }{
		{"irsa/irsa.rego", "object.metadata.annotations[", "object.metadata.annotation[", `(did you mean "annotations"?)`},
		{"operator_upgrade/operator_upgrade.rego", "input.request.object.spec.versions", "input.request.object.spec.vesions",
			`(did you mean "versions"?)`},
		{"operator_upgrade/operator_upgrade.rego", "object.spec.template.spec.initContainers", "object.spec.template.spec.initContainer",
			`(did you mean "initContainers"?)`},
		{"operator_upgrade/operator_upgrade.rego", "operator_upgrade.images, ", "operator_upgrade.image, ", `(did you mean "images"?)`},
	} {
		t.Run(row.misspelt, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS("../../policies")); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, row.file)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), row.old) {
				t.Fatalf("%s has no %s", row.file, row.old)
			}
			if err := os.WriteFile(path, []byte(strings.Replace(string(text), row.old, row.misspelt, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			b, err := bundle.Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			snapshot, err := policy.NewSnapshot(t.Context(), b, nil)
			if err != nil {
				t.Fatal(err)
			}
			findings := types(b, snapshot.Policies(), schemas)
			if len(findings) != 1 || !strings.HasSuffix(findings[0].Message, row.want) {
				t.Errorf("want one finding with %s: %+v", row.want, findings)
			}
		})
	}
}
