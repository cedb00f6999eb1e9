package events_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/mozilla-iam/eksguard/internal/events"
	"github.com/mozilla-iam/eksguard/internal/policy"
)

// nobody is told anything.
type nobody struct{}

func (nobody) Admits(string) bool { return true }

func (nobody) Record(events.Event) {}

// BenchmarkDecided measures what a review waits for: nothing where it is allowed, and where it is denied the reading of
// metadata and the making of a message.
func BenchmarkDecided(b *testing.B) {
	body, err := os.ReadFile("../policy/testdata/pod-review.json")
	if err != nil {
		b.Fatal(err)
	}
	r, err := policy.ParseRequest(bytes.TrimSpace(body))
	if err != nil {
		b.Fatal(err)
	}
	for name, decision := range map[string]policy.Decision{
		"allowed": {Allowed: true}, "denied": {Violations: []policy.Violation{naming}},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				events.Denials{Recorder: nobody{}}.Decided(r, &decision, 0)
			}
		})
	}
}
