package review

import (
	"fmt"
	"io"
	"strings"

	"github.com/mozilla-iam/eksguard/internal/terminal"
)

// WriteGitHub writes the report as workflow commands of GitHub, which annotate the files of a pull request: an error
// for what denies, a warning, and a notice for what is only recorded. What an exception covers is left out. Paths are
// relative to the folder. The last line is the summary.
//
// The commands are described in GitHub's documentation, "Workflow commands for GitHub Actions", and what is escaped in
// github.com/actions/toolkit, packages/core/src/command.ts.
func (r *Report) WriteGitHub(w io.Writer, folder string) error {
	var b strings.Builder
	for _, found := range r.findings() {
		if found.exception != nil {
			continue
		}
		command := map[level]string{note: "notice", warning: "warning", failure: "error"}[found.level]
		file, _ := below(folder, found.location.File)
		properties := []string{"file=" + property(file)}
		if found.location.Line > 0 {
			properties = append(properties, fmt.Sprintf("line=%d", found.location.Line))
		}
		if found.location.Column > 0 {
			properties = append(properties, fmt.Sprintf("col=%d", found.location.Column))
		}
		properties = append(properties, "title="+property(found.rule))
		fmt.Fprintf(&b, "::%s %s::%s\n", command, strings.Join(properties, ","), data(found.message))
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "::notice title=eksguard review::%s\n", data(terminal.Lines(n)))
	}
	t := &text{}
	t.summary(r.Summary)
	b.WriteString(t.String())
	_, err := io.WriteString(w, b.String())
	return err
}

// data and property escape what is part of a command.
func data(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

func property(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(s)
}
