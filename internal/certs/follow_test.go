package certs

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/cert-controller/pkg/rotator"
)

const name = "eksguard.eksguard-system.svc"

// testIssuer is an authority.
type testIssuer struct {
	rotator *rotator.CertRotator
	ca      *rotator.KeyPairArtifacts
}

func newIssuer(t *testing.T, dnsName string) *testIssuer {
	t.Helper()
	i := &testIssuer{rotator: &rotator.CertRotator{CAName: "ca", CAOrganization: "test", DNSName: dnsName,
		ExtKeyUsages: &[]x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}}
	var err error
	if i.ca, err = i.rotator.CreateCACert(time.Now().Add(-time.Hour), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	return i
}

func (i *testIssuer) issue(t *testing.T) material {
	t.Helper()
	cert, key, err := i.rotator.CreateCertPEM(i.ca, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return material{cert, key, i.ca.CertPEM}
}

func raw(s *Serving) string {
	certificate, err := s.GetCertificate(nil)
	if err != nil {
		return ""
	}
	return string(certificate.Leaf.Raw)
}

func rawOf(m material) string { return string(firstCertificate(m.certificate).Raw) }

// registration stands for the webhook configurations and who keeps them: a process that announces.
type registration struct {
	now     func() time.Time
	bundles [][]byte
	since   time.Time
}

func (r *registration) Registered(context.Context) ([][]byte, time.Time, error) {
	return r.bundles, r.since, nil
}

func (r *registration) Announce(_ context.Context, authorities []byte) error {
	for i, bundle := range r.bundles {
		r.bundles[i] = join(bundle, authorities)
	}
	r.since = r.now()
	return nil
}

// register is what the process that registers does with what it is to announce.
func (r *registration) register(bundle []byte) {
	if r.bundles != nil && len(without(bundle, r.bundles[0])) > 0 {
		r.since = r.now()
	}
	r.bundles = [][]byte{bundle}
}

func newTestFollower(r *registration, now func() time.Time) *follower {
	return &follower{serving: NewServing(func() {}), authorities: r, dnsName: name, propagation: time.Minute,
		logger: slog.New(slog.DiscardHandler), now: now}
}

// A step of a follower: what it is given and when, and what comes of it.
type step struct {
	name  string
	later time.Duration
	give  material
	// served is what is served then, trusted whose authorities are announced, and again when it looks again.
	served  material
	trusted []material
	again   time.Duration
}

func (s step) take(t *testing.T, f *follower, now *time.Time) {
	t.Helper()
	*now = now.Add(s.later)
	again, err := f.adopt(t.Context(), s.give)
	if err != nil || again != s.again {
		t.Errorf("%s: again %s, %v; want %s", s.name, again, err, s.again)
	}
	want := ""
	if s.served.certificate != nil {
		want = rawOf(s.served)
	}
	if raw(f.serving) != want {
		t.Errorf("%s: another certificate is served", s.name)
	}
	var bundle []byte
	for _, m := range s.trusted {
		bundle = append(bundle, m.authorities...)
	}
	if !bytes.Equal(f.serving.CABundle(), bundle) {
		t.Errorf("%s: other authorities are announced", s.name)
	}
}

func TestANewAuthorityIsAnnouncedBeforeItsCertificateIsServed(t *testing.T) {
	now := time.Now()
	clock := func() time.Time { return now }
	r := &registration{now: clock}
	f := newTestFollower(r, clock)
	first, second, third := newIssuer(t, name), newIssuer(t, name), newIssuer(t, name)
	a, renewed, b, c := first.issue(t), first.issue(t), second.issue(t), third.issue(t)
	both := material{b.certificate, b.key, join(b.authorities, a.authorities)}
	for _, s := range []step{
		{"the first is served at once", 0, a, a, []material{a}, 10 * time.Minute},
		{"so is a renewal by the same authority", 0, renewed, renewed, []material{a}, 10 * time.Minute},
		{"another authority is announced", 0, b, renewed, []material{b, a}, pollInterval},
		{"and waits", 0, b, renewed, []material{b, a}, time.Minute},
		{"as long as it must", 30 * time.Second, b, renewed, []material{b, a}, 30 * time.Second},
		{"and is served", 30 * time.Second, b, b, []material{b, a}, 10 * time.Minute},
		{"one is announced", 0, c, b, []material{c, b, a}, pollInterval},
		{"and taken back", time.Second, b, b, []material{b, a}, 10*time.Minute - time.Second},
		{"the former one is forgotten", 10 * time.Minute, b, b, []material{b}, 0},
		{"it may be named again", time.Minute, both, b, []material{b, a}, 0},
		{"and what is taken out is not trusted any more", time.Second, b, b, []material{b}, 0},
		{"one that comes with the former one is announced", time.Hour / 10, material{c.certificate, c.key,
			join(c.authorities, b.authorities)}, b, []material{c, b}, pollInterval},
		{"what is taken out while it waits is trusted as long as it is served", time.Second, c, b, []material{c, b},
			59 * time.Second},
		{"and no longer", 59 * time.Second, c, c, []material{c}, 10 * time.Minute},
	} {
		s.take(t, f, &now)
		r.register(f.serving.CABundle())
	}
}

// An authority that is not registered is not served, however long that takes.
func TestWhatIsNotRegisteredIsNotServed(t *testing.T) {
	now := time.Now()
	clock := func() time.Time { return now }
	a, b := newIssuer(t, name).issue(t), newIssuer(t, name).issue(t)
	r := &registration{now: clock}
	f := newTestFollower(r, clock)
	for _, s := range []step{
		{"nothing is registered", 0, a, a, []material{a}, 10 * time.Minute},
		{"another authority is announced", 20 * time.Minute, b, a, []material{b, a}, pollInterval},
		{"and nobody registers it", 20 * time.Minute, b, a, []material{b, a}, pollInterval},
	} {
		s.take(t, f, &now)
		r.bundles = [][]byte{a.authorities}
	}
	r.register(f.serving.CABundle())
	r.bundles = append(r.bundles, a.authorities)
	step{"and one webhook of two does not have it", 0, b, a, []material{b, a}, pollInterval}.take(t, f, &now)
}

// What a process knows of authorities does not go with it.
func TestARestartKnowsWhatIsRegistered(t *testing.T) {
	a, b := newIssuer(t, name).issue(t), newIssuer(t, name).issue(t)
	start := time.Now()
	for _, row := range []struct {
		name    string
		bundles []material
		since   time.Duration
		steps   []step
	}{
		{"its authority has been registered for long", []material{b}, 2 * time.Minute, []step{
			{"served", 0, b, b, []material{b}, 10 * time.Minute},
		}},
		{"and no other was added since", []material{b}, 1000 * time.Hour, []step{
			{"served", 0, b, b, []material{b}, 10 * time.Minute},
		}},
		{"it was announced a moment ago, and others serve the former one", []material{b, a}, 10 * time.Second, []step{
			{"waits", 0, b, material{}, []material{b, a}, 50 * time.Second},
			{"still", 49 * time.Second, b, material{}, []material{b, a}, time.Second},
			{"served, and the former one is trusted yet", time.Second, b, b, []material{b, a}, 10 * time.Minute},
			{"it is forgotten", 10 * time.Minute, b, b, []material{b}, 0},
		}},
		{"it was not announced", []material{a}, time.Hour, []step{
			{"announced", 0, b, material{}, []material{b, a}, pollInterval},
			{"waits", 0, b, material{}, []material{b, a}, time.Minute},
			{"served", time.Minute, b, b, []material{b, a}, 10 * time.Minute},
		}},
		{"the clock of who registered is ahead", []material{b}, -time.Hour, []step{
			{"waits no longer than it must", 0, b, material{}, []material{b}, time.Minute},
			{"as long as it must, and no longer", time.Minute, b, b, []material{b}, 10 * time.Minute},
		}},
		{"nothing is registered", nil, 0, []step{
			{"served", 0, b, b, []material{b}, 10 * time.Minute},
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			now := start
			clock := func() time.Time { return now }
			r := &registration{now: clock}
			var bundle []byte
			for _, m := range row.bundles {
				bundle = append(bundle, m.authorities...)
			}
			if bundle != nil {
				r.bundles, r.since = [][]byte{bundle}, now.Add(-row.since)
			}
			f := newTestFollower(r, clock)
			for _, s := range row.steps {
				s.take(t, f, &now)
				ready := f.serving.Ready()
				if (ready == nil) != (s.served.certificate != nil) || ready != nil && !errors.Is(ready, errAnnouncing) {
					t.Errorf("%s: ready: %v", s.name, ready)
				}
				r.register(f.serving.CABundle())
			}
		})
	}
}

func TestWhatDoesNotFitTogetherIsRefused(t *testing.T) {
	issuer := newIssuer(t, name)
	good, other := issuer.issue(t), newIssuer(t, name).issue(t)
	expired, key, err := issuer.rotator.CreateCertPEM(issuer.ca, time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		give material
		want string
	}{
		{"no certificate", material{nil, good.key, good.authorities}, "tls.crt is missing or empty"},
		{"no key", material{good.certificate, nil, good.authorities}, "tls.key is missing or empty"},
		{"no authority", material{good.certificate, good.key, nil}, "ca.crt is missing or empty"},
		{"the key of another", material{good.certificate, other.key, good.authorities}, "tls.crt and tls.key are no pair"},
		{"the authority of another", material{good.certificate, good.key, other.authorities}, "tls.crt is not trusted"},
		{"a key among the authorities", material{good.certificate, good.key, good.key}, "ca.crt: a PEM block is \"RSA PRIVATE KEY\""},
		{"no PEM", material{good.certificate, good.key, []byte("hello")}, "ca.crt: no certificate in it"},
		{"another name", newIssuer(t, "eksguard.other.svc").issue(t),
			`tls.crt is for ["eksguard.other.svc"], and the API server dials "eksguard.eksguard-system.svc"`},
		{"one that has ended", material{expired, key, good.authorities}, "expired"},
	} {
		err := row.give.check(name, time.Now())
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v; want %q", row.name, err, row.want)
		}
	}
}

// A mounted Secret changes by an exchanged symbolic link.
func TestFilesFollowAMountedSecret(t *testing.T) {
	dir := t.TempDir()
	mount := func(version string, m material) {
		folder := filepath.Join(dir, version)
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		for file, text := range map[string][]byte{certKey: m.certificate, keyKey: m.key, caCertKey: m.authorities} {
			if err := os.WriteFile(filepath.Join(folder, file), text, 0o600); err != nil {
				t.Fatal(err)
			}
			_ = os.Symlink(filepath.Join("..data", file), filepath.Join(dir, file)) // there from the first time
		}
		next := filepath.Join(dir, "..data_tmp")
		if err := os.Symlink(version, next); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	issuer := newIssuer(t, name)
	first, second := issuer.issue(t), issuer.issue(t)
	serving := NewServing(func() {})
	f := &Files{Serving: serving, Dir: dir, DNSName: name, Logger: slog.New(slog.DiscardHandler)}
	f.follower = newFollower(serving, &registration{}, name, time.Minute, f.Logger)
	if err := f.adopt(t.Context()); err == nil || !strings.Contains(err.Error(), "tls.crt: no such file") {
		t.Errorf("an empty folder: %v", err)
	}
	mount("1", first)
	if err := f.adopt(t.Context()); err != nil || raw(serving) != rawOf(first) {
		t.Errorf("%v", err)
	}
	mount("2", second)
	if err := f.adopt(t.Context()); err != nil || raw(serving) != rawOf(second) {
		t.Errorf("%v", err)
	}
	mount("3", material{first.certificate, second.key, first.authorities})
	if err := f.adopt(t.Context()); err == nil || raw(serving) != rawOf(second) {
		t.Errorf("a broken one: %v", err)
	}
}
