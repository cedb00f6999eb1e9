package manifest_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mozilla-iam/eksguard/internal/manifest"
)

func TestLocate(t *testing.T) {
	const pod = `# a comment
apiVersion: v1
kind: Pod
metadata:
  name: web
  annotations:
    "iam.amazonaws.com/role": a
    plain: b
spec:
  containers:
    - name: first
      image: nginx
    - {name: second, image: "größer", command: [a, b]}
`
	const mapped = `apiVersion: v1
kind: ConfigMap
metadata: {name: aws-auth}
data:
  mapUsers: |
    # people

    - userarn: a
      groups:
      - one
    - userarn: b
      groups: [two, three]
  mapRoles: "- rolearn: a\n- rolearn: b"
  mapFolded: >
    - a
    - b
  mapDeep: |2
      - indented: more
  mapBroken: |
    - a: b: c
  mapLoop: |
    a: &a {<<: *a}
`
	const anchors = `apiVersion: v1
kind: Pod
metadata:
  name: web
  labels: &labels
    app: web
    <<: [{tier: front}]
spec:
  selector:
    <<: *labels
    other: x
  labels: *labels
`
	const list = "{\"apiVersion\":\"v1\",\n " +
		"\"items\":[{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\"}},\n" +
		"{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\n\t\"metadata\":{\"é\":1,\"name\":\"b\",\"labels\":{\"a/b\": " +
		"[1, {\"c\":2}]}}}],\"kind\":\"List\"}"
	for _, row := range []struct {
		name, text, field string
		// object is the index of the one that is meant.
		object       int
		line, column int
	}{
		{"a key", pod, "metadata.name", 0, 5, 3},
		{"a quoted key", pod, `metadata.annotations["iam.amazonaws.com/role"]`, 0, 7, 5},
		{"a quoted key that need not be", pod, `metadata.annotations["plain"]`, 0, 8, 5},
		{"a key that should have been quoted", pod, `metadata.annotations.plain`, 0, 8, 5},
		{"an item", pod, "spec.containers[1]", 0, 13, 7},
		{"a field in an item", pod, "spec.containers[0].image", 0, 12, 7},
		{"a field on a line with others", pod, "spec.containers[1].image", 0, 13, 22},
		{"columns are characters", pod, "spec.containers[1].command[1]", 0, 13, 52},
		{"a field that is not there, in one that is", pod, "spec.serviceAccountName", 0, 9, 1},
		{"an item that is not there", pod, "spec.containers[2].image", 0, 10, 3},
		{"an index into an object", pod, "metadata[0]", 0, 4, 1},
		{"a field of a string", pod, "metadata.name.first", 0, 5, 3},
		{"nothing of the field", pod, "status.phase", 0, 2, 0},
		{"the object", pod, "object", 0, 2, 0},
		{"no field", pod, "", 0, 2, 0},
		{"what is no field", pod, `["`, 0, 2, 0},
		{"a field with an end that is none", pod, `metadata.annotations["plain`, 0, 6, 3},

		{"an entry in a block", mapped, "data.mapUsers[1]", 0, 11, 7},
		{"a field of an entry", mapped, "data.mapUsers[1].groups[1]", 0, 12, 21},
		{"an item in a field of an entry", mapped, "data.mapUsers[0].groups[0]", 0, 10, 9},
		{"an entry that is not there", mapped, "data.mapUsers[2]", 0, 5, 3},
		{"an entry in a quoted string", mapped, "data.mapRoles[1]", 0, 13, 3},
		{"an entry in a folded string", mapped, "data.mapFolded[1]", 0, 14, 3},
		{"an entry in a block with an indentation of its own", mapped, "data.mapDeep[0].indented", 0, 18, 9},
		{"an entry in a block that is no YAML", mapped, "data.mapBroken[0]", 0, 19, 3},
		{"an entry that is merged into itself", mapped, "data.mapLoop.a.b", 0, 22, 5},

		{"where an alias stands", anchors, "spec.labels", 0, 12, 3},
		{"what it stands for", anchors, "spec.labels.app", 0, 6, 5},
		{"what is merged", anchors, "spec.selector.app", 0, 6, 5},
		{"what is merged of what is merged", anchors, "spec.selector.tier", 0, 7, 11},
		{"what stands beside it", anchors, "spec.selector.other", 0, 11, 5},

		{"the second document", "# a\n" + pod + "---\n" + pod, "metadata.name", 1, 20, 3},
		{"content beside the separator", "---\n---  {apiVersion: v1, kind: Pod, metadata: {name: a}}\n", "metadata.name", 0,
			2, 45},
		{"Windows' line ends and a byte order mark", "\ufeff" + strings.ReplaceAll(pod, "\n", "\r\n"),
			"spec.containers[0].image", 0, 12, 7},
		{"a block with Windows' line ends", strings.ReplaceAll(mapped, "\n", "\r\n"), "data.mapUsers[1].groups", 0, 12, 7},
		{"an item of a List", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: a}\n" +
			"- apiVersion: v1\n  kind: Pod\n  metadata: {name: b}\n", "metadata.name", 1, 9, 14},
		{"nothing of an item of a List",
			"apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: a}\n" +
				"- apiVersion: v1\n  kind: Pod\n  metadata: {name: b}\n", "status", 1, 7, 0},
		{"a List in a List",
			"apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: List\n  items:\n  - apiVersion: v1\n" +
				"    kind: Pod\n    metadata: {name: a}\n", "metadata.name", 0, 9, 16},

		{"JSON", list, "metadata.name", 1, 4, 20},
		{"a quoted name in JSON", list, `metadata.labels["a/b"][1].c`, 1, 4, 53},
		{"the first item in JSON", list, "metadata.name", 0, 2, 55},
		{"what is not there in JSON", list, "metadata.labels.c", 1, 4, 31},
		{"nothing of it in JSON", list, "spec", 1, 3, 0},
		{"an index into an object in JSON", list, "metadata[0]", 1, 4, 2},
		{"JSON after a separator", "---\n--- " + list, "metadata.name", 0, 3, 55},
		{"a second value of JSON",
			`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}} {"apiVersion":"v1","kind":"Pod","metadata":{"name":"b"}}`,
			"metadata.name", 1, 1, 102},
	} {
		t.Run(row.name, func(t *testing.T) {
			documents, errs := manifest.Read([]string{"-"}, strings.NewReader(row.text))
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			want := manifest.Location{File: "stdin", Line: row.line, Column: row.column}
			if diff := cmp.Diff(want, documents[row.object].Locate(row.field)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
