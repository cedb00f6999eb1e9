package chart_test

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// The networks are reserved for documentation (RFC 5737), and exist in the kernel's network namespaces alone.
const (
	nodeAddress      = "203.0.113.1"
	apiServerAddress = "203.0.113.10" // of the network interface that a managed control plane has in the cluster's network
	otherAddress     = "203.0.113.20" // of a machine beside it
	podNetwork       = "192.0.2."
	podGateway       = "169.254.1.1"
)

// node is a node in a network as the VPC CNI of AWS sets one up: each Pod has a network namespace of its own, whose one way
// out leads to the node, which forwards.
type node struct {
	t testing.TB
	// host is the node, apiServer and other are in the network that it is in.
	host, apiServer, other place
	pods                   int
}

// place is where one can connect from: a network namespace, and one of its addresses.
type place struct {
	namespace netns.NsHandle
	address   string
}

// newNode makes a node, with a way from the address of the API server to the one that runs on this machine, until the test
// ends.
func newNode(t testing.TB) *node {
	t.Helper()
	outside := newNetwork(t)
	n := &node{
		t: t, host: place{newNetwork(t), nodeAddress},
		apiServer: place{outside, apiServerAddress}, other: place{outside, otherAddress},
	}
	must(t, n.host.do(func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0) }))
	n.connect(outside, "ens5")
	n.give(n.host, "ens5", nodeAddress+"/24")
	n.give(n.apiServer, "eth0", apiServerAddress+"/24")
	n.give(n.apiServer, "eth0", otherAddress+"/24")
	n.route(n.apiServer, "eth0", "0.0.0.0/0", nodeAddress)
	server, _, err := rest.DefaultServerUrlFor(cluster.Plane(t).Config)
	must(t, err)
	n.apiServer.serve(t, apiServerAddress+":443", func(incoming net.Conn) {
		outgoing, err := net.Dial("tcp", server.Host)
		if err != nil {
			return // it shows at the other end
		}
		go local.Splice(outgoing, incoming)
		local.Splice(incoming, outgoing)
	})
	return n
}

// newNetwork makes a network namespace, which the kernel removes with what is in it.
func newNetwork(t testing.TB) netns.NsHandle {
	t.Helper()
	var made netns.NsHandle
	must(t, inNetwork(netns.None(), func() (err error) {
		made, err = netns.New()
		return err
	}))
	t.Cleanup(func() { _ = made.Close() }) // nothing of it is in use
	raiseLoopback(t, made)
	return made
}

func raiseLoopback(t testing.TB, namespace netns.NsHandle) {
	t.Helper()
	onLink(t, namespace, "lo", (*netlink.Handle).LinkSetUp)
}

// inNetwork does something on a thread that is in a network namespace. What it starts and opens is in there, too.
func inNetwork(namespace netns.NsHandle, do func() error) (err error) {
	runtime.LockOSThread()
	origin, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() {
		// A thread that cannot go back stays locked, and ends with its goroutine.
		if back := netns.Set(origin); back != nil {
			err = errors.Join(err, back)
		} else {
			runtime.UnlockOSThread()
		}
		_ = origin.Close()
	}()
	if namespace.IsOpen() {
		if err := netns.Set(namespace); err != nil {
			return err
		}
	}
	return do()
}

// with configures a network namespace.
func with(t testing.TB, namespace netns.NsHandle, do func(*netlink.Handle) error) {
	t.Helper()
	handle, err := netlink.NewHandleAt(namespace)
	must(t, err)
	defer handle.Close()
	must(t, do(handle))
}

// onLink configures an interface of a network namespace.
func onLink(t testing.TB, namespace netns.NsHandle, name string, do func(*netlink.Handle, netlink.Link) error) {
	t.Helper()
	with(t, namespace, func(h *netlink.Handle) error {
		link, err := h.LinkByName(name)
		if err != nil {
			return err
		}
		return do(h, link)
	})
}

// connect lays a cable from the node, where the interface has a name, to eth0 elsewhere.
func (n *node) connect(to netns.NsHandle, name string) {
	n.t.Helper()
	with(n.t, n.host.namespace, func(h *netlink.Handle) error {
		attributes := netlink.NewLinkAttrs()
		attributes.Name = name
		cable := &netlink.Veth{LinkAttrs: attributes, PeerName: "eth0", PeerNamespace: netlink.NsFd(to)}
		if err := h.LinkAdd(cable); err != nil {
			return err
		}
		return h.LinkSetUp(cable)
	})
	onLink(n.t, to, "eth0", (*netlink.Handle).LinkSetUp)
}

func (n *node) give(to place, name, address string) {
	n.t.Helper()
	onLink(n.t, to.namespace, name, func(h *netlink.Handle, link netlink.Link) error {
		parsed, err := netlink.ParseAddr(address)
		if err != nil {
			return err
		}
		return h.AddrAdd(link, parsed)
	})
}

