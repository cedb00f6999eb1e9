package e2e

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what comes into the transcripts and other expected texts")

// Transcript replays a file below testdata in which a person's session is written down, and fails the test if kubectl
// prints anything else now: each line that begins with "$ kubectl" is a command, run in folder testdata, and what follows
// is all that it printed, stdout first, and how it ended if that was no success. Lines that begin with "#" and empty lines
// before a command are comments.
func (c *Cluster) Transcript(t *testing.T, file string) {
	t.Helper()
	written := Read(t, file)
	kubectl := c.Kubectl(t)
	var replayed strings.Builder
	for line := range strings.Lines(written) {
		command, isCommand := strings.CutPrefix(line, "$ kubectl ")
		switch {
		case isCommand:
			replayed.WriteString(line)
			seen := kubectl.Run(strings.Fields(command)...)
			replayed.WriteString(seen.Output())
			if seen.ExitCode != 0 {
				fmt.Fprintf(&replayed, "[exit status %d]\n", seen.ExitCode)
			}
		case strings.HasPrefix(line, "#"), line == "\n":
			replayed.WriteString(line)
		}
	}
	Golden(t, file, replayed.String())
}

// Golden fails the test if a file below testdata does not hold this text. With -update it writes it instead.
func Golden(t *testing.T, file, text string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(filepath.Join("testdata", file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(strings.Split(Read(t, file), "\n"), strings.Split(text, "\n")); diff != "" {
		t.Errorf("what came is not in testdata/%s (-want +got); if it should be, go test -update writes it:\n%s", file, diff)
	}
}
