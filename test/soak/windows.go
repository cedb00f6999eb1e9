package soak

import (
	"sync"
	"time"
)

// taken is what a disturbance may take away while it lasts.
type taken uint8

const (
	// answers: writes that eksguard is to judge may be refused, because it does not answer.
	answers taken = 1 << iota
	// registration: writes may get in that nobody has judged.
	registration
	// apiServer: writes may fail because the API server is away.
	apiServer
)

// window is the time in which a disturbance takes something away.
type window struct {
	name     string
	takes    taken
	from, to time.Time // to is zero while it is open
	// last is the end of the last write that it took something from.
	last time.Time
}

// gap is how long it took something from writes: 0 if it did from none.
func (w *windows) gap(o *window) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return o.gap()
}

func (w *window) gap() time.Duration {
	if w.last.IsZero() {
		return 0
	}
	return w.last.Sub(w.from)
}

// windows are those of a run.
type windows struct {
	mu  sync.Mutex
	all []*window
}

func (w *windows) open(name string, takes taken) *window {
	opened := &window{name: name, takes: takes, from: time.Now()}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, opened)
	return opened
}

// begin has an open window begin now, for who had to wait before they could take anything away.
func (w *windows) begin(o *window) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o.from = time.Now()
}

// close ends a window, unless it has ended before.
func (w *windows) close(o *window) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o.to.IsZero() {
		o.to = time.Now()
	}
}

// excuse finds a window that may have taken this away from a write that lasted from then to then. Nil means that there
// is none.
func (w *windows) excuse(what taken, from, to time.Time) *window {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.all {
		if one.takes&what != 0 && one.from.Before(to) && (one.to.IsZero() || one.to.After(from)) {
			if to.After(one.last) {
				one.last = to
			}
			return one
		}
	}
	return nil
}

// current is the name of what happens, or happened last, at a time.
func (w *windows) current(at time.Time) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := "nothing"
	for _, one := range w.all {
		if one.from.Before(at) {
			name = one.name
		}
	}
	return name
}
