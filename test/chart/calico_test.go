package chart_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netns"

	"github.com/mozilla-iam/eksguard/internal/doctor"
	"github.com/mozilla-iam/eksguard/test/e2e"
	"github.com/mozilla-iam/eksguard/test/local"
)

// What an installation has besides its NetworkPolicy.
const guarding = `
image: {repository: registry.example.com/eksguard}
replicas: 1
extraArgs: [--certificate-propagation=3s]
settings: {cluster: {account: "555555555555"}}
`

// Calico's Felix, which is what enforces NetworkPolicies on nodes, reads the chart's and programs the kernel, through which
// eksguard then works and others do not come. First there is no NetworkPolicy, to see that it is what keeps them out.
func TestCalico(t *testing.T) {
	if !isRoot(t) {
		return
	}
	kubectl, helm := cluster.Kubectl(t), newHelm(t, admin)
	kubectl.Run("apply", "-f", "../../../deploy/flux/installer/namespace.yaml").Succeeded()
	kubectl.Run("create", "namespace", "monitoring").Succeeded()
	t.Cleanup(func() {
		kubectl.Run("delete", "namespace", namespace, "monitoring", "--timeout=60s").Succeeded()
	})
	n := newNode(t)
	startFelix(t, n)
	prometheus, stranger := n.run("monitoring", "prometheus"), n.run("default", "stranger")
	for _, port := range []string{"53", "80", "443"} {
		stranger.serve(t, stranger.address+":"+port, func(net.Conn) {})
	}
	stranger.echo(t, stranger.address+":53")
	stranger.echo(t, stranger.address+":443")

	helm.Install(values(t, guarding+"networkPolicy: {enabled: false}\n"))
	t.Cleanup(func() {
		helm.Uninstall()
		cluster.Unregister(t)
	})
	replica, guard := launchOn(t, n)
	replica.awaitReady(t)
	var (
		webhook = guard.address + ":" + fmt.Sprint(portOf(t, replica.pod.Spec, "webhook"))
		metrics = guard.address + ":" + fmt.Sprint(portOf(t, replica.pod.Spec, "metrics"))
		health  = guard.address + ":" + fmt.Sprint(portOf(t, replica.pod.Spec, "health"))
	)
	ways := []way{
		{"the API server sends reviews", n.apiServer, "tcp", webhook, true},
		{"a machine beside the API server", n.other, "tcp", webhook, false},
		{"a Pod sends reviews", stranger, "tcp", webhook, false},
		{"Prometheus sends reviews", prometheus, "tcp", webhook, false},
		{"Prometheus reads metrics", prometheus, "tcp", metrics, true},
		{"a Pod reads metrics", stranger, "tcp", metrics, false},
		{"the API server reads metrics", n.apiServer, "tcp", metrics, false},
		{"kubelet asks its probes", n.host, "tcp", health, true},
		{"doctor asks for its status", n.apiServer, "tcp", health, true},
		{"a Pod asks for its health", stranger, "tcp", health, false},
		{"eksguard asks the API server", guard, "tcp", apiServerAddress + ":443", true},
		{"eksguard asks DNS", guard, "udp", stranger.address + ":53", true},
		{"eksguard asks DNS by TCP", guard, "tcp", stranger.address + ":53", true},
		{"eksguard asks a bundle server", guard, "tcp", stranger.address + ":443", true},
		{"eksguard uses another port", guard, "tcp", stranger.address + ":80", false},
		{"eksguard uses another protocol", guard, "udp", stranger.address + ":443", false},
	}
	open := make([]way, len(ways))
	for i, w := range ways {
		w.open = true
		open[i] = w
	}
	checkWays(t, "without a NetworkPolicy", open)

	helm.Upgrade(values(t, guarding+"networkPolicy: {apiServerCIDRs: ["+otherAddress+"/32]}\n"))
	checkWays(t, "with the address of another machine", []way{
		{"the API server sends reviews", n.apiServer, "tcp", webhook, false},
		{"another machine", n.other, "tcp", webhook, true},
	})
	isUnreached := func(f doctor.Finding) bool {
		return strings.HasPrefix(f.What, "Pod "+replica.pod.Name+" does not tell its status: ") &&
			strings.Contains(f.Do, "; if it is ready, the API server does not reach its port 8081: open that (security group, ")
	}
	if findings := examine(t).Findings; !slices.ContainsFunc(findings, isUnreached) {
		t.Errorf("doctor does not find it: %+v", findings)
	}

	helm.Upgrade(values(t, guarding+`
networkPolicy:
  apiServerCIDRs: [`+apiServerAddress+`/32]
  metricsFrom:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}
      podSelector: {matchLabels: {app: prometheus}}
`))
	checkWays(t, "with all that it can be told", ways)
	denied(t) // a review comes by, and the answer comes back
	replica.awaitReady(t)
	// It asks each Pod, through the API server.
	for _, finding := range examine(t).Findings {
		if finding.Severity != doctor.Info && !strings.HasPrefix(finding.What, "there is one replica") {
			t.Errorf("%+v", finding)
		}
	}

	helm.Upgrade(values(t, guarding+"networkPolicy: {egressPorts: [443, 80]}\n"))
	for i, w := range ways {
		switch {
		case w.to == webhook, w.to == health, // from anywhere
			w.from == stranger && w.to == metrics, // from every Pod
			w.to == stranger.address+":80":
			ways[i].open = true
		}
	}
	checkWays(t, "with the defaults, and another port to go to", ways)
	denied(t)
}

