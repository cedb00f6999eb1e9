package cli_test

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/creack/pty"

	"github.com/mozilla-iam/eksguard/internal/cli"
)

// onTerminal runs the command line with a real terminal as its standard output, and gives what it shows.
func onTerminal(t *testing.T, args string) string {
	t.Helper()
	screen, terminal, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = screen.Close() }()
	shown := make(chan string)
	go func() {
		text, _ := io.ReadAll(screen) // ends with an error of the system once no one holds the terminal
		shown <- string(text)
	}()
	cli.Run(strings.Fields(args), strings.NewReader(""), terminal, terminal)
	if err := terminal.Close(); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(<-shown, "\r\n", "\n")
}

// inPipe runs the command line with a pipe as its standard output.
func inPipe(t *testing.T, args string) string {
	t.Helper()
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan string)
	go func() {
		text, _ := io.ReadAll(out)
		read <- string(text)
	}()
	cli.Run(strings.Fields(args), strings.NewReader(""), in, in)
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	return <-read
}

func TestColour(t *testing.T) {
	t.Chdir("testdata/review")
	const args = "review --bundle bundle pods.yaml"
	const escape = "\x1b["
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm")
	plain := inPipe(t, args)
	if strings.Contains(plain, escape) || !strings.Contains(plain, "pods.yaml:6: Pod here/bad: denied") {
		t.Errorf("in a pipe: %q", plain)
	}
	coloured := onTerminal(t, args)
	if !strings.Contains(coloured, "pods.yaml:6: \x1b[1mPod here/bad\x1b[0m: \x1b[31mdenied\x1b[0m\n") {
		t.Errorf("on a terminal: %q", coloured)
	}
	without := coloured
	for _, style := range []string{"0", "1", "2", "31", "32", "33", "36"} {
		without = strings.ReplaceAll(without, escape+style+"m", "")
	}
	if without != plain {
		t.Errorf("the terminal shows something else:\n%s\nthan the pipe:\n%s", without, plain)
	}
	for name, value := range map[string]string{"NO_COLOR": "1", "TERM": "dumb"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			if got := onTerminal(t, args); got != plain {
				t.Errorf("%q", got)
			}
		})
	}
	t.Run("formats for programs", func(t *testing.T) {
		for _, format := range []string{"json", "sarif", "junit", "github", "gitlab"} {
			if got := onTerminal(t, args+" -o "+format); strings.Contains(got, escape) {
				t.Errorf("%s: %q", format, got)
			}
		}
	})
}
