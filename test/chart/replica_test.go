package chart_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
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

// service stands for the Service and the nodes: it has a balancer, and starts the Pods behind it.
type service struct {
	*local.Balancer
	binary string
}

func newService(t testing.TB) *service {
	t.Helper()
	return &service{Balancer: e2e.NewBalancer(t), binary: e2e.Binary(t)}
}

// replica is eksguard as a Pod of the installed Deployment would run it.
type replica struct {
	*e2e.Process
	healthURL, webhookURL string
	// files are copies of what is mounted, by path.
	files map[string]string
}

// start launches a replica, and returns once it is ready.
func (s *service) start(t *testing.T, environment ...string) *replica {
	t.Helper()
	r := s.launch(t, environment...)
	e2e.Eventually(t, 30*time.Second, "the replica is ready", func() error {
		if err := e2e.Ready(r.healthURL); err != nil {
			return fmt.Errorf("%w:\n%s", err, r.Output())
		}
		return nil
	})
	return r
}

// launch starts a replica: with the arguments and the environment that the Deployment in the cluster has, the files of
// the ConfigMaps that it mounts, and a token of the ServiceAccount that it names. Different are the ports, which replicas on
// one machine cannot share, the way to and from the API server, and where files lie. More of its environment may be
// given.
func (s *service) launch(t *testing.T, environment ...string) *replica {
	t.Helper()
	deployment, err := cluster.Clients(t).AppsV1().Deployments(namespace).Get(t.Context(), "eksguard", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod := deployment.Spec.Template.Spec
	if pod.ServiceAccountName != "eksguard" {
		t.Fatalf("the Deployment's Pods run as ServiceAccount %q", pod.ServiceAccountName)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := local.WriteKubeconfig(token(t), kubeconfig); err != nil {
		t.Fatal(err)
	}
	ports := e2e.FreePorts(t, 3)
	r := &replica{
		healthURL:  "http://127.0.0.1:" + ports[1],
		webhookURL: "https://localhost:" + ports[0],
		files:      mounted(t, pod),
	}
	adapted := map[string]string{
		"--webhook-port":    ports[0],
		"--health-address":  "127.0.0.1:" + ports[1],
		"--metrics-address": "127.0.0.1:" + ports[2],
	}
	var args []string
	for _, arg := range pod.Containers[0].Args {
		name, value, _ := strings.Cut(arg, "=")
		if own, found := adapted[name]; found {
			arg = name + "=" + own
		}
		if strings.HasPrefix(value, "/") {
			arg = name + "=" + r.file(t, value)
		}
		args = append(args, arg)
	}
	args = append(args,
		"--kubeconfig="+kubeconfig, "--webhook-host=127.0.0.1", "--webhook-url=https://localhost:"+s.Port())
	// A script, because it is the way to give a process of package e2e an environment.
	t.Setenv("EKSGUARD_BINARY", script(t, s.binary, append(environment, variables(t, pod)...)))
	r.Process = e2e.Start(t, args...)
	s.Add(local.Backend{Address: "127.0.0.1:" + ports[0], HealthURL: r.healthURL})
	return r
}

// file is the copy of a mounted file.
func (r *replica) file(t testing.TB, path string) string {
	t.Helper()
	file, found := r.files[path]
	if !found {
		t.Fatalf("nothing is mounted at %q", path)
	}
	return file
}

// mounted are copies of all that the Pod mounts of ConfigMaps and Secrets, files and folders. Where they name an emptyDir,
// they name a folder instead.
func mounted(t testing.TB, pod corev1.PodSpec) map[string]string {
	t.Helper()
	paths := map[string]string{}
	for _, mount := range pod.Containers[0].VolumeMounts {
		paths[mount.Name] = mount.MountPath
	}
	var folders []string
	for _, volume := range pod.Volumes {
		if volume.EmptyDir != nil {
			folders = append(folders, paths[volume.Name], t.TempDir())
		}
	}
	files := map[string]string{}
	for _, volume := range pod.Volumes {
		var data map[string]string
		switch {
		case volume.ConfigMap != nil:
			content, err := cluster.Clients(t).CoreV1().ConfigMaps(namespace).
				Get(t.Context(), volume.ConfigMap.Name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			data = content.Data
		case volume.Secret != nil:
			content, err := cluster.Clients(t).CoreV1().Secrets(namespace).
				Get(t.Context(), volume.Secret.SecretName, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			data = map[string]string{}
			for name, text := range content.Data {
				data[name] = string(text)
			}
		}
		folder := t.TempDir()
		files[paths[volume.Name]] = folder
		for name, text := range data {
			file := filepath.Join(folder, name)
			if err := os.WriteFile(file, []byte(strings.NewReplacer(folders...).Replace(text)), 0o600); err != nil {
				t.Fatal(err)
			}
			files[filepath.Join(paths[volume.Name], name)] = file
		}
	}
	return files
}

// variables is the environment of the Pod's container.
func variables(t testing.TB, pod corev1.PodSpec) (found []string) {
	t.Helper()
	for _, variable := range pod.Containers[0].Env {
		value := variable.Value
		if from := variable.ValueFrom; from != nil {
			if from.FieldRef == nil || from.FieldRef.FieldPath != "metadata.name" {
				t.Fatalf("variable %q is from something else than the Pod's name", variable.Name)
			}
			value = "eksguard-on-this-machine"
		}
		found = append(found, variable.Name+"="+value)
	}
	return found
}

// script is a program that runs the binary in this environment.
func script(t testing.TB, binary string, environment []string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "eksguard")
	text := "#!/bin/sh\nexec env '" + strings.Join(environment, "' '") + "' '" + binary + "' \"$@\"\n"
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}
