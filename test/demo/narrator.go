package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// The colours of a terminal.
const (
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "32"
)

// narrator writes for a person to read, and keeps count of the outcomes of the demo.
type narrator struct {
	out            io.Writer
	coloured       bool
	began          time.Time
	good, bad      int
	failedCommands []string
	command        string
}

func newNarrator(out io.Writer) *narrator {
	return &narrator{out: out, coloured: isTerminal(out) && os.Getenv("NO_COLOR") == "", began: time.Now()}
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}

func (n *narrator) colour(code, text string) string {
	if !n.coloured {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (n *narrator) say(format string, args ...any) {
	_, _ = fmt.Fprintf(n.out, format+"\n", args...) // whether anybody reads it does not change how it goes on
}

// progress tells what is being waited for.
func (n *narrator) progress(what string) {
	n.say("%s", n.colour(dim, fmt.Sprintf("[%3.0f s] %s …", time.Since(n.began).Seconds(), what)))
}

// tell begins a step; without a story it goes on with the one before.
func (n *narrator) tell(story, command string) {
	if story != "" {
		n.say("\n%s", n.colour(bold, story))
	}
	n.command = command
	n.say("  $ %s", command)
}

func (n *narrator) show(output string) {
	for line := range strings.Lines(output) {
		n.say("  %s", strings.TrimRight(line, "\n"))
	}
}

func (n *narrator) judge(verdict string, asExpected bool) {
	if asExpected {
		n.good++
		n.say("  %s", n.colour(green, "✓ "+verdict))
		return
	}
	n.bad++
	n.failedCommands = append(n.failedCommands, n.command)
	n.say("  %s", n.colour(red, "✗ "+verdict+": not what should have come of it"))
}

// sum says how it went; it fails if something went otherwise than it should have.
func (n *narrator) sum() error {
	if n.bad == 0 {
		n.say("\n%s", n.colour(green, fmt.Sprintf("✓ All %d outcomes are as they should be.", n.good)))
		return nil
	}
	n.say("\n%s", n.colour(red, fmt.Sprintf("✗ %d of %d outcomes are not as they should be.", n.bad, n.good+n.bad)))
	return fmt.Errorf("unexpected outcome of: %s", strings.Join(n.failedCommands, "; "))
}
