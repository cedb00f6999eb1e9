package cli_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/mozilla-iam/eksguard/internal/reference"
)

// policies runs eksguard policies, which must end with the code.
func policies(t *testing.T, code int, args string) (stdout, stderr string) {
	t.Helper()
	got, stdout, stderr := run("", "policies "+args)
	if got != code {
		t.Fatalf("eksguard policies %s: exit code %d, want %d\n%s", args, got, code, stderr)
	}
	return stdout, stderr
}

func TestPoliciesAreListed(t *testing.T) {
	got, _ := policies(t, 0, "--bundle testdata/review/bundle")
	const want = `NAME                KIND     SEVERITY   ENFORCEMENT   TITLE
colours             policy                            Colours
colours/bad         deny     high       deny          No bad colour
colours/change      deny     low        deny          A colour does not change
colours/dull        warn     low        warn          Grey is dull
colours/gone        deny     low        deny          Only who painted it takes it away
colours/namespace   deny     low        deny          The namespace's colour
colours/shade       deny     low        dryrun        Shades
colours/spelling    mutate   low        deny          British spelling
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestARuleThatSettingsTurnOffIsListedAsOff(t *testing.T) {
	got, _ := policies(t, 0, "")
	const want = "iam-role/complete-bare-name         mutate   low        off           Bare names are completed\n"
	if !strings.Contains(got, want) {
		t.Errorf("there is no %q in\n%s", want, got)
	}
}

// TestTheReferenceIsUpToDate holds docs/policies.md, which is what the command prints of the default bundle.
func TestTheReferenceIsUpToDate(t *testing.T) {
	want, err := os.ReadFile("../../docs/policies.md")
	if err != nil {
		t.Fatal(err)
	}
	got, _ := policies(t, 0, "-o markdown")
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("docs/policies.md is stale: run make generate\n%s", diff)
	}
	if strings.Contains(got, "The example is broken") {
		t.Error("an example is broken")
	}
}

func TestOneRuleIsToldInEveryFormat(t *testing.T) {
	decoded := func(text string, decode func([]byte, any) error) reference.Reference {
		t.Helper()
		var r reference.Reference
		if err := decode([]byte(text), &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	asJSON, _ := policies(t, 0, "iam-role/form -o json")
	got := decoded(asJSON, json.Unmarshal)
	if len(got.Policies) != 1 || len(got.Policies[0].Rules) != 1 || got.Policies[0].Rules[0].ID != "iam-role/form" {
		t.Fatalf("%s", asJSON)
	}
	asYAML, _ := policies(t, 0, "iam-role/form -o yaml")
	decode := func(text []byte, into any) error { return yaml.UnmarshalStrict(text, into) }
	if diff := cmp.Diff(got.Policies, decoded(asYAML, decode).Policies); diff != "" {
		t.Errorf("YAML and JSON differ:\n%s", diff)
	}
	asText, _ := policies(t, 0, "iam-role/form")
	asMarkdown, _ := policies(t, 0, "iam-role/form -o markdown")
	for text, begin := range map[string]string{
		asText: "iam-role/form\n-------------\n", asMarkdown: "### iam-role/form\n"} {
		if !strings.HasPrefix(text, begin) {
			t.Errorf("it begins with no %q:\n%s", begin, text)
		}
	}
	rule := got.Policies[0].Rules[0]
	if len(rule.Examples) != 2 || len(rule.Examples[0].Answer) != 1 ||
		!strings.HasPrefix(rule.Examples[0].Answer[0], "[iam-role/form] metadata.annotations") {
		t.Errorf("%+v", rule.Examples)
	}
}

func TestEnforcementIsThatOfTheSettings(t *testing.T) {
	got, _ := policies(t, 0, "colours/change --bundle testdata/review/bundle --settings testdata/review/settings.yaml")
	const want = "deny · severity low · enforcement dryrun\n"
	if !strings.Contains(got, want) {
		t.Errorf("there is no %q in\n%s", want, got)
	}
}

func TestWhatIsNoPolicyIsAnError(t *testing.T) {
	for _, row := range []struct{ args, want string }{
		{"iam-rol", `there is no policy "iam-rol" (did you mean "iam-role"?)`},
		{"iam-role/namin", `policy "iam-role" has no rule "namin" (did you mean "naming"?)`},
		{"-o html", `--output "html": want text, markdown, json or yaml`},
		{"a b", "accepts at most 1 arg(s), received 2"},
	} {
		t.Run(row.args, func(t *testing.T) {
			stdout, stderr := policies(t, 2, row.args)
			if diff := cmp.Diff("eksguard: "+row.want+"\n", stderr); diff != "" || stdout != "" {
				t.Errorf("-want +got:\n%s\n%s", diff, stdout)
			}
		})
	}
}
