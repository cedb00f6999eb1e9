package review

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/jstemmer/go-junit-report/v2/junit"

	"github.com/mozilla-iam/eksguard/internal/manifest"
	"github.com/mozilla-iam/eksguard/internal/terminal"
)

// WriteJUnit writes the report as JUnit's XML: a suite for each file, and a case for each object. What denies is a
// failure, what could not be read or evaluated an error, and the rest is output of the case. It is what the schema of
// Jenkins takes (jenkinsci/xunit-plugin, junit-10.xsd).
func (r *Report) WriteJUnit(w io.Writer) error {
	suites := junit.Testsuites{Name: "eksguard review"}
	byFile := map[string]*junit.Testsuite{}
	var files []string
	suite := func(file string) *junit.Testsuite {
		if byFile[file] == nil {
			files = append(files, file)
			byFile[file] = &junit.Testsuite{Name: terminal.Printable(file), ID: len(files) - 1, Time: "0.000"}
		}
		return byFile[file]
	}
	for i := range r.Objects {
		suite(r.Objects[i].File).AddTestcase(r.Objects[i].testcase())
	}
	for _, e := range r.Errors {
		location := manifest.Location{File: e.File, Line: e.Line}
		suite(e.File).AddTestcase(junit.Testcase{
			Name: terminal.Printable(location.String()), Classname: terminal.Printable(e.File),
			Error: &junit.Result{Message: terminal.Printable(e.Error), Type: unreadRule,
				Data: terminal.Printable(location.String() + ": " + e.Error)},
		})
	}
	for _, file := range files {
		suites.AddSuite(*byFile[file])
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	return suites.WriteXML(w)
}

func (o *Object) testcase() junit.Testcase {
	test := junit.Testcase{Name: terminal.Printable(o.subject() + o.circumstances()), Classname: terminal.Printable(o.File)}
	var denials, faults, others []string
	var rules []string
	for i := range o.Violations {
		v := &o.Violations[i]
		told := terminal.Printable(v.Location.String()) + ": " + terminal.Lines(v.String())
		switch {
		case v.Denies():
			denials, rules = append(denials, told), append(rules, v.ID())
		case v.Exception != nil:
			others = append(others, fmt.Sprintf("%s Excepted until %s: %s", told, v.Exception.Expires,
				terminal.Lines(v.Exception.Reason)))
		default:
			others = append(others, string(v.Action)+": "+told)
		}
	}
	for _, f := range o.Errors {
		told := terminal.Lines(fmt.Sprintf("policy %s could not be evaluated: %s", f.Policy, f.Error))
		if f.Denies {
			faults = append(faults, told)
		} else {
			others = append(others, told)
		}
	}
	if len(denials) > 0 {
		test.Failure = &junit.Result{
			Message: headline(denials, o.Violations), Type: strings.Join(rules, " "), Data: strings.Join(denials, "\n")}
	}
	if len(faults) > 0 {
		test.Error = &junit.Result{Message: terminal.Printable(faults[0]), Type: evaluationRule, Data: strings.Join(faults, "\n")}
	}
	if len(others) > 0 {
		test.SystemOut = &junit.Output{Data: strings.Join(others, "\n")}
	}
	return test
}

// headline is the only denial, or how many there are.
func headline(denials []string, violations []Violation) string {
	if len(denials) > 1 {
		return fmt.Sprintf("%d violations", len(denials))
	}
	for i := range violations {
		if violations[i].Denies() {
			return terminal.Printable(violations[i].String())
		}
	}
	return ""
}
