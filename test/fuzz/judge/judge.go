// Package judge asks the policies about aws-auth: what they make of a ConfigMap, and what of a change. It can be asked in its
// own process, because the fuzzer compiles everything in the test's process to count what of it runs, which makes OPA many
// times slower and tells nothing.
package judge

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/policy"
)

// Sections are the data of a ConfigMap.
type Sections = map[string]string

// Reading is what policies/lib/awsauth makes of a ConfigMap.
type Reading struct {
	Entries []struct {
		Section, Field, ARN, Username string
		Groups                        []string
		Raw                           any
	}
	Accounts []struct{ Account string }
	Errors   []struct{ Section, Field, Effect, Reason string }
}

// Verdict is the policy's decision on a change.
type Verdict struct {
	Allowed bool
	// Faults say why it could not be decided.
	Faults []string
}

// Judge asks the policies in this process.
type Judge struct {
	parse, canonical rego.PreparedEvalQuery
	engine           *policy.Engine
}

// New makes a Judge of the bundle in a folder.
func New(ctx context.Context, policies string) (*Judge, error) {
	b, err := bundle.Load(policies)
	if err != nil {
		return nil, err
	}
	snapshot, err := policy.NewSnapshot(ctx, b, nil)
	if err != nil {
		return nil, err
	}
	prepare := func(function string) (rego.PreparedEvalQuery, error) {
		options := []func(*rego.Rego){
			rego.Query("x := data.eksguard.lib.awsauth." + function + "(input)"), rego.StrictBuiltinErrors(true)}
		for _, file := range b.Modules {
			if !strings.HasSuffix(file.Path, "_test.rego") {
				options = append(options, rego.ParsedModule(file.Parsed.Copy()))
			}
		}
		return rego.New(options...).PrepareForEval(ctx)
	}
	j := &Judge{engine: policy.NewEngine(snapshot, policy.StaticState{})}
	if j.parse, err = prepare("parse"); err != nil {
		return nil, err
	}
	if j.canonical, err = prepare("canonical"); err != nil {
		return nil, err
	}
	return j, nil
}

// Canonical gives what the library says the authenticator makes of the ARN of an IAMIdentityMapping, empty for nothing.
func (j *Judge) Canonical(ctx context.Context, arn string) (string, error) {
	results, err := j.canonical.Eval(ctx, rego.EvalInput(arn), rego.EvalRuleIndexing(false))
	if err != nil {
		return "", err
	}
	if len(results) != 1 {
		return "", errors.New("the canonical form is undefined")
	}
	canonical, _ := results[0].Bindings["x"].(string)
	return canonical, nil
}

// Read gives what the library makes of a ConfigMap.
func (j *Judge) Read(ctx context.Context, sections Sections) (r Reading, err error) {
	content := map[string]any{}
	for name, text := range sections {
		content[name] = text
	}
	results, err := j.parse.Eval(ctx, rego.EvalInput(map[string]any{"data": content}), rego.EvalRuleIndexing(false))
	if err != nil {
		return r, err
	}
	if len(results) != 1 {
		return r, errors.New("the reading is undefined")
	}
	text, err := json.Marshal(results[0].Bindings["x"])
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(text, &r)
}

// Decide gives the policy's decision on a change from one ConfigMap to another.
func (j *Judge) Decide(ctx context.Context, before, after Sections) (v Verdict, err error) {
	object := func(sections Sections) map[string]any {
		return map[string]any{"apiVersion": "v1", "kind": "ConfigMap",
			"metadata": map[string]any{"name": "aws-auth", "namespace": "kube-system"}, "data": sections}
	}
	body, err := json.Marshal(map[string]any{
		"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": map[string]any{
			"uid": "1", "operation": "UPDATE", "namespace": "kube-system", "name": "aws-auth",
			"kind":      map[string]any{"group": "", "version": "v1", "kind": "ConfigMap"},
			"resource":  map[string]any{"group": "", "version": "v1", "resource": "configmaps"},
			"userInfo":  map[string]any{"username": "kubernetes-admin"},
			"oldObject": object(before), "object": object(after)}})
	if err != nil {
		return v, err
	}
	request, err := policy.ParseRequest(body)
	if err != nil {
		return v, err
	}
	request.Policy = "aws-auth"
	d := j.engine.Decide(ctx, request)
	v.Allowed = d.Allowed
	for i := range d.Faults {
		v.Faults = append(v.Faults, d.Faults[i].Error())
	}
	return v, nil
}

// question asks for a reading of After, and, where there is a Before, for the verdict on the change.
type question struct{ Before, After Sections }

type answer struct {
	Reading Reading
	Verdict Verdict
	Error   string
}

// Serve answers questions, JSON values one after another, until there are no more.
func (j *Judge) Serve(ctx context.Context, questions io.Reader, answers io.Writer) error {
	decoder, encoder := json.NewDecoder(bufio.NewReader(questions)), json.NewEncoder(answers)
	for {
		var q question
		if err := decoder.Decode(&q); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("question: %w", err)
		}
		var a answer
		var err error
		if q.Before == nil {
			a.Reading, err = j.Read(ctx, q.After)
		} else {
			a.Verdict, err = j.Decide(ctx, q.Before, q.After)
		}
		if err != nil {
			a.Error = err.Error()
		}
		if err := encoder.Encode(a); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
	}
}

// Remote asks a Judge in another process, which serves the other ends of these. It is for one goroutine.
type Remote struct {
	questions *json.Encoder
	answers   *json.Decoder
}

// NewRemote makes a Remote of the pipes to the other process.
func NewRemote(questions io.Writer, answers io.Reader) *Remote {
	return &Remote{json.NewEncoder(questions), json.NewDecoder(bufio.NewReader(answers))}
}

// Read gives what the library makes of a ConfigMap.
func (r *Remote) Read(_ context.Context, sections Sections) (Reading, error) {
	a, err := r.ask(question{After: sections})
	return a.Reading, err
}

// Decide gives the policy's decision on a change from one ConfigMap to another.
func (r *Remote) Decide(_ context.Context, before, after Sections) (Verdict, error) {
	a, err := r.ask(question{Before: before, After: after})
	return a.Verdict, err
}

func (r *Remote) ask(q question) (a answer, err error) {
	if err := r.questions.Encode(q); err != nil {
		return a, fmt.Errorf("ask the judge's process: %w", err)
	}
	if err := r.answers.Decode(&a); err != nil {
		return a, fmt.Errorf("answer of the judge's process: %w", err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}
