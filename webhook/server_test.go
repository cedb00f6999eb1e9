package webhook_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/webhook"
)

// authority signs certificates.
type authority struct {
	pool        *x509.CertPool
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{pool: x509.NewCertPool()}
	template := certificateTemplate("authority")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	a.certificate = template
	pair := a.issue(t, template)
	a.certificate, a.key = pair.Leaf, pair.PrivateKey.(*ecdsa.PrivateKey)
	a.pool.AddCert(a.certificate)
	return a
}

func certificateTemplate(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

func (a *authority) issue(t testing.TB, template *x509.Certificate) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer := a.key
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// running is a Server that listens.
type running struct {
	*webhook.Server
	authority *authority
	address   string
	// stop ends it, and returns what Start returned.
	stop func() error
}

// start starts a Server that allows everything, and that the test ends. What it leaves behind fails the test.
func start(t *testing.T, o webhook.ServerOptions) *running {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
	r := &running{authority: newAuthority(t)}
	certificate := r.authority.issue(t, certificateTemplate("localhost"))
	o.Address, o.Logger = "127.0.0.1:0", slog.New(slog.DiscardHandler)
	o.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate, nil }
	r.Server = webhook.NewServer(o)
	webhook.NewHandler(webhook.Options{
		Decider: answer(policy.Decision{Allowed: true}), Observer: discard{},
		Known: func(context.Context, string) (bool, error) { return true, nil },
	}).Register(r.WebhookMux())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Start(ctx) }()
	r.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	})
	for r.Addr() == nil {
		select {
		case err := <-ended:
			t.Fatal(err)
		case <-time.After(time.Millisecond):
		}
	}
	r.address = r.Addr().String()
	return r
}

func (r *running) tls() *tls.Config {
	return &tls.Config{RootCAs: r.authority.pool, ServerName: "localhost"}
}

// client makes a client whose connections are closed with the test.
func (r *running) client(t *testing.T, adjust func(*tls.Config)) *http.Client {
	t.Helper()
	config := r.tls()
	if adjust != nil {
		adjust(config)
	}
	transport := &http.Transport{TLSClientConfig: config}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// patience is how long a test waits for what should come before it fails.
const patience = 30 * time.Second

func (r *running) review(c *http.Client) error {
	response, err := c.Post("https://"+r.address+"/validate/colours", "application/json", strings.NewReader(podReview))
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || !bytes.Contains(text, []byte(`"allowed":true`)) {
		return fmt.Errorf("%s: %s", response.Status, text)
	}
	return nil
}

// dial opens a connection on which nothing is said yet.
func (r *running) dial(t *testing.T) *tls.Conn {
	t.Helper()
	connection, err := tls.Dial("tcp", r.address, r.tls())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

func TestServerSpeaksTLS13AndHTTP1(t *testing.T) {
	server := start(t, webhook.ServerOptions{})
	// A client that would rather speak HTTP/2 is answered in HTTP/1.1.
	client := server.client(t, nil)
	client.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	response, err := client.Get("https://" + server.address + "/")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.ProtoMajor != 1 {
		t.Errorf("it answers by %s", response.Proto)
	}
	if err := server.review(client); err != nil {
		t.Error(err)
	}
	err = server.review(server.client(t, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }))
	if err == nil || !strings.Contains(err.Error(), "protocol version not supported") {
		t.Errorf("TLS 1.2: %v", err)
	}
	if err := server.StartedChecker()(nil); err != nil {
		t.Error(err)
	}
	if err := server.stop(); err != nil {
		t.Error(err)
	}
	if err := server.StartedChecker()(nil); err == nil {
		t.Error("it says that it listens after it has ended")
	}
}

func TestClientCertificates(t *testing.T) {
	trusted, foreign := newAuthority(t), newAuthority(t)
	for _, row := range []struct {
		name        string
		certificate *tls.Certificate
		names       []string
		want        string // part of the error; none if it is answered
	}{
		{"of the authority", trusted.issue(t, certificateTemplate("kube-apiserver")), nil, ""},
		{"with a name that is allowed", trusted.issue(t, certificateTemplate("kube-apiserver")), []string{"other", "kube-apiserver"}, ""},
		{"with a name that is not", trusted.issue(t, certificateTemplate("node")), []string{"kube-apiserver"}, "bad certificate"},
		{"of another authority", foreign.issue(t, certificateTemplate("kube-apiserver")), nil, "unknown certificate authority"},
		{"none", &tls.Certificate{}, nil, "certificate required"},
	} {
		t.Run(row.name, func(t *testing.T) {
			server := start(t, webhook.ServerOptions{ClientCAs: trusted.pool, ClientNames: row.names})
			present := func(c *tls.Config) {
				c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return row.certificate, nil }
			}
			if err := server.review(server.client(t, present)); (err == nil) != (row.want == "") {
				t.Error(err)
			}
			if row.want != "" {
				// A client of TLS 1.3 learns of the refusal when it reads.
				config := server.tls()
				present(config)
				connection, err := tls.Dial("tcp", server.address, config)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = connection.Close() }()
				if _, err := connection.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), row.want) {
					t.Errorf("%v; want %q", err, row.want)
				}
			}
			if err := server.StartedChecker()(nil); err != nil {
				t.Errorf("it takes itself for broken: %v", err)
			}
		})
	}
}

