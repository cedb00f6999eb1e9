package reference_test

import (
	"bytes"
	"flag"
	"io"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/examples"
	"github.com/mozilla-iam/eksguard/internal/reference"
)

var update = flag.Bool("update", false, "write the pages in testdata anew")

func paint(t *testing.T) *reference.Reference {
	t.Helper()
	b, err := bundle.Load("testdata/bundle")
	if err != nil {
		t.Fatal(err)
	}
	snapshots := examples.Of(b)
	outcomes, err := examples.Run(t.Context(), snapshots)
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := snapshots(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	described, err := reference.New(snapshot, outcomes)
	if err != nil {
		t.Fatal(err)
	}
	return described
}

func TestPages(t *testing.T) {
	for _, row := range []struct {
		reason, file string
		change       func(*reference.Reference)
		print        func(*reference.Reference, io.Writer) error
	}{
		{"all as Markdown", "testdata/all.md", func(*reference.Reference) {}, (*reference.Reference).Markdown},
		{"a policy as text", "testdata/policy.txt",
			func(r *reference.Reference) { r.Only("paint", "") }, (*reference.Reference).Text},
		{"a rule as text, with other settings", "testdata/rule.txt",
			func(r *reference.Reference) { r.Overlaid = true; r.Only("paint", "bad") }, (*reference.Reference).Text},
	} {
		t.Run(row.reason, func(t *testing.T) {
			described := paint(t)
			row.change(described)
			var got bytes.Buffer
			if err := row.print(described, &got); err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(row.file, got.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(row.file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("%s: -want +got; go test ./internal/reference -update writes it anew:\n%s", row.file, diff)
			}
		})
	}
}