// isRoot tells whether the test may make networks. If not, it has it run by another process that may: as root of a user
// namespace, which is nothing but this user outside of it, and in a network of that.
func isRoot(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() == 0 {
		here, err := netns.Get()
		must(t, err)
		defer func() { _ = here.Close() }() // only looked at
		raiseLoopback(t, here)
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", fmt.Sprintf("-test.short=%t", testing.Short()))
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("in a user namespace, because this is not root: %v\n%s", err, output)
	}
	return false
}

// startFelix starts Felix on the node, as the manifests of Calico do beside the VPC CNI (projectcalico/calico:
// manifests/calico-policy-only.yaml), with the resources that calico/node makes before it.
func startFelix(t *testing.T, n *node) {
	t.Helper()
	cluster.CalicoCRDs(t)
	for _, spec := range []string{
		"kind: ClusterInformation, spec: {datastoreReady: true, clusterGUID: 0123456789abcdef0123456789abcdef}",
		"kind: FelixConfiguration, spec: {}",
	} {
		cluster.As(t, admin).Create(e2e.Parse(t, "{apiVersion: crd.projectcalico.org/v1, metadata: {name: default}, "+spec+"}")).Admitted()
	}
	plane := cluster.Plane(t)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	must(t, local.WriteKubeconfig(n.asSeen(plane.Config), kubeconfig))
	cluster.Felix(t, []string{
		"KUBECONFIG=" + kubeconfig,
		"FELIX_DATASTORETYPE=kubernetes",
		"FELIX_FELIXHOSTNAME=" + local.NodeName,
		"FELIX_INTERFACEPREFIX=eni",
		"FELIX_DEFAULTENDPOINTTOHOSTACTION=ACCEPT",
		"FELIX_IPV6SUPPORT=false",
		"FELIX_LOGFILEPATH=none", "FELIX_LOGSEVERITYFILE=none", "FELIX_LOGSEVERITYSYS=none",
		"FELIX_USAGEREPORTINGENABLED=false",
		"FELIX_HEALTHENABLED=false",
	}, n.host.start)
}

// way is one of network traffic, which a NetworkPolicy leaves open or not.
type way struct {
	name    string
	from    place
	network string
	to      string
	open    bool
}

// checkWays waits until each way is as it should be.
func checkWays(t *testing.T, when string, ways []way) {
	t.Helper()
	e2e.Eventually(t, time.Minute, "the ways are as they should be "+when, func() error {
		wrong := make([]error, len(ways))
		var asking sync.WaitGroup
		for i, w := range ways {
			asking.Go(func() {
				if err := w.check(t.Context()); err != nil {
					wrong[i] = fmt.Errorf("%s, %s from %s to %s: %w", w.name, w.network, w.from.address, w.to, err)
				}
			})
		}
		asking.Wait()
		return errors.Join(wrong...)
	})
}

// check is an error unless the way is as it should be. Calico drops what it does not let through; everything else is an
// answer.
func (w way) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err := w.try(ctx)
	var timeout net.Error
	switch dropped := errors.As(err, &timeout) && timeout.Timeout(); {
	case w.open && err != nil:
		return err
	case !w.open && err == nil:
		return errors.New("it is open")
	case !w.open && !dropped:
		return fmt.Errorf("it is not closed by a NetworkPolicy: %w", err)
	}
	return nil
}

func (w way) try(ctx context.Context) error {
	connection, err := w.from.dial(ctx, w.network, w.to)
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }() // it was there, which is all that was asked
	if w.network == "tcp" {
		return nil
	}
	deadline, _ := ctx.Deadline()
	if err := connection.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := connection.Write([]byte("?")); err != nil {
		return err
	}
	_, err = connection.Read(make([]byte, 1))
	return err
}