// A client that keeps the server waiting is cut off, and the others are answered while it tries.
func TestSlowClientsAreCutOff(t *testing.T) {
	const limit = 300 * time.Millisecond
	const head = "POST /validate/colours HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	for _, row := range []struct {
		name string
		// connect opens a connection and says the beginning; more of one byte each follows.
		connect func(t *testing.T, r *running) net.Conn
	}{
		{"without a TLS handshake", func(t *testing.T, r *running) net.Conn {
			connection, err := net.Dial("tcp", r.address)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = connection.Close() })
			return connection
		}},
		{"with a header that does not end", func(t *testing.T, r *running) net.Conn {
			connection := r.dial(t)
			_, _ = io.WriteString(connection, head+"X-Padding: ")
			return connection
		}},
		{"with a body of known length that does not end", func(t *testing.T, r *running) net.Conn {
			connection := r.dial(t)
			_, _ = io.WriteString(connection, head+"Content-Length: 100000\r\n\r\n{")
			return connection
		}},
		{"with a body in pieces that does not end", func(t *testing.T, r *running) net.Conn {
			connection := r.dial(t)
			_, _ = io.WriteString(connection, head+"Transfer-Encoding: chunked\r\n\r\nfffff\r\n{")
			return connection
		}},
		{"without a request", func(t *testing.T, r *running) net.Conn { return silent{r.dial(t)} }},
		{"after a request", func(t *testing.T, r *running) net.Conn {
			connection := r.dial(t)
			_, _ = fmt.Fprintf(connection, "%sContent-Length: %d\r\n\r\n%s", head, len(podReview), podReview)
			response, err := http.ReadResponse(bufio.NewReader(connection), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			if response.StatusCode != http.StatusOK {
				t.Fatal(response.Status)
			}
			_, _ = io.Copy(io.Discard, response.Body)
			return silent{connection}
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			server := start(t, webhook.ServerOptions{HeaderTimeout: limit, RequestTimeout: limit, IdleTimeout: limit})
			var cut sync.WaitGroup
			for range 20 {
				connection := row.connect(t, server)
				cut.Go(func() {
					_ = connection.SetReadDeadline(time.Now().Add(patience))
					if _, err := io.Copy(io.Discard, connection); errors.Is(err, os.ErrDeadlineExceeded) {
						t.Errorf("it is still connected after %s", patience)
					}
				})
				cut.Go(func() {
					for range time.Tick(limit / 20) {
						if _, err := connection.Write([]byte{'a'}); err != nil {
							return
						}
					}
				})
			}
			client := server.client(t, nil)
			for range 10 {
				if err := server.review(client); err != nil {
					t.Error(err)
				}
			}
			cut.Wait()
		})
	}
}

// silent says nothing more.
type silent struct{ net.Conn }

func (silent) Write([]byte) (int, error) { return 0, io.EOF }

func TestClientsThatDoNotTakeTheirAnswersAreCutOff(t *testing.T) {
	server := start(t, webhook.ServerOptions{RequestTimeout: 300 * time.Millisecond})
	written := make(chan error, 1)
	server.Register("/large", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write(make([]byte, 64<<20))
		written <- err
	}))
	connection := server.dial(t)
	if _, err := io.WriteString(connection, "GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-written:
		if err == nil {
			t.Error("all of it was taken")
		}
	case <-time.After(patience):
		t.Error("it still waits")
	}
}

func TestLargeHeadersAreRefused(t *testing.T) {
	server := start(t, webhook.ServerOptions{})
	request, err := http.NewRequest(http.MethodPost, "https://"+server.address+"/validate/colours", strings.NewReader(podReview))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Padding", strings.Repeat("a", 64<<10))
	response, err := server.client(t, nil).Do(request)
	if err != nil {
		return // the connection was closed before it was heard out
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Error(response.Status)
	}
}

