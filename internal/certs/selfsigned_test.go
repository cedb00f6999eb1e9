package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// trusted tells whether who trusts bundle would trust what is served, at that time.
func trusted(t *testing.T, bundle []byte, secret *corev1.Secret, at time.Time) bool {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	pair, err := tls.X509KeyPair(secret.Data[certKey], secret.Data[keyKey])
	if err != nil {
		t.Fatal(err)
	}
	_, err = pair.Leaf.Verify(x509.VerifyOptions{DNSName: "eksguard.eksguard-system.svc", Roots: roots, CurrentTime: at})
	return err == nil
}

func TestRenewal(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	s := &SelfSigned{DNSName: "eksguard.eksguard-system.svc", Propagation: DefaultPropagation, now: func() time.Time { return now }}
	secret := &corev1.Secret{}
	step := func(reason string, later time.Duration, wantRenewed bool, wantNext time.Duration) {
		t.Helper()
		now = now.Add(later)
		before := caBundle(secret)
		next, renewed, err := s.renew(secret)
		if err != nil || renewed != wantRenewed || next != wantNext {
			t.Fatalf("%s: renewed %v, next %v, %v; want %v, %v", reason, renewed, next, err, wantRenewed, wantNext)
		}
		if !trusted(t, caBundle(secret), secret, now) {
			t.Fatalf("%s: what is served is not trusted", reason)
		}
		if len(before) > 0 && !trusted(t, before, secret, now) {
			t.Fatalf("%s: who has not heard of the change yet does not trust what is served", reason)
		}
	}
	step("the Secret is empty", 0, true, checkInterval)
	first := bytes.Clone(secret.Data[certKey])
	step("nothing to do", time.Hour, false, checkInterval)
	step("the certificate nears its end", 300*24*time.Hour, true, checkInterval)
	if bytes.Equal(first, secret.Data[certKey]) {
		t.Error("the certificate is still the first")
	}
	if len(secret.Data[previousCAKey]) > 0 {
		t.Error("the authority was renewed with the certificate")
	}
	ca := bytes.Clone(secret.Data[caCertKey])
	const most = 280 * 24 * time.Hour
	nearEnd := firstCertificate(ca).NotAfter.Add(-renewBefore + time.Hour)
	for now.Add(most).Before(nearEnd) {
		step("years go by", most, true, checkInterval)
	}
	served := bytes.Clone(secret.Data[certKey])
	step("the authority nears its end and is announced", nearEnd.Sub(now), true, DefaultPropagation)
	if bytes.Equal(ca, secret.Data[caCertKey]) || !bytes.Equal(served, secret.Data[certKey]) {
		t.Error("want a new authority, and the old certificate")
	}
	step("it was announced long enough", DefaultPropagation, true, checkInterval)
	if bytes.Equal(served, secret.Data[certKey]) {
		t.Error("want a certificate of the new authority")
	}
	step("nothing to do", time.Hour, false, checkInterval)
}

func TestDamagedSecretsAreMadeAnew(t *testing.T) {
	for _, key := range []string{certKey, keyKey, caCertKey, caKeyKey} {
		for _, damage := range [][]byte{nil, []byte("hello")} {
			s := &SelfSigned{DNSName: "eksguard.eksguard-system.svc", now: time.Now}
			secret := &corev1.Secret{}
			if _, _, err := s.renew(secret); err != nil {
				t.Fatal(err)
			}
			secret.Data[key] = damage
			if _, renewed, err := s.renew(secret); err != nil || !renewed || !trusted(t, caBundle(secret), secret, time.Now()) {
				t.Errorf("%s is %q: renewed %v, %v", key, damage, renewed, err)
			}
		}
	}
}

func TestServing(t *testing.T) {
	changes := 0
	serving := NewServing(func() { changes++ })
	if _, err := serving.GetCertificate(nil); err == nil || serving.Ready() == nil || !serving.NotAfter().IsZero() {
		t.Error("ready without a certificate")
	}
	s := &SelfSigned{DNSName: "localhost", now: time.Now}
	secret := &corev1.Secret{}
	if _, _, err := s.renew(secret); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := serving.set(secret.Data[certKey], secret.Data[keyKey], caBundle(secret)); err != nil {
			t.Fatal(err)
		}
	}
	if changes != 1 || serving.Ready() != nil || serving.NotAfter().IsZero() || len(serving.CABundle()) == 0 {
		t.Errorf("told %d changes of one; ready: %v", changes, serving.Ready())
	}
	if err := serving.set([]byte("hello"), nil, nil); err == nil || serving.Ready() != nil {
		t.Error("a broken certificate must be refused, and the one before stay")
	}
}
