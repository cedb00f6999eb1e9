package soak

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"text/tabwriter"
	"time"
)

// Bounds of what a replica may take at the end of its life. They catch what grows with every admission, connection,
// bundle or restart of the API server, and are above what comes and goes.
const (
	// idleGoroutines is how many more there may be when nobody asks, for connections that are still open, and
	// leaderGoroutines how many more than that in a replica that has become the leader.
	idleGoroutines   = 20
	leaderGoroutines = 50
	// busyGoroutines is how many more there may be under load.
	busyGoroutines = 300
	// moreLive is how much more than twice what it was at the begin the live heap may be.
	moreLive = 64 << 20
)

// Report is what came of a run. Its methods are safe for concurrent use.
type Report struct {
	Started, Ended time.Time

	mu sync.Mutex
	// writes by policy and verdict; "" is the writes that nobody is asked about.
	writes     map[string]*[verdicts]int
	happened   []*happened // in order of their first time
	lives      []*life
	violations []string
	// dropped is how many violations more there were.
	dropped int
}

// happened is what came of one disturbance.
type happened struct {
	disturbance
	times  int
	taken  [verdicts]int // what writes were excused by it
	failed int           // writes that failed while it happened
	gap    time.Duration // the longest
}

// life is one of a replica, from its start to its end.
type life struct {
	name, how  string
	begin, end measures
}

// maxViolations bounds those that are kept: one fault may bring forth thousands.
const maxViolations = 40

func newReport() *Report { return &Report{writes: map[string]*[verdicts]int{}} }

// Violations are what was wrong. A run without any has passed.
func (r *Report) Violations() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.Clone(r.violations)
	if r.dropped > 0 {
		all = append(all, fmt.Sprintf("and %d more", r.dropped))
	}
	return all
}

func (r *Report) violation(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.violations) == maxViolations {
		r.dropped++
		return
	}
	r.violations = append(r.violations, fmt.Sprintf(format, args...))
}

func (r *Report) count(w *write, v verdict, excuse *window) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.writes[w.policy] == nil {
		r.writes[w.policy] = &[verdicts]int{}
	}
	r.writes[w.policy][v]++
	if excuse != nil {
		r.find(excuse.name).taken[v]++
	} else if v == failed && len(r.happened) > 0 {
		r.happened[len(r.happened)-1].failed++
	}
}

func (r *Report) begin(d disturbance) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.find(d.name) == nil {
		r.happened = append(r.happened, &happened{disturbance: d})
	}
}

func (r *Report) end(d disturbance, gap time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.find(d.name)
	h.times++
	h.gap = max(h.gap, gap)
}

func (r *Report) find(name string) *happened {
	for _, h := range r.happened {
		if h.name == name {
			return h
		}
	}
	return nil
}

func (r *Report) progress(name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.find(name)
	return fmt.Sprintf("longest gap %s, unanswered %d, unguarded %d; %d violations so far", gapText(h.gap), h.taken[unanswered],
		h.taken[unguarded], len(r.violations)+r.dropped)
}

func (r *Report) life(name string) *life {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := &life{name: name}
	r.lives = append(r.lives, l)
	return l
}

// checkLeaks compares the end of a life with its begin.
func (r *Report) checkLeaks(l *life) {
	most := l.begin.goroutines + busyGoroutines
	if l.how == "idle" {
		most = l.begin.idle(l.end.leads)
	}
	if l.end.goroutines > most {
		r.violation("replica %s, %s, has %.0f goroutines, want at most %.0f", l.name, l.how, l.end.goroutines, most)
	}
	if most := 2*l.begin.live + moreLive; l.end.live > most {
		r.violation("replica %s, %s, has a live heap of %s, want at most %s", l.name, l.how, mebibytes(l.end.live), mebibytes(most))
	}
}

// Write writes it as tables.
func (r *Report) Write(w io.Writer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(format string, args ...any) { _, _ = fmt.Fprintf(table, format+"\n", args...) } // Flush tells
	row("\nPOLICY\tWRITES\tRIGHT\tWRONG\tFAILED\tUNANSWERED\tUNGUARDED\tAPI SERVER AWAY")
	var total [verdicts]int
	line := func(name string, n *[verdicts]int) {
		sum := 0
		for _, count := range n {
			sum += count
		}
		row("%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d", name, sum, n[right], n[wrong], n[failed], n[unanswered], n[unguarded], n[unreachable])
	}
	for _, policy := range slices.Sorted(maps.Keys(r.writes)) {
		name := policy
		if name == "" {
			name = "(none is asked)"
		}
		line(name, r.writes[policy])
		for v, count := range r.writes[policy] {
			total[v] += count
		}
	}
	line("all", &total)
	row("\nDISTURBANCE\tTIMES\tFAILED\tUNANSWERED\tUNGUARDED\tAPI SERVER AWAY\tLONGEST GAP")
	for _, h := range r.happened {
		row("%s\t%d\t%d\t%d\t%d\t%d\t%s", h.name, h.times, h.failed, h.taken[unanswered], h.taken[unguarded], h.taken[unreachable],
			gapText(h.gap))
	}
	row("\nREPLICA\tEND\tGOROUTINES\tLIVE HEAP\tRESIDENT")
	for _, l := range r.lives {
		row("%s\t%s\t%.0f → %.0f\t%s → %s\t%s → %s", l.name, l.how, l.begin.goroutines, l.end.goroutines,
			mebibytes(l.begin.live), mebibytes(l.end.live), mebibytes(l.begin.resident), mebibytes(l.end.resident))
	}
	row("")
	for _, text := range r.violations {
		row("✗ %s", text)
	}
	if r.dropped > 0 {
		row("✗ and %d more", r.dropped)
	}
	if len(r.violations) == 0 {
		row("✓ no violation in %s", r.Ended.Sub(r.Started).Round(time.Second))
	}
	return table.Flush()
}

func gapText(gap time.Duration) string {
	if gap == 0 {
		return "none"
	}
	return gap.Round(time.Millisecond).String()
}

func mebibytes(n float64) string { return fmt.Sprintf("%.0f MiB", n/(1<<20)) }
