package examples_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/loader"

	"github.com/mozilla-iam/eksguard/internal/examples"
)

// colours is a policy about labels and annotations. Its rule "bad" gets the examples of a test.
const colours = `# METADATA
# title: Colours
# custom:
#   match:
#     - {apiGroups: [""], apiVersions: ["v1"], resources: [pods, pods/status], operations: [CREATE, UPDATE, DELETE]}
#     - {apiGroups: [""], apiVersions: ["v1"], resources: ["pods/exec"], operations: ["CONNECT"]}
#   matchConditions:
#     - {name: not-of-root, expression: "request.userInfo.username != 'root'"}
#     - {name: has-no-marker, expression: "object == null || !has(object.metadata) || object.metadata.name != 'marked'"}
#   needs:
#     - {apiVersion: v1, resource: namespaces, fields: [[metadata, labels]]}
#     - {apiVersion: example.com/v1, resource: hues, optional: true}
#   settings:
#     type: object
#     properties: {bad: {type: array}, pale: {type: boolean}}
package eksguard.colours

# METADATA
# title: No bad colour
# custom:
#   id: bad
#   severity: high
%s
deny contains violation if {
	some message in _messages
	violation := {"rule": "bad", "field": "metadata", "message": message}
}

_messages contains "it is bad" if input.request.object.metadata.labels.colour in data.eksguard.settings.colours.bad

_messages contains "it is kept" if {
	input.request.operation == "DELETE"
	input.request.oldObject.metadata.labels.colour == "kept"
}

_messages contains "painters go nowhere" if {
	input.request.object.kind == "PodExecOptions"
	input.request.name == "web"
	input.request.namespace == "shop"
	"painters" in input.request.userInfo.groups
}

_messages contains "it is dark" if {
	namespace := data.cluster["v1/namespaces"][input.request.namespace]
	namespace.metadata.labels.dark
	not namespace.spec
}

_messages contains "there is teal" if data.cluster["example.com/v1/hues"].shop.teal

_messages contains "hues are not known" if not data.cluster["example.com/v1/hues"]

# METADATA
# title: Nothing is loud
# custom: {id: loud, severity: low}
warn contains violation if {
	input.request.object.metadata.annotations.loud == "yes"
	violation := {"rule": "loud", "field": "metadata.annotations.loud", "message": "it is loud"}
}

# METADATA
# title: Colours pale
# custom: {id: pale, severity: low, when: '{{ .settings.colours.pale }}'}
mutate contains mutation if {
	input.request.object.metadata.annotations.pale == "please"
	patch := [{"op": "replace", "path": "/metadata/annotations/pale", "value": "done"}]
	mutation := {"rule": "pale", "patch": patch}
}
`

const (
	bad    = "    violates: {object: {apiVersion: v1, kind: Pod, metadata: {name: a, labels: {colour: red}}}}\n"
	passes = "    passes: {object: {apiVersion: v1, kind: Pod, metadata: {name: a, labels: {colour: green}}}}\n"
)

// given are a rule's examples, and violates those of one that violates and one that passes.
func given(examples string) string { return "  examples:\n" + examples }

func violates(example string) string { return given("    violates: " + example + "\n" + passes) }

// metadata makes comment lines of the rest of the rule's METADATA.
func metadata(text string) string {
	return "# " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n# ")
}

// lineOf is the first line with the words in it.
func lineOf(module, words string) int {
	before, _, _ := strings.Cut(module, words)
	return strings.Count(before, "\n") + 1
}

func run(t *testing.T, module string) []examples.Outcome {
	t.Helper()
	files := fstest.MapFS{
		"colours.rego": {Data: []byte(module)},
		"data.yaml": {Data: []byte(
			`{eksguard: {settings: {cluster: {account: "", partition: aws}, colours: {bad: [red], pale: false}}}}`)},
	}
	b, err := loader.NewFileLoader().WithProcessAnnotation(true).WithFS(files).AsBundle(".")
	if err != nil {
		t.Fatal(err)
	}
	outcomes, err := examples.Run(t.Context(), examples.Of(b))
	if err != nil {
		t.Fatal(err)
	}
	return outcomes
}

