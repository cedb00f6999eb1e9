package process_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/mozilla-iam/eksguard/test/e2e"
)

// identities are the client certificates that the API server presents: which one, depends on the port of the webhook. At all
// other ports it presents none.
var identities *apiServerIdentities

type apiServerIdentities struct {
	// config is what --admission-control-config-file names; authority vouches for the certificates.
	config, authority string
	// named is the port at which it is kube-apiserver, impostor that at which it is somebody else of the same authority.
	named, impostor string
}

const apiServerName = "kube-apiserver"

// newIdentities writes the files for an API server into a folder.
func newIdentities(folder string) (*apiServerIdentities, error) {
	ca, err := newClientAuthority()
	if err != nil {
		return nil, err
	}
	i := &apiServerIdentities{
		config: filepath.Join(folder, "admission.yaml"), authority: filepath.Join(folder, "client-ca.crt"),
	}
	users := map[string]*clientcmdapi.AuthInfo{}
	for name, port := range map[string]*string{apiServerName: &i.named, "somebody": &i.impostor} {
		if *port, err = freePort(); err != nil {
			return nil, err
		}
		// A user of this kubeconfig is named after whom it is for: a webhook's host and port
		// (k8s.io/apiserver, pkg/util/webhook/authentication.go).
		if users["localhost:"+*port], err = ca.issue(name); err != nil {
			return nil, err
		}
	}
	kubeconfig := filepath.Join(folder, "webhooks.kubeconfig")
	config := fmt.Sprintf(`
apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
  - name: ValidatingAdmissionWebhook
    configuration: &webhooks
      {apiVersion: apiserver.config.k8s.io/v1, kind: WebhookAdmissionConfiguration, kubeConfigFile: %q}
  - name: MutatingAdmissionWebhook
    configuration: *webhooks
`, kubeconfig)
	return i, errors.Join(
		clientcmd.WriteToFile(clientcmdapi.Config{AuthInfos: users}, kubeconfig),
		os.WriteFile(i.config, []byte(config), 0o600),
		os.WriteFile(i.authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.certificate.Raw}), 0o600),
	)
}

func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = listener.Close() }() // nothing was accepted on it
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port), nil
}

// clientAuthority issues certificates of clients.
type clientAuthority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newClientAuthority() (*clientAuthority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of clients"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return &clientAuthority{certificate, key}, err
}

// issue issues a certificate with this common name, as the user of a kubeconfig.
func (a *clientAuthority) issue(name string) (*clientcmdapi.AuthInfo, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}, a.certificate, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	return &clientcmdapi.AuthInfo{
		ClientCertificateData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		ClientKeyData:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}, err
}

// With --client-ca, only an API server that presents a certificate gets decisions. The others get none, so that what
// policies with failurePolicy Fail ask about is refused.
func TestClientCertificateOfTheAPIServer(t *testing.T) {
	plane := cluster.Plane(t)
	if err := plane.CreateNamespace(t.Context(), "eksguard-system"); err != nil {
		t.Fatal(err)
	}
	foreign := e2e.Manifest(t, "manifests/pod.yaml", ownRole, foreignRole)
	const unvouched = "none"
	for _, row := range []struct {
		name, port string
		names      []string
		// want is why it gets no decision; empty: it gets one.
		want string
	}{
		{"one with the right name is answered", identities.named, []string{apiServerName, "another"}, ""},
		{"any that the authority vouches for is, unless names are asked for", identities.impostor, nil, ""},
		{"one with another name is not", identities.impostor, []string{apiServerName}, "tls: bad certificate"},
		{"without one it is not", unvouched, nil, "tls: certificate required"},
	} {
		t.Run(row.name, func(t *testing.T) {
			ports := e2e.FreePorts(t, 3)
			if row.port != unvouched {
				ports[0] = row.port
			}
			args := serve(plane.Kubeconfig, ports, "--settings", standardSettings, "--leader-elect=false", "--drain-delay=0s",
				"--log-level", "debug", "--client-ca", identities.authority)
			for _, name := range row.names {
				args = append(args, "--client-name", name)
			}
			process := e2e.Start(t, args...)
			t.Cleanup(func() {
				process.Terminate()
				_ = process.Exit(10 * time.Second)
				cluster.Unregister(t)
			})
			e2e.Eventually(t, 30*time.Second, "the API server has asked", func() error {
				o := cluster.As(t, admin).Create(foreign, e2e.DryRun)
				if row.want == "" {
					return isForbidden(o)
				}
				if o.Err == nil || !strings.Contains(o.Err.Error(), row.want) {
					return fmt.Errorf("got %w, want %q", o.Err, row.want)
				}
				o.Unanswered("iam-role.eksguard.io")
				return nil
			})
			if err := e2e.Ready("http://127.0.0.1:" + ports[1]); err != nil {
				t.Error(err)
			}
			// Whoever it is, what no policy asks about passes.
			cluster.As(t, admin).Create(e2e.Parse(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: default}}"),
				e2e.DryRun).Admitted()
		})
	}
}
