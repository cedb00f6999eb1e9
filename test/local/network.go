package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// network is what the API server reaches Services and Pods by. It stands in for kube-proxy and for a CNI: the addresses of
// Services lead to the Pods that the real EndpointSlices name as ready, in turn, and those of Pods to where they run, on this
// machine or in a network of their own. The API server asks for an address over a Unix socket, as a managed control plane
// asks the proxy into its cluster's network (kubernetes/apiserver: pkg/server/egressselector).
type network struct {
	server *http.Server
	config string // the file that the API server is to be given
	// lasting ends with the network, as does what runs.
	lasting context.Context //nolint:containedctx // Its end is stop's to say.
	end     context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	clients kubernetes.Interface
	pods    map[string]PodNetwork // by address
	given   int                   // addresses of Pods
	next    int
}

// startNetwork starts a network that keeps its files in a folder.
func startNetwork(ctx context.Context, folder string) (*network, error) {
	socket := filepath.Join(folder, "network.sock")
	var listening net.ListenConfig
	listener, err := listening.Listen(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("starting the network: %w", err)
	}
	n := &network{config: filepath.Join(folder, "network.yaml"), pods: map[string]PodNetwork{}}
	n.lasting, n.end = context.WithCancel(context.WithoutCancel(ctx))
	n.server = &http.Server{Handler: n}
	n.running.Go(func() { _ = n.server.Serve(listener) }) // until stop
	text := `apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
- name: cluster
  connection: {proxyProtocol: HTTPConnect, transport: {uds: {udsName: ` + strconv.Quote(socket) + `}}}
`
	if err := os.WriteFile(n.config, []byte(text), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the network: %w", err), n.stop())
	}
	return n, nil
}

func (n *network) stop() error {
	n.end()
	err := n.server.Close()
	n.running.Wait()
	return err
}

// serves has it look for Services there.
func (n *network) serves(clients kubernetes.Interface) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.clients = clients
}

// join has a Pod be reached, under an address that is reserved for documentation if it has no network of its own.
func (n *network) join(p PodProcess) PodNetwork {
	n.mu.Lock()
	defer n.mu.Unlock()
	var reached PodNetwork
	if p.Network != nil {
		reached = *p.Network
	} else {
		n.given++
		dial := dialPorts(p.Ports)
		reached = PodNetwork{Address: fmt.Sprintf("198.51.100.%d", n.given), FromNode: dial, FromAPIServer: dial}
	}
	n.pods[reached.Address] = reached
	return reached
}

// dialPorts connects with ports of a Pod that are elsewhere on this machine.
func dialPorts(ports map[int32]string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		_, port, err := split(address)
		if err != nil {
			return nil, err
		}
		here, found := ports[port]
		if !found {
			return nil, fmt.Errorf("%s: connection refused", address)
		}
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, here)
	}
}

func split(address string) (host string, port int32, err error) {
	host, number, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseInt(number, 10, 32)
	if err != nil {
		return "", 0, fmt.Errorf("address %q: %w", address, err)
	}
	return host, int32(n), nil
}

// leave takes a Pod's address back. Connections to it stay as they are.
func (n *network) leave(address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.pods, address)
}

// ServeHTTP implements http.Handler: it connects the API server with a Service or a Pod.
func (n *network) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	if request.Method != http.MethodConnect {
		http.Error(response, "connections only", http.StatusMethodNotAllowed)
		return
	}
	outgoing, err := n.dial(request.Context(), request.RequestURI)
	if err != nil {
		http.Error(response, err.Error(), http.StatusBadGateway)
		return
	}
	incoming, _, err := http.NewResponseController(response).Hijack()
	if err != nil {
		_ = outgoing.Close() // nothing was sent on it
		http.Error(response, err.Error(), http.StatusInternalServerError)
		return
	}
	// An error shows in the copying, too.
	_, _ = io.WriteString(incoming, "HTTP/1.1 200 OK\r\n\r\n")
	go Splice(incoming, outgoing)
	go Splice(outgoing, incoming)
}

// Splice copies until either side ends, and then ends both.
func Splice(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
	_ = from.Close()
}

func (n *network) dial(ctx context.Context, address string) (net.Conn, error) {
	host, port, err := split(address)
	if err != nil {
		return nil, err
	}
	if host, port, err = n.resolve(ctx, host, port); err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	n.mu.Lock()
	pod, found := n.pods[host]
	n.mu.Unlock()
	if !found {
		return nil, fmt.Errorf("%s: no route to host", address)
	}
	return pod.FromAPIServer(ctx, "tcp", net.JoinHostPort(host, fmt.Sprint(port)))
}

// resolve is where a port leads to: a Service's to that of one of its Pods, and a Pod's to itself.
func (n *network) resolve(ctx context.Context, host string, port int32) (string, int32, error) {
	n.mu.Lock()
	clients := n.clients
	n.mu.Unlock()
	if clients == nil {
		return "", 0, errors.New("there is no cluster yet")
	}
	services, err := clients.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", 0, err
	}
	i := slices.IndexFunc(services.Items, func(s corev1.Service) bool { return s.Spec.ClusterIP == host })
	if i < 0 {
		return host, port, nil
	}
	return n.endpoint(ctx, clients, &services.Items[i], port)
}

// endpoint is the address and the port of one of the Pods that are ready behind a port of a Service.
func (n *network) endpoint(ctx context.Context, clients kubernetes.Interface, service *corev1.Service, port int32,
) (string, int32, error) {
	i := slices.IndexFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == port })
	if i < 0 {
		return "", 0, errors.New("the Service has no such port")
	}
	found, err := clients.DiscoveryV1().EndpointSlices(service.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: discoveryv1.LabelServiceName + "=" + service.Name})
	if err != nil {
		return "", 0, err
	}
	type endpoint struct {
		address string
		port    int32
	}
	var ready []endpoint
	for _, endpoints := range found.Items {
		for _, p := range endpoints.Ports {
			if p.Name == nil || p.Port == nil || *p.Name != service.Spec.Ports[i].Name {
				continue
			}
			for _, e := range endpoints.Endpoints {
				if e.Conditions.Ready != nil && *e.Conditions.Ready {
					ready = append(ready, endpoint{e.Addresses[0], *p.Port})
				}
			}
		}
	}
	if len(ready) == 0 {
		return "", 0, errors.New("the Service has no endpoint that is ready")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.next++
	chosen := ready[n.next%len(ready)]
	return chosen.address, chosen.port, nil
}
