package fuzz_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestLargeAWSAuthIsJudgedInTime holds that what an author can make of the ConfigMap's 1 MiB never takes as long as a
// decision may, three seconds: what would is denied for its size.
func TestLargeAWSAuthIsJudgedInTime(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector takes its time")
	}
	oracle := newOracle(t, newJudge(t))
	anchor := "- &a " + strings.Repeat("x", 50_000) + "\n"
	small := map[string]string{"mapRoles": "[{rolearn: " + nodeRole + ", username: u}]"}
	for name, entry := range map[string]func(i int) string{
		"short entries": func(int) string { return "-\n" },
		"entries":       func(i int) string { return fmt.Sprintf("- {rolearn: %s%d, username: u, groups: [a]}\n", nodeRole, i) },
		"new administrators": func(i int) string {
			return fmt.Sprintf("- {rolearn: %s%d, username: u, groups: [system:masters]}\n", nodeRole, i)
		},
		"new components": func(i int) string { return fmt.Sprintf("- {rolearn: r%d, username: system:x}\n", i) },
		"templates": func(i int) string {
			return fmt.Sprintf("- {rolearn: %s%d, groups: ['{{SessionName}}:x{{SessionName}}']}\n", nodeRole, i)
		},
		"the same entry":      func(int) string { return "- {rolearn: a, username: u, groups: [system:masters]}\n" },
		"entries with typos":  func(i int) string { return fmt.Sprintf("- {rolearn: 5, Groups: [x, 5], groups: x, name%d: x}\n", i) },
		"lists of lists":      func(int) string { return "[" },
		"groups of one entry": func(i int) string { return []string{"- rolearn: a\n  groups:\n", "  - g\n"}[min(i, 1)] },
		"fields of one entry": func(i int) string { return []string{"- rolearn: a\n", fmt.Sprintf("  f%d: x\n", i)}[min(i, 1)] },
		"documents":           func(int) string { return "---\n" },
		"booleans":            func(int) string { return "- yes\n" },
		"unclosed quotes":     func(int) string { return "- \"a\n" },
		"accounts":            func(int) string { return "- 012345670123\n" },
		"aliases of all texts": func(i int) string {
			return []string{anchor, "- *a\n"}[min(i, 1)]
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []struct{ bytes, entries int }{{65_000, 1e6}, {65_000, 490}, {900_000, 1e6}} {
				var text strings.Builder
				for i := 0; text.Len() < size.bytes && i < size.entries; i++ {
					text.WriteString(entry(i))
				}
				for _, section := range []string{"mapRoles", "mapAccounts"} {
					large := map[string]string{section: text.String()}
					for _, change := range [][2]map[string]string{{small, large}, {large, small}} {
						began := time.Now()
						allowed := oracle.decide(t, change[0], change[1]).Allowed
						took := time.Since(began)
						t.Logf("%s, %d bytes: allowed %t in %s", section, text.Len(), allowed, took)
						if took > 3*time.Second {
							t.Errorf("%s, %d bytes: %s", section, text.Len(), took)
						}
					}
				}
			}
		})
	}
}
