package bundlefile

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	opabundle "github.com/open-policy-agent/opa/v1/bundle"

	"github.com/mozilla-iam/eksguard/internal/bundle"
)

// Signature is what a signature says of itself. Nothing of it has been verified.
type Signature struct {
	KeyID     string `json:"keyid"`
	Algorithm string `json:"algorithm"`
	// Files counts the files that it is over.
	Files int `json:"files"`
}

// Signatures reads the signatures of a bundle file without verifying them. One that cannot be read is empty.
func Signatures(file []byte) ([]Signature, error) {
	signatures := []Signature{}
	zipped, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("signatures: %w", err)
	}
	archive := tar.NewReader(io.LimitReader(zipped, bundle.DefaultSizeLimit))
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return signatures, nil
		}
		if err != nil {
			return nil, fmt.Errorf("signatures: %w", err)
		}
		if strings.TrimPrefix(header.Name, "/") != signaturesName {
			continue
		}
		var found opabundle.SignaturesConfig
		if err := json.NewDecoder(archive).Decode(&found); err != nil {
			return nil, fmt.Errorf("signatures: %w", err)
		}
		for _, token := range found.Signatures {
			signatures = append(signatures, readSignature(token))
		}
	}
}

// readSignature reads a JSON Web Signature in its compact form (RFC 7515).
func readSignature(token string) (s Signature) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return s
	}
	var header struct {
		KeyID     string `json:"kid"`
		Algorithm string `json:"alg"`
	}
	var payload struct {
		KeyID string            `json:"keyid"`
		Files []json.RawMessage `json:"files"`
	}
	if !decodePart(parts[0], &header) || !decodePart(parts[1], &payload) {
		return s
	}
	s = Signature{KeyID: header.KeyID, Algorithm: header.Algorithm, Files: len(payload.Files)}
	if s.KeyID == "" {
		s.KeyID = payload.KeyID
	}
	return s
}

func decodePart(part string, into any) bool {
	text, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(text, into) == nil
}