// faults are the errors of a rule's examples.
func faults(outcomes []examples.Outcome, rule string) string {
	var errs []error
	for _, o := range outcomes {
		if o.Rule.ID == rule {
			errs = append(errs, o.Err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err.Error()
	}
	return ""
}

func TestExamplesThatAreWhatTheySay(t *testing.T) {
	for _, row := range []struct{ reason, examples string }{
		{"a CREATE", bad + passes},
		{"an UPDATE, of a subresource", `
    violates:
      object: {apiVersion: v1, kind: Pod, metadata: {name: a, labels: {colour: red}}}
      oldObject: {apiVersion: v1, kind: Pod, metadata: {name: a}}
      subresource: status
` + passes},
		{"a DELETE", `
    violates: {oldObject: {apiVersion: v1, kind: Pod, metadata: {name: a, labels: {colour: kept}}}}
    passes: {oldObject: {apiVersion: v1, kind: Pod, metadata: {name: a, labels: {colour: red}}}}`},
		{"a CONNECT by somebody of a group, whose object has no metadata", `
    violates:
      operation: CONNECT
      resource: v1/pods
      subresource: exec
      namespace: shop
      name: web
      object: {apiVersion: v1, kind: PodExecOptions}
      user: jane
      groups: [painters]
` + passes},
		{"settings", `
    violates:
      object: {apiVersion: v1, kind: Pod, metadata: {name: a, labels: {colour: green}}}
      settings: {colours: {bad: [green]}}
` + passes},
		{"cluster state, of which only what is needed is told", `
    violates:
      object: {apiVersion: v1, kind: Pod, metadata: {name: a, namespace: shop}}
      cluster: [{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {dark: "yes"}}, spec: {finalizers: [x]}}]
` + passes},
		{"cluster state of a kind that only its namespace tells to be namespaced", `
    violates:
      object: {apiVersion: v1, kind: Pod, metadata: {name: a, namespace: shop}}
      cluster: [{apiVersion: example.com/v1, kind: Hue, metadata: {name: teal, namespace: shop}}]
` + passes},
		{"cluster state that is not known", `
    violates:
      object: {apiVersion: v1, kind: Pod, metadata: {name: a, namespace: shop}}
      unknown: [example.com/v1/hues]
` + passes},
		{"the same request in another cluster", `
    violates:
      object: &pod {apiVersion: v1, kind: Pod, metadata: {name: a, namespace: shop}}
      cluster: [{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {dark: "yes"}}}]
    passes: {object: *pod}`},
		{"a request that passes because the policy is not asked", bad + `
    passes: {object: {apiVersion: v1, kind: Pod, metadata: {name: a, labels: {colour: green}}}, user: root}`},
	} {
		t.Run(row.reason, func(t *testing.T) {
			outcomes := run(t, fmt.Sprintf(colours, metadata(given(row.examples))))
			if got := faults(outcomes, "bad"); got != "" {
				t.Error(got)
			}
		})
	}
}

func TestExamplesThatAreWrong(t *testing.T) {
	const pod = "{object: {apiVersion: v1, kind: Pod, metadata: {name: a, labels: {colour: red}}}"
	for _, row := range []struct{ reason, examples, want string }{
		{"none", "", `.violates is missing: want a request that the rule objects to
.passes is missing: want a request that the rule lets pass as it is`},
		{"one of them", given(bad), ".passes is missing: want a request that the rule lets pass as it is"},
		{"no object", "  examples: [x]", ": want an object with violates and passes"},
		{"another name", given(bad + passes + "    pases: {}"), `.pases: unknown key of a deny rule (did you mean "passes"?)`},
		{"one that is no object", violates("x"), ".violates: want an object, such as {object: {apiVersion: …}}"},
		{"an unknown key", violates("{objekt: {}}"), `.violates.objekt: unknown key (did you mean "object"?)`},
		{"a key of a wrong type", violates(pod + ", groups: x}"), ".violates.groups: want a list of groups"},
		{"a key without a value", violates(pod + ", user: }"), ".violates.user: want a username"},
		{"neither object nor oldObject", violates("{user: x}"),
			".violates: want an object, an oldObject, or both"},
		{"an object that is no manifest", violates("{object: {kind: Pod}}"),
			".violates.object: apiVersion and metadata.name are missing"},
		{"a name beside that of the object", violates(pod + ", name: b}"),
			`.violates.object: it has metadata.name "a": leave out name, which is for objects without metadata`},
		{"an operation that there is not", violates(pod + ", operation: PATCH}"),
			`.violates.operation: "PATCH" is none: want CREATE, UPDATE, DELETE or CONNECT`},
		{"an operation that the objects do not go with", violates(pod + ", operation: UPDATE}"),
			".violates.operation: UPDATE has both object and oldObject"},
		{"a resource without a version", violates(pod + ", resource: pods}"),
			`.violates.resource: "pods": want <apiVersion>/<resource>, such as apps/v1/deployments`},
		{"cluster state that is no manifest", violates(pod + ", cluster: [{}]}"),
			".violates.cluster[0]: apiVersion, kind and metadata.name are missing"},
		{"cluster state that the policy does not need",
			violates(pod + ", cluster: [{apiVersion: v1, kind: Node, metadata: {name: x}}]}"),
			`.violates.cluster[0]: the policy does not need v1/nodes (known: v1/namespaces, example.com/v1/hues)`},
		{"a kind that is not known and not needed", violates(pod + ", unknown: [v1/namespace]}"),
			`.violates.unknown[0]: the policy does not need "v1/namespace" (did you mean "v1/namespaces"?)`},
		{"settings that there are not", violates(pod + ", settings: {colors: {}}}"),
			`.violates.settings: settings.colors: unknown key (did you mean "colours"?)`},
		{"a violation that is none", violates("{object: {apiVersion: v1, kind: Pod, metadata: {name: a}}}"),
			`.violates: want rule "bad" and no other of the policy to answer, not none`},
		{"a violation of another rule, too",
			violates("{object: {apiVersion: v1, kind: Pod, metadata: {name: a, labels: {colour: red}, " +
				"annotations: {loud: \"yes\"}}}}"),
			`.violates: want rule "bad" and no other of the policy to answer, not bad, loud`},
		{"a violation that is held back",
			violates("{object: {apiVersion: v1, kind: Pod, metadata: {name: a}}, user: root}"),
			`.violates: match condition "not-of-root" is false, so that the policy is not asked`},
		{"a condition that is false of a violation",
			violates("{object: {apiVersion: v1, kind: Pod, metadata: {name: marked, labels: {colour: red}}}}"),
			`.violates: match condition "has-no-marker" is false, though the policy finds bad: ` +
				`a condition may hold back only what no rule cares about`},
		{"one that does not pass, for another rule's sake",
			given(bad + "    passes: {object: {apiVersion: v1, kind: Pod, metadata: {name: a, annotations: {loud: \"yes\"}}}}"),
			".passes: it does not pass, but finds loud"},
		{"one that passes because nobody asks",
			given(bad + "    passes: {object: {apiVersion: apps/v1, kind: Deployment, metadata: {name: a}}}"),
			".passes: the policy's match does not cover a CREATE of deployments in apps/v1"},
	} {
		t.Run(row.reason, func(t *testing.T) {
			module := fmt.Sprintf(colours, metadata(row.examples))
			prefix := fmt.Sprintf("colours.rego:%d: rule \"bad\": metadata custom.examples", lineOf(module, "deny contains"))
			want := prefix + strings.ReplaceAll(row.want, "\n", "\n"+prefix)
			if diff := cmp.Diff(want, faults(run(t, module), "bad")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestExamplesOfARuleThatMutates(t *testing.T) {
	const on = ", settings: {colours: {pale: true}}}"
	pod := func(colour string) string {
		return "{object: {apiVersion: v1, kind: Pod, metadata: {name: a, annotations: {pale: " + colour + "}}}"
	}
	for _, row := range []struct{ reason, mutates, passes, want string }{
		{"what they say", pod("please") + on, pod("done") + on, ""},
		{"a rule that is off", pod("please") + "}", pod("done") + on,
			".mutates: the rule is off: turn it on in the example's settings"},
		{"what is not mutated", pod("done") + on, pod("done") + on,
			`.mutates: want rule "pale" and no other of the policy to answer, not none`},
		{"what is mutated", pod("please") + on, pod("please") + on, ".passes: it does not pass, but finds pale"},
	} {
		t.Run(row.reason, func(t *testing.T) {
			module := fmt.Sprintf(colours, metadata(given(bad+passes)))
			module = strings.ReplaceAll(module, "when: '{{ .settings.colours.pale }}'",
				"when: '{{ .settings.colours.pale }}', examples: {mutates: "+row.mutates+", passes: "+row.passes+"}")
			want := row.want
			if want != "" {
				want = fmt.Sprintf("colours.rego:%d: rule \"pale\": metadata custom.examples%s",
					lineOf(module, "mutate contains"), want)
			}
			if diff := cmp.Diff(want, faults(run(t, module), "pale")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
