package policy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/open-policy-agent/opa/v1/ast"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/mozilla-iam/eksguard/internal/bundle"
	"github.com/mozilla-iam/eksguard/internal/policy"
)

// colours is a policy with one rule of every kind, about the label "colour".
const colours = `# METADATA
# title: Colours
# description: Objects have a colour that suits.
# custom:
#   match:
#     - {apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], operations: ["CREATE", "UPDATE"]}
#   matchConditions:
#     - {name: bad, expression: "object.metadata.labels.colour in {{ json .settings.colours.bad }}"}
#   needs:
#     - {apiVersion: v1, resource: namespaces, metadataOnly: true}
#   settings:
#     type: object
#     additionalProperties: false
#     required: [bad]
#     properties:
#       bad: {type: array, items: {type: string}}
package eksguard.colours

# METADATA
# title: No bad colour
# custom: {id: bad, severity: high, fix: Take another colour.}
deny contains violation if {
	colour := input.request.object.metadata.labels.colour
	some bad in data.eksguard.settings.colours.bad
	contains(colour, bad)
	violation := {"rule": "bad", "field": "metadata.labels.colour", "message": sprintf("%q is bad", [colour])}
}

# METADATA
# title: The namespace's colour
# custom: {id: namespace, severity: low}
deny contains violation if {
	wanted := data.cluster["v1/namespaces"][input.request.namespace].metadata.labels.colour
	wanted != input.request.object.metadata.labels.colour
	violation := {
		"rule": "namespace",
		"field": "metadata.labels.colour",
		"message": sprintf("want %q", [wanted]),
		"fix": "follow the namespace",
	}
}

# METADATA
# title: Grey is dull
# custom: {id: dull, severity: low}
warn contains violation if {
	input.request.object.metadata.labels.colour == "grey"
	violation := {"rule": "dull", "field": "metadata.labels.colour", "message": "grey is dull"}
}

# METADATA
# title: British spelling
# custom: {id: spelling, severity: low}
mutate contains mutation if {
	colour := input.request.object.metadata.labels.color
	mutation := {"rule": "spelling", "patch": [{"op": "add", "path": "/metadata/labels/colour", "value": colour}]}
}
`

const coloursData = `eksguard:
  settings:
    cluster: {account: "", partition: aws}
    colours: {bad: [red, infrared]}
`

