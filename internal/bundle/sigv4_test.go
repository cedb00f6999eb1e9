package bundle_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

var authorization = regexp.MustCompile(
	`^AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request, ?SignedHeaders=([^,]+), ?Signature=[0-9a-f]{64}$`)

// signedBy lets those pass who signed their request to an AWS service with these credentials, for eu-west-1: AWS's own SDK
// signs what they say they signed, and comes to the same.
func signedBy(service string, credentials aws.Credentials) func(*http.Request) error {
	return func(r *http.Request) error {
		got := r.Header.Get("Authorization")
		parts := authorization.FindStringSubmatch(got)
		if parts == nil || parts[1] != credentials.AccessKeyID || parts[2] != "eu-west-1" || parts[3] != service {
			return fmt.Errorf("authorization is %q", got)
		}
		at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if err != nil {
			return err
		}
		if time.Since(at).Abs() > 15*time.Minute {
			return fmt.Errorf("signed at %q", r.Header.Get("X-Amz-Date"))
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		scheme := "http"
		if r.TLS != nil {
			scheme = "https"
		}
		again, err := http.NewRequestWithContext(r.Context(), r.Method, scheme+"://"+r.Host+r.RequestURI, nil)
		if err != nil {
			return err
		}
		for _, name := range strings.Split(parts[4], ";") {
			if values := r.Header.Values(name); len(values) > 0 {
				again.Header[http.CanonicalHeaderKey(name)] = values
			}
		}
		sum := sha256.Sum256(body)
		signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" })
		if err := signer.SignHTTP(r.Context(), credentials, again, hex.EncodeToString(sum[:]), service, "eu-west-1", at); err != nil {
			return err
		}
		squeeze := func(text string) string { return strings.ReplaceAll(text, ", ", ",") }
		if want := again.Header.Get("Authorization"); squeeze(got) != squeeze(want) {
			return fmt.Errorf("authorization is %q, and the SDK's %q", got, want)
		}
		if service == "s3" && r.Header.Get("X-Amz-Content-Sha256") != hex.EncodeToString(sum[:]) {
			return fmt.Errorf("the digest of the content is %q", r.Header.Get("X-Amz-Content-Sha256"))
		}
		return nil
	}
}
