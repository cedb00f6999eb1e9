package review

import (
	"io"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/mozilla-iam/eksguard/internal/manifest"
	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/internal/terminal"
)

// Tool is what SARIF tells of eksguard besides the report.
type Tool struct {
	// Version is eksguard's, and Policies those that judged.
	Version  string
	Policies []*policy.Policy
}

// WriteSARIF writes the report as SARIF 2.1.0 (docs.oasis-open.org/sarif/sarif/v2.1.0). Each violation is a result, an
// error if it denies, a warning, or a note if it is only recorded; suppressed if an exception covers it. So is what
// could not be read or evaluated. Notes are notifications of the tool. Paths are relative to the folder where they are
// below it.
func (r *Report) WriteSARIF(w io.Writer, folder string, tool Tool) error {
	driver := sarifDriver{
		Name: "eksguard", Version: tool.Version, InformationURI: "https://github.com/mozilla-iam/eksguard",
		Rules: sarifRules(tool.Policies),
	}
	indexes := map[string]int{}
	for i, rule := range driver.Rules {
		indexes[rule.ID] = i
	}
	run := sarifRun{
		Tool: sarifTool{Driver: driver}, ColumnKind: "unicodeCodePoints",
		Invocations: []sarifInvocation{{ExecutionSuccessful: len(r.Errors) == 0, Notifications: []sarifNotification{}}},
		Results:     []sarifResult{}, Properties: map[string]any{"revision": r.Revision},
	}
	for _, n := range r.Notes {
		run.Invocations[0].Notifications = append(run.Invocations[0].Notifications,
			sarifNotification{Level: note.sarif(), Message: sarifText{Text: terminal.Lines(n)}})
	}
	prints := fingerprints{folder: folder, seen: map[string]int{}}
	for _, found := range r.findings() {
		fingerprint := prints.of(found)
		run.Results = append(run.Results, sarifResult{
			RuleID: found.rule, RuleIndex: indexes[found.rule], Level: found.level.sarif(),
			Message: sarifText{Text: found.message}, Locations: []sarifLocation{found.sarifLocation(folder)},
			// GitHub recognises a result by the second alone.
			Fingerprints: map[string]string{"eksguard/v1": fingerprint, "primaryLocationLineHash": fingerprint},
			Suppressions: found.suppressions(),
		})
	}
	return encodeJSON(w, sarifLog{
		Schema:  "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
		Version: "2.1.0", Runs: []sarifRun{run},
	})
}

func (l level) sarif() string {
	return map[level]string{note: "note", warning: "warning", failure: "error"}[l]
}

// sarifRules are the rules that can be violated, and those of a review itself.
func sarifRules(policies []*policy.Policy) (rules []sarifRule) {
	for _, p := range policies {
		for _, r := range p.Rules {
			if r.Off || r.Kind == policy.MutateRule {
				continue
			}
			rules = append(rules, newSARIFRule(p.Name+"/"+r.ID, r.Title, r.Description, r.Fix, r.Severity))
		}
	}
	return append(rules,
		newSARIFRule(unreadRule, "The document can be read",
			"What cannot be read is not judged. The API server, kubectl or Flux would refuse it, too.",
			"make it a manifest, or do not name it to eksguard review", "high"),
		newSARIFRule(evaluationRule, "The policy can be evaluated",
			"A policy that cannot be evaluated denies what it is asked about, unless its failurePolicy is Ignore.",
			"look at what the object has where the policy expects something else, and report it to the policy's author", "high"))
}

func newSARIFRule(id, title, description, fix, severity string) sarifRule {
	if description = strings.TrimSpace(description); description == "" {
		description = title
	}
	rule := sarifRule{
		ID: id, Name: pascal(id), ShortDescription: sarifText{Text: title}, FullDescription: sarifText{Text: description},
		Help:                 sarifHelp{Text: description, Markdown: "**" + title + "** (`" + id + "`)\n\n" + description},
		DefaultConfiguration: sarifConfiguration{Level: defaultLevel(severity).sarif()},
		Properties: map[string]any{"tags": []string{"security", "kubernetes"},
			"security-severity": score(severity), "severity": severity},
	}
	if fix = strings.TrimSpace(fix); fix != "" {
		rule.Help.Text += "\nFix: " + fix
		rule.Help.Markdown += "\n\n**Fix:** " + fix
	}
	return rule
}

// pascal is an id as a name in SARIF is to be: iam-role/naming is IamRoleNaming.
func pascal(id string) string {
	var name strings.Builder
	for _, word := range strings.FieldsFunc(id, func(r rune) bool { return r == '-' || r == '/' }) {
		name.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return name.String()
}

func defaultLevel(severity string) level {
	switch severity {
	case "critical", "high":
		return failure
	case "medium":
		return warning
	default:
		return note
	}
}

// score is in the middle of the range that GitHub calls by the same name (GitHub's documentation, "SARIF support for
// code scanning").
func score(severity string) string {
	switch severity {
	case "critical":
		return "9.5"
	case "high":
		return "8.0"
	case "medium":
		return "5.5"
	default:
		return "2.0"
	}
}

func (f *finding) sarifLocation(folder string) sarifLocation {
	location := sarifLocation{Physical: sarifPhysical{Artifact: artifact(folder, f.location)}}
	if f.location.Line > 0 {
		location.Physical.Region = &sarifRegion{StartLine: f.location.Line, StartColumn: f.location.Column}
	}
	if f.object != nil {
		location.Logical = []sarifLogical{{FullyQualifiedName: terminal.Printable(f.object.subject()), Kind: "object"}}
	}
	return location
}

// artifact names the file by a URI, relative to the root of the sources if it is below the folder.
func artifact(folder string, location manifest.Location) sarifArtifact {
	path, isBelow := below(folder, location.File)
	if isBelow {
		return sarifArtifact{URI: (&url.URL{Path: path}).String(), URIBaseID: "%SRCROOT%"}
	}
	return sarifArtifact{URI: (&url.URL{Scheme: "file", Path: filepath.ToSlash(path)}).String()}
}

func (f *finding) suppressions() []sarifSuppression {
	if f.exception == nil {
		return []sarifSuppression{}
	}
	return []sarifSuppression{{
		Kind: "external", Status: "accepted",
		Justification: "Excepted until " + terminal.Printable(f.exception.Expires) + ": " + terminal.Printable(f.exception.Reason),
	}}
}
