package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mozilla-iam/eksguard/internal/excerpt"
)

// Severity says how much a finding matters.
type Severity string

// The severities. An Error means that eksguard does not guard, or not what its settings say; a Warning, that a way
// around it is open or something will break; Info is worth knowing.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Info    Severity = "info"
)

// Outcomes of a check that found nothing, and of one that could not be made; otherwise it is the worst severity found.
const (
	outcomeOK      = "ok"
	outcomeUnknown = "unknown"
)

// Report is what an examination found. Its JSON is the output of eksguard doctor -o json: fields may be added to it,
// but none changes or goes, and no list is null.
type Report struct {
	// Revision is the snapshot's by which the cluster was examined.
	Revision string    `json:"revision"`
	Checks   []Check   `json:"checks"`
	Findings []Finding `json:"findings"`
	Summary  Summary   `json:"summary"`
}

// Check is one thing that was looked at.
type Check struct {
	Name string `json:"name"`
	// Outcome is ok, unknown where it could not be looked at, or else the worst severity found.
	Outcome string `json:"outcome"`
	// Saw says in a few words what was seen.
	Saw string `json:"saw"`
	// Error says why it could not be looked at.
	Error string `json:"error"`
}

// Finding is something that somebody should know, and mostly do something about.
type Finding struct {
	Check    string   `json:"check"`
	Severity Severity `json:"severity"`
	// What is the case, Why it matters, and what to Do: a command, or a setting.
	What string `json:"what"`
	Why  string `json:"why"`
	Do   string `json:"do"`
}

// Summary counts findings by severity, and the checks that could not be made.
type Summary struct {
	Errors   int `json:"errors"`
	Warnings int `json:"warnings"`
	Infos    int `json:"infos"`
	Unknown  int `json:"unknown"`
}

func newReport(revision string) *Report {
	return &Report{Revision: revision, Checks: []Check{}, Findings: []Finding{}}
}

// add takes the outcome of a check into the report, whose findings are there already.
func (r *Report) add(name, saw string, err error, findings []Finding) {
	c := Check{Name: name, Outcome: outcomeOK, Saw: saw}
	for _, severity := range []Severity{Info, Warning, Error} {
		if slices.ContainsFunc(findings, func(f Finding) bool { return f.Severity == severity }) {
			c.Outcome = string(severity)
		}
	}
	for _, f := range findings {
		switch f.Severity {
		case Error:
			r.Summary.Errors++
		case Warning:
			r.Summary.Warnings++
		case Info:
			r.Summary.Infos++
		}
	}
	if err != nil {
		c.Error = excerpt.Of(err.Error(), maxText)
		r.Summary.Unknown++
		if c.Outcome != string(Error) {
			c.Outcome = outcomeUnknown
		}
	}
	r.Checks = append(r.Checks, c)
}

// listed names some of many, quoted.
func listed(names []string) string {
	var quoted []string
	for i, name := range names {
		if i == maxListed {
			quoted = append(quoted, fmt.Sprintf("and %d more", len(names)-i))
			break
		}
		quoted = append(quoted, fmt.Sprintf("%q", excerpt.Of(name, maxText)))
	}
	return strings.Join(quoted, ", ")
}
