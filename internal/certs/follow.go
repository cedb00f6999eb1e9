package certs

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"time"
)

// DefaultPropagation is how long a new authority is announced before a certificate of it is served, unless it is told
// otherwise: the time in which every API server hears of a changed webhook configuration, and to spare.
const DefaultPropagation = time.Minute

// pollInterval is how soon is looked again whether an authority is registered.
const pollInterval = time.Second

// Authorities is what the API server was told to trust.
type Authorities interface {
	// Registered returns each bundle of authorities (PEM) that a webhook is registered with, none if no webhook is; and when
	// the last authority was added to one of them, zero if none was since they are registered.
	Registered(ctx context.Context) (bundles [][]byte, since time.Time, err error)
	// Announce adds authorities, PEM, to each bundle, whoever registers.
	Announce(ctx context.Context, authorities []byte) error
}

// follower serves what another issues. A certificate of an authority that the API server may not know of yet waits until
// that was announced; what was served before goes on being served, and being trusted for as long as another replica may
// serve it. A process that has just started knows from what is registered what others may serve, and for how long the API
// server has known the authority of what it is to serve itself: until that is long enough, it serves nothing.
type follower struct {
	serving     *Serving
	authorities Authorities
	dnsName     string
	propagation time.Duration
	logger      *slog.Logger
	now         func() time.Time

	// served is what is served; next what waits, and former the authorities that are yet to be forgotten.
	served, next material
	former       []byte
	forget       time.Time
	// dropped are authorities that were taken out of what waits.
	dropped []byte
	// ahead is a time of registration that was yet to come when it was first seen.
	ahead, seen time.Time
}

// newFollower makes a follower; propagation is DefaultPropagation where it is 0.
func newFollower(serving *Serving, authorities Authorities, dnsName string, propagation time.Duration, logger *slog.Logger,
) follower {
	if propagation == 0 {
		propagation = DefaultPropagation
	}
	return follower{serving: serving, authorities: authorities, dnsName: dnsName, propagation: propagation, logger: logger,
		now: time.Now}
}

// trouble is what is wrong now. It is told once, and not every time that it is found again.
type trouble struct{ told string }

func (t *trouble) tell(logger *slog.Logger, message string, err error) {
	if err == nil {
		t.told = ""
	} else if t.told != err.Error() {
		t.told = err.Error()
		logger.Error(message, "error", err)
	}
}

// adopt takes what the issuer has now. It returns when it wants to be called again, zero if no sooner than something
// changes. An error says what is wrong with it; what was served before stays.
func (f *follower) adopt(ctx context.Context, m material) (again time.Duration, err error) {
	now := f.now()
	if !m.equal(f.served) {
		if err := m.check(f.dnsName, now); err != nil {
			return 0, err
		}
		wait, err := f.wait(ctx, m, now)
		if err != nil {
			return 0, err
		}
		if bytes.Equal(m.certificate, f.next.certificate) {
			f.dropped = join(f.dropped, without(f.next.authorities, m.authorities))
		} else {
			f.dropped = nil
		}
		if wait > 0 {
			f.next = m
			return wait, f.show()
		}
		f.serve(m, now)
	} else {
		f.next = material{} // the issuer thought better of it
	}
	if wait := f.forget.Sub(now); wait > 0 {
		return wait, f.show()
	}
	f.former = nil
	return 0, f.show()
}

// wait tells how long m has to wait yet before it may be served, or when to look again whether its authority is registered.
func (f *follower) wait(ctx context.Context, m material, now time.Time) (time.Duration, error) {
	first := f.served.certificate == nil
	expired := !first && f.serving.Ready() != nil
	if expired || bytes.Equal(m.certificate, f.served.certificate) {
		return 0, nil // nothing good is served, or this is what is served, so that there is nothing to wait for
	}
	bundles, since, err := f.authorities.Registered(ctx)
	if err != nil {
		return 0, fmt.Errorf("find out which authorities the API server trusts: %w", err)
	}
	if first {
		f.former = join(bundles...)
	}
	for _, bundle := range bundles {
		if (material{m.certificate, m.key, bundle}).check(f.dnsName, now) != nil {
			if string(m.authorities) != string(f.next.authorities) {
				f.former = join(f.former, f.next.authorities)
				f.logger.Info("announcing a new authority", "for", f.propagation.String())
			}
			if first {
				// Who registers may know of other authorities than this process, which cannot until it serves.
				return pollInterval, f.authorities.Announce(ctx, m.authorities)
			}
			return pollInterval, nil
		}
	}
	// Of a webhook that is not registered nobody asks anything: since is zero then.
	return f.heard(since, now).Add(f.propagation).Sub(now), nil
}

// heard is since, or where the clock of who wrote that is ahead of this one's, when this process first saw it.
func (f *follower) heard(since, now time.Time) time.Time {
	if !since.After(now) {
		return since
	}
	if !since.Equal(f.ahead) {
		f.ahead, f.seen = since, now
	}
	return f.seen
}

// serve makes m what is served.
func (f *follower) serve(m material, now time.Time) {
	if bytes.Equal(m.certificate, f.served.certificate) {
		// Who takes out an authority and leaves the certificate does not want it to be trusted any longer.
		f.former = without(f.former, without(f.served.authorities, m.authorities))
	} else {
		f.former = without(join(f.former, f.served.authorities), f.dropped)
		f.forget = now.Add(10 * f.propagation)
		f.logger.Info("serving a new certificate")
	}
	f.served, f.next = m, material{}
}

// show makes it so.
func (f *follower) show() error {
	bundle := join(f.next.authorities, f.served.authorities, f.former)
	if f.served.certificate == nil {
		f.serving.announce(bundle)
		return nil
	}
	return f.serving.set(f.served.certificate, f.served.key, bundle)
}
