package local

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
)

// How much of a process's log is kept for the error that tells why it ended.
const (
	tailBytes = 8 << 10
	tailLines = 20
)

// sink is one writer that the logs of several processes go to, whole lines at a time.
type sink struct {
	mu sync.Mutex
	w  io.Writer
}

func newSink(w io.Writer) *sink {
	if w == nil {
		w = io.Discard
	}
	return &sink{w: w}
}

// writer returns where one process logs to. Its lines begin with the prefix.
func (s *sink) writer(prefix string) *processLog {
	return &processLog{sink: s, prefix: prefix}
}

func (s *sink) write(text []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// A log that cannot be written must not take the process down that writes it: exec stops reading its pipe on an error.
	_, _ = s.w.Write(text)
}

// processLog takes what a process prints, passes it on line by line and remembers the end of it. It is safe for
// concurrent use.
type processLog struct {
	sink   *sink
	prefix string

	mu      sync.Mutex
	tail    []byte
	partial []byte
}

// Write never fails.
func (l *processLog) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remember(text)
	l.partial = append(l.partial, text...)
	for {
		end := bytes.IndexByte(l.partial, '\n')
		if end < 0 {
			return len(text), nil
		}
		l.sink.write(append([]byte(l.prefix), l.partial[:end+1]...))
		l.partial = l.partial[end+1:]
	}
}

// Close passes on a last line that has no end.
func (l *processLog) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.partial) > 0 {
		l.sink.write(append(append([]byte(l.prefix), l.partial...), '\n'))
		l.partial = nil
	}
}

func (l *processLog) remember(text []byte) {
	l.tail = append(l.tail, text...)
	if excess := len(l.tail) - tailBytes; excess > 0 {
		l.tail = append([]byte(nil), l.tail[excess:]...)
	}
}

// Tail returns the last lines that were printed.
func (l *processLog) Tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(l.tail)), "\n")
	if len(l.tail) == tailBytes {
		lines = lines[1:] // it has lost its beginning
	}
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}

// attach adds the last lines that were printed to an error that they may explain.
func (l *processLog) attach(err error) error {
	if tail := l.Tail(); tail != "" {
		return fmt.Errorf("%w; the end of the log:\n%s", err, tail)
	}
	return err
}
