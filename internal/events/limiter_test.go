package events_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/mozilla-iam/eksguard/internal/events"
)

// drops counts what is dropped.
type drops int

func (*drops) EventWritten(string)        {}
func (d *drops) EventDropped(events.Drop) { *d++ }

// A flood of denials in one namespace leaves room for those of others, and floods in many are no more than what is allowed in
// all. The bounds are those of docs/events.md.
func TestOneNamespaceLeavesRoomForOthers(t *testing.T) {
	var dropped drops
	recorder, started := events.NewRecorder(events.Options{Observer: &dropped}), time.Now()
	const times = 5000
	admitted := func(namespace string) (n int) {
		for range times {
			if recorder.Admits(namespace) {
				n++
			}
		}
		return n
	}
	one := admitted("noisy")
	if most := 250 + int(25*time.Since(started).Seconds()); one < 250 || one > most {
		t.Errorf("one namespace is admitted %d times, want 250 to %d", one, most)
	}
	if !recorder.Admits("quiet") {
		t.Error("another namespace is not admitted")
	}
	all := one + 1
	for i := range 10 {
		all += admitted(fmt.Sprintf("namespace-%d", i))
	}
	if most := 1000 + int(100*time.Since(started).Seconds()); all < 1000 || all > most {
		t.Errorf("all together are admitted %d times, want 1000 to %d", all, most)
	}
	if want := 11*times + 1 - all; int(dropped) != want {
		t.Errorf("%d are counted as dropped, want %d", dropped, want)
	}
}