// However many connections strangers open, a client with a review is answered, and memory stays in bounds.
func TestManyIdleConnectionsLeaveRoomForReviews(t *testing.T) {
	wanted := 10_000
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	if most := int(min(files.Cur, 1<<20)) - 1500; most < wanted {
		t.Logf("this machine lets a process open %d files", files.Cur)
		wanted = most
	}
	const most = 1024 // the default
	server := start(t, webhook.ServerOptions{HeaderTimeout: time.Hour, IdleTimeout: time.Hour})
	client := server.client(t, nil)
	if err := server.review(client); err != nil {
		t.Fatal(err)
	}
	before, goroutines := memory(), runtime.NumGoroutine()
	for i := range wanted {
		connection, err := net.Dial("tcp", server.address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = connection.Close() }()
		if i%10 == 0 && i < 10*most { // handshakes take their time
			secured := tls.Client(connection, server.tls())
			if err := secured.Handshake(); err != nil {
				t.Fatal(err)
			}
		}
		if i%1000 == 999 {
			if err := server.review(server.client(t, nil)); err != nil {
				t.Errorf("after %d connections: %v", i, err)
			}
		}
	}
	grown := int64(memory()) - int64(before)
	t.Logf("%d connections: %d KiB and %d goroutines more", wanted, grown>>10, runtime.NumGoroutine()-goroutines)
	if grown > 128<<20 {
		t.Errorf("memory has grown by %d bytes", grown)
	}
	if more := runtime.NumGoroutine() - goroutines; more > 4*most {
		t.Errorf("there are %d more goroutines, for at most %d connections", more, most)
	}
	if err := server.review(client); err != nil {
		t.Error(err)
	}
}

func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

func TestReviewsUnderWayAreAnsweredAtTheEnd(t *testing.T) {
	server := start(t, webhook.ServerOptions{})
	came, finish := make(chan struct{}), make(chan struct{})
	server.Register("/later", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(came)
		<-finish
		_, _ = io.WriteString(w, "done")
	}))
	answered := make(chan string, 1)
	client := server.client(t, nil)
	go func() {
		response, err := client.Get("https://" + server.address + "/later")
		if err != nil {
			answered <- err.Error()
			return
		}
		defer func() { _ = response.Body.Close() }()
		text, _ := io.ReadAll(response.Body)
		answered <- string(text)
	}()
	<-came
	stopped := make(chan error, 1)
	go func() { stopped <- server.stop() }()
	for {
		connection, err := net.Dial("tcp", server.address)
		if err != nil {
			break // it takes no more
		}
		_ = connection.Close()
	}
	close(finish)
	if text := <-answered; text != "done" {
		t.Errorf("the answer is %q", text)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// Clients that never pause lose no review when a server ends, if it tells them in time and there is another one.
func TestDrainingLosesNoReview(t *testing.T) {
	var draining atomic.Bool
	server, other := start(t, webhook.ServerOptions{Draining: draining.Load}), start(t, webhook.ServerOptions{})
	done := make(chan struct{})
	var clients sync.WaitGroup
	for range 8 {
		client := server.client(t, func(c *tls.Config) { c.RootCAs.AddCert(other.authority.certificate) })
		client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			address := server.address
			if draining.Load() { // as a Service does that knows
				address = other.address
			}
			var dialer net.Dialer
			return dialer.DialContext(ctx, network, address)
		}
		clients.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := server.review(client); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	time.Sleep(200 * time.Millisecond) // all are at work
	draining.Store(true)
	time.Sleep(200 * time.Millisecond) // all have had an answer since
	if err := server.stop(); err != nil {
		t.Error(err)
	}
	close(done)
	clients.Wait()
}

// The body of a review that has begun to arrive over HTTP/1.1 is waited for.
func TestReviewsThatHaveBegunToArriveAreAnsweredAtTheEnd(t *testing.T) {
	server := start(t, webhook.ServerOptions{})
	came := make(chan struct{})
	server.Register("POST /body", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(came)
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	connection := server.dial(t)
	half := len(podReview) / 2
	_, err := fmt.Fprintf(connection,
		"POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		len(podReview), podReview[:half])
	if err != nil {
		t.Fatal(err)
	}
	<-came
	stopped := make(chan error, 1)
	go func() { stopped <- server.stop() }()
	for {
		connection, err := net.Dial("tcp", server.address)
		if err != nil {
			break // it takes no more
		}
		_ = connection.Close()
	}
	if _, err := io.WriteString(connection, podReview[half:]); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		t.Error(response.Status)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
