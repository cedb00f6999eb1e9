package policy

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"sigs.k8s.io/yaml"
)

// FuzzDecode holds that the decoder takes nothing that is no JSON, and gives the value that OPA's own decoder gives.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2.5e3,-0,"b\u00e9",true,null,{}]}`, `[[[]]]`, `"\ud83d\ude00"`, `1e400`, `{"a":1,"a":2}`,
		"\"\xff\"", `01`, ` 1 `, `1 2`, `{"":{"":""}}`, `123456789012345678901234567890`, `{"b":1,"a":2}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		left := maxValues
		got, err := decodeJSON(body, &left)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error that says nothing")
			}
			return
		}
		if !json.Valid(body) {
			t.Fatalf("took what is no JSON: %q", body)
		}
		want, err := ast.ValueFromReader(bytes.NewReader(body))
		if err != nil {
			t.Fatalf("OPA does not take %q: %v", body, err)
		}
		if ast.Compare(got, want) != 0 {
			t.Errorf("%q: got %v, OPA has %v", body, got, want)
		}
	})
}

// FuzzSettings holds that settings are refused with a reason or taken whole: what was taken is taken again after it was
// written and read.
func FuzzSettings(f *testing.F) {
	b, err := defaultBundle()
	if err != nil {
		f.Fatal(err)
	}
	snapshot, err := NewSnapshot(f.Context(), b, nil)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"", "{}", "enforcement: {iam-role: warn}", "enforcement: {iam-role/naming: no}", "exceptions: []",
		"exceptions: [{policy: iam-role, namespace: x, reason: y, expires: 2027-01-31}]", "exceptions: [{policy: x, expires: 1}]",
		"a: &a [*a]", "iam_role: null", "iam_role: {environments: [prod]}", "[]", "enforcement: {? [] : deny}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		overlay := map[string]any{}
		if err := yaml.UnmarshalStrict(text, &overlay); err != nil {
			return // told by the loader
		}
		_, document, err := settingsDocument(b.Data, overlay)
		if err != nil {
			return
		}
		parsed, err := readSettings(document, snapshot.Policies())
		if err != nil {
			if err.Error() == "" {
				t.Error("an error that says nothing")
			}
			return
		}
		written, err := yaml.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		again := map[string]any{}
		if err := yaml.UnmarshalStrict(written, &again); err != nil {
			t.Fatalf("%v\n%s", err, written)
		}
		second, err := readSettings(again, snapshot.Policies())
		if err != nil {
			t.Fatalf("taken once, and then not: %v\n%s", err, written)
		}
		if len(second.exceptions) != len(parsed.exceptions) || len(second.enforcement) != len(parsed.enforcement) {
			t.Errorf("something was lost of\n%s", written)
		}
	})
}
