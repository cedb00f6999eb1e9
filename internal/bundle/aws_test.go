package bundle_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-containerregistry/pkg/registry"
	"go.uber.org/goleak"
)

// childConfig is the environment variable that makes the test binary follow the bundles of a configuration, and tell of
// them: in a process of its own, since Go reads proxies and authorities from the environment once.
const childConfig = "EKSGUARD_TEST_FOLLOW"

func TestMain(m *testing.M) {
	if path := os.Getenv(childConfig); path != "" {
		if err := follow(path); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	// What a test has started ends with it, but for what OPA's plugin manager runs for itself: a process has one of them, for
	// as long as it lives.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/open-policy-agent/opa/v1/plugins.(*Manager).pluginStatusLoop"))
}

// follow prints what becomes of bundles, until its standard input ends.
func follow(path string) error {
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	w, err := newWorld(ctx, setting{config: path})
	if err != nil {
		return err
	}
	w.out = os.Stdout
	return w.loader.Start(ctx, w)
}

// cloud stands for AWS in eu-west-1: requests to its hosts come here through a proxy, and nowhere else.
type cloud struct {
	*authority
	proxy *httptest.Server
	// token is what the role's Pod has to show, and session counts how often it did: each session has other credentials,
	// which end at once, so that every request needs a new one.
	token   atomic.Value
	session atomic.Int64
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	c := &cloud{authority: newAuthority(t)}
	hosts := map[string]string{}
	for host, handler := range map[string]http.HandlerFunc{"sts.eu-west-1.amazonaws.com": c.sts, "ecr.eu-west-1.amazonaws.com": c.ecr} {
		s := httptest.NewUnstartedServer(handler)
		s.TLS = &tls.Config{Certificates: []tls.Certificate{c.keyPair(t, 2, host)}}
		s.StartTLS()
		t.Cleanup(s.Close)
		hosts[host+":443"] = s.Listener.Addr().String()
	}
	c.proxy = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		address, known := hosts[r.Host]
		if r.Method != http.MethodConnect || !known {
			t.Errorf("the proxy is asked: %s %s", r.Method, r.Host)
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if err := tunnel(w, address); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(c.proxy.Close)
	return c
}

func tunnel(w http.ResponseWriter, address string) error {
	outgoing, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	incoming, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return errors.Join(err, outgoing.Close())
	}
	if _, err := io.WriteString(incoming, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return errors.Join(err, incoming.Close(), outgoing.Close())
	}
	for _, pair := range [][2]net.Conn{{incoming, outgoing}, {outgoing, incoming}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1]) // either side may end it
			_ = pair[0].Close()
			_ = pair[1].Close()
		}()
	}
	return nil
}

const roleARN = "arn:aws:iam::555555555555:role/eks-eksguard-prod"

