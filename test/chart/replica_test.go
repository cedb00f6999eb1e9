package chart_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
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

// replica is eksguard as a Pod of the installed Deployment runs it.
type replica struct {
	*e2e.Process
	pod       corev1.Pod
	healthURL string
	webhook   string // where it listens for reviews on this machine
	// files are copies of what is mounted, by path.
	files map[string]string
}

// start launches a replica, and returns once its Pod is ready, so that the Service has it.
func start(t *testing.T, environment ...string) *replica {
	t.Helper()
	r := launch(t, environment...)
	r.awaitReady(t)
	return r
}

// awaitReady returns once its Pod is ready.
func (r *replica) awaitReady(t *testing.T) {
	t.Helper()
	e2e.Eventually(t, 30*time.Second, "the replica is ready", func() error {
		pod, err := cluster.Clients(t).CoreV1().Pods(namespace).Get(t.Context(), r.pod.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if !local.IsPodReady(pod) {
			return fmt.Errorf("it is not:\n%s", r.Output())
		}
		return nil
	})
}

// launch runs a Pod of the Deployment that does not run yet: with its arguments and environment, the files of the ConfigMaps
// and Secrets that it mounts, and a token of the ServiceAccount that it names. Different are the ports, which replicas on
// one machine cannot share, the way to the API server, and where files lie. More of its environment may be given.
func launch(t *testing.T, environment ...string) *replica {
	t.Helper()
	r := &replica{pod: waiting(t)}
	ports, here := map[int32]string{}, e2e.FreePorts(t, 3)
	adapted := map[string]string{}
	for i, flag := range []struct{ name, port string }{
		{"--webhook-port", "webhook"}, {"--health-address", "health"}, {"--metrics-address", "metrics"},
	} {
		address := "127.0.0.1:" + here[i]
		ports[portOf(t, r.pod.Spec, flag.port)] = address
		adapted[flag.name] = address
	}
	r.webhook, r.healthURL = adapted["--webhook-port"], "http://"+adapted["--health-address"]
	adapted["--webhook-port"] = here[0]
	args := append(r.arguments(t, token(t), adapted), "--webhook-host=127.0.0.1")
	r.Process = e2e.StartWith(t, append(environment, variables(t, r.pod)...), args...)
	r.join(t, local.PodProcess{Ports: ports})
	return r
}

// launchOn is launch with a network of its own, in which the ports are those of the Pod.
func launchOn(t *testing.T, n *node) (*replica, place) {
	t.Helper()
	r := &replica{pod: waiting(t)}
	at := n.attach(namespace, r.pod.Name)
	args := r.arguments(t, n.asSeen(token(t)), nil)
	must(t, at.do(func() error {
		r.Process = e2e.StartWith(t, variables(t, r.pod), args...)
		return nil
	}))
	r.join(t, local.PodProcess{Network: n.reached(at)})
	return r, at
}

// arguments are those of the Pod's container, with other values for some of them, other places of files, and a way to the
// API server.
func (r *replica) arguments(t testing.TB, config *rest.Config, adapted map[string]string) (args []string) {
	t.Helper()
	if account := r.pod.Spec.ServiceAccountName; account != "eksguard" {
		t.Fatalf("the Deployment's Pods run as ServiceAccount %q", account)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	must(t, local.WriteKubeconfig(config, kubeconfig))
	r.files = mounted(t, r.pod.Spec)
	for _, arg := range r.pod.Spec.Containers[0].Args {
		name, value, _ := strings.Cut(arg, "=")
		if own, found := adapted[name]; found {
			arg = name + "=" + own
		}
		if strings.HasPrefix(value, "/") {
			arg = name + "=" + r.file(t, value)
		}
		args = append(args, arg)
	}
	return append(args, "--kubeconfig="+kubeconfig)
}

// join has the process be the Pod's.
func (r *replica) join(t testing.TB, p local.PodProcess) {
	t.Helper()
	p.Namespace, p.Name, p.Terminate, p.Done = namespace, r.pod.Name, r.Terminate, r.Done()
	must(t, cluster.Plane(t).RunPod(t.Context(), p))
}

// waiting is a Pod that the Deployment has as it is now, and that nobody runs.
func waiting(t *testing.T) (found corev1.Pod) {
	t.Helper()
	deployment, err := cluster.Clients(t).AppsV1().Deployments(namespace).Get(t.Context(), "eksguard", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	template := deployment.Spec.Template
	e2e.Eventually(t, 30*time.Second, "there is a Pod to run", func() error {
		pods, err := cluster.Clients(t).CoreV1().Pods(namespace).
			List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=eksguard"})
		if err != nil {
			return err
		}
		for _, pod := range pods.Items {
			same := cmp.Equal(pod.Annotations, template.Annotations, cmpopts.EquateEmpty()) &&
				cmp.Equal(pod.Spec.Containers[0].Args, template.Spec.Containers[0].Args)
			if same && pod.Spec.NodeName == "" && pod.DeletionTimestamp == nil {
				found = pod
				return nil
			}
		}
		return fmt.Errorf("there is none among %d", len(pods.Items))
	})
	return found
}

// portOf is the number of a named port of the Pod's container.
func portOf(t testing.TB, pod corev1.PodSpec, name string) int32 {
	t.Helper()
	i := slices.IndexFunc(pod.Containers[0].Ports, func(p corev1.ContainerPort) bool { return p.Name == name })
	if i < 0 {
		t.Fatalf("the Pod has no port %q", name)
	}
	return pod.Containers[0].Ports[i].ContainerPort
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
func variables(t testing.TB, pod corev1.Pod) (found []string) {
	t.Helper()
	for _, variable := range pod.Spec.Containers[0].Env {
		value := variable.Value
		if from := variable.ValueFrom; from != nil {
			if from.FieldRef == nil || from.FieldRef.FieldPath != "metadata.name" {
				t.Fatalf("variable %q is from something else than the Pod's name", variable.Name)
			}
			value = pod.Name
		}
		found = append(found, variable.Name+"="+value)
	}
	return found
}
