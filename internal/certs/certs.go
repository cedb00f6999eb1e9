// Package certs provides the certificate that the webhook serves with and the authorities that the API server is to
// trust for it. It serves from memory; private keys are neither logged nor written to disk.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"
)

var (
	// errNone is why there is no certificate at the start.
	errNone = errors.New("there is no serving certificate yet")
	// errAnnouncing is why there is none while only the authority of one is told.
	errAnnouncing = errors.New("the serving certificate waits until the API server has heard of its authority")
)

// Serving is the serving certificate of the moment. Its methods may be called by any number of goroutines.
type Serving struct {
	mu          sync.RWMutex
	certificate *tls.Certificate
	caBundle    []byte
	changed     func()
}

// NewServing makes a Serving that has no certificate yet. It calls changed, which must not block, whenever certificate
// or authorities change.
func NewServing(changed func()) *Serving { return &Serving{changed: changed} }

// GetCertificate implements the field of that name of tls.Config.
func (s *Serving) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.certificate == nil {
		return nil, s.none()
	}
	return s.certificate, nil
}

// CABundle is what the API server is to trust, PEM.
func (s *Serving) CABundle() []byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.caBundle
}

// NotAfter is when the certificate expires; zero while there is none.
func (s *Serving) NotAfter() time.Time {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.certificate == nil {
		return time.Time{}
	}
	return s.certificate.Leaf.NotAfter
}

// none is why there is no certificate.
func (s *Serving) none() error {
	if len(s.caBundle) > 0 {
		return errAnnouncing
	}
	return errNone
}

// Ready returns nil while there is a certificate that is valid now.
func (s *Serving) Ready() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.certificate == nil {
		return s.none()
	}
	if notAfter := s.certificate.Leaf.NotAfter; time.Now().After(notAfter) {
		return fmt.Errorf("the serving certificate expired at %s", notAfter.Format(time.RFC3339))
	}
	return nil
}

// announce takes the authorities to trust, PEM, and leaves the certificate, or its lack, as it is.
func (s *Serving) announce(caBundle []byte) {
	s.mu.Lock()
	same := string(s.caBundle) == string(caBundle)
	s.caBundle = caBundle
	s.mu.Unlock()
	if !same {
		s.changed()
	}
}

// set takes a certificate with its key and the authorities to trust, all PEM.
func (s *Serving) set(cert, key, caBundle []byte) error {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("serving certificate: %w", err)
	}
	if pair.Leaf == nil {
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return fmt.Errorf("serving certificate: %w", err)
		}
	}
	s.mu.Lock()
	same := s.certificate != nil && s.certificate.Leaf.Equal(pair.Leaf) && string(s.caBundle) == string(caBundle)
	s.certificate, s.caBundle = &pair, caBundle
	s.mu.Unlock()
	if !same {
		s.changed()
	}
	return nil
}
