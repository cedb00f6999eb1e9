package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// Read reads a file below testdata and replaces in it each odd one of the texts by the one after it. A text that is not
// in it fails the test.
func Read(t testing.TB, file string, replacements ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	for i := 0; i+1 < len(replacements); i += 2 {
		if !strings.Contains(text, replacements[i]) {
			t.Fatalf("testdata/%s does not contain %q", file, replacements[i])
		}
		text = strings.ReplaceAll(text, replacements[i], replacements[i+1])
	}
	return text
}

// Manifest is Read for a file with one object.
func Manifest(t testing.TB, file string, replacements ...string) *unstructured.Unstructured {
	t.Helper()
	return Parse(t, Read(t, file, replacements...))
}

// Parse makes an object of YAML.
func Parse(t testing.TB, text string) *unstructured.Unstructured {
	t.Helper()
	var o unstructured.Unstructured
	if err := yaml.UnmarshalStrict([]byte(text), &o.Object); err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	return &o
}
