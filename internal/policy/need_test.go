package policy

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNeedsOfSeveralPolicies(t *testing.T) {
	names, teams := [][]string{{"metadata", "name"}}, [][]string{{"metadata", "labels", "team"}}
	for _, row := range []struct {
		reason       string
		a, b, want   Need
		aDoes, bDoes bool // cover the other
	}{
		{"the same", Need{Optional: true, Fields: names}, Need{Optional: true, Fields: names},
			Need{Optional: true, Fields: names}, true, true},
		{"the whole object covers its metadata", Need{}, Need{MetadataOnly: true}, Need{}, true, false},
		{"a required kind covers an optional one", Need{Optional: true}, Need{}, Need{}, false, true},
		{"all fields cover some", Need{Fields: names}, Need{}, Need{}, false, true},
		{"fields add up", Need{Fields: names}, Need{Fields: teams}, Need{Fields: append(names[:1:1], teams...)}, false, false},
		{"fields count once", Need{Fields: append(names[:1:1], teams...)}, Need{Fields: teams},
			Need{Fields: append(names[:1:1], teams...)}, true, false},
	} {
		t.Run(row.reason, func(t *testing.T) {
			if diff := cmp.Diff(row.want, row.a.merge(row.b)); diff != "" {
				t.Errorf("merged: %s", diff)
			}
			if row.a.Covers(row.b) != row.aDoes || row.b.Covers(row.a) != row.bDoes {
				t.Errorf("covers: %v and %v", row.a.Covers(row.b), row.b.Covers(row.a))
			}
			if merged := row.a.merge(row.b); !merged.Covers(row.a) || !merged.Covers(row.b) {
				t.Error("what is merged does not cover what it was merged of")
			}
		})
	}
}
