// Command bench sets the running eksguard beside a controller-runtime webhook that allows everything: the same reviews,
// over the same number of connections, in turns, on the same machine. What counts is the ratio; the figures by themselves
// are the machine's.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mozilla-iam/eksguard/test/checkout"
	"github.com/mozilla-iam/eksguard/test/local"
)

type options struct {
	requests, rounds, connections int
	settings                      string
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == noopCommand {
		if err := serveNoop(os.Args[2]); err != nil {
			log.Fatal(err)
		}
		return
	}
	var o options
	flag.IntVar(&o.requests, "requests", 6000, "requests in a round")
	flag.IntVar(&o.rounds, "rounds", 9, "rounds for each server; the first is a warm-up")
	flag.IntVar(&o.connections, "connections", 4, "connections at once")
	flag.StringVar(&o.settings, "settings", "", "settings file for eksguard")
	flag.Parse()
	if err := run(o); err != nil {
		log.Fatal(err)
	}
}

func run(o options) (err error) {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	fmt.Println("starting a control plane, eksguard and the webhook that allows everything …")
	plane, err := local.StartControlPlane(ctx, local.Options{})
	if err != nil {
		return err
	}
	defer stop(plane, &err)
	if err := createNamespaces(ctx, plane); err != nil {
		return err
	}
	guard, err := local.StartEksguard(ctx, local.EksguardOptions{
		Kubeconfig: plane.Kubeconfig, Settings: o.settings, ExtraArgs: []string{"--log-level=error", "--drain-delay=0s"}})
	if err != nil {
		return err
	}
	defer stop(guard, &err)
	noop, err := startNoop(ctx)
	if err != nil {
		return err
	}
	defer noop.stop()
	reviews, err := readReviews()
	if err != nil {
		return err
	}
	subjects := []*subject{
		{name: "eksguard", note: "Pods of 200 roles", pid: guard.PID, url: guard.WebhookURL + "/validate/iam-role",
			judges: true, kinds: 200},
		{name: "eksguard", note: "no role seen before", pid: guard.PID, url: guard.WebhookURL + "/validate/iam-role", judges: true},
		{name: "allow everything", pid: noop.pid, url: noop.url},
	}
	for round := range o.rounds {
		for _, s := range subjects {
			measured, err := s.round(ctx, o, reviews)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			if round > 0 {
				s.rounds = append(s.rounds, measured)
			}
		}
		fmt.Printf("round %d of %d\n", round+1, o.rounds)
	}
	report(o, reviews, subjects)
	return nil
}

// createNamespaces makes one whose annotation allows every role of the convention, and one that has none.
func createNamespaces(ctx context.Context, plane *local.ControlPlane) error {
	for _, name := range []string{"webservice-01", "webservice-02"} {
		if err := plane.CreateNamespace(ctx, name); err != nil {
			return err
		}
	}
	_, err := plane.Kubectl().Succeed(ctx, "", "annotate", "namespace", "webservice-01", `iam.amazonaws.com/allowed-roles=["eks-*"]`)
	return err
}

func stop(s interface{ Stop() error }, err *error) {
	if stopErr := s.Stop(); *err == nil {
		*err = stopErr
	}
}

// review is a body and the verdict that it must get of eksguard.
type review struct {
	body    []byte
	verdict []byte
}

func readReviews() ([]review, error) {
	root, err := checkout.Root()
	if err != nil {
		return nil, err
	}
	body, err := os.ReadFile(filepath.Join(root, "internal", "policy", "testdata", "pod-review.json"))
	if err != nil {
		return nil, err
	}
	if !bytes.Contains(body, []byte(role)) || !bytes.Contains(body, []byte(namespace)) {
		return nil, fmt.Errorf("the review does not hold %q and %q", role, namespace)
	}
	denied := bytes.ReplaceAll(body, []byte(namespace), []byte(`"namespace":"webservice-02"`))
	return []review{{body, []byte(`"allowed":true`)}, {denied, []byte(`"allowed":false`)}}, nil
}

// subject is a server that is measured.
type subject struct {
	name, note, url string
	pid             int
	// judges is whether its verdicts are checked.
	judges bool
	// kinds is how many different roles the Pods ask for; zero for one of its own for every Pod, so that nothing that was
	// decided before helps.
	kinds  int64
	sent   atomic.Int64
	rounds []measured
}

