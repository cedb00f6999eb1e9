// Package localtest is package local for tests: what is started is stopped when the test ends, whatever fails fails the
// test, and eksguard's log is shown if it did.
package localtest

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mozilla-iam/eksguard/test/checkout"
	"github.com/mozilla-iam/eksguard/test/local"
)

// ControlPlane starts a control plane for the test. Under -short the test is skipped; without the binaries it fails and
// says how to build them.
func ControlPlane(t testing.TB, options local.Options) *local.ControlPlane {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a control plane; -short is set")
	}
	if err := checkout.Inputs(); err != nil {
		t.Fatal(err)
	}
	// What envtest logs is in its errors too. Without a logger, controller-runtime complains after 30 seconds.
	log.SetLogger(logr.New(log.NullLogSink{}))
	c, err := local.StartControlPlane(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// Eksguard starts eksguard for the test. By default it acts as user admin of the control plane, and its binary is
// bin/eksguard or bin/eksguard-race, whichever was built last.
func Eksguard(t testing.TB, c *local.ControlPlane, options local.EksguardOptions) *local.Eksguard {
	t.Helper()
	if options.Binary == "" {
		options.Binary = newestBinary(t)
	}
	if options.AdminKubeconfig == "" {
		options.AdminKubeconfig = c.Kubeconfig
	}
	if options.Kubeconfig == "" {
		options.Kubeconfig = c.Kubeconfig
	}
	if options.Log == nil {
		options.Log = logOf(t)
	}
	e, err := local.StartEksguard(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Stop(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// newestBinary prefers what was built last; if nothing was, the error about it is StartEksguard's.
func newestBinary(t testing.TB) string {
	t.Helper()
	root, err := checkout.Root()
	if err != nil {
		t.Fatal(err)
	}
	var newest string
	var builtAt time.Time
	for _, name := range []string{"eksguard", "eksguard-race"} {
		path := filepath.Join(root, "bin", name)
		if info, err := os.Stat(path); err == nil && info.ModTime().After(builtAt) {
			newest, builtAt = path, info.ModTime()
		}
	}
	return newest
}

// logOf keeps a log and shows it if the test has failed.
func logOf(t testing.TB) *failureLog {
	l := &failureLog{}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of eksguard:\n%s", l.text())
		}
	})
	return l
}

// failureLog is safe for concurrent use: it is written by a process that may outlive the test's own goroutine.
type failureLog struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (l *failureLog) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.Write(text)
}

func (l *failureLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.String()
}
