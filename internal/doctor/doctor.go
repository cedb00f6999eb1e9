// Package doctor examines a cluster: whether eksguard guards it, and what beside eksguard is set so that its policies
// do not mean what they say. It takes clients of the cluster and the snapshot that is to decide there, and returns a
// report. It writes nothing: the one write that it tries is a dry run of a Pod that eksguard is to deny.
package doctor

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/pager"

	"github.com/mozilla-iam/eksguard/internal/policy"
)

// Selector selects what the Helm chart makes of eksguard.
const Selector = "app.kubernetes.io/name=eksguard"

const (
	pageSize = 500
	// maxReplicas, maxListed and maxText bound what is asked for, what a finding lists, and what it quotes.
	maxReplicas = 20
	maxListed   = 5
	maxText     = 600
)

// Options say what to examine. Clients, Dynamic, Snapshot and Namespace are required.
type Options struct {
	Clients kubernetes.Interface
	Dynamic dynamic.Interface
	// Snapshot are the policies with the settings that are to decide in this cluster.
	Snapshot *policy.Snapshot
	// Namespace is the one that eksguard runs in, and Secret the name of the Secret there with its certificate.
	Namespace, Secret string
	// Addresses are base URLs at which replicas tell their /status. Default: the replicas' Pods, through the API server.
	Addresses []string
	// HTTP asks at Addresses, where a replica has 5 seconds to answer. Default: http.DefaultClient.
	HTTP *http.Client
	// Now is the time by which certificates and exceptions are judged. Default: the present.
	Now time.Time
}

func (o Options) withDefaults() Options {
	if o.HTTP == nil {
		o.HTTP = http.DefaultClient
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	return o
}

// check is one thing that is looked at. It returns in a few words what it saw; an error means that it could not look.
type check struct {
	name string
	look func(ctx context.Context, e *examination) (saw string, err error)
}

// checks are in the order in which somebody who repairs would want them.
func checks() []check {
	return []check{
		{"admission", lookAtAdmission},
		{"registration", lookAtRegistration},
		{"certificate", lookAtCertificate},
		{"replicas", lookAtReplicas},
		{"settings", lookAtSettings},
		{"aws-auth", lookAtAWSAuth},
		{"kube2iam", lookAtKube2iam},
		{"kiam", lookAtKiam},
		{"flux", lookAtFlux},
		{"prometheus-operator", lookAtPrometheusOperator},
		{"other-webhooks", lookAtOtherWebhooks},
	}
}

// Examine makes every check. A check that could not be made is part of the report, and does not keep the others from
// being made. The error is about the snapshot or the context, and means that there is no report.
func Examine(ctx context.Context, o Options) (*Report, error) {
	document, err := o.Snapshot.Settings()
	if err != nil {
		return nil, err
	}
	e := &examination{Options: o.withDefaults(), settings: settings(document), report: newReport(o.Snapshot.Revision())}
	for _, c := range checks() {
		e.check = c.name
		before := len(e.report.Findings)
		saw, err := c.look(ctx, e)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		e.report.add(c.name, saw, err, e.report.Findings[before:])
	}
	return e.report, nil
}

// examination is one cluster under examination.
type examination struct {
	Options
	settings settings
	report   *Report
	// check is the name of the check that is being made.
	check string

	namespaces []corev1.Namespace
	workloads  []workload
}

// find takes a finding of the present check into the report.
func (e *examination) find(f Finding) {
	f.Check = e.check
	e.report.Findings = append(e.report.Findings, f)
}

// guards tells whether a policy of the snapshot is about that resource. One that is asked about everything, such as
// that of Flux's identities, is about who writes and not about what.
func (e *examination) guards(group, resource string) bool {
	for _, p := range e.Snapshot.Policies() {
		for _, rule := range p.Match {
			if slices.Contains(rule.APIGroups, group) && slices.Contains(rule.Resources, resource) {
				return true
			}
		}
	}
	return false
}

// allNamespaces lists the cluster's namespaces, once.
func (e *examination) allNamespaces(ctx context.Context) ([]corev1.Namespace, error) {
	if e.namespaces != nil {
		return e.namespaces, nil
	}
	found := []corev1.Namespace{}
	err := pages(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return e.Clients.CoreV1().Namespaces().List(ctx, o)
	}).EachListItem(ctx, metav1.ListOptions{}, func(o runtime.Object) error {
		found = append(found, *o.(*corev1.Namespace))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	e.namespaces = found
	return found, nil
}

// logs is how to read what eksguard's replicas log.
func (e *examination) logs() string { return logs(e.Namespace) }

func logs(namespace string) string {
	return fmt.Sprintf("kubectl -n %s logs -l %s", namespace, Selector)
}

// described is how to see what keeps replicas from being there.
func described(namespace string) string {
	return fmt.Sprintf("kubectl -n %s describe pods -l %s", namespace, Selector)
}

// pages lists everything in pages, so that a large cluster is not asked for all of it at once.
func pages(list pager.ListPageFunc) *pager.ListPager {
	p := pager.New(list)
	p.PageSize = pageSize
	return p
}
