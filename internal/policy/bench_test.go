package policy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/policy"
)

// podReview is the review of a Pod of two containers, about 6 KiB, as the API server sends it.
func podReview(b *testing.B) []byte {
	b.Helper()
	body, err := os.ReadFile("testdata/pod-review.json")
	if err != nil {
		b.Fatal(err)
	}
	return bytes.TrimSpace(body)
}

// BenchmarkDecode sets decoding beside the two ways that it could have been done.
func BenchmarkDecode(b *testing.B) {
	body := podReview(b)
	for _, way := range []struct {
		name   string
		decode func([]byte) error
	}{
		{"eksguard", func(body []byte) error { _, err := policy.ParseRequest(body); return err }},
		{"ast.ValueFromReader", func(body []byte) error { _, err := ast.ValueFromReader(bytes.NewReader(body)); return err }},
		{"admissionv1", func(body []byte) error { return json.Unmarshal(body, &admissionv1.AdmissionReview{}) }},
	} {
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if err := way.decode(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDecide measures a decision of the default bundle, from a decoded review to the verdict.
func BenchmarkDecide(b *testing.B) {
	body := podReview(b)
	embedded, err := bundle.Load("")
	if err != nil {
		b.Fatal(err)
	}
	snapshot, err := policy.NewSnapshot(b.Context(), embedded, nil)
	if err != nil {
		b.Fatal(err)
	}
	namespaces, err := policy.NewStaticState(map[string]any{"v1/namespaces": map[string]any{"webservice-01": map[string]any{
		"metadata": map[string]any{"annotations": map[string]any{"iam.amazonaws.com/allowed-roles": `["eks-*"]`}}},
		"webservice-02": map[string]any{"metadata": map[string]any{}}}})
	if err != nil {
		b.Fatal(err)
	}
	engine := policy.NewEngine(snapshot, namespaces)
	for _, row := range []struct {
		name      string
		roles     int // more than are remembered, so that every role is new when it comes again
		namespace string
		allowed   bool
	}{
		{"allowed/seen", 1, "webservice-01", true}, {"allowed/new", 10000, "webservice-01", true},
		{"denied/seen", 1, "webservice-02", false}, {"denied/new", 10000, "webservice-02", false},
	} {
		b.Run(row.name, func(b *testing.B) {
			requests := make([]*policy.Request, row.roles)
			for i := range requests {
				text := bytes.ReplaceAll(body, []byte("role/eks-webservice-01-prod"), fmt.Appendf(nil, "role/eks-service-%d-prod", i))
				text = bytes.ReplaceAll(text, []byte(`"namespace":"webservice-01"`), []byte(`"namespace":"`+row.namespace+`"`))
				if requests[i], err = policy.ParseRequest(text); err != nil {
					b.Fatal(err)
				}
				requests[i].Policy = "iam-role"
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if d := engine.Decide(b.Context(), requests[i%row.roles]); d.Allowed != row.allowed || len(d.Faults) > 0 {
					b.Fatalf("%+v", d)
				}
			}
		})
	}
}
