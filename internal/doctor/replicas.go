package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mozilla-iam/eksguard/internal/excerpt"
)

const (
	// healthPort is the name of the container port with /status, and defaultHealthPort the number where none has the name.
	healthPort        = "health"
	defaultHealthPort = "8081"
	maxStatus         = 1 << 20
	// statusTimeout is how long a replica may take to answer. An API server waits for minutes for a Pod that it does not reach.
	statusTimeout = 5 * time.Second
)

// status is what is read of a replica's /status.
type status struct {
	Version  string `json:"version"`
	Ready    bool   `json:"ready"`
	Reason   string `json:"reason"`
	Revision string `json:"revision"`
	Bundles  map[string]struct {
		Message string `json:"message"`
		Reason  string `json:"reason"`
	} `json:"bundles"`
	ClusterState map[string]bool `json:"cluster_state"`
}

// replica is one that is asked.
type replica struct {
	ask func(context.Context) ([]byte, error)
	do  string // if it does not answer
}

// lookAtReplicas asks every replica how it is.
func lookAtReplicas(ctx context.Context, e *examination) (string, error) {
	replicas := map[string]replica{} // by what they are called
	for _, address := range e.Addresses {
		replicas[address] = replica{
			ask: func(ctx context.Context) ([]byte, error) { return e.get(ctx, address) },
			do:  described(e.Namespace),
		}
	}
	if len(e.Addresses) == 0 {
		pods, err := e.Clients.CoreV1().Pods(e.Namespace).List(ctx, metav1.ListOptions{
			LabelSelector: Selector, Limit: maxReplicas})
		if err != nil {
			return "", fmt.Errorf("list eksguard's Pods: %w", err)
		}
		for i := range pods.Items {
			pod := &pods.Items[i]
			port := portOf(pod)
			replicas["Pod "+pod.Name] = replica{
				ask: func(ctx context.Context) ([]byte, error) {
					return e.Clients.CoreV1().Pods(e.Namespace).ProxyGet("http", pod.Name, port, "status", nil).DoRaw(ctx)
				},
				do: fmt.Sprintf("%[1]s; if it is ready, the API server does not reach its port %[2]s: open that (security group, the "+
					"chart's networkPolicy.apiServerCIDRs), or kubectl -n %[3]s port-forward %[4]s %[2]s and "+
					"doctor --address http://127.0.0.1:%[2]s", described(e.Namespace), port, e.Namespace, pod.Name),
			}
		}
	}
	e.lookAtNumber(len(replicas))
	revisions := map[string][]string{} // replicas by revision
	for _, name := range slices.Sorted(maps.Keys(replicas)) {
		s, err := readStatus(ctx, replicas[name].ask)
		if err != nil {
			e.find(Finding{
				Severity: Error,
				What:     fmt.Sprintf("%s does not tell its status: %s", name, excerpt.Of(err.Error(), maxText)),
				Why:      "it may not answer reviews either",
				Do:       replicas[name].do,
			})
			continue
		}
		e.lookAtStatus(name, s)
		revisions[s.Revision] = append(revisions[s.Revision], name)
	}
	e.lookAtRevisions(revisions)
	saw := strconv.Itoa(len(replicas))
	if len(revisions) > 0 {
		saw += ", revision " + strings.Join(slices.Sorted(maps.Keys(revisions)), ", ")
	}
	return saw, nil
}

func (e *examination) lookAtNumber(replicas int) {
	switch replicas {
	case 0:
		e.find(Finding{
			Severity: Error,
			What:     fmt.Sprintf("namespace %q has no Pod with label %s", e.Namespace, Selector),
			Why:      "nobody answers the API server, unless eksguard runs elsewhere",
			Do: fmt.Sprintf("kubectl -n %s get deployment eksguard; if it runs elsewhere, give --namespace or --address",
				e.Namespace),
		})
	case 1:
		e.find(Finding{
			Severity: Warning,
			What:     "there is one replica",
			Why:      "while it is replaced or its node is drained, nobody answers, and failurePolicy decides",
			Do: fmt.Sprintf(
				"kubectl -n %s scale deployment/eksguard --replicas=2, or the chart's value replicas",
				e.Namespace,
			),
		})
	}
}

func (e *examination) lookAtStatus(replica string, s *status) {
	if !s.Ready {
		e.find(Finding{
			Severity: Error,
			What:     fmt.Sprintf("%s is not ready: %s", replica, excerpt.Of(s.Reason, maxText)),
			Why:      "it gets no reviews",
			Do:       e.logs(),
		})
	}
	for _, name := range slices.Sorted(maps.Keys(s.Bundles)) {
		if b := s.Bundles[name]; b.Reason != "" {
			e.find(Finding{
				Severity: Error,
				What: fmt.Sprintf(
					"%s does not take bundle %q (%s): %s",
					replica,
					excerpt.Of(name, maxText),
					excerpt.Of(b.Reason, maxText),
					excerpt.Of(b.Message, maxText),
				),
				Why: "the policies before it go on deciding",
				Do:  "put the bundle right (docs/bundles.md)",
			})
		}
	}
	var unsynced []string
	for kind, synced := range s.ClusterState {
		if !synced {
			unsynced = append(unsynced, kind)
		}
	}
	if slices.Sort(unsynced); len(unsynced) > 0 {
		e.find(Finding{
			Severity: Error,
			What:     fmt.Sprintf("%s does not know the cluster state that policies read: %s", replica, listed(unsynced)),
			Why:      "it is not ready before it does",
			Do:       "let the ServiceAccount of eksguard list and watch it: the chart's value rbac.needs",
		})
	}
}

func (e *examination) lookAtRevisions(revisions map[string][]string) {
	if len(revisions) > 1 {
		var parts []string
		for _, revision := range slices.Sorted(maps.Keys(revisions)) {
			parts = append(parts, fmt.Sprintf("%q at %s", excerpt.Of(revision, maxText), listed(revisions[revision])))
		}
		e.find(Finding{
			Severity: Error,
			What:     "replicas decide by different revisions: " + strings.Join(parts, "; "),
			Why:      "the same write is admitted or denied by chance",
			Do: fmt.Sprintf("wait if a rollout is under way, and otherwise kubectl -n %s rollout restart deployment/eksguard",
				e.Namespace),
		})
	}
	for _, revision := range slices.Sorted(maps.Keys(revisions)) {
		if revision != e.Snapshot.Revision() {
			e.find(Finding{
				Severity: Info,
				What: fmt.Sprintf("the revision that decides, %q, is not the one that you examine by, %q",
					excerpt.Of(revision, maxText), e.Snapshot.Revision()),
				Why: "what doctor says of registration and settings is about the latter",
				Do:  "give doctor what serve was given: --bundle and --settings",
			})
		}
	}
}

func readStatus(ctx context.Context, ask func(context.Context) ([]byte, error)) (*status, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	text, err := ask(ctx)
	if err != nil {
		return nil, err
	}
	s := &status{}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("/status is not what eksguard tells: %w", err)
	}
	return s, nil
}

func portOf(pod *corev1.Pod) string {
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			if port.Name == healthPort {
				return strconv.Itoa(int(port.ContainerPort))
			}
		}
	}
	return defaultHealthPort
}

func (e *examination) get(ctx context.Context, address string) ([]byte, error) {
	target, err := url.JoinPath(address, "status")
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	response, err := e.HTTP.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxStatus))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", target, response.Status)
	}
	return text, nil
}