// route has a place send to a network by a gateway, or directly if that is empty.
func (n *node) route(of place, name, network, gateway string) {
	n.t.Helper()
	onLink(n.t, of.namespace, name, func(h *netlink.Handle, link netlink.Link) error {
		to, err := netlink.ParseIPNet(network)
		if err != nil {
			return err
		}
		route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: to}
		if gateway != "" {
			route.Gw = net.ParseIP(gateway)
		} else {
			route.Scope = netlink.SCOPE_LINK
		}
		return h.RouteAdd(route)
	})
}

// attach gives a Pod its network, as a CNI does: an interface on the node, with the name by which Calico finds it, is the
// Pod's gateway (aws/amazon-vpc-cni-k8s: cmd/routed-eni-cni-plugin/driver/driver.go).
func (n *node) attach(namespace, name string) place {
	n.t.Helper()
	n.pods++
	pod := place{newNetwork(n.t), podNetwork + fmt.Sprint(n.pods)}
	sum := sha1.Sum([]byte(namespace + "." + name))
	host := "eni" + hex.EncodeToString(sum[:])[:11]
	n.connect(pod.namespace, host)
	n.route(n.host, host, pod.address+"/32", "")
	n.give(pod, "eth0", pod.address+"/32")
	n.route(pod, "eth0", podGateway+"/32", "")
	n.route(pod, "eth0", "0.0.0.0/0", podGateway)
	var gateway net.HardwareAddr
	onLink(n.t, n.host.namespace, host, func(_ *netlink.Handle, link netlink.Link) error {
		gateway = link.Attrs().HardwareAddr
		return nil
	})
	onLink(n.t, pod.namespace, "eth0", func(h *netlink.Handle, link netlink.Link) error {
		return h.NeighAdd(&netlink.Neigh{LinkIndex: link.Attrs().Index, State: netlink.NUD_PERMANENT,
			IP: net.ParseIP(podGateway), HardwareAddr: gateway})
	})
	return pod
}

// reached is how the Pod at a place is reached.
func (n *node) reached(at place) *local.PodNetwork {
	return &local.PodNetwork{Address: at.address, FromNode: n.host.dial, FromAPIServer: n.apiServer.dial}
}

// asSeen is a configuration of a client, changed to how one on the node's network sees the API server.
func (n *node) asSeen(config *rest.Config) *rest.Config {
	seen := rest.CopyConfig(config)
	seen.Host, seen.ServerName = "https://"+apiServerAddress, "localhost"
	return seen
}

// run runs a Pod that does nothing, until the test ends.
func (n *node) run(namespace, name string) place {
	n.t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": name}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "none", Image: "none"}}},
	}
	pods := cluster.Clients(n.t).CoreV1().Pods(namespace)
	e2e.Eventually(n.t, 30*time.Second, "the namespace takes Pods", func() error {
		_, err := pods.Create(n.t.Context(), pod, metav1.CreateOptions{})
		return err
	})
	n.t.Cleanup(func() {
		now := int64(0)
		ctx := context.WithoutCancel(n.t.Context())
		if err := pods.Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
			n.t.Error(err)
		}
	})
	at := n.attach(namespace, name)
	must(n.t, cluster.Plane(n.t).RunPod(n.t.Context(), local.PodProcess{
		Namespace: namespace, Name: name, Network: n.reached(at), Terminate: func() {}, Done: make(chan struct{}),
	}))
	return at
}

// do does something there: what it starts and opens is there, too.
func (p place) do(something func() error) error { return inNetwork(p.namespace, something) }

// start starts a process there.
func (p place) start(cmd *exec.Cmd) error { return p.do(cmd.Start) }

// dial is DialContext of a net.Dialer that is there.
func (p place) dial(ctx context.Context, network, address string) (connection net.Conn, err error) {
	dialer := net.Dialer{}
	if network == "udp" {
		dialer.LocalAddr = &net.UDPAddr{IP: net.ParseIP(p.address)}
	} else {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(p.address)}
	}
	err = p.do(func() error {
		connection, err = dialer.DialContext(ctx, network, address)
		return err
	})
	return connection, err
}

// serve has connections to an address there answered, until the test ends.
func (p place) serve(t testing.TB, address string, answer func(net.Conn)) {
	t.Helper()
	var listener net.Listener
	must(t, p.do(func() (err error) {
		listener, err = net.Listen("tcp", address)
		return err
	}))
	t.Cleanup(func() { _ = listener.Close() }) // what came by it has ended, or ends by itself
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return // it was closed
			}
			go func() {
				answer(connection)
				_ = connection.Close()
			}()
		}
	}()
}

// echo has packets to an address there come back, until the test ends.
func (p place) echo(t testing.TB, address string) {
	t.Helper()
	var listener net.PacketConn
	must(t, p.do(func() (err error) {
		listener, err = net.ListenPacket("udp", address)
		return err
	}))
	t.Cleanup(func() { _ = listener.Close() }) // nobody waits for more of it
	go func() {
		packet := make([]byte, 1<<10)
		for {
			size, from, err := listener.ReadFrom(packet)
			if err != nil {
				return // it was closed
			}
			_, _ = listener.WriteTo(packet[:size], from) // it is asked again
		}
	}()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
