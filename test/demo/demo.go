package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/mozilla-iam/eksguard/test/checkout"
	"github.com/mozilla-iam/eksguard/test/local"
)

// manifests is the folder, from the repository's, in which the commands of the demo run.
const manifests = "test/demo/manifests"

// step is one command of the demo and what must come of it.
type step struct {
	story   string
	command string // arguments of kubectl, as a person would type them
	denied  string // the rule that must deny it; empty if it must be admitted
	shows   string // what the output must hold
}

// The steps build on each other.
var steps = []step{
	{
		story:   "The aws-cli Pod asks kube2iam for a role whose ARN was never filled in.",
		command: "apply -f aws-cli-pod.yaml",
		denied:  "iam-role/form",
	},
	{
		story:   "webservice-01 asks for the role, and so for the secrets, of webservice-02.",
		command: "apply -f webservice-01-other-role.yaml",
		denied:  "iam-role/ownership",
	},
	{
		story:   "With its own role it is deployed …",
		command: "apply -f webservice-01.yaml",
	},
	{
		story:   "… and the controllers make its Pod, which is judged too. (It stays Pending: there are no nodes here.)",
		command: "wait -n webservice-01 --for=create pod -l app=webservice-01 --timeout=30s",
		shows:   "pod/webservice-01-",
	},
	{
		command: "get -n webservice-01 deployment,replicaset,pod",
		shows:   "pod/webservice-01-",
	},
	{
		story:   "Somebody adds admin2 to aws-auth by copying the entry above, and copies system:masters along.",
		command: "apply --server-side -f aws-auth-admin2.yaml",
		denied:  "aws-auth/admin-grant",
	},
	{
		story:   "If that is what they mean, they say so: the annotation names the new administrator.",
		command: "apply --server-side -f aws-auth-admin2-confirmed.yaml",
	},
	{
		story:   "A wrong indentation in mapRoles: the authenticator would drop every role in it, and so every node.",
		command: "apply --server-side -f aws-auth-typo.yaml",
		denied:  "aws-auth/unparsable",
	},
	{
		story:   "Flux, or whoever holds its deploy key, writes into kube-system.",
		command: "--as system:serviceaccount:flux:flux apply -f flux-kube-system.yaml",
		denied:  "flux/namespace",
	},
	{
		story:   "In its own namespace it may.",
		command: "--as system:serviceaccount:flux:flux apply -f flux-own-namespace.yaml",
	},
}

// demo plays the steps on a world of its own, which is gone when it returns. It fails if an outcome was not the
// expected one.
func demo(ctx context.Context, out io.Writer) (err error) {
	root, err := checkout.Root()
	if err != nil {
		return err
	}
	n := newNarrator(out)
	w, err := startWorld(ctx, worldOptions{root: root, progress: n.progress, started: func(local.Process) {}})
	if err != nil {
		return err
	}
	defer func() {
		n.progress("stopping everything")
		err = errors.Join(err, w.stop())
	}()
	n.say("Commands run in %s, as a cluster administrator.", manifests)
	if err := play(ctx, n, w, filepath.Join(root, manifests)); err != nil {
		return err
	}
	return n.sum()
}

func play(ctx context.Context, n *narrator, w *world, dir string) error {
	kubectl := w.plane.Kubectl()
	kubectl.Dir = dir
	for _, s := range steps {
		n.tell(s.story, "kubectl "+s.command)
		result, err := kubectl.Run(ctx, "", strings.Fields(s.command)...)
		if err != nil {
			return err
		}
		n.show(result.Output())
		n.judge(s.verdict(result))
	}
	return showMetrics(ctx, n, w.guard.MetricsURL)
}

var ruleID = regexp.MustCompile(`\[([a-z0-9-]+/[a-z0-9-]+)\]`)

// verdict tells what came of the command and whether it is what was to come.
func (s step) verdict(result local.Result) (text string, asExpected bool) {
	var rules []string
	for _, match := range ruleID.FindAllStringSubmatch(result.Stderr, -1) {
		rules = append(rules, match[1])
	}
	switch {
	case result.ExitCode == 0 && s.denied == "" && !strings.Contains(result.Stdout, s.shows):
		return fmt.Sprintf("%q is not there", s.shows), false
	case result.ExitCode == 0 && s.shows != "":
		return "there it is", s.denied == ""
	case result.ExitCode == 0:
		return "admitted", s.denied == ""
	case len(rules) == 0:
		return "failed, but eksguard did not deny it", false
	}
	return "denied by " + strings.Join(rules, ", "), slices.Contains(rules, s.denied)
}

// denials counts the steps that each policy must deny.
func denials() map[string]int {
	count := map[string]int{}
	for _, s := range steps {
		if policy, _, denied := strings.Cut(s.denied, "/"); denied {
			count[policy]++
		}
	}
	return count
}

var shownMetric = regexp.MustCompile(`^eksguard_(reviews|violations)_total.* [^0]`)

func showMetrics(ctx context.Context, n *narrator, url string) error {
	n.tell("What Prometheus sees of it.", fmt.Sprintf("curl -s %s | grep -E '%s'", url, shownMetric))
	page, err := fetch(ctx, url)
	if err != nil {
		return err
	}
	var shown []string
	for line := range strings.Lines(page) {
		if shownMetric.MatchString(line) {
			shown = append(shown, line)
		}
	}
	text := strings.Join(shown, "")
	n.show(text)
	n.judge(metricsVerdict(text, denials()))
	return nil
}

// metricsVerdict tells whether the metrics count these denials of each policy.
func metricsVerdict(metrics string, denials map[string]int) (text string, asExpected bool) {
	for _, policy := range slices.Sorted(maps.Keys(denials)) {
		want := fmt.Sprintf(`eksguard_reviews_total{phase="validate",policy=%q,verdict="denied"} %d`, policy, denials[policy])
		if !strings.Contains(metrics, want+"\n") {
			return fmt.Sprintf("there is no line %s", want), false
		}
	}
	return "every denial is counted", true
}

func fetch(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", fmt.Errorf("fetching %q: %w", url, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("fetching: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", fmt.Errorf("fetching %q: %w", url, err)
	}
	return string(body), nil
}
