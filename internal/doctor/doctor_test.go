package doctor

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/mozilla-iam/eksguard/internal/excerpt"
)

// A cluster is examined in test/e2e/operations; here is what needs none.

func TestWriteText(t *testing.T) {
	r := newReport("r1")
	r.Findings = []Finding{
		{Check: "flux", Severity: Info, What: "one", Why: "two", Do: "three"},
		{Check: "flux", Severity: Error, What: "a name with \x1b[31mcolours\nand lines", Why: "it \u202eturns", Do: "look"},
	}
	r.add("flux", "Deployment flux/flux", nil, r.Findings)
	r.add("kiam", "", errors.New("forbidden"), nil)
	r.add("settings", "revision r1", nil, nil)
	want, err := os.ReadFile("testdata/report.txt")
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := r.WriteText(&got, false); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(Summary{Errors: 1, Infos: 1, Unknown: 1}, r.Summary); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	got.Reset()
	if err := r.WriteText(&got, true); err != nil || !strings.Contains(got.String(), "\x1b[31merror\x1b[0m") {
		t.Errorf("no colours: %v\n%s", err, &got)
	}
}

func TestFlags(t *testing.T) {
	for _, row := range []struct {
		reason string
		words  []string
		want   map[string]string
	}{
		{"the value after an equals sign", []string{"--a=b=c"}, map[string]string{"a": "b=c"}},
		{"the value is the next word", []string{"--a", "b", "--c=d"}, map[string]string{"a": "b", "c": "d"}},
		{"a value may begin with a dash", []string{"--a", "-1"}, map[string]string{"a": "-1", "1": "true"}},
		{"a switch has no value", []string{"--on", "word", "--a=b"}, map[string]string{"on": "true", "a": "b"}},
		{"a switch may be turned off", []string{"--on=false"}, map[string]string{"on": "false"}},
		{"the last counts", []string{"--a=1", "--a=2"}, map[string]string{"a": "2"}},
		{"the last word has no value", []string{"--a"}, map[string]string{"a": "true"}},
		{"words alone are no flags", []string{"server", "-", "--"}, map[string]string{}},
	} {
		t.Run(row.reason, func(t *testing.T) {
			got := flags(&corev1.Container{Command: []string{"program"}, Args: row.words}, "on")
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestContainer(t *testing.T) {
	for _, row := range []struct {
		image string
		want  bool
	}{
		{"kube2iam", true},
		{"jtblin/kube2iam:0.11.0", true},
		{"registry.example.com:5000/jtblin/kube2iam", true},
		{"registry.example.com/kube2iam@sha256:00", true},
		{"jtblin/kube2iam-exporter:1", false},
		{"kube2iam/exporter", false},
	} {
		w := &workload{spec: corev1.PodSpec{Containers: []corev1.Container{{Image: row.image}}}}
		if got := w.container("kube2iam") != nil; got != row.want {
			t.Errorf("%s: %t", row.image, got)
		}
	}
}

func TestStarMatches(t *testing.T) {
	for _, row := range []struct {
		pattern, value string
		want           bool
	}{
		{"a*", "abc", true}, {"*", "", true}, {"a*c", "a\nc", true}, {"a", "ab", false}, {"b", "ab", false},
		{"a?c", "abc", false}, {"[ab]", "a", false}, {"a.c", "abc", false},
	} {
		if got := starMatches(row.pattern, row.value); got != row.want {
			t.Errorf("%q and %q: %t", row.pattern, row.value, got)
		}
	}
}

func TestBounded(t *testing.T) {
	long := excerpt.Of(strings.Repeat("é", maxText), maxText)
	if len(long) > maxText+len("…") || !strings.HasSuffix(long, "é…") {
		t.Errorf("%d bytes: …%q", len(long), long[len(long)-8:])
	}
	if got, want := listed(
		[]string{"a", "b", "c", "d", "e", "f", "g"},
	), `"a", "b", "c", "d", "e", and 2 more`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
