// Package scaffold writes the beginning of a policy: a small one that works, with its tests, examples and settings, to
// be changed into what is wanted. It writes all of it or nothing, and never over something.
package scaffold

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"go.yaml.in/yaml/v3"

	"github.com/mozilla-iam/eksguard/internal/excerpt"
	"github.com/mozilla-iam/eksguard/internal/policy"
)

var (
	//go:embed template/policy.rego.txt
	policyText string
	//go:embed template/policy_test.rego.txt
	testText string
)

// What a bundle begins with.
const (
	manifestText = `{"roots": ["eksguard"]}
`
	dataText = `eksguard:
  settings:
    cluster:
      # The AWS account of this cluster, 12 digits; "" where it is not known.
      account: ""
      partition: aws
    enforcement: {}
    exceptions: []
`
	sectionText = `POLICY_NAME:
  # The label that names the team.
  label: team
`
)

var (
	namePattern = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	reserved    = []string{"lib", "settings"}
)

// maxText bounds what is quoted of a name.
const maxText = 60

// CheckName tells whether a policy can have that name.
func CheckName(name string) error {
	switch {
	case !namePattern.MatchString(name):
		return fmt.Errorf(
			"name of the policy %q: want lower-case words of letters and digits joined by %q, such as image_tags",
			excerpt.Of(name, maxText), "_")
	case slices.Contains(reserved, name), policy.IsSharedSection(name), strings.HasSuffix(name, "_test"):
		return fmt.Errorf("name of the policy %q: it means something else to eksguard: take another", excerpt.Of(name, maxText))
	}
	if _, err := ast.ParseModule("", "package p\n\nimport data.eksguard."+name+"\n\nx := "+name+".y\n"); err != nil {
		return fmt.Errorf("name of the policy %q: it is a word of Rego: take another", excerpt.Of(name, maxText))
	}
	return nil
}

// New writes the policy of that name into the bundle folder dir, which is made if it is not there: its folder with the
// policy and its tests, its section in data.yaml and, where it is missing, .manifest. It gives the files that it wrote.
func New(dir, name string) (written []string, err error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	named := strings.NewReplacer("POLICY_NAME", name)
	folder := filepath.Join(dir, name)
	if _, err := os.Lstat(folder); !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is there already: take another name", folder)
	}
	data, err := addSection(filepath.Join(dir, "data.yaml"), name, named.Replace(sectionText))
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{
		filepath.Join(folder, name+".rego"):      []byte(named.Replace(policyText)),
		filepath.Join(folder, name+"_test.rego"): []byte(named.Replace(testText)),
		filepath.Join(dir, "data.yaml"):          data,
	}
	if manifest := filepath.Join(dir, ".manifest"); isMissing(manifest) {
		files[manifest] = []byte(manifestText)
	}
	return writeAll(folder, files)
}

func isMissing(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// addSection gives the text of data.yaml with one more section in eksguard.settings, all else as it stands.
func addSection(path, name, section string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = []byte(dataText), nil
	}
	if err != nil {
		return nil, err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	settings := child(child(&document, "eksguard"), "settings")
	if settings == nil || settings.Kind != yaml.MappingNode || settings.Style&yaml.FlowStyle != 0 ||
		len(settings.Content) == 0 {
		return nil, fmt.Errorf("%s: want eksguard.settings as a block of keys, one a line, to add a section to", path)
	}
	if existing := child(settings, name); existing != nil {
		return nil, fmt.Errorf("%s:%d: settings %q are there already: take another name", path, existing.Line, name)
	}
	// Before the first key, with the comment that belongs to it.
	first := settings.Content[0]
	line := first.Line
	if first.HeadComment != "" {
		line -= strings.Count(first.HeadComment, "\n") + 1
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	indent := strings.Repeat(" ", first.Column-1)
	added := indent + strings.ReplaceAll(strings.TrimSuffix(section, "\n"), "\n", "\n"+indent) + "\n"
	return slices.Concat(bytes.Join(lines[:line-1], nil), []byte(added), bytes.Join(lines[line-1:], nil)), nil
}

// child gives the value of a key of a mapping, nil where there is none.
func child(node *yaml.Node, key string) *yaml.Node {
	if node == nil {
		return nil
	}
	if node.Kind == yaml.DocumentNode && len(node.Content) == 1 {
		node = node.Content[0]
	}
	if node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}

// writeAll writes all files or, on an error, takes back what it wrote.
func writeAll(folder string, files map[string][]byte) (written []string, err error) {
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // sources, for whoever reads the repository
		return nil, fmt.Errorf("new policy: %w", err)
	}
	before := map[string][]byte{}
	defer func() {
		if err == nil {
			return
		}
		for _, name := range written {
			if text, ok := before[name]; ok {
				_ = os.WriteFile(name, text, 0o644) //nolint:gosec // as it was
			} else {
				_ = os.Remove(name)
			}
		}
		_ = os.Remove(folder)
		written = nil
	}()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if text, err := os.ReadFile(name); err == nil {
			before[name] = text
		}
		if err := os.WriteFile(name, files[name], 0o644); err != nil { //nolint:gosec // as above
			return written, fmt.Errorf("new policy: %w", err)
		}
		written = append(written, name)
	}
	return written, nil
}