// sts is the action AssumeRoleWithWebIdentity of AWS's Security Token Service.
func (c *cloud) sts(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("Action") != "AssumeRoleWithWebIdentity" || r.FormValue("RoleArn") != roleARN ||
		r.FormValue("WebIdentityToken") != c.token.Load() {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	c.session.Add(1)
	credentials := c.credentials()
	_, _ = fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey>
<SessionToken>%s</SessionToken><Expiration>%s</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>`, credentials.AccessKeyID, credentials.SecretAccessKey, credentials.SessionToken,
		time.Now().UTC().Format(time.RFC3339))
}

// credentials are those of the last session.
func (c *cloud) credentials() aws.Credentials {
	n := fmt.Sprint(c.session.Load())
	return aws.Credentials{AccessKeyID: "ASIA" + n, SecretAccessKey: "secret" + n, SessionToken: "session" + n}
}

const registryLogin = "AWS:registry-password"

// ecr is the action GetAuthorizationToken of AWS's registry.
func (c *cloud) ecr(w http.ResponseWriter, r *http.Request) {
	if signedBy("ecr", c.credentials())(r) != nil ||
		r.Header.Get("X-Amz-Target") != "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	_, _ = fmt.Fprintf(w, `{"authorizationData": [{"authorizationToken": %q, "expiresAt": %d}]}`,
		base64.StdEncoding.EncodeToString([]byte(registryLogin)), time.Now().Add(time.Hour).Unix())
}

// child is another process that follows bundles with the identity of a Pod whose ServiceAccount has the role.
type child struct {
	t     *testing.T
	lines *bufio.Scanner
}

func (c *cloud) follow(t *testing.T, config, tokenFile string) *child {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second) // so that what it does not tell is not waited for
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = []string{childConfig + "=" + config, "HTTPS_PROXY=" + c.proxy.URL, "SSL_CERT_FILE=" + c.path, "SSL_CERT_DIR=" + t.TempDir(),
		"TMPDIR=" + t.TempDir(), "AWS_ROLE_ARN=" + roleARN, "AWS_WEB_IDENTITY_TOKEN_FILE=" + tokenFile}
	input, err := cmd.StdinPipe()
	must(t, err)
	output, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		defer cancel()
		_ = input.Close() // which ends it
		_, _ = io.Copy(io.Discard, output)
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	return &child{t: t, lines: bufio.NewScanner(output)}
}

// awaits waits for a line with this text.
func (c *child) awaits(text string) {
	c.t.Helper()
	var before []string
	for c.lines.Scan() {
		if strings.Contains(c.lines.Text(), text) {
			return
		}
		before = append(before, c.lines.Text())
	}
	c.t.Fatalf("nothing with %q was told, but:\n%s", text, strings.Join(before, "\n"))
}

// With the role of a ServiceAccount: a token in a file, which is renewed, is changed for credentials at AWS's Security Token
// Service, and the bundle is asked of S3 with these.
func TestS3WithTheRoleOfAServiceAccount(t *testing.T) {
	c, token := newCloud(t), write(t, "token", "first")
	c.token.Store("first")
	g := &guarded{}
	g.set(pack(t, version("r1", 1)), func(r *http.Request) error { return signedBy("s3", c.credentials())(r) })
	s := httptest.NewServer(g)
	t.Cleanup(s.Close)
	p := c.follow(t, from(t, s.URL, "credentials: {s3_signing: {web_identity_credentials: {aws_region: eu-west-1}}}").config, token)
	p.awaits("activated policies r1")
	c.token.Store("second")
	p.awaits("failed policies download: ")
	g.set(pack(t, version("r2", 2)), func(r *http.Request) error { return signedBy("s3", c.credentials())(r) })
	replace(t, token, "second")
	p.awaits("activated policies r2")
	if err := g.why(); err != nil {
		t.Error(err)
	}
}

// With the same role, ECR gives a password for the registry.
func TestECRWithTheRoleOfAServiceAccount(t *testing.T) {
	c, token := newCloud(t), write(t, "token", "first")
	c.token.Store("first")
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	open := httptest.NewServer(images)
	t.Cleanup(open.Close)
	var refused atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user+":"+password != registryLogin {
			refused.Add(1)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		images.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	host := func(s *httptest.Server) string { return strings.TrimPrefix(s.URL, "http://") }
	push(t, host(open)+"/policies:stable", pack(t, version("r1", 1)))
	p := c.follow(t, write(t, "config.yaml", `
services: {ecr: {url: "`+s.URL+`", type: oci, credentials: {s3_signing: {service: ecr, web_identity_credentials: {aws_region: eu-west-1}}}}}
bundles: {policies: {resource: "`+host(s)+`/policies:stable", polling: {min_delay_seconds: 0, max_delay_seconds: 1}}}
`), token)
	p.awaits("activated policies r1")
	push(t, host(open)+"/policies:stable", pack(t, version("r2", 2)))
	p.awaits("activated policies r2")
	if n := refused.Load(); n > 0 {
		t.Errorf("%d requests had no password", n)
	}
}
