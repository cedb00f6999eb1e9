package review

import (
	"encoding/json"
	"io"
)

// issue is one entry of GitLab's code quality report (GitLab's documentation, "Code Quality", "Code Quality report
// format").
type issue struct {
	Description string        `json:"description"`
	CheckName   string        `json:"check_name"`
	Fingerprint string        `json:"fingerprint"`
	Severity    string        `json:"severity"`
	Location    issueLocation `json:"location"`
}

type issueLocation struct {
	Path  string     `json:"path"`
	Lines issueLines `json:"lines"`
}

type issueLines struct {
	Begin int `json:"begin"`
}

// WriteGitLab writes the report as a code quality report of GitLab. What does not deny is minor, or info if it is only
// recorded; what an exception covers is left out. Paths are relative to the folder.
func (r *Report) WriteGitLab(w io.Writer, folder string) error {
	issues := []issue{}
	prints := fingerprints{folder: folder, seen: map[string]int{}}
	for _, found := range r.findings() {
		if found.exception != nil {
			continue
		}
		file, _ := below(folder, found.location.File)
		issues = append(issues, issue{
			Description: found.message, CheckName: found.rule, Fingerprint: prints.of(found), Severity: found.issueSeverity(),
			Location: issueLocation{Path: file, Lines: issueLines{Begin: max(found.location.Line, 1)}},
		})
	}
	return encodeJSON(w, issues)
}

func (f *finding) issueSeverity() string {
	switch {
	case f.level == note:
		return "info"
	case f.level == warning:
		return "minor"
	case f.severity == "critical":
		return "blocker"
	case f.severity == "high":
		return "critical"
	default:
		return "major"
	}
}

// WriteJSON writes the report as it is.
func (r *Report) WriteJSON(w io.Writer) error { return encodeJSON(w, r) }

func encodeJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
