package soak_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mozilla-iam/eksguard/test/checkout"
	"github.com/mozilla-iam/eksguard/test/soak"
)

// Everything that can happen happens once, under load, to replicas that watch for data races. `make soak` goes on for
// longer.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a control plane; -short is set")
	}
	if err := checkout.Inputs(); err != nil {
		t.Fatal(err)
	}
	root, err := checkout.Root()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(root, "bin", "eksguard-race")
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("%v (make e2e builds it)", err)
	}
	// What envtest logs is in its errors too. Without a logger, controller-runtime complains after 30 seconds.
	log.SetLogger(logr.New(log.NullLogSink{}))
	var progress bytes.Buffer
	report, err := soak.Run(t.Context(), soak.Options{Duration: time.Second, Binary: binary, Progress: &progress})
	if err != nil {
		t.Fatalf("%v\n%s", err, &progress)
	}
	if err := report.Write(&progress); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", &progress)
	for _, violation := range report.Violations() {
		t.Error(violation)
	}
}
