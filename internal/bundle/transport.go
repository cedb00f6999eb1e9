package bundle

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/keys"
	"github.com/open-policy-agent/opa/v1/logging"
	"github.com/open-policy-agent/opa/v1/plugins/rest"
)

// bodyTimeout bounds the time that an answer may take once it has begun. How long it may take to begin is the service's
// response_header_timeout_seconds, or a long poll's.
const bodyTimeout = time.Minute

var errSlow = fmt.Errorf("the server did not send all of its answer within %s", bodyTimeout)

// boundedAuth is the authentication of a service, and bounds what the service may send. OPA's downloaders take a body into
// memory and unpack it whatever its size; size_limit_bytes bounds only single files there.
type boundedAuth struct {
	rest.HTTPAuthPlugin
	config rest.Config
	limit  int64
	// received is told of every body that is a bundle file. It is called by who asks for it.
	received func(raw []byte)
}

// boundedAuthName is what boundedAuth is called where OPA looks for it.
const boundedAuthName = "eksguard-bounded"

// newBoundedClient makes a client of a service's section of the configuration, whose answers are bounded.
func newBoundedClient(name string, section map[string]any, keys map[string]*keys.Config, logger logging.Logger,
	limit int64, received func([]byte)) (rest.Client, error) {
	original, err := newClient(name, section, keys, rest.Logger(logger))
	if err != nil {
		return rest.Client{}, err
	}
	auth, err := original.Config().AuthPlugin(nil)
	if err != nil {
		return rest.Client{}, err
	}
	bounds := &boundedAuth{HTTPAuthPlugin: auth, config: *original.Config(), limit: limit, received: received}
	wrapped := map[string]any{}
	for key, value := range section {
		wrapped[key] = value
	}
	wrapped["credentials"] = map[string]any{"plugin": boundedAuthName}
	return newClient(name, wrapped, keys, rest.Logger(logger),
		rest.AuthPluginLookup(func(string) rest.HTTPAuthPlugin { return bounds }))
}

func newClient(name string, section map[string]any, keys map[string]*keys.Config, options ...func(*rest.Client),
) (rest.Client, error) {
	text, err := json.Marshal(section)
	if err != nil {
		return rest.Client{}, err
	}
	return rest.New(text, keys, append(options, rest.Name(name))...)
}

// NewClient implements rest.HTTPAuthPlugin.
func (b *boundedAuth) NewClient(c rest.Config) (*http.Client, error) {
	config := b.config
	// A long poll changes it.
	config.ResponseHeaderTimeoutSeconds = c.ResponseHeaderTimeoutSeconds
	client, err := b.HTTPAuthPlugin.NewClient(config)
	if err != nil {
		return nil, err
	}
	bounds := &boundedTransport{base: client.Transport, limit: b.limit, received: b.received, timeout: bodyTimeout,
		// A registry answers with manifests, too.
		mixed: isOCI(config)}
	if bounds.base == nil {
		bounds.base = http.DefaultTransport
	}
	client.Transport = bounds
	return client, nil
}

type boundedTransport struct {
	base     http.RoundTripper
	limit    int64
	received func(raw []byte)
	timeout  time.Duration
	// mixed is true where not every answer is to be a bundle file.
	mixed bool
}

// RoundTrip implements http.RoundTripper. It reads the whole body before it returns.
func (b *boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	response, err := b.base.RoundTrip(r.WithContext(ctx))
	if err != nil || r.Method == http.MethodHead {
		return response, err
	}
	timer := time.AfterFunc(b.timeout, func() { cancel(errSlow) })
	defer timer.Stop()
	raw, err := io.ReadAll(io.LimitReader(response.Body, b.limit+1))
	_ = response.Body.Close() // it has been read, or is given up
	switch {
	case errors.Is(context.Cause(ctx), errSlow):
		return nil, &Fault{ReasonDownload, errSlow}
	case err != nil:
		return nil, &Fault{ReasonDownload, fmt.Errorf("read the answer: %w", err)}
	case int64(len(raw)) > b.limit:
		return nil, tooLarge(b.limit)
	}
	if response.StatusCode == http.StatusOK && (!b.mixed || isGzip(raw)) {
		if err := checkArchive(raw, b.limit); err != nil {
			return nil, err
		}
		b.received(raw)
	}
	response.Body = io.NopCloser(bytes.NewReader(raw))
	return response, nil
}

func isOCI(c rest.Config) bool { return strings.EqualFold(c.Type, "oci") }

func isGzip(raw []byte) bool { return bytes.HasPrefix(raw, []byte{0x1f, 0x8b}) }
