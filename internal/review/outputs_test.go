package review_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	jsonexp "github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	gojunit "github.com/joshdk/go-junit"
	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/mozilla-iam/eksguard/internal/manifest"
	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/internal/review"
)

// everything is a report with everything that there can be in it.
func everything() *review.Report {
	at := func(file string, line, column int) manifest.Location {
		return manifest.Location{File: file, Line: line, Column: column}
	}
	violation := func(rule string, action policy.Action, location manifest.Location) review.Violation {
		return review.Violation{Violation: policy.Violation{
			Policy: "colours", Rule: rule, Severity: "high", Action: action, Field: "metadata.labels.colour",
			Message: `"100% red", really`, Fix: "Take another,\nor none.",
		}, Location: location}
	}
	excepted := violation("bad", policy.ActionDeny, at("/elsewhere/b.yaml", 7, 0))
	excepted.Exception = &policy.Exception{Policy: "colours", Rule: "bad", Reason: "It is a painting.",
		Expires: "2999-12-31"}
	unreadable := "mapping values \x1b[31m are not allowed ]]> here"
	return &review.Report{
		Revision: "sha256:1",
		Objects: []review.Object{
			{
				File: "all pods/a,b:c.yaml", Line: 2, APIVersion: "apps/v1", Kind: "Deployment", Namespace: "here", Name: "web",
				Operation: "UPDATE", Rendered: "prod", Violations: []review.Violation{
					violation("bad", policy.ActionDeny, at("all pods/a,b:c.yaml", 5, 9)),
					violation("dull", policy.ActionWarn, at("all pods/a,b:c.yaml", 2, 0)),
					violation("bad", policy.ActionDeny, at("all pods/a,b:c.yaml", 6, 9)),
				},
			},
			{File: "all pods/a,b:c.yaml", Line: 12, APIVersion: "v1", Kind: "Node", Name: "fine", Operation: "CREATE",
				Allowed: true},
			{
				File: "web/templates/pod.yaml", APIVersion: "v1", Kind: "Pod", Namespace: "here", Name: "rendered",
				Operation: "CREATE",
				Rendered:  "stdin:14", Violations: []review.Violation{violation("shade", policy.ActionDryrun, at("stdin", 17, 3))},
				Allowed: true,
			},
			{
				File: "/elsewhere/b.yaml", Line: 3, APIVersion: "v1", Kind: "Pod", Namespace: "here", Name: "art",
				Operation: "DELETE",
				Allowed:   true, Violations: []review.Violation{excepted},
			},
			{
				File: "/work/c.yaml", Line: 1, APIVersion: "v1", Kind: "Pod", Namespace: "here", Name: "broken",
				Operation: "CREATE",
				Errors: []review.Fault{{Policy: "colours", Denies: true, Error: "eval error"}, {Policy: "shapes",
					Error: "another"}},
			},
		},
		Errors: []review.Unread{{File: "d.yaml", Line: 6, Error: unreadable}, {File: "gone.yaml",
			Error: "no such file or directory"}},
		Notes:   []string{"a note"},
		Summary: review.Summary{Objects: 5, Denied: 2, Warned: 0, OK: 3, Unread: 2},
	}
}

func tool() review.Tool {
	return review.Tool{Version: "v1", Policies: []*policy.Policy{{Name: "colours", Rules: []policy.Rule{
		{ID: "bad", Kind: policy.Deny, Title: "No bad colour", Description: "Some are bad.", Severity: "high",
			Fix: "Take another."},
		{ID: "dull", Kind: policy.Warn, Title: "Grey is dull", Severity: "medium"},
		{ID: "off", Kind: policy.Deny, Title: "Off", Severity: "low", Off: true},
		{ID: "shade", Kind: policy.Deny, Title: "Shades", Severity: "critical"},
		{ID: "spelling", Kind: policy.MutateRule, Title: "Spelling", Severity: "low"},
	}}}}
}

