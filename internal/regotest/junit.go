package regotest

import (
	"encoding/xml"
	"fmt"
	"io"
)

type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Seconds string        `xml:"time,attr"`
	Failure *junitMessage `xml:"failure"`
	Error   *junitMessage `xml:"error"`
	Skipped *junitMessage `xml:"skipped"`
	Output  string        `xml:"system-out,omitempty"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit prints the report as JUnit XML: one suite a package, one case a test.
func (r *Report) WriteJUnit(w io.Writer) error {
	var suites junitSuites
	index := map[string]int{}
	for i := range r.Tests {
		t := &r.Tests[i]
		at, ok := index[t.Package]
		if !ok {
			at = len(suites.Suites)
			index[t.Package] = at
			suites.Suites = append(suites.Suites, junitSuite{Name: t.Package})
		}
		suites.Suites[at].add(t)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(suites); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (s *junitSuite) add(t *Test) {
	c := junitCase{
		Class: t.Package, Name: t.Name, Seconds: fmt.Sprintf("%.6f", t.Duration.Seconds()), Output: t.Output,
	}
	place := fmt.Sprintf("%s:%d", t.File, t.Line)
	s.Tests++
	switch t.Outcome {
	case Failed:
		s.Failures++
		c.Failure = &junitMessage{Message: place, Text: t.FailedAt}
	case Broken:
		s.Errors++
		c.Error = &junitMessage{Message: place, Text: t.Error}
	case Skipped:
		s.Skipped++
		c.Skipped = &junitMessage{Message: place}
	case Passed:
	}
	s.Cases = append(s.Cases, c)
}
