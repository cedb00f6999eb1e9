package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
)

// content is one bundle as it was read.
type content struct {
	bundle *bundle.Bundle
	// raw is the tar.gz, nil for the default bundle.
	raw []byte
	// digest tells contents apart; etag is what the source calls it.
	digest, etag string
	// sequence is the manifest's metadata.eksguard.sequence, nil where it has none.
	sequence *int64
	// settings are laid over those of all bundles: what a settings file says. Then bundle is nil.
	settings map[string]any
}

// reading says how a tar.gz is read.
type reading struct {
	// folder is put before the names of the modules, so that errors tell which bundle they are about.
	folder string
	limit  int64
	// verification says by which key; where it is nil, a bundle that is signed is refused, as OPA does.
	verification *bundle.VerificationConfig
	// unverified is true where signatures are not looked at.
	unverified bool
}

// Unpack reads a bundle file in the bounds of one that comes from a service, DefaultSizeLimit among them. It must be signed
// as verification asks; where that is nil, signatures are not looked at.
func Unpack(raw []byte, verification *bundle.VerificationConfig) (*bundle.Bundle, error) {
	c, err := reading{limit: DefaultSizeLimit, verification: verification, unverified: verification == nil}.read(raw)
	if err != nil {
		return nil, err
	}
	return c.bundle, nil
}

// ReadFile reads a bundle file that is no larger than DefaultSizeLimit.
func ReadFile(path string) ([]byte, error) {
	file, err := readBounded(path, 0, DefaultSizeLimit)
	if err != nil {
		return nil, fmt.Errorf("bundle file: %w", err)
	}
	return file, nil
}

// read makes a bundle of a tar.gz: bounded, verified and parsed.
func (r reading) read(raw []byte) (*content, error) {
	if err := checkArchive(raw, r.limit); err != nil {
		return nil, err
	}
	b, err := r.parse(raw, r.verification, r.unverified)
	if err != nil {
		// What can be read unverified, and not verified, is wrongly signed.
		if _, unverified := r.parse(raw, nil, true); unverified == nil {
			return nil, &Fault{ReasonSignature, fmt.Errorf("signature: %w", err)}
		}
		return nil, faultOf(err, ReasonFormat)
	}
	switch {
	case b.Type() == bundle.DeltaBundleType:
		// A delta cannot carry a signature.
		return nil, &Fault{ReasonFormat, errors.New(
			"it is a delta bundle (it has a patch.json), which cannot be verified: have the server send the whole bundle")}
	case len(b.WasmModules) > 0 || len(b.PlanModules) > 0:
		return nil, &Fault{ReasonFormat, errors.New(
			"it holds compiled policies (wasm or a plan), which eksguard does not run: build it with target rego")}
	}
	c := &content{bundle: b, raw: raw, digest: digestOf(raw)}
	if c.sequence, err = sequenceOf(b.Manifest.Metadata); err != nil {
		return nil, &Fault{ReasonFormat, err}
	}
	return c, nil
}

func (r reading) parse(raw []byte, verification *bundle.VerificationConfig, skip bool) (*bundle.Bundle, error) {
	b, err := bundle.NewCustomReader(bundle.NewTarballLoaderWithBaseURL(bytes.NewReader(raw), "")).
		WithBaseDir(r.folder).
		WithSizeLimitBytes(r.limit).
		WithBundleVerificationConfig(verification).
		WithSkipBundleVerification(skip).
		// METADATA is the contract, not a comment.
		WithProcessAnnotations(true).
		WithRegoVersion(ast.RegoV1).
		Read()
	if err != nil {
		return nil, err
	}
	return &b, nil
}

func digestOf(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}
