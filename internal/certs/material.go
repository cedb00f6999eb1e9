package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// material is a certificate with its key and the authorities that vouch for it, all PEM, as the keys tls.crt, tls.key and
// ca.crt of a Secret hold them.
type material struct{ certificate, key, authorities []byte }

// check makes sure that an API server which trusts authorities, and dials dnsName at that time, would take it. What is
// wrong is told with the name of the key that it is in; no error holds anything of the private key.
func (m material) check(dnsName string, at time.Time) error {
	for _, part := range []struct {
		name string
		text []byte
	}{{certKey, m.certificate}, {keyKey, m.key}, {caCertKey, m.authorities}} {
		if len(part.text) == 0 {
			return fmt.Errorf("%s is missing or empty: want PEM", part.name)
		}
	}
	pair, err := tls.X509KeyPair(m.certificate, m.key)
	if err != nil {
		return fmt.Errorf("%s and %s are no pair: %w", certKey, keyKey, err)
	}
	chain := make([]*x509.Certificate, len(pair.Certificate))
	for i, der := range pair.Certificate {
		if chain[i], err = x509.ParseCertificate(der); err != nil {
			return fmt.Errorf("%s: certificate %d: %w", certKey, i+1, err)
		}
	}
	if err := chain[0].VerifyHostname(dnsName); err != nil {
		return fmt.Errorf("%s is for %.100q, and the API server dials %q: issue it for that name", certKey, chain[0].DNSNames, dnsName)
	}
	roots, err := authorities(m.authorities)
	if err != nil {
		return fmt.Errorf("%s: %w", caCertKey, err)
	}
	return trustedBy(roots, chain, at)
}

// trustedBy tells whether who trusts roots trusts the first of chain, a server's certificate.
func trustedBy(roots, chain []*x509.Certificate, at time.Time) error {
	options := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: at}
	for _, root := range roots {
		options.Roots.AddCert(root)
	}
	for _, intermediate := range chain[1:] {
		options.Intermediates.AddCert(intermediate)
	}
	if _, err := chain[0].Verify(options); err != nil {
		return fmt.Errorf("%s is not trusted by who trusts %s: %w", certKey, caCertKey, err)
	}
	return nil
}

// authorities reads PEM that holds certificates only.
func authorities(text []byte) (found []*x509.Certificate, err error) {
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		text = rest
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("a PEM block is %.50q, want CERTIFICATE only", block.Type)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		found = append(found, certificate)
	}
	if len(found) == 0 {
		return nil, errors.New("no certificate in it: want PEM")
	}
	return found, nil
}

// join puts PEM texts together, each certificate once.
func join(texts ...[]byte) []byte {
	var joined []byte
	seen := map[string]bool{}
	for _, text := range texts {
		for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
			if !seen[string(block.Bytes)] {
				seen[string(block.Bytes)] = true
				joined = append(joined, pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})...)
			}
		}
	}
	return joined
}

// without is PEM text without what is in other.
func without(text, other []byte) []byte {
	taken := map[string]bool{}
	for block, rest := pem.Decode(other); block != nil; block, rest = pem.Decode(rest) {
		taken[string(block.Bytes)] = true
	}
	var kept []byte
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if !taken[string(block.Bytes)] {
			kept = append(kept, pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})...)
		}
	}
	return kept
}

func (m material) equal(other material) bool {
	return bytes.Equal(m.certificate, other.certificate) && bytes.Equal(m.key, other.key) &&
		bytes.Equal(m.authorities, other.authorities)
}
