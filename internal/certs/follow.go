package certs

import (
	"log/slog"
	"time"
)

// DefaultPropagation is how long a new authority is announced before a certificate of it is served, unless it is told
// otherwise: the time in which every API server hears of a changed webhook configuration, and to spare.
const DefaultPropagation = time.Minute

// follower serves what another issues. A certificate of an authority that the API server may not know of yet waits until
// that was announced; what was served before goes on being served, and being trusted for as long as another replica may
// serve it.
type follower struct {
	serving     *Serving
	dnsName     string
	propagation time.Duration
	logger      *slog.Logger
	now         func() time.Time

	// served is what is served; next what waits since then, and former the authorities that are yet to be forgotten.
	served, next material
	since        time.Time
	former       []byte
	forget       time.Time
}

// newFollower makes a follower; propagation is DefaultPropagation where it is 0.
func newFollower(serving *Serving, dnsName string, propagation time.Duration, logger *slog.Logger) follower {
	if propagation == 0 {
		propagation = DefaultPropagation
	}
	return follower{serving: serving, dnsName: dnsName, propagation: propagation, logger: logger, now: time.Now}
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
func (f *follower) adopt(m material) (again time.Duration, err error) {
	now := f.now()
	if !m.equal(f.served) {
		if err := m.check(f.dnsName, now); err != nil {
			return 0, err
		}
		if wait := f.announce(m, now); wait > 0 {
			return wait, f.show()
		}
		f.former = join(f.former, f.served.authorities)
		f.served, f.next = m, material{}
		f.forget = now.Add(10 * f.propagation)
		f.logger.Info("serving a new certificate")
	} else {
		f.next = material{} // the issuer thought better of it
	}
	if wait := f.forget.Sub(now); wait > 0 {
		return wait, f.show()
	}
	f.former = nil
	return 0, f.show()
}

// announce tells how long m has to wait yet before it may be served.
func (f *follower) announce(m material, now time.Time) time.Duration {
	trusted := f.serving.CABundle()
	switch {
	case f.serving.Ready() != nil:
		return 0 // nothing good is served, so that there is nothing to wait for
	case f.next.certificate == nil && (material{m.certificate, m.key, trusted}).check(f.dnsName, now) == nil:
		return 0 // the authority is known
	case string(m.authorities) != string(f.next.authorities):
		f.since = now
		f.former = join(f.former, f.next.authorities)
		f.logger.Info("announcing a new authority", "for", f.propagation.String())
	}
	f.next = m
	return f.since.Add(f.propagation).Sub(now)
}

// show makes it so.
func (f *follower) show() error {
	return f.serving.set(f.served.certificate, f.served.key, join(f.next.authorities, f.served.authorities, f.former))
}
