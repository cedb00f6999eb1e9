// Package docs_test holds the docs to what there is: files that they link to, and tests that the threat model names.
package docs_test

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mozilla-iam/eksguard/test/checkout"
)

// The threat model is worth as much as the tests that it names.
func TestTheThreatModelNamesTestsThatExist(t *testing.T) {
	root := rootOf(t)
	defined := map[string]bool{}
	definition := regexp.MustCompile(`(?m)^(?:func )?(Test\w+|Fuzz\w+|test_\w+)\b`)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if name := entry.Name(); err == nil && entry.IsDir() && (name == "bin" || name == ".git") {
			return fs.SkipDir
		}
		if err != nil || entry.IsDir() || !strings.Contains(entry.Name(), "_test.") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, found := range definition.FindAllStringSubmatch(string(text), -1) {
			defined[found[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w*|test_\\w+)").
		FindAllStringSubmatch(read(t, filepath.Join(root, "docs", "threat-model.md")), -1)
	if len(named) < 50 {
		t.Fatalf("only %d tests are named: is the page read rightly?", len(named))
	}
	for _, name := range named {
		if !defined[name[1]] {
			t.Errorf("there is no test %s", name[1])
		}
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	root := rootOf(t)
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	pages = append(pages, filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md"))
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, page := range pages {
		text := read(t, page)
		for _, found := range link.FindAllStringSubmatch(text, -1) {
			target, err := url.Parse(found[1])
			if err != nil || target.Scheme != "" {
				continue
			}
			file := page
			if target.Path != "" {
				file = filepath.Join(filepath.Dir(page), filepath.FromSlash(target.Path))
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: %s leads nowhere", filepath.Base(page), found[1])
			} else if target.Fragment != "" && strings.HasSuffix(file, ".md") && !hasHeading(read(t, file), target.Fragment) {
				t.Errorf("%s: %s has no heading %q", filepath.Base(page), found[1], target.Fragment)
			}
		}
	}
}

// hasHeading tells whether GitHub makes that anchor of a heading of the page.
func hasHeading(page, anchor string) bool {
	dropped := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	for line := range strings.Lines(page) {
		heading, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " ")
		if strings.HasPrefix(line, "#") && ok &&
			strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), ""), " ", "-") == anchor {
			return true
		}
	}
	return false
}

func rootOf(t *testing.T) string {
	t.Helper()
	root, err := checkout.Root()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
