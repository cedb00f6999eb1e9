package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/healthz"
)

// ServerOptions are what a Server is made of.
type ServerOptions struct {
	// Address is where it listens, HOST:PORT; required.
	Address string
	// GetCertificate gives the serving certificate of the moment; required.
	GetCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// ClientCAs are the authorities that a client's certificate must be signed by. Default: clients need no certificate.
	ClientCAs *x509.CertPool
	// ClientNames are the common names that a client's certificate may have. Default: any that ClientCAs vouch for.
	ClientNames []string
	// MaxConnections is how many connections may be open at once. One more closes that which waits longest for a request
	// or a handshake. An API server opens one for each review under way. Default: 1024.
	MaxConnections int
	// HeaderTimeout bounds a TLS handshake, and the time in which the headers of a request come. Default: 5 s.
	HeaderTimeout time.Duration
	// RequestTimeout bounds the time in which a whole request comes, and that in which it is answered. Default: 10 s, the
	// longest that an API server waits unless it is told otherwise.
	RequestTimeout time.Duration
	// IdleTimeout is after what time without a request a connection is closed. Default: 3 minutes, longer than the 90 s for
	// which an API server keeps one (kubernetes/apimachinery: pkg/util/net/http.go), so that it is the one that closes it: a
	// review that it sends on a connection which is being closed fails.
	IdleTimeout time.Duration
	// Draining tells whether the server is to end soon. From then on each answer asks its client to come by another connection:
	// HTTP/1.1 has no other way to end one without the risk that a review is under way to it. Default: it never is.
	Draining func() bool
	// Logger is required. What strangers make go wrong with connections is logged at debug level.
	Logger *slog.Logger
}

const (
	// maxHeaderBytes bounds the headers of a request; those of an API server have a few hundred bytes.
	maxHeaderBytes = 16 << 10
	// shutdownTimeout is how long requests under way are waited for, which is as long as an API server waits for them.
	shutdownTimeout = 10 * time.Second
)

// Server serves reviews over TLS 1.3, in bounds of time, number and size that a stranger who reaches its port cannot stretch. It
// speaks HTTP/1.1 alone, as an API server does with every Service (kubernetes/apiserver: pkg/util/webhook/client.go). It
// implements the Server of controller-runtime's package webhook, so that a manager starts it first and stops it last.
type Server struct {
	options ServerOptions
	mux     *http.ServeMux

	mu      sync.Mutex
	address net.Addr // while it listens
}

// NewServer makes a Server. It panics if a required option is missing.
func NewServer(o ServerOptions) *Server {
	if o.Address == "" || o.GetCertificate == nil || o.Logger == nil {
		panic("webhook: ServerOptions need Address, GetCertificate and Logger")
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = 1024
	}
	if o.HeaderTimeout == 0 {
		o.HeaderTimeout = 5 * time.Second
	}
	if o.RequestTimeout == 0 {
		o.RequestTimeout = 10 * time.Second
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = 3 * time.Minute
	}
	if o.Draining == nil {
		o.Draining = func() bool { return false }
	}
	return &Server{options: o, mux: http.NewServeMux()}
}

// WebhookMux is what it serves.
func (s *Server) WebhookMux() *http.ServeMux { return s.mux }

// Register makes it serve a handler.
func (s *Server) Register(path string, handler http.Handler) { s.mux.Handle(path, handler) }

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (*Server) NeedLeaderElection() bool { return false }

// Start serves until ctx ends, and then answers what is under way.
func (s *Server) Start(ctx context.Context) error {
	var configuration net.ListenConfig
	listener, err := configuration.Listen(ctx, "tcp", s.options.Address)
	if err != nil {
		return fmt.Errorf("listen for reviews: %w", err)
	}
	open := newConnections(s.options.MaxConnections)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	server := &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		TLSConfig:         s.tls(),
		Protocols:         protocols,
		ReadHeaderTimeout: s.options.HeaderTimeout,
		ReadTimeout:       s.options.RequestTimeout,
		WriteTimeout:      s.options.RequestTimeout,
		IdleTimeout:       s.options.IdleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnState:         open.changed,
		// Shutdown decides when requests end; a context that ends would break off handshakes that are under way.
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		ErrorLog:    slog.NewLogLogger(s.options.Logger.Handler(), slog.LevelDebug),
	}
	s.listens(listener.Addr())
	defer s.listens(nil)
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		err := server.Shutdown(limited)
		if err != nil {
			err = errors.Join(fmt.Errorf("answer the reviews under way: %w", err), server.Close())
		}
		stopped <- err
	})
	if err := server.ServeTLS(listener, "", ""); stop() || !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve reviews: %w", err)
	}
	return <-stopped
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if s.options.Draining() {
		w.Header().Set("Connection", "close")
	}
	s.mux.ServeHTTP(w, r)
}

func (s *Server) listens(at net.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.address = at
}

// Addr is where it listens; nil while it does not.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.address
}

func (s *Server) tls() *tls.Config {
	config := &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: s.options.GetCertificate,
	}
	if s.options.ClientCAs != nil {
		config.ClientAuth = tls.RequireAndVerifyClientCert
		config.ClientCAs = s.options.ClientCAs
		config.VerifyConnection = s.checkClientName
	}
	return config
}

// checkClientName is asked of resumed connections too.
func (s *Server) checkClientName(c tls.ConnectionState) error {
	name := c.PeerCertificates[0].Subject.CommonName
	if len(s.options.ClientNames) > 0 && !slices.Contains(s.options.ClientNames, name) {
		return fmt.Errorf("the client's certificate has the common name %.100q, want one of %q", name, s.options.ClientNames)
	}
	return nil
}

// StartedChecker tells whether a client could make a connection now.
func (s *Server) StartedChecker() healthz.Checker {
	return func(*http.Request) error {
		address := s.Addr()
		if address == nil {
			return errors.New("reviews are not listened for yet")
		}
		ctx, cancel := context.WithTimeout(context.Background(), s.options.HeaderTimeout)
		defer cancel()
		//nolint:gosec // Whether the certificate is the right one is for the API server to say.
		dialer := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
		connection, err := dialer.DialContext(ctx, "tcp", address.String())
		if err != nil {
			return fmt.Errorf("reviews cannot be sent: %w", err)
		}
		_ = connection.Close() // it has served its purpose
		return nil
	}
}
