// Package regotest runs the Rego tests of a bundle with OPA's tester, and the examples in its METADATA, under the
// conditions that its policies are served under: the same built-ins, a strict compiler, and a built-in that fails is a
// fault and not undefined.
package regotest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/mozilla-iam/eksguard/internal/policy"
)

// Options say which tests to run.
type Options struct {
	// Run is a regular expression that a test's full name has to match (data.eksguard.iam_role_test.test_x, or
	// examples.iam-role/naming/violates); empty is all.
	Run string
	// RegoOnly leaves the examples out.
	RegoOnly bool
	// Coverage asks for the lines of the policies that the tests evaluate.
	Coverage bool
	// Timeout bounds each test. Default: 30 seconds.
	Timeout time.Duration
}

// Outcome is what came of a test.
type Outcome string

// The outcomes. Broken is a test that could not be evaluated; a test whose name begins with todo_test_ is skipped.
const (
	Passed  Outcome = "passed"
	Failed  Outcome = "failed"
	Broken  Outcome = "broken"
	Skipped Outcome = "skipped"
)

// Test is one test and its outcome.
type Test struct {
	Package string  `json:"package"`
	Name    string  `json:"name"`
	File    string  `json:"file"`
	Line    int     `json:"line"`
	Outcome Outcome `json:"outcome"`
	// FailedAt is where the expression stands that was not true, and the expression; empty where that cannot be told.
	FailedAt string `json:"failedAt,omitempty"`
	// Error tells why it is Broken.
	Error string `json:"error,omitempty"`
	// Output is what print printed.
	Output string `json:"output,omitempty"`
	// Cases are the names of the cases that failed, of a test that has cases.
	Cases    []string      `json:"cases,omitempty"`
	Duration time.Duration `json:"durationNanoseconds"`
}

// Uncovered are lines of a policy that no test evaluates, from the first to the last.
type Uncovered struct {
	File  string `json:"file"`
	First int    `json:"first"`
	Last  int    `json:"last"`
}

// Report is the outcome of all tests, sorted by place.
type Report struct {
	Tests []Test `json:"tests"`
	// Coverage is the part of the lines of the policies that the tests evaluate, in percent; nil where it was not asked
	// for.
	Coverage  *float64    `json:"coverage,omitempty"`
	Uncovered []Uncovered `json:"uncovered,omitempty"`
}

// Count gives the number of tests with that outcome.
func (r *Report) Count(outcome Outcome) (n int) {
	for i := range r.Tests {
		if r.Tests[i].Outcome == outcome {
			n++
		}
	}
	return n
}

// Run runs the tests of a bundle. It fails where the bundle does not compile.
func Run(ctx context.Context, b *bundle.Bundle, o Options) (*Report, error) {
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	run, err := regexp.Compile(o.Run)
	if err != nil {
		return nil, fmt.Errorf("regular expression of the tests to run: %w", err)
	}
	coverage := cover.New()
	r := runner(b, o)
	if o.Coverage {
		r.SetCoverageQueryTracer(coverage).SetCoverageRuns(nil)
	}
	results, err := collect(ctx, b, r)
	if err != nil {
		return nil, err
	}
	places, err := locate(ctx, b, o, results)
	if err != nil {
		return nil, err
	}
	report := &Report{Tests: []Test{}}
	if !o.RegoOnly {
		tried, err := runExamples(ctx, b, run)
		if err != nil {
			return nil, err
		}
		report.Tests = append(report.Tests, tried...)
	}
	for _, result := range results {
		report.Tests = append(report.Tests, testOf(result, places))
	}
	slices.SortFunc(report.Tests, func(a, b Test) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Name, b.Name))
	})
	if o.Coverage {
		report.cover(coverage, b)
	}
	return report, nil
}

func runner(b *bundle.Bundle, o Options) *tester.Runner {
	compiler := ast.NewCompiler().WithCapabilities(policy.Capabilities()).WithStrict(true).WithEnablePrintStatements(true)
	return tester.NewRunner().
		SetCompiler(compiler).
		SetStore(inmem.NewFromObject(b.Data)).
		SetModules(modulesOf(b)).
		RaiseBuiltinErrors(true).
		CapturePrintOutput(true).
		SetTimeout(o.Timeout).
		Filter(o.Run)
}

// modulesOf copies the modules, since the compiler rewrites them.
func modulesOf(b *bundle.Bundle) map[string]*ast.Module {
	modules := map[string]*ast.Module{}
	for i := range b.Modules {
		modules[b.Modules[i].Path] = b.Modules[i].Parsed.Copy()
	}
	return modules
}

