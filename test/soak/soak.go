// Package soak runs eksguard for a long time as a cluster would: two replicas behind a balancer, people who write through a
// real API server without a pause, each write with a verdict that is known beforehand, and meanwhile all that goes wrong
// in a cluster's life: replicas are killed, drained and restarted, certificates and authorities change, bundles come that
// are good and bad, the API server restarts, and somebody deletes or alters the webhook configurations.
//
// It tells what came of it in a Report. A wrong verdict, a write that is refused although nothing is out of order, a
// disturbance that is not recovered from, a data race, a panic and a leak are violations, and with one of them a run has
// failed. While a disturbance lasts that takes answers away or the registration, writes that were refused for it, or that
// nobody judged, are counted apart; whatever began after it counts in full.
package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Options say how to soak. The zero value is a run of 30 minutes with bin/eksguard.
type Options struct {
	// Duration is for how long it goes on; each disturbance happens once at least, however long that takes. Default: 30
	// minutes.
	Duration time.Duration
	// Binary is the eksguard. Default: bin/eksguard of the repository.
	Binary string
	// Settings are laid over the settings that the verdicts go by. Default: none. Others may make verdicts wrong, which is
	// a way to see that a run fails.
	Settings string
	// Writers is how many write at once. Default: 4.
	Writers int
	// Seed orders the disturbances after each happened once. Default: 1.
	Seed uint64
	// Only keeps the disturbances whose names contain this text. Default: all of them.
	Only string
	// Logs is a folder that the logs of the replicas are written to. Default: they are not kept.
	Logs string
	// Progress receives a line for each disturbance. Default: none are written.
	Progress io.Writer
}

func (o Options) withDefaults() Options {
	if o.Duration == 0 {
		o.Duration = 30 * time.Minute
	}
	if o.Writers == 0 {
		o.Writers = 4
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	return o
}

// calm is how long nothing is disturbed after each disturbance: whatever fails then, it has left behind.
const calm = time.Second

// Run soaks, and tells what came of it. An error means that the run could not be made; what is wrong with eksguard is in
// the report. When it returns, nothing that it started is left.
func Run(ctx context.Context, o Options) (report *Report, err error) {
	o = o.withDefaults()
	s := &soak{options: o, report: newReport(), windows: &windows{}}
	s.judge = &judge{windows: s.windows, report: s.report}
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	s.report.Started = time.Now()
	for _, r := range s.replicas {
		r.measureBegin()
	}
	load := s.startLoad(ctx)
	s.disturb(ctx)
	load.stop()
	s.report.Ended = time.Now()
	s.settle(ctx)
	return s.report, ctx.Err()
}

// soak is one run.
type soak struct {
	options Options
	cluster
	judge    *judge
	report   *Report
	windows  *windows
	bundles  *bundleServer
	replicas [2]*replica
}

// disturb lets everything happen that can, once in order and then in any order, for as long as the run is to go on. It
// ends with the first disturbance that is not recovered from.
func (s *soak) disturb(ctx context.Context) {
	deadline := time.Now().Add(s.options.Duration)
	order := rand.New(rand.NewPCG(s.options.Seed, 0))
	all := slices.DeleteFunc(s.disturbances(), func(d disturbance) bool { return !strings.Contains(d.name, s.options.Only) })
	for round := 0; ; round++ {
		for _, d := range all {
			if ctx.Err() != nil || round > 0 && time.Now().After(deadline) {
				return
			}
			if err := s.disturbOnce(ctx, d); err != nil {
				s.report.violation("%s: %v", d.name, err)
				return
			}
		}
		order.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	}
}

func (s *soak) disturbOnce(ctx context.Context, d disturbance) error {
	began := time.Now()
	s.report.begin(d)
	window := s.windows.open(d.name, d.takes)
	err := d.happen(ctx, window)
	if err == nil {
		err = s.recovered(ctx)
	}
	s.windows.close(window)
	if err == nil {
		err = sleep(ctx, calm)
	}
	s.report.end(d, s.windows.gap(window))
	if _, writeErr := fmt.Fprintf(s.options.Progress, "%6s  %-50s %s\n", began.Sub(s.report.Started).Round(time.Second), d.name,
		s.report.progress(d.name)); writeErr != nil {
		return writeErr
	}
	return err
}

// recovered returns once both replicas answer and the API server asks them what it should.
func (s *soak) recovered(ctx context.Context) error {
	for _, r := range s.replicas {
		if err := r.running(); err != nil {
			return err
		}
		if err := eventually(ctx, r.name+" is ready", func() error {
			if !s.balancer.Passes(r.guard.Behind()) {
				return errors.New("it is not")
			}
			return r.running()
		}); err != nil {
			return err
		}
	}
	if err := eventually(ctx, "the registration is as it was", func() error { return s.registered(ctx) }); err != nil {
		return err
	}
	return s.plane.AwaitRegistration(ctx)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// patience is how long anything may take that is waited for.
const patience = time.Minute

// eventually tries until there is no error, and returns the last one if there is one for too long.
func eventually(ctx context.Context, what string, try func() error) error {
	for deadline := time.Now().Add(patience); ; {
		err := try()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waited %s in vain until %s: %w", patience, what, err)
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}
