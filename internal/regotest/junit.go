package regotest

import (
	"encoding/xml"
	"fmt"
	"io"
	"time"

	"github.com/jstemmer/go-junit-report/v2/junit"
)

// WriteJUnit prints the report as JUnit XML: one suite a package, one case a test.
func (r *Report) WriteJUnit(w io.Writer) error {
	var suites junit.Testsuites
	byPackage, took := map[string]*junit.Testsuite{}, map[string]time.Duration{}
	var packages []string
	for i := range r.Tests {
		t := &r.Tests[i]
		if byPackage[t.Package] == nil {
			byPackage[t.Package] = &junit.Testsuite{Name: t.Package, ID: len(packages)}
			packages = append(packages, t.Package)
		}
		byPackage[t.Package].AddTestcase(t.testcase())
		took[t.Package] += t.Duration
	}
	for _, name := range packages {
		byPackage[name].Time = fmt.Sprintf("%.6f", took[name].Seconds())
		suites.AddSuite(*byPackage[name])
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	return suites.WriteXML(w)
}

func (t *Test) testcase() junit.Testcase {
	c := junit.Testcase{Classname: t.Package, Name: t.Name, Time: fmt.Sprintf("%.6f", t.Duration.Seconds())}
	if t.Output != "" {
		c.SystemOut = &junit.Output{Data: t.Output}
	}
	place := fmt.Sprintf("%s:%d", t.File, t.Line)
	switch t.Outcome {
	case Failed:
		c.Failure = &junit.Result{Message: place, Data: t.FailedAt}
	case Broken:
		c.Error = &junit.Result{Message: place, Data: t.Error}
	case Skipped:
		c.Skipped = &junit.Result{Message: place}
	case Passed:
	}
	return c
}