func TestGitHub(t *testing.T) {
	var b strings.Builder
	if err := everything().WriteGitHub(&b, "/work"); err != nil {
		t.Fatal(err)
	}
	const told = `metadata.labels.colour: "100%25 red", really. Fix: Take another,%0Aor none.`
	want := `::error file=all pods/a%2Cb%3Ac.yaml,line=5,col=9,title=colours/bad::Deployment here/web (update, from prod): ` + told + `
::warning file=all pods/a%2Cb%3Ac.yaml,line=2,title=colours/dull::Deployment here/web (update, from prod): ` + told + `
::error file=all pods/a%2Cb%3Ac.yaml,line=6,col=9,title=colours/bad::Deployment here/web (update, from prod): ` + told + `
::notice file=web/templates/pod.yaml,title=colours/shade::Pod here/rendered (from stdin:14): ` + told + `
::error file=c.yaml,line=1,title=review/evaluation::Pod here/broken: policy colours could not be evaluated: eval error
::warning file=c.yaml,line=1,title=review/evaluation::Pod here/broken: policy shapes could not be evaluated: another
::error file=d.yaml,line=6,title=review/unread::not read: mapping values ` + "\ufffd" + `[31m are not allowed ]]> here
::error file=gone.yaml,title=review/unread::not read: no such file or directory
::notice title=eksguard review::a note
5 objects: 2 denied, 3 ok; 2 documents could not be read
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestGitLab(t *testing.T) {
	var b bytes.Buffer
	if err := everything().WriteGitLab(&b, "/work"); err != nil {
		t.Fatal(err)
	}
	var issues []struct {
		Description, Severity, Fingerprint string
		CheckName                          string `json:"check_name"`
		Location                           struct {
			Path  string
			Lines struct{ Begin int }
		}
	}
	decoder := json.NewDecoder(&b)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&issues); err != nil {
		t.Fatal(err)
	}
	type row struct {
		check, severity, path string
		line                  int
	}
	var got []row
	prints := map[string]bool{}
	for _, i := range issues {
		got = append(got, row{i.CheckName, i.Severity, i.Location.Path, i.Location.Lines.Begin})
		prints[i.Fingerprint] = true
	}
	want := []row{
		{"colours/bad", "critical", "all pods/a,b:c.yaml", 5}, {"colours/dull", "minor", "all pods/a,b:c.yaml", 2},
		{"colours/bad", "critical", "all pods/a,b:c.yaml", 6}, {"colours/shade", "info", "web/templates/pod.yaml", 1},
		{"review/evaluation", "critical", "c.yaml", 1}, {"review/evaluation", "minor", "c.yaml", 1},
		{"review/unread", "critical", "d.yaml", 6}, {"review/unread", "critical", "gone.yaml", 1},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(row{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(prints) != len(want) {
		t.Errorf("%d fingerprints of %d issues", len(prints), len(want))
	}
}

// TestJUnit reads the report with another program's eyes.
func TestJUnit(t *testing.T) {
	var b bytes.Buffer
	if err := everything().WriteJUnit(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(b.String(), xml.Header) {
		t.Errorf("no XML declaration: %.50s", b.String())
	}
	suites, err := gojunit.Ingest(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, suite := range suites {
		got = append(got, suite.Name)
		for _, test := range suite.Tests {
			line := "  " + string(test.Status) + " " + test.Classname + ": " + test.Name
			if test.Error != nil {
				line += ": " + test.Error.Error()
			}
			got = append(got, line, "    "+test.SystemOut)
		}
	}
	const told = `metadata.labels.colour: "100% red", really. Fix: Take another,` + "\nor none."
	want := []string{
		"all pods/a,b:c.yaml",
		"  failed all pods/a,b:c.yaml: Deployment here/web (update, from prod): all pods/a,b:c.yaml:5: [colours/bad] " + told +
			"\nall pods/a,b:c.yaml:6: [colours/bad] " + told,
		"    warn: all pods/a,b:c.yaml:2: [colours/dull] " + told,
		"  passed all pods/a,b:c.yaml: Node fine", "    ",
		"web/templates/pod.yaml",
		"  passed web/templates/pod.yaml: Pod here/rendered (from stdin:14)", "    dryrun: stdin:17: [colours/shade] " + told,
		"/elsewhere/b.yaml",
		"  passed /elsewhere/b.yaml: Pod here/art (delete)",
		"    /elsewhere/b.yaml:7: [colours/bad] " + told + " Excepted until 2999-12-31: It is a painting.",
		"/work/c.yaml",
		"  error /work/c.yaml: Pod here/broken: policy colours could not be evaluated: eval error",
		"    policy shapes could not be evaluated: another",
		"d.yaml",
		"  error d.yaml: d.yaml:6: d.yaml:6: mapping values \ufffd[31m are not allowed ]]> here", "    ",
		"gone.yaml",
		"  error gone.yaml: gone.yaml: gone.yaml: no such file or directory", "    ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	totals := suites[0].Totals
	if totals.Tests != 2 || totals.Failed != 1 || totals.Passed != 1 {
		t.Errorf("%+v", totals)
	}
}

// sarifSchema is the JSON Schema of the standard, as go-sarif has it in its source for no one else to use.
func sarifSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	library, err := build.Import("github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif", ".", build.FindOnly)
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(library.Dir, "schema.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var text string
	ast.Inspect(file, func(node ast.Node) bool {
		if spec, ok := node.(*ast.ValueSpec); ok && spec.Names[0].Name == "schema" {
			text = strings.Trim(spec.Values[0].(*ast.BasicLit).Value, "`")
		}
		return true
	})
	schema, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	const name = "sarif-schema-2.1.0.json"
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource(name, schema); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile(name)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// TestSARIF reads the report by the types of another program, into which every field of it must fit, and checks it by
// the schema of the standard.
func TestSARIF(t *testing.T) {
	var b bytes.Buffer
	if err := everything().WriteSARIF(&b, "/work", tool()); err != nil {
		t.Fatal(err)
	}
	if err := jsonexp.Unmarshal(b.Bytes(), &sarif.Report{}, jsonexp.RejectUnknownMembers(true)); err != nil {
		t.Error(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if err := sarifSchema(t).Validate(document); err != nil {
		t.Error(err)
	}
	report, err := sarif.FromBytes(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	run := report.Runs[0]
	var rules []string
	for _, r := range run.Tool.Driver.Rules {
		rules = append(rules, strings.Join([]string{*r.ID, *r.Name, r.DefaultConfiguration.Level, *r.Help.Markdown,
			r.Properties.Properties["security-severity"].(string)}, " | "))
	}
	wantRules := []string{
		"colours/bad | ColoursBad | error | **No bad colour** (`colours/bad`)\n\nSome are bad.\n\n**Fix:** Take another. | 8.0",
		"colours/dull | ColoursDull | warning | **Grey is dull** (`colours/dull`)\n\nGrey is dull | 5.5",
		"colours/shade | ColoursShade | error | **Shades** (`colours/shade`)\n\nShades | 9.5",
	}
	if diff := cmp.Diff(wantRules, rules[:3]); diff != "" || len(rules) != 5 {
		t.Errorf("%d rules: -want +got:\n%s", len(rules), diff)
	}
	type result struct {
		Rule, Level, URI, Base string
		Line, Column           int
		Suppressed             string
	}
	var got []result
	prints := map[string]bool{}
	for _, r := range run.Results {
		place := r.Locations[0].PhysicalLocation
		found := result{Rule: *r.RuleID, Level: r.Level, URI: *place.ArtifactLocation.URI}
		if place.ArtifactLocation.URIBaseID != nil {
			found.Base = *place.ArtifactLocation.URIBaseID
		}
		if region := place.Region; region != nil {
			found.Line = *region.StartLine
			if region.StartColumn != nil {
				found.Column = *region.StartColumn
			}
		}
		for _, s := range r.Suppressions {
			found.Suppressed += *s.Kind + ": " + *s.Justification
		}
		if *run.Tool.Driver.Rules[r.RuleIndex].ID != *r.RuleID {
			t.Errorf("%s: index of rule %s", *r.RuleID, *run.Tool.Driver.Rules[r.RuleIndex].ID)
		}
		got, prints[r.PartialFingerprints["primaryLocationLineHash"]] = append(got, found), true
	}
	const base = "%SRCROOT%"
	want := []result{
		{"colours/bad", "error", "all%20pods/a,b:c.yaml", base, 5, 9, ""},
		{"colours/dull", "warning", "all%20pods/a,b:c.yaml", base, 2, 0, ""},
		{"colours/bad", "error", "all%20pods/a,b:c.yaml", base, 6, 9, ""},
		{"colours/shade", "note", "web/templates/pod.yaml", base, 0, 0, ""},
		{"colours/bad", "error", "file:///elsewhere/b.yaml", "", 7, 0, "external: Excepted until 2999-12-31: It is a painting."},
		{"review/evaluation", "error", "c.yaml", base, 1, 0, ""},
		{"review/evaluation", "warning", "c.yaml", base, 1, 0, ""},
		{"review/unread", "error", "d.yaml", base, 6, 0, ""},
		{"review/unread", "error", "gone.yaml", base, 0, 0, ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(prints) != len(want) {
		t.Errorf("%d fingerprints of %d results", len(prints), len(want))
	}
	if strings.Count(b.String(), `"suppressions": [`) != len(want) {
		t.Error("the standard wants suppressions on all results or none")
	}
	invocation := run.Invocations[0]
	if *invocation.ExecutionSuccessful || *invocation.ToolExecutionNotifications[0].Message.Text != "a note" {
		t.Errorf("%+v", invocation)
	}
}

func TestFingerprintsStayWhenLinesMove(t *testing.T) {
	prints := func(move int) string {
		report := everything()
		for i := range report.Objects {
			report.Objects[i].Line += move
			for j := range report.Objects[i].Violations {
				report.Objects[i].Violations[j].Location.Line += move
				report.Objects[i].Violations[j].Message += strings.Repeat("x", move)
			}
		}
		var b bytes.Buffer
		if err := report.WriteSARIF(&b, "/work", tool()); err != nil {
			t.Fatal(err)
		}
		var got []string
		for line := range strings.Lines(b.String()) {
			if strings.Contains(line, "eksguard/v1") {
				got = append(got, line)
			}
		}
		return strings.Join(got, "")
	}
	if diff := cmp.Diff(prints(0), prints(3)); diff != "" {
		t.Error(diff)
	}
}
