package chart_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// token is a configuration with a token of eksguard's ServiceAccount, such as its Pods are given.
func token(t testing.TB) *rest.Config {
	t.Helper()
	plane := cluster.Plane(t)
	lifetime := int64(time.Hour / time.Second)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &lifetime}}
	answer, err := plane.Client().CoreV1().ServiceAccounts(namespace).
		CreateToken(t.Context(), "eksguard", request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return &rest.Config{
		Host:            plane.Config.Host,
		TLSClientConfig: rest.TLSClientConfig{CAData: plane.Config.CAData},
		BearerToken:     answer.Status.Token,
	}
}

// replica is eksguard as a Pod of the installed Deployment would run it.
type replica struct {
	*e2e.Process
	healthURL, webhookURL string
}

// start starts a replica behind the balancer, which stands for the Service: with the arguments that the Deployment in
// the cluster has, the settings in the ConfigMap that it mounts, and a token of the ServiceAccount that it names. Different
// are the ports, which replicas on one machine cannot share, and the way to and from the API server.
func start(t testing.TB, balancer *e2e.Balancer) *replica {
	t.Helper()
	deployment, err := cluster.Clients(t).AppsV1().Deployments(namespace).Get(t.Context(), "eksguard", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := deployment.Spec.Template.Spec.ServiceAccountName; got != "eksguard" {
		t.Fatalf("the Deployment's Pods run as ServiceAccount %q", got)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := local.WriteKubeconfig(token(t), kubeconfig); err != nil {
		t.Fatal(err)
	}
	ports := e2e.FreePorts(t, 3)
	adapted := map[string]string{
		"--webhook-port":    ports[0],
		"--health-address":  "127.0.0.1:" + ports[1],
		"--metrics-address": "127.0.0.1:" + ports[2],
	}
	var args []string
	for _, arg := range deployment.Spec.Template.Spec.Containers[0].Args {
		name, path, _ := strings.Cut(arg, "=")
		if value, found := adapted[name]; found {
			arg = name + "=" + value
		}
		if name == "--settings" {
			arg = name + "=" + settingsFile(t, path)
		}
		args = append(args, arg)
	}
	args = append(args,
		"--kubeconfig="+kubeconfig, "--webhook-host=127.0.0.1", "--webhook-url=https://localhost:"+balancer.Port())
	r := &replica{
		Process:    e2e.Start(t, args...),
		healthURL:  "http://127.0.0.1:" + ports[1],
		webhookURL: "https://localhost:" + ports[0],
	}
	balancer.Add(e2e.Backend{Address: "127.0.0.1:" + ports[0], HealthURL: r.healthURL})
	e2e.Eventually(t, 30*time.Second, "the replica is ready", func() error {
		if err := e2e.Ready(r.healthURL); err != nil {
			return fmt.Errorf("%w:\n%s", err, r.Output())
		}
		return nil
	})
	return r
}

// settingsFile is a file with what a Pod would find at this path.
func settingsFile(t testing.TB, path string) string {
	t.Helper()
	if want := "/etc/eksguard/settings/settings.yaml"; path != want {
		t.Fatalf("settings are at %q, want %q", path, want)
	}
	settings, err := cluster.Clients(t).CoreV1().ConfigMaps(namespace).
		Get(t.Context(), "eksguard-settings", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "settings.yaml")
	if err := os.WriteFile(file, []byte(settings.Data["settings.yaml"]), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// withoutStreaming has the replicas that are started from now on list what they watch.
func withoutStreaming(t *testing.T) {
	t.Helper()
	script := filepath.Join(t.TempDir(), "eksguard")
	text := "#!/bin/sh\nKUBE_FEATURE_WatchListClient=false exec '" + e2e.Binary(t) + "' \"$@\"\n"
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("EKSGUARD_BINARY", script)
}
