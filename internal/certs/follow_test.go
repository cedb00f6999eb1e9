package certs

import (
	"bytes"
	"crypto/x509"
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

func TestANewAuthorityIsAnnouncedBeforeItsCertificateIsServed(t *testing.T) {
	now := time.Now()
	serving := NewServing(func() {})
	f := &follower{serving: serving, dnsName: name, propagation: time.Minute, logger: slog.New(slog.DiscardHandler),
		now: func() time.Time { return now }}
	first, second, third := newIssuer(t, name), newIssuer(t, name), newIssuer(t, name)
	a, renewed, b, c := first.issue(t), first.issue(t), second.issue(t), third.issue(t)
	for _, step := range []struct {
		name    string
		later   time.Duration
		give    material
		served  material
		trusted []material
		again   time.Duration
	}{
		{"the first is served at once", 0, a, a, []material{a}, 10 * time.Minute},
		{"so is a renewal by the same authority", 0, renewed, renewed, []material{a}, 10 * time.Minute},
		{"another authority is announced", 0, b, renewed, []material{b, a}, time.Minute},
		{"and waits", 30 * time.Second, b, renewed, []material{b, a}, 30 * time.Second},
		{"and is served", 30 * time.Second, b, b, []material{b, a}, 10 * time.Minute},
		{"one is announced", 0, c, b, []material{c, b, a}, time.Minute},
		{"and taken back", time.Second, b, b, []material{b, a}, 10*time.Minute - time.Second},
		{"the former one is forgotten", 10 * time.Minute, b, b, []material{b}, 0},
	} {
		now = now.Add(step.later)
		again, err := f.adopt(step.give)
		if err != nil || again != step.again {
			t.Errorf("%s: again %s, %v; want %s", step.name, again, err, step.again)
		}
		if raw(serving) != rawOf(step.served) {
			t.Errorf("%s: another certificate is served", step.name)
		}
		var want []byte
		for _, m := range step.trusted {
			want = append(want, m.authorities...)
		}
		if !bytes.Equal(serving.CABundle(), want) {
			t.Errorf("%s: other authorities are announced", step.name)
		}
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
	f.follower = follower{serving: serving, dnsName: name, propagation: time.Minute, logger: f.Logger, now: time.Now}
	if err := f.adopt(); err == nil || !strings.Contains(err.Error(), "tls.crt: no such file") {
		t.Errorf("an empty folder: %v", err)
	}
	mount("1", first)
	if err := f.adopt(); err != nil || raw(serving) != rawOf(first) {
		t.Errorf("%v", err)
	}
	mount("2", second)
	if err := f.adopt(); err != nil || raw(serving) != rawOf(second) {
		t.Errorf("%v", err)
	}
	mount("3", material{first.certificate, second.key, first.authorities})
	if err := f.adopt(); err == nil || raw(serving) != rawOf(second) {
		t.Errorf("a broken one: %v", err)
	}
}
