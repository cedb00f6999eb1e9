package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// NodeName is the node that all Pods run on.
const NodeName = "eksguard-local"

// podInterval is how often a Pod is looked at, and its readiness probe asked.
const podInterval = 200 * time.Millisecond

// PodProcess is a process on this machine that runs as a Pod.
type PodProcess struct {
	Namespace, Name string
	// Ports are where it listens on this machine, by the port of the Pod, unless it has a Network.
	Ports map[int32]string
	// Network is how it is reached if it has a network of its own. Default: by Ports, behind an address that is only known
	// here.
	Network *PodNetwork
	// Terminate ends it as kubelet does, with SIGTERM. It may be called again.
	Terminate func()
	// Done is closed once it has ended.
	Done <-chan struct{}
}

// PodNetwork is how a Pod is reached that has a network of its own.
type PodNetwork struct {
	Address string
	// FromNode and FromAPIServer connect with it from its node and from where the API server is, as DialContext of a
	// net.Dialer does.
	FromNode, FromAPIServer func(ctx context.Context, network, address string) (net.Conn, error)
}

// RunPod does for a Pod with one container what scheduler and kubelet would: the Pod is bound to a node, has an address that
// the API server reaches, is ready while its own readiness probe, if it has one, says so, is terminated when it is deleted, and goes once
// its process has ended. It needs Options.Network. It returns once the Pod is bound, and looks after it until it is gone.
func (c *ControlPlane) RunPod(ctx context.Context, p PodProcess) error {
	if c.network == nil {
		return errors.New("running a Pod: the control plane was started without Options.Network")
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: NodeName}}
	if _, err := c.clients.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("running a Pod: creating node %q: %w", NodeName, err)
	}
	binding := &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name},
		Target:     corev1.ObjectReference{Kind: "Node", Name: NodeName},
	}
	if err := c.clients.CoreV1().Pods(p.Namespace).Bind(ctx, binding, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("running a Pod: binding %s/%s: %w", p.Namespace, p.Name, err)
	}
	reached := c.network.join(p)
	asking := &http.Transport{DialContext: reached.FromNode, DisableKeepAlives: true}
	k := &kubelet{PodProcess: p, plane: c, address: reached.Address, prober: &http.Client{Transport: asking}}
	c.network.running.Go(func() { k.run(c.network.lasting) })
	return nil
}

// kubelet looks after one Pod.
type kubelet struct {
	PodProcess

	plane   *ControlPlane
	address string
	prober  *http.Client
	uid     types.UID
}

func (k *kubelet) run(ctx context.Context) {
	defer k.plane.network.leave(k.address)
	for {
		// What fails is tried again; whoever waits for the Pod gives up some time.
		if gone, err := k.sync(ctx); err == nil && gone {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(podInterval):
		}
	}
}

// sync brings the Pod's status, and the process, into the state that they should be in. It tells whether there is no such
// Pod any more.
func (k *kubelet) sync(ctx context.Context) (gone bool, err error) {
	pods := k.plane.clients.CoreV1().Pods(k.Namespace)
	pod, err := pods.Get(ctx, k.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && k.uid != "" && pod.UID != k.uid {
		k.Terminate()
		return true, nil
	}
	if err != nil {
		return false, err
	}
	k.uid = pod.UID
	if pod.DeletionTimestamp != nil {
		k.Terminate()
		if k.hasEnded() {
			var now int64
			return false, pods.Delete(ctx, k.Name, metav1.DeleteOptions{
				GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &k.uid}})
		}
	}
	status := k.status(ctx, pod)
	if IsPodReady(pod) == IsPodReady(&corev1.Pod{Status: status}) && pod.Status.PodIP == k.address {
		return false, nil
	}
	pod.Status = status
	_, err = pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	return false, err
}

func (k *kubelet) hasEnded() bool {
	select {
	case <-k.Done:
		return true
	default:
		return false
	}
}

// status is that of a Pod whose container runs.
func (k *kubelet) status(ctx context.Context, pod *corev1.Pod) corev1.PodStatus {
	ready := corev1.ConditionFalse
	if !k.hasEnded() && k.probe(ctx, pod.Spec.Containers[0]) == nil {
		ready = corev1.ConditionTrue
	}
	status, now := *pod.Status.DeepCopy(), metav1.Now()
	status.Phase = corev1.PodRunning
	status.PodIP, status.PodIPs = k.address, []corev1.PodIP{{IP: k.address}}
	status.StartTime = &now
	var conditions []corev1.PodCondition
	for _, condition := range status.Conditions {
		if condition.Type == corev1.PodScheduled {
			conditions = append(conditions, condition)
		}
	}
	for kind, value := range map[corev1.PodConditionType]corev1.ConditionStatus{
		corev1.PodInitialized: corev1.ConditionTrue, corev1.ContainersReady: ready, corev1.PodReady: ready,
	} {
		conditions = append(conditions, corev1.PodCondition{Type: kind, Status: value, LastTransitionTime: now})
	}
	status.Conditions = conditions
	return status
}

// IsPodReady tells whether a Pod has the condition Ready.
func IsPodReady(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// probe asks the container's readiness probe, which is one by HTTP, if it has one.
func (k *kubelet) probe(ctx context.Context, container corev1.Container) error {
	if container.ReadinessProbe == nil {
		return nil
	}
	probe := container.ReadinessProbe.HTTPGet
	port := probe.Port.IntVal
	for _, named := range container.Ports {
		if probe.Port.Type == intstr.String && named.Name == probe.Port.StrVal {
			port = named.ContainerPort
		}
	}
	return get(ctx, k.prober, fmt.Sprintf("http://%s:%d%s", k.address, port, probe.Path))
}

// get asks for a page as a probe does. An error has the beginning of what is answered.
func get(ctx context.Context, client *http.Client, url string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return fmt.Errorf("%s: %s: %s", url, response.Status, strings.TrimSpace(string(body)))
	}
	return nil
}
