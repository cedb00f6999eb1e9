package process_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	cmv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// certManager is a cluster with cert-manager, as far as eksguard's certificate is concerned.
type certManager struct {
	t       *testing.T
	objects client.Client
	secret  string
}

func newCertManager(t *testing.T, secret string) *certManager {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(cmv1.AddToScheme(scheme), corev1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	objects, err := client.New(cluster.Plane(t).Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return &certManager{t: t, objects: objects, secret: secret}
}

func (c *certManager) certificate(ctx context.Context, name string) (*cmv1.Certificate, error) {
	certificate := &cmv1.Certificate{}
	return certificate, c.objects.Get(ctx, client.ObjectKey{Namespace: "eksguard-system", Name: name}, certificate)
}

func (c *certManager) data(t *testing.T, name string) map[string][]byte {
	t.Helper()
	secret, err := cluster.Clients(t).CoreV1().Secrets("eksguard-system").Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return secret.Data
}

// renew does what `cmctl renew` does: it says in the status of a Certificate that it is to be issued
// (github.com/cert-manager/cmctl, pkg/renew).
func (c *certManager) renew(t *testing.T, name string) {
	t.Helper()
	e2e.Eventually(t, 20*time.Second, "the Certificate is marked", func() error {
		certificate, err := c.certificate(t.Context(), name)
		if err != nil {
			return err
		}
		now := metav1.Now()
		certificate.Status.Conditions = append(certificate.Status.Conditions, cmv1.CertificateCondition{
			Type: cmv1.CertificateConditionIssuing, Status: "True", Reason: "ManuallyTriggered",
			Message: "Certificate re-issuance manually triggered", LastTransitionTime: &now})
		return c.objects.Status().Update(t.Context(), certificate)
	})
}

// authorityChanges makes cert-manager issue the authority anew, and with it what it has signed.
func (c *certManager) authorityChanges(t *testing.T) {
	t.Helper()
	before := c.data(t, c.secret+"-ca")["tls.crt"]
	c.renew(t, c.secret+"-ca")
	e2e.Eventually(t, 30*time.Second, "there is another authority", func() error {
		if bytes.Equal(before, c.data(t, c.secret+"-ca")["tls.crt"]) {
			return errors.New("it is the former one")
		}
		return nil
	})
	c.renew(t, c.secret)
}

// signAsACME stands for the controller of issuers of kind acme, which does not run here: it signs the next request to one, and
// names no authority, as that controller does not.
func (c *certManager) signAsACME(t *testing.T) {
	t.Helper()
	e2e.Eventually(t, 30*time.Second, "a request to the issuer of kind acme is signed", func() error {
		requests := &cmv1.CertificateRequestList{}
		if err := c.objects.List(t.Context(), requests, client.InNamespace("eksguard-system")); err != nil {
			return err
		}
		for _, request := range requests.Items {
			if request.Spec.IssuerRef.Name != "acme" {
				continue
			}
			now := metav1.Now()
			request.Status.Certificate = newIssuer(t).sign(t, request.Spec.Request)
			request.Status.Conditions = append(request.Status.Conditions, cmv1.CertificateRequestCondition{
				Type: cmv1.CertificateRequestConditionReady, Status: "True", Reason: cmv1.CertificateRequestReasonIssued,
				Message: "issued", LastTransitionTime: &now})
			return c.objects.Status().Update(t.Context(), &request)
		}
		return errors.New("there is no such request")
	})
}

// ready tells whether cert-manager says of the Certificate that it is ready.
func (c *certManager) ready(t *testing.T) error {
	certificate, err := c.certificate(t.Context(), c.secret)
	if err != nil {
		return err
	}
	for _, condition := range certificate.Status.Conditions {
		if condition.Type == cmv1.CertificateConditionReady && condition.Status == "True" {
			return nil
		}
	}
	return fmt.Errorf("conditions are %v", certificate.Status.Conditions)
}

// cert-manager is its own controllers, of which test/certmanager makes a program.
func TestCertManager(t *testing.T) {
	const secret = "from-cert-manager"
	args := []string{"--certificate", "cert-manager", "--secret-name", secret, "--certificate-propagation", "3s"}
	plane := cluster.Plane(t)
	if err := plane.CreateNamespace(t.Context(), "eksguard-system"); err != nil {
		t.Fatal(err)
	}
	t.Run("without its CRDs, it is told what to install", func(t *testing.T) {
		process := e2e.Start(t, append(serve(plane.Kubeconfig, e2e.FreePorts(t, 3), "--leader-elect=false"), args...)...)
		e2e.Eventually(t, 30*time.Second, "it says so and goes on", func() error {
			if !strings.Contains(process.Output(), "install cert-manager and its CRDs, or take another --certificate") {
				return errors.New(process.Output())
			}
			return nil
		})
	})
	cluster.CertManagerCRDs(t)
	t.Run("without its controllers, it is told who is missing", func(t *testing.T) {
		process := e2e.Start(t, append(serve(plane.Kubeconfig, e2e.FreePorts(t, 3), "--leader-elect=false"), args...)...)
		e2e.Eventually(t, 30*time.Second, "it says so and goes on", func() error {
			if !strings.Contains(process.Output(), "has no condition Ready: is cert-manager running?") {
				return errors.New(process.Output())
			}
			return nil
		})
	})
	c := newCertManager(t, secret)
	stopControllers := cluster.CertManager(t)
	s := newService(t, append(args, "--log-level", "warn")...)
	one, two := s.start(t), s.start(t)
	t.Run("it is issued by an authority of its own", func(t *testing.T) {
		e2e.Eventually(t, 20*time.Second, "cert-manager says so", func() error { return c.ready(t) })
		got := []string{}
		certificates, issuers := &cmv1.CertificateList{}, &cmv1.IssuerList{}
		if err := errors.Join(c.objects.List(t.Context(), certificates), c.objects.List(t.Context(), issuers)); err != nil {
			t.Fatal(err)
		}
		for _, c := range certificates.Items {
			got = append(got, fmt.Sprintf("Certificate %s by %s/%s, CA %t, for %v in %s", c.Name, c.Spec.IssuerRef.Kind,
				c.Spec.IssuerRef.Name, c.Spec.IsCA, c.Spec.DNSNames, c.Spec.SecretName))
		}
		for _, i := range issuers.Items {
			got = append(got, fmt.Sprintf("Issuer %s, self-signed %t, CA %t", i.Name, i.Spec.SelfSigned != nil, i.Spec.CA != nil))
		}
		if diff := cmp.Diff([]string{
			"Certificate from-cert-manager by Issuer/from-cert-manager-ca, CA false, for [localhost] in from-cert-manager",
			"Certificate from-cert-manager-ca by Issuer/from-cert-manager-selfsigned, CA true, for [] in from-cert-manager-ca",
			"Issuer from-cert-manager-ca, self-signed false, CA true",
			"Issuer from-cert-manager-selfsigned, self-signed true, CA false",
		}, got); diff != "" {
			t.Error(diff)
		}
		shown, err := one.shown(t)
		if err != nil || !bytes.Equal(c.data(t, secret)["tls.crt"], encode(shown)) {
			t.Errorf("another certificate is served: %v", err)
		}
	})
	foreign := e2e.Manifest(t, "manifests/pod.yaml", ownRole, foreignRole)
	e2e.Eventually(t, 20*time.Second, "the cluster is guarded", func() error {
		return isForbidden(cluster.As(t, admin).Create(foreign, e2e.DryRun))
	})

	late, stopStraggler := newStraggler(t, 1500*time.Millisecond, one, two)
	stopLoad := load(t)
	life := t // what is started in a part of it outlives that part
	for _, row := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"it is renewed, as by cmctl", func(t *testing.T) { c.renew(t, secret) }},
		{"its Secret is deleted", func(t *testing.T) {
			err := cluster.Clients(t).CoreV1().Secrets("eksguard-system").Delete(t.Context(), secret, metav1.DeleteOptions{})
			if err != nil {
				t.Fatal(err)
			}
		}},
		{"its authority is another", c.authorityChanges},
		{"its authority is another, and a replica is restarted at once", func(t *testing.T) {
			c.authorityChanges(t)
			next := s.start(life)
			late.exchange(one, next)
			endAll(life, []*replica{one})
			one = next
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			before, err := two.shown(t)
			if err != nil {
				t.Fatal(err)
			}
			row.do(t)
			e2e.Eventually(t, 30*time.Second, "both replicas show another certificate", func() error {
				return differs(t, before, one, two)
			})
		})
	}
	t.Run("while cert-manager is away, what is good is served", func(*testing.T) {
		stopControllers()
		next := s.start(life)
		late.exchange(two, next)
		endAll(life, []*replica{two})
		two = next
	})
	answers, shakes := stopLoad(), stopStraggler()
	t.Logf("%d answers of the API server, %d connections of the straggler", answers, shakes)
	if answers == 0 || shakes == 0 {
		t.Error("nothing was asked in the meantime")
	}
	t.Run("a Secret that does not fit together changes nothing", func(t *testing.T) {
		patch, err := json.Marshal(map[string]any{"data": map[string]any{"tls.key": newIssuer(t).issue(t)["tls.key"]}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cluster.Clients(t).CoreV1().Secrets("eksguard-system").
			Patch(t.Context(), secret, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		e2e.Eventually(t, 10*time.Second, "it is told", func() error {
			if !strings.Contains(two.Output(), "tls.crt and tls.key are no pair") {
				return errors.New(two.Output())
			}
			return nil
		})
		if err := e2e.Ready(two.healthURL); err != nil {
			t.Error(err)
		}
		cluster.As(t, admin).Create(foreign, e2e.DryRun).Denied("iam-role/ownership")
	})
	endAll(t, []*replica{one, two})
}

// Issuers that the cluster has already.
func TestIssuersOfOthers(t *testing.T) {
	plane := cluster.Plane(t)
	for _, namespace := range []string{"eksguard-system", "cert-manager"} {
		if err := plane.CreateNamespace(t.Context(), namespace); err != nil {
			t.Fatal(err)
		}
	}
	cluster.CertManagerCRDs(t)
	cluster.CertManager(t)
	c := newCertManager(t, "")
	// A company's authority, which cert-manager makes too, in the namespace where it looks for those of ClusterIssuers.
	cluster.Kubectl(t).Reading(`
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: {name: nobody}
spec: {selfSigned: {}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: company, namespace: cert-manager}
spec:
  secretName: company
  isCA: true
  commonName: company
  privateKey: {algorithm: ECDSA, size: 256, rotationPolicy: Always}
  issuerRef: {group: cert-manager.io, kind: ClusterIssuer, name: nobody}
---
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: {name: company}
spec: {ca: {secretName: company}}
---
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: {name: acme}
spec:
  acme:
    server: https://acme.example.com/directory
    privateKeySecretRef: {name: acme}
    solvers: [{http01: {ingress: {}}}]
`).Run("apply", "-f", "-").Succeeded()
	serveWith := func(name, issuer string) []string {
		return []string{"--certificate", "cert-manager", "--secret-name", name, "--certificate-issuer", issuer}
	}
	t.Run("a ClusterIssuer of kind ca issues", func(t *testing.T) {
		guard := cluster.Guard(t, local.EksguardOptions{Settings: standardSettings,
			ExtraArgs: serveWith("by-the-company", "ClusterIssuer/company")})
		cluster.As(t, admin).Create(e2e.Manifest(t, "manifests/pod.yaml", ownRole, foreignRole), e2e.DryRun).
			Denied("iam-role/ownership")
		connection, err := cluster.WebhookConnection(t, guard, nil)
		if err != nil {
			t.Fatal(err)
		}
		company, err := cluster.Clients(t).CoreV1().Secrets("cert-manager").Get(t.Context(), "company", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(company.Data["tls.crt"])
		if _, err := connection.ConnectionState().PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots}); err != nil {
			t.Errorf("somebody else has issued it: %v", err)
		}
		// It made no authority of its own.
		cluster.Kubectl(t).Run("get", "issuers.cert-manager.io", "-n", "eksguard-system", "-o=name").Printed("")
	})
	for _, row := range []struct{ name, secret, issuer, want string }{
		{"an issuer that does not exist is told", "by-nobody", "Issuer/missing",
			`Certificate \"eksguard-system/by-nobody\" has condition Ready False, DoesNotExist`},
		{"an issuer that tells no authority is refused", "without-ca", "ClusterIssuer/acme",
			`Secret \"eksguard-system/without-ca\": ca.crt is missing: issuer \"ClusterIssuer/acme\" has not written it`},
	} {
		t.Run(row.name, func(t *testing.T) {
			ports := e2e.FreePorts(t, 3)
			process := e2e.Start(t, append(serve(plane.Kubeconfig, ports, "--leader-elect=false"),
				serveWith(row.secret, row.issuer)...)...)
			if row.issuer == "ClusterIssuer/acme" {
				c.signAsACME(t)
			}
			e2e.Eventually(t, 30*time.Second, "it is told", func() error {
				if !strings.Contains(process.Output(), row.want) {
					return errors.New(process.Output())
				}
				return nil
			})
			if err := e2e.Ready("http://127.0.0.1:" + ports[1]); err == nil {
				t.Error("it is ready")
			}
			if _, err := validating(t); err == nil {
				t.Error("it has registered")
			}
		})
	}
}