// load makes a snapshot of a bundle of these files, with settings as YAML laid over its own.
func load(t *testing.T, files map[string]string, settings string) (*policy.Snapshot, error) {
	t.Helper()
	folder := t.TempDir()
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := bundle.Load(folder)
	if err != nil {
		return nil, err
	}
	overlayFile := filepath.Join(t.TempDir(), "settings.yaml")
	if err := os.WriteFile(overlayFile, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	overlay, err := bundle.LoadSettings(overlayFile)
	if err != nil {
		return nil, err
	}
	return policy.NewSnapshot(t.Context(), b, overlay)
}

func mustLoad(t *testing.T, files map[string]string, settings string) *policy.Snapshot {
	t.Helper()
	s, err := load(t, files, settings)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func coloursBundle() map[string]string {
	return map[string]string{"colours/colours.rego": colours, "data.yaml": coloursData}
}

// pod is a request to create a Pod with that label.
func pod(t *testing.T, label, value string) *policy.Request {
	t.Helper()
	object, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": "one", "namespace": "here", "labels": map[string]any{label: value}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := policy.NewRequest(&admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "1", Operation: admissionv1.Create, Namespace: "here",
			Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
			Object:   runtime.RawExtension{Raw: object},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.User = "jane"
	return r
}

// state is cluster state whose namespaces the watch has not seen yet.
type state struct {
	policy.StaticState
	live     map[string]any
	err      error
	unsynced bool
	fetched  int
	version  uint64
}

func (s *state) Version(policy.Need) uint64 { return s.version }

func (s *state) Synced(policy.Need) bool { return !s.unsynced }

func (s *state) Fetch(_ context.Context, _ policy.Need, _, name string) (ast.Value, error) {
	s.fetched++
	if s.err != nil || s.live[name] == nil {
		return nil, s.err
	}
	return ast.InterfaceToValue(s.live[name])
}

func TestDecide(t *testing.T) {
	bad := policy.Violation{
		Policy: "colours", Rule: "bad", Severity: "high", Action: policy.ActionDeny,
		Field: "metadata.labels.colour", Message: `"red" is bad`, Fix: "Take another colour.",
	}
	with := func(v policy.Violation, change func(*policy.Violation)) policy.Violation {
		change(&v)
		return v
	}
	excepted := &policy.Exception{Policy: "colours", Rule: "bad", Namespace: "he*", Reason: "art", Expires: "2027-01-31"}
	exception := `exceptions: [{policy: colours, rule: bad, namespace: "he*", reason: art, expires: 2027-01-31}]`
	for _, row := range []struct {
		name, settings string
		label, value   string
		at             string
		want           policy.Decision
	}{
		{
			name: "what no rule objects to is allowed", label: "colour", value: "blue",
			want: policy.Decision{Allowed: true, Policies: []string{"colours"}},
		},
		{
			name: "a violation denies", label: "colour", value: "red",
			want: policy.Decision{Policies: []string{"colours"}, Violations: []policy.Violation{bad}},
		},
		{
			name: "all violations are told at once, sorted", label: "colour", value: "infrared",
			want: policy.Decision{Policies: []string{"colours"}, Violations: []policy.Violation{
				with(bad, func(v *policy.Violation) { v.Message = `"infrared" is bad` })}},
		},
		{
			name: "a warn rule does not deny", label: "colour", value: "grey",
			want: policy.Decision{Allowed: true, Policies: []string{"colours"}, Violations: []policy.Violation{{
				Policy: "colours", Rule: "dull", Severity: "low", Action: policy.ActionWarn,
				Field: "metadata.labels.colour", Message: "grey is dull"}}},
		},
		{
			name: "the policy's enforcement action counts", settings: "enforcement: {colours: dryrun}",
			label: "colour", value: "red",
			want: policy.Decision{Allowed: true, Policies: []string{"colours"}, Violations: []policy.Violation{
				with(bad, func(v *policy.Violation) { v.Action = policy.ActionDryrun })}},
		},
		{
			name: "the rule's enforcement action goes before the policy's", label: "colour", value: "red",
			settings: "enforcement: {colours: dryrun, colours/bad: warn}",
			want: policy.Decision{Allowed: true, Policies: []string{"colours"}, Violations: []policy.Violation{
				with(bad, func(v *policy.Violation) { v.Action = policy.ActionWarn })}},
		},
		{
			name: "an exception covers until the end of its last day", settings: exception,
			label: "colour", value: "red", at: "2027-01-31T23:59:59Z",
			want: policy.Decision{Allowed: true, Policies: []string{"colours"}, Violations: []policy.Violation{
				with(bad, func(v *policy.Violation) { v.Exception = excepted })}},
		},
		{
			name: "an expired exception does not count", settings: exception,
			label: "colour", value: "red", at: "2027-02-01T00:00:00Z",
			want: policy.Decision{Policies: []string{"colours"}, Violations: []policy.Violation{bad}},
		},
		{
			name: "an exception for another namespace does not count", label: "colour", value: "red", at: "2027-01-01T00:00:00Z",
			settings: `exceptions: [{policy: colours, namespace: "there", reason: art, expires: 2027-01-31}]`,
			want:     policy.Decision{Policies: []string{"colours"}, Violations: []policy.Violation{bad}},
		},
		{
			name: "an exception for another rule does not count", label: "colour", value: "red", at: "2027-01-01T00:00:00Z",
			settings: `exceptions: [{policy: colours, rule: dull, name: "*", reason: art, expires: 2027-01-31}]`,
			want:     policy.Decision{Policies: []string{"colours"}, Violations: []policy.Violation{bad}},
		},
		{
			name: "an exception for another user does not count", label: "colour", value: "red", at: "2027-01-01T00:00:00Z",
			settings: `exceptions: [{policy: colours, user: "john", reason: art, expires: 2027-01-31}]`,
			want:     policy.Decision{Policies: []string{"colours"}, Violations: []policy.Violation{bad}},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			settings := row.settings
			if row.value == "infrared" {
				settings = "colours: {bad: [infrared]}"
			}
			s := mustLoad(t, coloursBundle(), settings)
			r := pod(t, row.label, row.value)
			if row.at != "" {
				r.Time, _ = time.Parse(time.RFC3339, row.at)
			}
			got := policy.NewEngine(s, &state{}).Decide(t.Context(), r)
			row.want.Revision = s.Revision()
			if diff := cmp.Diff(row.want, got, cmpopts.IgnoreUnexported(policy.Exception{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecideTellsAllViolations(t *testing.T) {
	s := mustLoad(t, coloursBundle(), "")
	got := policy.NewEngine(s, &state{live: map[string]any{
		"here": map[string]any{"metadata": map[string]any{"labels": map[string]any{"colour": "green"}}},
	}}).Decide(t.Context(), pod(t, "colour", "infrared"))
	var ids []string
	for _, v := range got.Violations {
		ids = append(ids, v.String())
	}
	want := []string{
		`[colours/bad] metadata.labels.colour: "infrared" is bad. Fix: Take another colour.`,
		`[colours/namespace] metadata.labels.colour: want "green". Fix: follow the namespace.`,
	}
	if diff := cmp.Diff(want, ids); diff != "" || got.Allowed {
		t.Errorf("allowed: %v\n%s", got.Allowed, diff)
	}
}

func TestMutate(t *testing.T) {
	applied := []policy.PatchOperation{{Op: "add", Path: "/metadata/labels/colour", Value: json.RawMessage(`"blue"`)}}
	for _, row := range []struct {
		name, settings string
		patch          []policy.PatchOperation
	}{
		{name: "the patch is part of the decision", patch: applied},
		{name: "a dryrun mutation is not", settings: "enforcement: {colours/spelling: dryrun}"},
		{name: "an excepted mutation is not",
			settings: `exceptions: [{policy: colours, name: one, reason: art, expires: 9999-01-01}]`},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := pod(t, "color", "blue")
			r.Phase = policy.Mutate
			got := policy.NewEngine(mustLoad(t, coloursBundle(), row.settings), &state{}).Decide(t.Context(), r)
			if diff := cmp.Diff(row.patch, got.Patch); diff != "" || !got.Allowed || len(got.Mutations) != 1 {
				t.Errorf("%+v\n%s", got, diff)
			}
		})
	}
}

func TestRulesThatSettingsTurnOff(t *testing.T) {
	files := coloursBundle()
	files["colours/colours.rego"] = strings.NewReplacer(
		"id: spelling,", "id: spelling, when: '{{ ne (len .settings.colours.bad) 0 }}',",
		"id: namespace,", "id: namespace, when: '{{ ne (len .settings.colours.bad) 0 }}',",
	).Replace(colours)
	on, off := mustLoad(t, files, ""), mustLoad(t, files, "colours: {bad: []}")
	if !on.Policies()[0].Has(policy.MutateRule) || off.Policies()[0].Has(policy.MutateRule) {
		t.Error("want a mutate rule where the settings turn it on, and none where they turn it off")
	}
	st := &state{live: map[string]any{"here": map[string]any{"metadata": map[string]any{"labels": map[string]any{"colour": "green"}}}}}
	for _, row := range []struct {
		snapshot *policy.Snapshot
		allowed  bool
	}{{on, false}, {off, true}} {
		if got := policy.NewEngine(row.snapshot, st).Decide(t.Context(), pod(t, "colour", "blue")); got.Allowed != row.allowed {
			t.Errorf("%+v", got)
		}
		r := pod(t, "color", "blue")
		r.Phase = policy.Mutate
		if got := policy.NewEngine(row.snapshot, st).Decide(t.Context(), r); (len(got.Mutations) == 0) != row.allowed {
			t.Errorf("%+v", got)
		}
	}
}

func TestOnlyMatchingPoliciesAreAsked(t *testing.T) {
	s := mustLoad(t, coloursBundle(), "")
	engine := policy.NewEngine(s, &state{})
	for _, row := range []struct {
		name   string
		change func(*policy.Request)
	}{
		{"another resource", func(r *policy.Request) { r.Resource.Resource = "services" }},
		{"another group", func(r *policy.Request) { r.Resource.Group = "example.org" }},
		{"another version", func(r *policy.Request) { r.Resource.Version = "v2" }},
		{"a subresource that is not named", func(r *policy.Request) { r.SubResource = "status" }},
		{"another operation", func(r *policy.Request) { r.Operation = admissionv1.Delete }},
		{"another policy is asked for", func(r *policy.Request) { r.Policy = "shapes" }},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := pod(t, "colour", "red")
			row.change(r)
			if got := engine.Decide(t.Context(), r); !got.Allowed || len(got.Policies) != 0 {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	const broken = `# METADATA
# title: Broken
# custom:
#   failurePolicy: %s
#   match:
#     - {apiGroups: ["*"], apiVersions: ["*"], resources: ["*"], operations: ["*"]}
package eksguard.broken

# METADATA
# title: Broken
# custom: {id: broken, severity: low}
deny contains violation if { %s }
`
	data := "eksguard: {settings: {cluster: {account: '', partition: aws}}}"
	for _, row := range []struct{ name, failurePolicy, body, want string }{
		{"a built-in that fails", "Fail", `startswith(input.request.object.metadata.labels, "x"); violation := {}`,
			`policy "broken": broken/broken.rego:12: eval_type_error: startswith: operand 1 must be string but got object`},
		{"a violation of no rule", "Fail", `violation := {"rule": "other", "message": "m"}`,
			`policy "broken": a deny rule yielded something whose rule is "other", which is the custom.id of none of them`},
		{"a violation that is a message alone", "Fail", `violation := "red"`,
			`policy "broken": a deny rule yielded what is no object, want {"rule": …, "field": …, "message": …}`},
		{"a violation without a message", "Fail", `violation := {"rule": "broken"}`,
			`policy "broken": broken/broken.rego:12: rule "broken": a violation has no message`},
		{"a misspelt key", "Fail", `violation := {"rule": "broken", "message": "m", "feild": "f"}`,
			`policy "broken": broken/broken.rego:12: rule "broken": a violation has rule, field, message and fix, but no "feild"`},
		{"no time", "Fail", `some i in numbers.range(1, 100000000); i < 0; violation := {}`,
			`policy "broken": evaluation was not done in time: the limit`},
		{"failurePolicy Ignore", "Ignore", `violation := {"rule": "broken"}`,
			`policy "broken": broken/broken.rego:12: rule "broken": a violation has no message`},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := mustLoad(t, map[string]string{
				"broken/broken.rego": fmt.Sprintf(broken, row.failurePolicy, row.body), "data.yaml": data}, "")
			ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, errors.New("the limit"))
			defer cancel()
			got := policy.NewEngine(s, &state{}).Decide(ctx, pod(t, "colour", "red"))
			if len(got.Faults) != 1 || got.Allowed != (row.failurePolicy == "Ignore") {
				t.Fatalf("%+v", got)
			}
			// The folder that the test made stands before the file's name.
			text := got.Faults[0].Error()
			if i := strings.Index(text, "broken/broken.rego"); i > 0 {
				text = text[:strings.Index(text, ": ")+2] + text[i:]
			}
			if text != row.want {
				t.Errorf("got  %s\nwant %s", text, row.want)
			}
		})
	}
}

// A million values are all right, and what a policy does not read counts for nothing.
func TestAReviewOfTooManyValuesIsAFault(t *testing.T) {
	const lengths = `# METADATA
# title: Lengths
# custom:
#   failurePolicy: Fail
#   match:
#     - {apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], operations: [CREATE]}
package eksguard.lengths

# METADATA
# title: No list at all
# custom: {id: none, severity: low}
deny contains {"rule": "none", "message": "a list"} if count(input.request.object.spec.list) < 0
`
	engine := policy.NewEngine(mustLoad(t, map[string]string{"lengths/lengths.rego": lengths,
		"data.yaml": "eksguard: {settings: {cluster: {account: '', partition: aws}}}"}, ""), &state{})
	decide := func(object string) policy.Decision {
		t.Helper()
		r, err := policy.ParseRequest([]byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1",` +
			`"operation":"CREATE","namespace":"here","resource":{"group":"","version":"v1","resource":"pods"},"object":` + object + `}}`))
		if err != nil {
			t.Fatal(err)
		}
		return engine.Decide(t.Context(), r)
	}
	lists := func(n int) string { return "[" + strings.Repeat("[],", n-1) + "[]]" }
	for name, object := range map[string]string{
		"read":     `{"spec":{"list":` + lists(1_000_000) + `}}`,
		"not read": `{"spec":{"list":[],"other":` + lists(1_100_000) + `}}`,
	} {
		if got := decide(object); len(got.Faults) > 0 {
			t.Errorf("%s: %v", name, got.Faults)
		}
	}
	got := decide(`{"spec":{"list":` + lists(1_100_000) + `}}`)
	const want = `policy "lengths": what the policy reads of the review has more than 1048576 values`
	if got.Allowed || len(got.Faults) != 1 || got.Faults[0].Error() != want {
		t.Errorf("got %v, want %s", got.Faults, want)
	}
}

func TestClusterStateIsReadNeverGuessed(t *testing.T) {
	s := mustLoad(t, coloursBundle(), "")
	green := map[string]any{"metadata": map[string]any{"labels": map[string]any{"colour": "green"}}}
	t.Run("a namespace that the watch has not seen is read live", func(t *testing.T) {
		st := &state{live: map[string]any{"here": green}}
		got := policy.NewEngine(s, st).Decide(t.Context(), pod(t, "colour", "blue"))
		if got.Allowed || st.fetched != 1 || got.Violations[0].Rule != "namespace" {
			t.Errorf("%+v, fetched %d times", got, st.fetched)
		}
	})
	t.Run("one that it has seen is not", func(t *testing.T) {
		static, err := policy.NewStaticState(map[string]any{"v1/namespaces": map[string]any{"here": green}})
		if err != nil {
			t.Fatal(err)
		}
		st := &state{StaticState: static}
		if got := policy.NewEngine(s, st).Decide(t.Context(), pod(t, "colour", "blue")); got.Allowed || st.fetched != 0 {
			t.Errorf("%+v, fetched %d times", got, st.fetched)
		}
	})
	t.Run("a read that fails is a fault", func(t *testing.T) {
		got := policy.NewEngine(s, &state{err: errors.New("boom")}).Decide(t.Context(), pod(t, "colour", "blue"))
		if got.Allowed || len(got.Faults) != 1 || got.Faults[0].Error() != `policy "colours": read namespace "here": boom` {
			t.Errorf("%+v", got)
		}
	})
	t.Run("state that is not synced is a fault", func(t *testing.T) {
		got := policy.NewEngine(s, &state{unsynced: true}).Decide(t.Context(), pod(t, "colour", "blue"))
		if got.Allowed || len(got.Faults) != 1 {
			t.Errorf("%+v", got)
		}
	})
}

func TestAnswersAreRememberedOnlyAsLongAsTheyHold(t *testing.T) {
	namespace := func(colour string) policy.StaticState {
		static, err := policy.NewStaticState(map[string]any{"v1/namespaces": map[string]any{
			"here": map[string]any{"metadata": map[string]any{"labels": map[string]any{"colour": colour}}}}})
		if err != nil {
			t.Fatal(err)
		}
		return static
	}
	st := &state{StaticState: namespace("blue"), version: 1}
	s := mustLoad(t, coloursBundle(), `exceptions: [{policy: colours, name: one, reason: art, expires: 2027-01-31}]`)
	engine := policy.NewEngine(s, st)
	decide := func(colour, at string) bool {
		t.Helper()
		r := pod(t, "colour", colour)
		r.Time, _ = time.Parse(time.RFC3339, at)
		return engine.Decide(t.Context(), r).Allowed
	}
	const before, after = "2027-01-01T00:00:00Z", "2027-03-01T00:00:00Z"
	for _, row := range []struct {
		reason     string
		change     func()
		colour, at string
		want       bool
	}{
		{"the namespace is blue", func() {}, "blue", after, true},
		{"asked again", func() {}, "blue", after, true},
		{"another object", func() {}, "red", after, false},
		{"the exception holds", func() {}, "red", before, true},
		{"the exception has ended", func() {}, "red", after, false},
		{"the namespace has become green", func() { st.StaticState, st.version = namespace("green"), 2 }, "blue", after, false},
		{"and blue again", func() { st.StaticState, st.version = namespace("blue"), 3 }, "blue", after, true},
		{"it is gone from the watch, and not there", func() { st.StaticState, st.version = policy.StaticState{}, 4 }, "blue", after, true},
		{"it is there, and the watch has not seen it", func() {
			st.live = map[string]any{"here": map[string]any{"metadata": map[string]any{"labels": map[string]any{"colour": "green"}}}}
		}, "blue", after, false},
		{"what was read past the watch is read again", func() { st.live = nil }, "blue", after, true},
	} {
		row.change()
		if got := decide(row.colour, row.at); got != row.want {
			t.Errorf("%s: allowed %v, want %v", row.reason, got, row.want)
		}
	}
}

func TestEffectsAreToldOnceForAPolicyThatObjects(t *testing.T) {
	files := coloursBundle()
	files["colours/effect.rego"] = `package eksguard.colours

effect := ["+ red", "- blue"] if count(deny) > 0
`
	for _, row := range []struct {
		reason, value, settings string
		want                    []policy.Effect
	}{
		{"a denial", "red", "", []policy.Effect{{Policy: "colours", Lines: []string{"+ red", "- blue"}}}},
		{"what would be one", "red", "enforcement: {colours: dryrun}",
			[]policy.Effect{{Policy: "colours", Lines: []string{"+ red", "- blue"}}}},
		{"a warning", "grey", "", nil},
		{"nothing", "blue", "", nil},
	} {
		engine := policy.NewEngine(mustLoad(t, files, row.settings), &state{})
		for range 2 { // the second answer is remembered
			if diff := cmp.Diff(row.want, engine.Decide(t.Context(), pod(t, "colour", row.value)).Effects); diff != "" {
				t.Errorf("%s: %s", row.reason, diff)
			}
		}
	}
}

func TestAnEffectOfAnotherTypeIsAFault(t *testing.T) {
	files := coloursBundle()
	files["colours/effect.rego"] = "package eksguard.colours\n\neffect := [5]\n"
	got := policy.NewEngine(mustLoad(t, files, ""), &state{}).Decide(t.Context(), pod(t, "colour", "red"))
	if len(got.Faults) != 1 || got.Allowed || len(got.Violations) == 0 {
		t.Errorf("%+v", got)
	}
}

// TestAnObjectThatIsReadLive is read once for each decision that comes to it, and never remembered.
func TestAnObjectThatIsReadLive(t *testing.T) {
	files := coloursBundle()
	files["colours/colours.rego"] = strings.NewReplacer(
		"#   needs:", "#   needs:\n#     - {apiVersion: v1, resource: configmaps, namespace: there, name: palette}",
		"colour := input.request.object.metadata.labels.colour",
		`colour := input.request.object.metadata.labels.colour
	data.cluster["v1/configmaps"].there.palette.data[colour] == "bad"
	data.cluster["v1/configmaps"].there.palette.data[colour] != "good"`,
	).Replace(colours)
	snapshot := mustLoad(t, files, "")
	if got := snapshot.Needs(); len(got) != 2 || got[0].Name != "palette" || got[1].Key() != "v1/namespaces" {
		t.Errorf("needs: %+v", got)
	}
	st := &state{live: map[string]any{
		"here":    map[string]any{"metadata": map[string]any{}},
		"palette": map[string]any{"data": map[string]any{"red": "bad"}},
	}}
	engine := policy.NewEngine(snapshot, st)
	decide := func() policy.Decision { st.fetched = 0; return engine.Decide(t.Context(), pod(t, "colour", "red")) }
	if got := decide(); got.Allowed || st.fetched != 2 { // the namespace is read too
		t.Errorf("%d reads: %+v", st.fetched, got)
	}
	st.live["palette"] = nil
	if got := decide(); !got.Allowed || st.fetched != 2 {
		t.Errorf("once it is gone, %d reads: %+v", st.fetched, got)
	}
	st.err = errors.New("boom")
	st.StaticState = mustState(t, map[string]any{"v1/namespaces": map[string]any{"here": map[string]any{}}})
	got := decide()
	if got.Allowed || len(got.Faults) != 1 ||
		!strings.Contains(got.Faults[0].Error(), `read v1/configmaps "palette" in namespace "there": boom`) {
		t.Errorf("where it cannot be read: %+v", got)
	}
	st.StaticState = mustState(t, map[string]any{
		"v1/namespaces": map[string]any{"here": map[string]any{}},
		"v1/configmaps": map[string]any{"there": map[string]any{"palette": map[string]any{"data": map[string]any{"red": "bad"}}}},
	})
	if got := decide(); got.Allowed || len(got.Faults) > 0 || st.fetched > 0 {
		t.Errorf("what is known beforehand is not read, %d reads: %+v", st.fetched, got)
	}
}

// TestAnObjectOfTheClusterIsReadLive is one without a namespace.
func TestAnObjectOfTheClusterIsReadLive(t *testing.T) {
	files := coloursBundle()
	files["colours/colours.rego"] = strings.NewReplacer(
		"#   needs:", "#   needs:\n#     - {apiVersion: example.com/v1, resource: palettes, name: palette}",
		"colour := input.request.object.metadata.labels.colour",
		`colour := input.request.object.metadata.labels.colour
	data.cluster["example.com/v1/palettes"].palette.spec[colour] == "bad"`,
	).Replace(colours)
	st := &state{live: map[string]any{
		"here":    map[string]any{"metadata": map[string]any{}},
		"palette": map[string]any{"spec": map[string]any{"red": "bad"}},
	}}
	if got := policy.NewEngine(mustLoad(t, files, ""), st).Decide(t.Context(), pod(t, "colour", "red")); got.Allowed {
		t.Errorf("%+v", got)
	}
}

func mustState(t *testing.T, document map[string]any) policy.StaticState {
	t.Helper()
	s, err := policy.NewStaticState(document)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSwap(t *testing.T) {
	engine := policy.NewEngine(mustLoad(t, coloursBundle(), ""), &state{})
	strict := mustLoad(t, coloursBundle(), "colours: {bad: [blue]}")
	if got := engine.Decide(t.Context(), pod(t, "colour", "blue")); !got.Allowed {
		t.Fatalf("%+v", got)
	}
	engine.Swap(strict)
	if got := engine.Decide(t.Context(), pod(t, "colour", "blue")); got.Allowed || got.Revision != strict.Revision() {
		t.Fatalf("%+v", got)
	}
}

func TestCatalogue(t *testing.T) {
	s := mustLoad(t, coloursBundle(), "")
	p := s.Policies()[0]
	if got, want := p.MatchConditions[0].Expression, `object.metadata.labels.colour in ["red","infrared"]`; got != want {
		t.Errorf("matchConditions: got %s, want %s", got, want)
	}
	if got := s.Needs(); len(got) != 1 || got[0].Key() != "v1/namespaces" {
		t.Errorf("needs: %v", got)
	}
	var rules []string
	for _, r := range p.Rules {
		rules = append(rules, string(r.Kind)+" "+r.ID)
	}
	if diff := cmp.Diff([]string{"deny bad", "warn dull", "deny namespace", "mutate spelling"}, rules); diff != "" {
		t.Error(diff)
	}
}

// workloads are kinds that settings name, in a bundle whose policy matches them.
const workloads = `workloads: {pod_metadata: {pods: [[metadata]], bindings: [[metadata]], podtemplates: [[template, metadata]],
  replicationcontrollers: [[spec, template, metadata]], deployments.apps: [[spec, template, metadata]],
  replicasets.apps: [[spec, template, metadata]], statefulsets.apps: [[spec, template, metadata]],
  daemonsets.apps: [[spec, template, metadata]], jobs.batch: [[spec, template, metadata]],
  cronjobs.batch: [[spec, jobTemplate, spec, template, metadata]], `

func TestWhatIsMatchedFollowsTheSettings(t *testing.T) {
	matching := strings.Replace(colours, "#   needs:", `#   matchSettings: |
#     {{ range crds .settings.workloads.pod_metadata }}
#     - apiGroups: [{{ json (group .) }}]
#       apiVersions: ["*"]
#       resources: [{{ json (plural .) }}]
#       operations: ["CREATE"]
#     {{ end }}
#   needs:`, 1)
	s, err := load(t, map[string]string{"colours/colours.rego": matching, "data.yaml": coloursData},
		workloads+`crews.example.com: [[spec, crew]], b.a.example.com: []}}`)
	if err != nil {
		t.Fatal(err)
	}
	rule := func(group, version, resource string, operations ...admissionregistrationv1.OperationType) admissionregistrationv1.RuleWithOperations {
		return admissionregistrationv1.RuleWithOperations{Operations: operations, Rule: admissionregistrationv1.Rule{
			APIGroups: []string{group}, APIVersions: []string{version}, Resources: []string{resource}}}
	}
	want := []admissionregistrationv1.RuleWithOperations{
		rule("", "v1", "pods", "CREATE", "UPDATE"),
		rule("a.example.com", "*", "b", "CREATE"),
		rule("example.com", "*", "crews", "CREATE"),
	}
	if diff := cmp.Diff(want, s.Policies()[0].Match); diff != "" {
		t.Errorf("the catalogue (-want +got):\n%s", diff)
	}
	r, err := policy.ParseRequest([]byte(`{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "u",
		"operation": "CREATE", "kind": {"group": "example.com", "version": "v9", "kind": "Crew"},
		"resource": {"group": "example.com", "version": "v9", "resource": "crews"}, "object": {}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := policy.NewEngine(s, policy.StaticState{}).Decide(t.Context(), r).Policies; !cmp.Equal(got, []string{"colours"}) {
		t.Errorf("asked: %q", got)
	}
}

func TestBundlesThatBreakTheContract(t *testing.T) {
	for _, row := range []struct{ name, old, new, want string }{
		{"no title", "# title: Colours\n", "", `colours.rego:1: policy "colours": metadata title is missing`},
		{"no match", "#   match:\n#     - {apiGroups: [\"\"], apiVersions: [\"v1\"], resources: [\"pods\"], operations: [\"CREATE\", \"UPDATE\"]}\n", "",
			`policy "colours": metadata custom.match is missing`},
		{"a match without operations", `, operations: ["CREATE", "UPDATE"]`, "",
			`metadata custom.match[0]: want apiGroups, apiVersions, resources and operations`},
		{"an operation that is none", `operations: ["CREATE", "UPDATE"]`, `operations: ["CREATE", "UPDAET"]`,
			`metadata custom.match[0].operations[1] is "UPDAET", want CREATE, UPDATE, DELETE, CONNECT or *`},
		{"an unknown key", "#   needs:", "#   need:", `metadata custom: unknown field "need"`},
		{"a failure policy that is none", "#   needs:", "#   failurePolicy: Maybe\n#   needs:",
			`metadata custom.failurePolicy is "Maybe", want Fail or Ignore`},
		{"a rule without an id", "id: bad, ", "", `rule "deny": metadata custom.id is missing`},
		{"an id that is taken", "id: namespace", "id: bad", `rule "deny": metadata custom.id "bad" is taken by the rule at`},
		{"an id with capitals", "id: bad", "id: Bad", `metadata custom.id is "Bad"`},
		{"a severity that is none", "severity: high", "severity: huge", `metadata custom.severity is "huge", want one of low`},
		{"a when that is neither", "id: bad, ", "id: bad, when: perhaps, ",
			`rule "bad": metadata custom.when: it is "perhaps", want true or false`},
		{"a rule without METADATA", "# METADATA\n# title: Grey is dull\n# custom: {id: dull, severity: low}\n", "",
			`rule "warn": METADATA is missing`},
		{"a public helper", "mutate contains", "helper := 1\n\n# METADATA\n# title: British spelling\n# custom: {id: spelling, severity: low}\nmutate contains",
			`rule "helper": only deny, warn, mutate and effect are public`},
		{"an effect that is a set", "mutate contains", "effect contains \"x\" if true\n\n# METADATA\n# title: British spelling\n" +
			"# custom: {id: spelling, severity: low}\nmutate contains", `rule "effect": want a list of lines`},
		{"an object to read with fields", "#   needs:", "#   needs:\n#     - {apiVersion: v1, resource: nodes, name: n, fields: [[a]]}",
			`metadata custom.needs[0]: an object that has a name is read whole`},
		{"a namespace without a name", "#   needs:", "#   needs:\n#     - {apiVersion: v1, resource: nodes, namespace: n}",
			`metadata custom.needs[0]: a namespace without a name`},
		{"the network", `colour := input.request.object.metadata.labels.colour`, `colour := http.send({})`,
			`undefined function http.send`},
		{"the clock", `colour := input.request.object.metadata.labels.colour`, `colour := time.now_ns()`,
			`undefined function time.now_ns`},
		{"the environment", `colour := input.request.object.metadata.labels.colour`, `colour := opa.runtime().env`,
			`undefined function opa.runtime`},
		{"an unused variable", `colour := input.request.object.metadata.labels.colour`,
			"colour := input.request.object.metadata.labels.colour\n\tunused := 1", `assigned var unused unused`},
		{"a schema that is none", "{type: array, items: {type: string}}", "{type: list}",
			`policy "colours": metadata custom.settings:`},
		{"a template that misses", ".settings.colours.bad", ".settings.colors.bad", `metadata custom.matchConditions[0]:`},
		{"a template of a match that misses", "#   needs:", "#   matchSettings: '{{ .settings.colors }}'\n#   needs:",
			`policy "colours": metadata custom.matchSettings: template:`},
		{"a template of a match that gives no list", "#   needs:", "#   matchSettings: '{{ json .settings.colours }}'\n#   needs:",
			`policy "colours": metadata custom.matchSettings: want a list of RuleWithOperations in YAML:`},
		{"a template of a match with an unknown key", "#   needs:", "#   matchSettings: '[{resource: [pods]}]'\n#   needs:",
			`metadata custom.matchSettings: want a list of RuleWithOperations in YAML: error unmarshaling JSON: while decoding JSON: ` +
				`json: unknown field "resource"`},
		{"a template of a match without operations", "#   needs:",
			"#   matchSettings: '[{apiGroups: [a], apiVersions: [b], resources: [c]}]'\n#   needs:",
			`metadata custom.matchSettings[0]: want apiGroups, apiVersions, resources and operations`},
		{"a path in a template that is none", ".settings.colours.bad", `(at (list 1))`, `step 1 of a path is no string`},
		{"another root", "package eksguard.colours", "package other.colours", `want a package below "data.eksguard", or data.system.log`},
	} {
		t.Run(row.name, func(t *testing.T) {
			broken := strings.Replace(colours, row.old, row.new, 1)
			if broken == colours {
				t.Fatal("the row changes nothing")
			}
			_, err := load(t, map[string]string{"colours/colours.rego": broken, "data.yaml": coloursData}, "")
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got:  %v\nwant: … %s …", err, row.want)
			}
		})
	}
}

func TestSettingsThatAreWrong(t *testing.T) {
	for _, row := range []struct{ name, settings, want string }{
		{"an unknown section", "colour: {}", `settings.colour: unknown key (did you mean "colours"?)`},
		{"an unknown key", "colours: {bed: []}", `settings.colours.bed: unknown key (did you mean "bad"?)`},
		{"a wrong type", "colours: {bad: red}", `settings.colours.bad: got string, want array`},
		{"a wrong type in a list", "colours: {bad: [1]}", `settings.colours.bad[0]: got number, want string`},
		{"an account of 11 digits", `cluster: {account: "12345678901"}`, `settings.cluster.account: '12345678901' does not match pattern`},
		{"an action that is none", "enforcement: {colours: block}",
			`settings.enforcement.colours: value must be one of 'deny', 'warn', 'dryrun'`},
		{"an empty list of principals", "iam: {principals: []}", `settings.iam.principals: minItems: got 0, want 1`},
		{"a principal without a kind", `iam: {principals: [{arn: "arn:aws:iam::555555555555:role/x"}]}`,
			`settings.iam.principals[0].kind: missing`},
		{"a user of whom it is not known whether they have MFA",
			`iam: {principals: [{arn: "arn:aws:iam::555555555555:user/x", kind: user}]}`, `settings.iam.principals[0].mfa: missing`},
		{"a role that is a user", `iam: {principals: [{arn: "arn:aws:iam::555555555555:user/x", kind: role}]}`,
			`settings.iam.principals[0].arn: 'arn:aws:iam::555555555555:user/x' does not match pattern ':role/'`},
		{"an unknown key of a principal", `iam: {principals: [{arn: "arn:aws:iam::555555555555:root", kind: root, mfa: true, MFA: true}]}`,
			`settings.iam.principals[0].MFA: unknown key (known: arn, kind, mfa)`},
		{"enforcement for no policy", "enforcement: {colors: warn}",
			`settings.enforcement["colors"]: there is no policy "colors" (did you mean "colours"?)`},
		{"enforcement for no rule", "enforcement: {colours/bat: warn}",
			`settings.enforcement["colours/bat"]: policy "colours" has no rule "bat" (did you mean "bad"?)`},
		{"an exception without an end", "exceptions: [{policy: colours, name: a, reason: b}]",
			`settings.exceptions[0].expires: missing`},
		{"an exception without a reason", "exceptions: [{policy: colours, name: a, expires: 2027-01-01}]",
			`settings.exceptions[0].reason: missing`},
		{"an exception for everything", "exceptions: [{policy: colours, reason: b, expires: 2027-01-01}]",
			`settings.exceptions[0]: want at least one of namespace, name, user`},
		{"an end that is none", "exceptions: [{policy: colours, name: a, reason: b, expires: soon}]",
			`settings.exceptions[0].expires: "soon" is neither a day (2027-01-31) nor an RFC 3339 time`},
		{"an exception for no rule", "exceptions: [{policy: colours, rule: bat, name: a, reason: b, expires: 2027-01-01}]",
			`settings.exceptions[0]: policy "colours" has no rule "bat"`},
		{"a built-in kind whose Pods are elsewhere", strings.Replace(workloads, "pods: [[metadata]]", "pods: [[spec]]", 1) + "}}",
			`settings.workloads.pod_metadata.pods: is fixed, want [["metadata"]]`},
		{"a built-in kind that is left out", "workloads: {pod_metadata: {}}", `settings.workloads.pod_metadata.pods: missing`},
		{"a kind without a group", workloads + "rollouts: [[spec]]}}", `settings.workloads.pod_metadata.rollouts: unknown key`},
		{"a path that is none", workloads + "crews.example.com: [spec]}}",
			`settings.workloads.pod_metadata["crews.example.com"][0]: got string, want array`},
		{"a key that stands twice", "colours: {}\ncolours: {}", `key "colours" already set`},
		{"no YAML", "colours: [", `settings "`},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := load(t, coloursBundle(), row.settings)
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got:  %v\nwant: … %s …", err, row.want)
			}
		})
	}
}

func TestMalformedReviews(t *testing.T) {
	const whole = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","operation":"UPDATE",` +
		`"resource":{"group":"","version":"v1","resource":"pods"},"object":{"a":1},"oldObject":{"a":1}}}`
	if _, err := policy.ParseRequest([]byte(whole)); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ name, old, new, want string }{
		{"nothing", whole, ``, "the JSON ends too early"},
		{"no JSON", whole, `hello`, "invalid character 'h'"},
		{"a list", whole, `[]`, "it is no JSON object"},
		{"two values", whole, whole + whole, "there is more after the JSON value"},
		{"cut off", `}}}`, `}`, "the JSON ends too early"},
		{"a name that stands twice", `"uid":"1"`, `"uid":"1","uid":"2"`, "duplicate object member name"},
		{"text that is no UTF-8", `"uid":"1"`, "\"uid\":\"\xff\"", "invalid UTF-8"},
		{"another kind", `"AdmissionReview"`, `"Pod"`, `kind is "Pod", want "AdmissionReview"`},
		{"an old version", `admission.k8s.io/v1`, `admission.k8s.io/v1beta1`,
			`apiVersion is "admission.k8s.io/v1beta1", want "admission.k8s.io/v1"`},
		{"no request", `"request"`, `"response"`, "request is missing"},
		{"no uid", `"uid":"1"`, `"uid":""`, "request.uid is missing"},
		{"no resource", `"resource":{`, `"kind":{`, "request.resource is missing"},
		{"no operation", `"UPDATE"`, `""`, `request.operation is ""`},
		{"a null object", `"object":{"a":1}`, `"object":null`, "request.object or request.oldObject is null in an UPDATE"},
		{"a null old object", `"oldObject":{"a":1}`, `"oldObject":null`, "request.object or request.oldObject is null in an UPDATE"},
		{"nested too deeply", `{"a":1}`, strings.Repeat(`{"a":`, 20000) + `1` + strings.Repeat(`}`, 20000), "exceeded max depth"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := policy.ParseRequest([]byte(strings.Replace(whole, row.old, row.new, 1)))
			if !errors.Is(err, policy.ErrMalformed) || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got:  %v\nwant: … %s …", err, row.want)
			}
		})
	}
}

func TestFind(t *testing.T) {
	value, err := ast.InterfaceToValue(map[string]any{"subjects": []any{map[string]any{"name": "a"}, "b"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		path []string
		want ast.Value
	}{
		{nil, value},
		{[]string{"subjects", "0", "name"}, ast.String("a")},
		{[]string{"subjects", "1"}, ast.String("b")},
		{[]string{"subjects", "2"}, nil},
		{[]string{"subjects", "name"}, nil},
		{[]string{"subjects", "1", "name"}, nil},
		{[]string{"none"}, nil},
	} {
		if got := policy.Find(value, row.path); (got == nil) != (row.want == nil) || got != nil && got.Compare(row.want) != 0 {
			t.Errorf("%q: got %v, want %v", row.path, got, row.want)
		}
	}
	if got := policy.Find(nil, []string{"a"}); got != nil {
		t.Errorf("in nothing: got %v", got)
	}
}
