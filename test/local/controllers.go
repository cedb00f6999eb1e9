package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// startControllers starts kube-controller-manager and waits until its controllers do their work.
func (c *ControlPlane) startControllers(ctx context.Context, logs *sink, patience time.Duration) error {
	args, release, err := c.controllerArgs(ctx)
	if err != nil {
		return err
	}
	release()
	const name = "kube-controller-manager"
	c.controllers, err = startProcess(name, filepath.Join(c.BinDir, name), args, nil, logs.writer(name+" | "))
	if err != nil {
		return err
	}
	c.controllers.unhandled = true
	if err := c.tryControllers(ctx, patience); err != nil {
		return fmt.Errorf("trying kube-controller-manager: %w", err)
	}
	return nil
}

func (c *ControlPlane) controllerArgs(ctx context.Context) (args []string, release func(), err error) {
	dir := filepath.Join(c.Dir, "kube-controller-manager")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("making the folder of kube-controller-manager: %w", err)
	}
	user, err := c.AddUser("system:kube-controller-manager")
	if err != nil {
		return nil, nil, err
	}
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := WriteKubeconfig(user, kubeconfig); err != nil {
		return nil, nil, err
	}
	authority := filepath.Join(dir, "ca.crt")
	if err := os.WriteFile(authority, c.Config.CAData, 0o600); err != nil {
		return nil, nil, fmt.Errorf("writing the certificate authority: %w", err)
	}
	ports, release, err := reservePorts(ctx, 1)
	if err != nil {
		return nil, nil, err
	}
	controllers := "*"
	if c.network != nil {
		controllers += ",-node-lifecycle-controller"
	}
	return []string{
		"--controllers=" + controllers,
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=" + loopback,
		fmt.Sprintf("--secure-port=%d", ports[0]),
		"--cert-dir=" + dir,
		"--leader-elect=false",
		"--root-ca-file=" + authority,
		"--service-account-private-key-file=" + filepath.Join(c.Dir, "kube-apiserver", "sa-signer.key"),
		// So that a review names the controller that asked, as on a cluster, and not the one user that runs them all.
		"--use-service-account-credentials=true",
		// Each of them first asks for its token; at the default rate that alone takes 5 seconds.
		"--kube-api-qps=1000", "--kube-api-burst=1000",
	}, release, nil
}

// tryControllers has the controllers do what they are there for, because a healthy endpoint tells only that the process
// listens: they start one by one after that, and the garbage collector first has to learn about every resource.
func (c *ControlPlane) tryControllers(ctx context.Context, patience time.Duration) error {
	// First, because the namespace controller lets a namespace rest for 5 seconds before it ends it.
	if err := c.tryNamespace(ctx); err != nil {
		return err
	}
	if err := c.tryReplicaSet(ctx, patience); err != nil {
		return err
	}
	if err := c.controllers.await(ctx, patience, not(c.hasNamespace(tryName))); err != nil {
		return fmt.Errorf("waiting for the end of namespace %q: %w", tryName, err)
	}
	return nil
}

// tryName is the name of what is made to try the controllers. Nothing of it is left.
const tryName = "eksguard-local-try"

func (c *ControlPlane) tryNamespace(ctx context.Context) error {
	if err := createNamespace(ctx, c.clients, tryName); err != nil {
		return err
	}
	if err := c.clients.CoreV1().Namespaces().Delete(ctx, tryName, metav1.DeleteOptions{}); err != nil {
		return fmt.Errorf("deleting namespace %q: %w", tryName, err)
	}
	return nil
}

func (c *ControlPlane) tryReplicaSet(ctx context.Context, patience time.Duration) error {
	if err := c.CreateNamespace(ctx, metav1.NamespaceDefault); err != nil {
		return err
	}
	sets := c.clients.AppsV1().ReplicaSets(metav1.NamespaceDefault)
	if _, err := sets.Create(ctx, replicaSet(tryName), metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating ReplicaSet %q: %w", tryName, err)
	}
	if err := c.controllers.await(ctx, patience, c.hasPods); err != nil {
		return fmt.Errorf("waiting for the Pod of ReplicaSet %q: %w", tryName, err)
	}
	// Foreground: the ReplicaSet goes only after its Pod.
	foreground := metav1.DeletePropagationForeground
	if err := sets.Delete(ctx, tryName, metav1.DeleteOptions{PropagationPolicy: &foreground}); err != nil {
		return fmt.Errorf("deleting ReplicaSet %q: %w", tryName, err)
	}
	if err := c.controllers.await(ctx, patience, not(c.hasReplicaSets)); err != nil {
		return fmt.Errorf("waiting for the garbage collector: %w", err)
	}
	return nil
}

func (c *ControlPlane) hasPods(ctx context.Context) (bool, error) {
	pods, err := c.clients.CoreV1().Pods(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{})
	return err == nil && len(pods.Items) > 0, err
}

func (c *ControlPlane) hasReplicaSets(ctx context.Context) (bool, error) {
	sets, err := c.clients.AppsV1().ReplicaSets(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{})
	return err == nil && len(sets.Items) > 0, err
}

func (c *ControlPlane) hasNamespace(name string) question {
	return func(ctx context.Context) (bool, error) {
		_, err := c.clients.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
		return found(err)
	}
}

func replicaSet(name string) *appsv1.ReplicaSet {
	labels := map[string]string{"app": name}
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.ReplicaSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "none", Image: "none"}}},
			},
		},
	}
}
