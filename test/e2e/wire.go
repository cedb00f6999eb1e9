package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// WebhookClient returns a client that trusts what the API server was told to trust, and nothing else.
func (c *Cluster) WebhookClient(t testing.TB) *http.Client {
	t.Helper()
	return &http.Client{
		Transport: &http.Transport{TLSClientConfig: c.webhookTLS(t)},
		Timeout:   30 * time.Second,
	}
}

func (c *Cluster) webhookTLS(t testing.TB) *tls.Config {
	t.Helper()
	configuration, err := c.Clients(t).AdmissionregistrationV1().ValidatingWebhookConfigurations().
		Get(t.Context(), "eksguard", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(configuration.Webhooks[0].ClientConfig.CABundle) {
		t.Fatal("caBundle holds no certificate")
	}
	return &tls.Config{RootCAs: pool}
}

// WebhookConnection opens a TLS connection to the webhook of g, as the API server would.
func (c *Cluster) WebhookConnection(t testing.TB, g *Guard, adjust func(*tls.Config)) (*tls.Conn, error) {
	t.Helper()
	config := c.webhookTLS(t)
	if adjust != nil {
		adjust(config)
	}
	address, err := url.Parse(g.WebhookURL)
	if err != nil {
		t.Fatal(err)
	}
	dialer := &tls.Dialer{Config: config}
	connection, err := dialer.DialContext(t.Context(), "tcp", address.Host)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = connection.Close() })
	return connection.(*tls.Conn), nil
}
