package bundlefile

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	opabundle "github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/keys"

	"github.com/mozilla-iam/eksguard/internal/bundle"
)

// algorithms are those that a bundle is signed with.
var algorithms = []string{
	"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "HS256", "HS384", "HS512"}

// leastSecret is the least number of bytes of a secret for HMAC: that of the hash (RFC 7518, section 3.2).
var leastSecret = map[string]int{"HS256": 32, "HS384": 48, "HS512": 64}

// Key is a key to sign or to verify with.
type Key struct {
	// ID names the key in the signature. It must not be empty: a verifier that knows several keys asks for one by name.
	ID string
	// Algorithm is one of JSON Web Algorithms: RS256, ES256, HS256 and so on.
	Algorithm string
	// Text is the key as PEM, or the secret for HMAC. It is never part of an error.
	Text string
}

// KeyFromFile reads the text of a key from a file.
func KeyFromFile(name string) (string, error) {
	const most = 64 << 10
	info, err := os.Stat(name)
	if err != nil {
		return "", fmt.Errorf("key: %w", err)
	}
	if info.Size() > most {
		return "", fmt.Errorf("key %q: it has %d bytes, want at most %d", name, info.Size(), most)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("key: %w", err)
	}
	return string(text), nil
}

// check makes sure that the key can be one.
func (k *Key) check() error {
	switch {
	case k.ID == "":
		return errors.New("key id is missing: want the name by which the verifier knows the key")
	case !slices.Contains(algorithms, k.Algorithm):
		return fmt.Errorf("algorithm %q: want one of %s", k.Algorithm, strings.Join(algorithms, ", "))
	case k.Text == "":
		return fmt.Errorf("key %q is empty", k.ID)
	case len(k.Text) < leastSecret[k.Algorithm]:
		return fmt.Errorf("key %q has %d bytes, want at least %d for %s",
			k.ID, len(k.Text), leastSecret[k.Algorithm], k.Algorithm)
	}
	return nil
}

// isSecret tells whether the key is a secret for HMAC, and not PEM.
func (k *Key) isSecret() bool { return leastSecret[k.Algorithm] > 0 }

// Sign signs a bundle file, in place of a signature that it may have.
func Sign(file []byte, key Key) ([]byte, error) {
	if err := key.check(); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	b, err := bundle.Unpack(file, nil)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	c, err := entriesOf(b, true)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	// OPA takes a key that names a file for the file, so a secret, which may look like anything, has to be one.
	config, done, err := key.signing()
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	defer done()
	for i := range b.Modules {
		b.Modules[i].Path = b.Modules[i].RelativePath
	}
	b.Signatures = opabundle.SignaturesConfig{}
	if err := b.GenerateSignature(config, key.ID, true); err != nil {
		// What the libraries say may quote the key.
		return nil, fmt.Errorf("sign: key %q cannot be used: want %s", key.ID, wanted(key.Algorithm, "private"))
	}
	signatures, err := json.Marshal(opabundle.SignaturesConfig{Signatures: b.Signatures.Signatures})
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	c[signaturesName] = append(signatures, '\n')
	return c.pack(&b.Manifest)
}

// signing gives the key as OPA takes it, and what to do when it is no longer used.
func (k *Key) signing() (config *opabundle.SigningConfig, done func(), err error) {
	if !k.isSecret() {
		return opabundle.NewSigningConfig(strings.TrimSpace(k.Text), k.Algorithm, ""), func() {}, nil
	}
	file, err := os.CreateTemp("", "eksguard-key-*") // readable by its owner alone
	if err != nil {
		return nil, nil, fmt.Errorf("keep the secret: %w", err)
	}
	done = func() { _ = os.Remove(file.Name()) }
	_, err = file.WriteString(k.Text)
	if err = errors.Join(err, file.Close()); err != nil {
		done()
		return nil, nil, fmt.Errorf("keep the secret: %w", err)
	}
	return opabundle.NewSigningConfig(file.Name(), k.Algorithm, ""), done, nil
}

func wanted(algorithm, side string) string {
	switch algorithm[0] {
	case 'H':
		return "a secret"
	case 'E':
		return fmt.Sprintf("a %s EC key as PEM for %s", side, algorithm)
	default:
		return fmt.Sprintf("a %s RSA key as PEM for %s", side, algorithm)
	}
}

// Verify reads a bundle file whose signature the key made, and whose files are all as they were signed. A file without
// a signature, with one of another key, or with more or other files than were signed is an error.
func Verify(file []byte, key Key) (*opabundle.Bundle, error) {
	if err := key.check(); err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	known := map[string]*keys.Config{key.ID: {Key: key.Text, Algorithm: key.Algorithm}}
	b, err := bundle.Unpack(file, opabundle.NewVerificationConfig(known, key.ID, "", nil))
	var fault *bundle.Fault
	if errors.As(err, &fault) && fault.Reason == bundle.ReasonSignature {
		err = errors.Unwrap(fault.Err) // which says again that it is about the signature
	}
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	return b, nil
}
