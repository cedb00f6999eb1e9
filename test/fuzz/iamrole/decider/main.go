// Command decider answers, for the fuzz tests beside it, what the policies iam-role and iam-grants make of a role and of a
// Namespace's annotation. It is a process of its own so that the fuzzer does not count the coverage of all of OPA: it reads
// questions from its standard input, one JSON object each, and writes an answer to each.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/policy"
)

// question is a Pod that asks for a role in a Namespace with an annotation, and somebody who is no administrator who writes
// that annotation on a new Namespace.
type question struct {
	// Settings are laid over those of the default bundle, as JSON.
	Settings string `json:"settings"`
	// Annotation is the key of the Namespace's annotation, and Allowed its value.
	Annotation string `json:"annotation"`
	Allowed    string `json:"allowed"`
	Namespace  string `json:"namespace"`
	Role       string `json:"role"`
}

// answer is what is denied.
type answer struct {
	// Pod are the rules that deny the Pod, and Namespace those that deny the Namespace.
	Pod       []string `json:"pod"`
	Namespace []string `json:"namespace"`
	// Faults are policies that could not be evaluated.
	Faults []string `json:"faults"`
}

func main() {
	if err := serve(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "decider:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, in io.Reader, out io.Writer) error {
	questions, answers := json.NewDecoder(in), json.NewEncoder(out)
	snapshots := map[string]*policy.Snapshot{}
	for number := uint64(0); ; number++ {
		var q question
		if err := questions.Decode(&q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading question %d: %w", number, err)
		}
		snapshot := snapshots[q.Settings]
		if snapshot == nil {
			var err error
			if snapshot, err = compile(ctx, q.Settings); err != nil {
				return err
			}
			snapshots[q.Settings] = snapshot
		}
		a, err := decide(ctx, snapshot, q, number)
		if err != nil {
			return fmt.Errorf("question %d: %w", number, err)
		}
		if err := answers.Encode(a); err != nil {
			return err
		}
	}
}

func compile(ctx context.Context, settings string) (*policy.Snapshot, error) {
	embedded, err := bundle.Load("")
	if err != nil {
		return nil, err
	}
	var overlay map[string]any
	if err := json.Unmarshal([]byte(settings), &overlay); err != nil {
		return nil, fmt.Errorf("settings %s: %w", settings, err)
	}
	return policy.NewSnapshot(ctx, embedded, overlay)
}

// versioned is a state with a version of its own, so that no answer is remembered of another.
type versioned struct {
	policy.StaticState
	version uint64
}

// Version implements policy.State.
func (v versioned) Version(policy.Need) uint64 { return v.version }

func decide(ctx context.Context, s *policy.Snapshot, q question, number uint64) (a answer, err error) {
	annotated := map[string]any{"metadata": map[string]any{
		"name": q.Namespace, "annotations": map[string]any{q.Annotation: q.Allowed}}}
	state, err := policy.NewStaticState(map[string]any{"v1/namespaces": map[string]any{q.Namespace: annotated}})
	if err != nil {
		return a, err
	}
	pod := map[string]any{"metadata": map[string]any{
		"name": "p", "annotations": map[string]any{"iam.amazonaws.com/role": q.Role}}}
	if a.Pod, err = ask(ctx, policy.NewEngine(s, versioned{state, number}), "pods", "Pod", q.Namespace, pod, &a); err != nil {
		return a, err
	}
	a.Namespace, err = ask(ctx, policy.NewEngine(s, policy.StaticState{}), "namespaces", "Namespace", q.Namespace, annotated, &a)
	return a, err
}

// ask gives the rules that deny alice to create the object.
func ask(ctx context.Context, e *policy.Engine, resource, kind, namespace string, object map[string]any, a *answer) ([]string, error) {
	body, err := json.Marshal(map[string]any{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": map[string]any{
		"uid": "u", "operation": "CREATE", "namespace": namespace, "name": object["metadata"].(map[string]any)["name"],
		"kind":     map[string]any{"group": "", "version": "v1", "kind": kind},
		"resource": map[string]any{"group": "", "version": "v1", "resource": resource},
		"object":   object, "oldObject": nil,
		"userInfo": map[string]any{"username": "alice", "groups": []string{"system:authenticated"}},
	}})
	if err != nil {
		return nil, err
	}
	request, err := policy.ParseRequest(body)
	if err != nil {
		return nil, err
	}
	d := e.Decide(ctx, request)
	for _, fault := range d.Faults {
		a.Faults = append(a.Faults, fault.Error())
	}
	rules := []string{}
	for _, v := range d.Violations {
		if v.Denies() {
			rules = append(rules, v.ID())
		}
	}
	return rules, nil
}
