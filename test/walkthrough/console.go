// Package walkthrough runs the commands that a page of the docs shows, and compares what they print with what it shows.
//
// A page shows them in blocks marked console: a line that begins with "$ " is a command, the lines after it are what it
// prints, on both streams. A line that is "…" stands for any number of lines, "…" in a line for anything.
package walkthrough

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

// Step is a command and what it is to print.
type Step struct {
	// Line is where the command stands in the page.
	Line    int
	Command string
	Output  []string
}

// Steps reads the steps of a page.
func Steps(page string) (steps []Step) {
	inside := false
	for i, line := range strings.Split(page, "\n") {
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```console"
		case inside && isCommand:
			steps = append(steps, Step{Line: i + 1, Command: command})
		case inside && len(steps) > 0:
			last := &steps[len(steps)-1]
			last.Output = append(last.Output, line)
		}
	}
	return steps
}

// Matches tells whether what was printed is what the step shows.
func (s *Step) Matches(printed string) bool {
	var pattern strings.Builder
	pattern.WriteString(`\A`)
	for _, line := range s.Output {
		if line == "…" {
			pattern.WriteString(`(?:.*\n)*?`)
			continue
		}
		parts := strings.Split(line, "…")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		pattern.WriteString(strings.Join(parts, `.*`) + `\n`)
	}
	pattern.WriteString(`\z`)
	return regexp.MustCompile(pattern.String()).MatchString(printed)
}

// Shell is one bash, so that what a command exports is there for the next.
type Shell struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	output *bufio.Reader
	mark   string
}

// NewShell starts a bash in a folder.
func NewShell(dir string) (*Shell, error) {
	s := &Shell{cmd: exec.Command("bash", "--noprofile", "--norc"), mark: "done-" + rand.Text()}
	s.cmd.Dir = dir
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.cmd.Stdout, s.cmd.Stderr = writer, writer
	s.output = bufio.NewReader(reader)
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	return s, writer.Close()
}

// Run runs a command to its end and gives what it printed.
func (s *Shell) Run(command string) (string, error) {
	// Without a stdin of its own, a command would read the next one.
	if _, err := fmt.Fprintf(s.stdin, "{ %s\n} < /dev/null; echo; echo %s\n", command, s.mark); err != nil {
		return "", err
	}
	var printed strings.Builder
	for {
		line, err := s.output.ReadString('\n')
		if strings.TrimSuffix(line, "\n") == s.mark {
			// The empty line before the mark makes sure that the mark begins one.
			return strings.TrimSuffix(printed.String(), "\n"), nil
		}
		printed.WriteString(line)
		if err != nil {
			return printed.String(), fmt.Errorf("the shell ended: %w", err)
		}
	}
}

// Close ends the shell.
func (s *Shell) Close() error { return errors.Join(s.stdin.Close(), s.cmd.Wait()) }