// body makes a review that is not like the last.
func (s *subject) body(r review) []byte {
	n := s.sent.Add(1)
	if s.kinds > 0 {
		n %= s.kinds
	}
	return bytes.Replace(r.body, []byte(role), fmt.Appendf(nil, "role/eks-service-%08d-prod", n), 1)
}

// role is what the Pod of the review asks for, and namespace where it lives.
const (
	role      = "role/eks-webservice-01-prod"
	namespace = `"namespace":"webservice-01"`
)

type measured struct {
	perSecond, cpu float64 // requests per second; microseconds of server CPU per request
	p50, p99       time.Duration
}

func (s *subject) round(ctx context.Context, o options, reviews []review) (measured, error) {
	each := o.requests / o.connections
	latencies := make([][]time.Duration, o.connections)
	errs := make([]error, o.connections)
	before, err := cpuTime(s.pid)
	if err != nil {
		return measured{}, err
	}
	started := time.Now()
	var workers sync.WaitGroup
	for w := range o.connections {
		workers.Go(func() { latencies[w], errs[w] = s.send(ctx, each, reviews) })
	}
	workers.Wait()
	took := time.Since(started)
	after, err := cpuTime(s.pid)
	if err != nil {
		return measured{}, err
	}
	for _, err := range errs {
		if err != nil {
			return measured{}, err
		}
	}
	all := slices.Concat(latencies...)
	slices.Sort(all)
	n := len(all)
	return measured{
		perSecond: float64(n) / took.Seconds(),
		cpu:       float64((after - before).Microseconds()) / float64(n),
		p50:       all[n/2], p99: all[n*99/100],
	}, nil
}

// send sends requests one after the other over a connection of its own, as the API server does to a Service: HTTP/1.1 over
// TLS 1.3 (kubernetes/apiserver: pkg/util/webhook/client.go).
func (s *subject) send(ctx context.Context, n int, reviews []review) ([]time.Duration, error) {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	latencies := make([]time.Duration, 0, n)
	for i := range n {
		r := reviews[i%len(reviews)]
		body := s.body(r)
		started := time.Now()
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := client.Do(request)
		if err != nil {
			return nil, err
		}
		answer, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			return nil, err
		}
		latencies = append(latencies, time.Since(started))
		if response.StatusCode != http.StatusOK || (s.judges && !bytes.Contains(answer, r.verdict)) {
			return nil, fmt.Errorf("%s: want %s, got %s", response.Status, r.verdict, answer)
		}
	}
	return latencies, nil
}

// cpuTime is what a process has used so far, user and system (proc(5), /proc/<pid>/stat; a tick is 10 ms).
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// report prints the figures; the last subject is the one that the others are set beside.
func report(o options, reviews []review, subjects []*subject) {
	base := subjects[len(subjects)-1]
	fmt.Printf("\nPod reviews of %.1f KiB, half of them denied by eksguard; %d connections; medians of %d rounds of %d requests\n\n",
		float64(len(reviews[0].body))/1024, o.connections, len(base.rounds), o.requests)
	fmt.Printf("%-36s %10s %10s %10s %13s  %s\n", "", "requests/s", "p50", "p99", "CPU/request", "CPU ratio (min to max)")
	for _, s := range subjects {
		var ratios []float64
		for i := range s.rounds {
			ratios = append(ratios, s.rounds[i].cpu/base.rounds[i].cpu)
		}
		slices.Sort(ratios)
		name := s.name
		if s.note != "" {
			name += ", " + s.note
		}
		fmt.Printf("%-36s %10.0f %10s %10s %10.0f µs  %.2f (%.2f to %.2f)\n", name,
			median(s.rounds, func(m measured) float64 { return m.perSecond }),
			time.Duration(median(s.rounds, func(m measured) float64 { return float64(m.p50) })).Round(time.Microsecond),
			time.Duration(median(s.rounds, func(m measured) float64 { return float64(m.p99) })).Round(time.Microsecond),
			median(s.rounds, func(m measured) float64 { return m.cpu }),
			ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1])
	}
}

func median(rounds []measured, of func(measured) float64) float64 {
	values := make([]float64, len(rounds))
	for i, m := range rounds {
		values[i] = of(m)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