func collect(ctx context.Context, b *bundle.Bundle, r *tester.Runner) (results []*tester.Result, err error) {
	store := inmem.NewFromObject(b.Data)
	txn, err := store.NewTransaction(ctx, storage.TransactionParams{})
	if err != nil {
		return nil, err
	}
	defer store.Abort(ctx, txn)
	found, err := r.SetStore(store).RunTests(ctx, txn)
	if err != nil {
		return nil, err
	}
	for result := range found {
		results = append(results, result)
	}
	return results, context.Cause(ctx)
}

// locate runs the tests that failed once more, traced, and gives by name the expression that was not true. Tracing all
// would take the memory of all.
func locate(ctx context.Context, b *bundle.Bundle, o Options, results []*tester.Result) (map[string]string, error) {
	var names []string
	for _, result := range results {
		if result.Fail {
			names = append(names, "^"+regexp.QuoteMeta(result.Package+"."+result.Name)+"$")
		}
	}
	if names == nil {
		return nil, nil
	}
	o.Run = strings.Join(names, "|")
	traced, err := collect(ctx, b, runner(b, o).EnableTracing(true))
	if err != nil {
		return nil, err
	}
	places := map[string]string{}
	for _, result := range traced {
		for _, event := range result.Trace {
			expr, ok := event.Node.(*ast.Expr)
			if ok && event.Op == topdown.FailOp && expr.Location != nil && expr.Location.File == result.Location.File {
				text, _, _ := strings.Cut(string(expr.Location.Text), "\n")
				places[result.Package+"."+result.Name] = fmt.Sprintf("%s:%d: %s", expr.Location.File, expr.Location.Row, text)
			}
		}
	}
	return places, nil
}

func testOf(result *tester.Result, places map[string]string) Test {
	t := Test{
		Package: result.Package, Name: result.Name, Outcome: Passed, Duration: result.Duration,
		Output: strings.TrimRight(string(result.Output), "\n"),
	}
	if result.Location != nil {
		t.File, t.Line = result.Location.File, result.Location.Row
	}
	switch {
	case result.Skip:
		t.Outcome = Skipped
	case result.Error != nil:
		t.Outcome, t.Error = Broken, cause(result.Error)
	case result.Fail:
		t.Outcome, t.FailedAt = Failed, places[result.Package+"."+result.Name]
		for name, sub := range result.SubResults.Iter {
			if sub.Fail && len(sub.SubResults) == 0 {
				t.Cases = append(t.Cases, strings.Join(name, "/"))
			}
		}
	}
	return t
}

// place reads file:line.
func place(location string) (file string, line int) {
	if i := strings.LastIndexByte(location, ':'); i >= 0 {
		file = location[:i]
		line, _ = strconv.Atoi(location[i+1:])
	}
	return file, line
}

// cause tells an error of evaluation with its place.
func cause(err error) string {
	var fault *topdown.Error
	if errors.As(err, &fault) {
		return fault.Error()
	}
	return err.Error()
}

// cover reads the coverage of the policies; tests need none.
func (r *Report) cover(coverage *cover.Cover, b *bundle.Bundle) {
	modules := map[string]*ast.Module{}
	for i := range b.Modules {
		if !policy.IsTest(&b.Modules[i]) {
			// By the name that the tracer sees: a bundle that was put together with others has its name before the path.
			modules[b.Modules[i].Parsed.Package.Location.File] = b.Modules[i].Parsed
		}
	}
	covered, lines := 0, 0
	report := coverage.Report(modules)
	for file := range modules {
		f := report.Files[file]
		covered += f.CoveredLines
		lines += f.CoveredLines + f.NotCoveredLines
		for _, gap := range f.NotCovered {
			r.Uncovered = append(r.Uncovered, Uncovered{File: file, First: gap.Start.Row, Last: gap.End.Row})
		}
	}
	slices.SortFunc(r.Uncovered, func(a, b Uncovered) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last))
	})
	r.Uncovered = joined(r.Uncovered)
	percent := 100.0
	if lines > 0 {
		percent = 100 * float64(covered) / float64(lines)
	}
	r.Coverage = &percent
}

// joined makes one of gaps that overlap or follow each other. They are in order.
func joined(gaps []Uncovered) (whole []Uncovered) {
	for _, gap := range gaps {
		if last := len(whole) - 1; last >= 0 && whole[last].File == gap.File && gap.First <= whole[last].Last+1 {
			whole[last].Last = max(whole[last].Last, gap.Last)
			continue
		}
		whole = append(whole, gap)
	}
	return whole
}
