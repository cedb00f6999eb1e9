// Package audit judges what is in a cluster by the engine of the webhook: every object that a policy is asked about, as
// if it were created now. It reads page by page and keeps only what something was found in, so that a large cluster
// costs no more memory than a page and what is wrong with it. It writes nothing.
package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"

	"github.com/mozilla-iam/eksguard/internal/manifest"
	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/internal/review"
)

// defaultPageSize is how many objects are asked for at once.
const defaultPageSize = 500

// Options say what to audit. All but PageSize are required.
type Options struct {
	Dynamic   dynamic.Interface
	Discovery discovery.DiscoveryInterface
	Snapshot  *policy.Snapshot
	// State is the cluster state that policies read.
	State policy.State
	// User is who is said to create the objects.
	User authenticationv1.UserInfo
	// PageSize is how many objects are asked for, and held, at once. Default: 500.
	PageSize int64
}

// Audit judges the objects in the order of their resources, and in each in that of the API server. What could not be
// listed is among the report's errors. An error means that ctx ended or discovery failed, and that there is no report.
func Audit(ctx context.Context, o Options) (*review.Report, error) {
	if o.PageSize == 0 {
		o.PageSize = defaultPageSize
	}
	resources, notes, err := matched(o.Discovery, o.Snapshot.Policies())
	if err != nil {
		return nil, err
	}
	a := &audit{
		Options: o, kinds: review.NewKinds(), engine: policy.NewEngine(o.Snapshot, o.State),
		report: review.NewReport(o.Snapshot.Revision()),
	}
	a.report.Notes = append(a.report.Notes, notes...)
	for _, resource := range resources {
		err := a.judgeAll(ctx, resource)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			a.report.AddErrors([]manifest.Error{{File: name(resource), Err: err}})
		}
	}
	return a.report, nil
}

// matched are the resources that policies are asked about when something is created, each in one version, sorted; and
// what is not audited.
func matched(discovery discovery.DiscoveryInterface, policies []*policy.Policy) (
	resources []schema.GroupVersionResource, notes []string, err error) {
	_, served, err := discovery.ServerGroupsAndResources()
	if err != nil && len(served) == 0 {
		return nil, nil, fmt.Errorf("ask which kinds there are: %w", err)
	}
	if err != nil {
		notes = append(notes, fmt.Sprintf("kinds of an API that does not answer are not audited: %v", err))
	}
	seen := map[schema.GroupResource]bool{}
	for _, list := range served {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, nil, fmt.Errorf("ask which kinds there are: %w", err)
		}
		for i := range list.APIResources {
			r := version.WithResource(list.APIResources[i].Name)
			if seen[r.GroupResource()] || !slices.Contains(list.APIResources[i].Verbs, "list") || !named(policies, r) {
				continue
			}
			seen[r.GroupResource()] = true
			resources = append(resources, r)
		}
	}
	slices.SortFunc(resources, func(a, b schema.GroupVersionResource) int { return strings.Compare(name(a), name(b)) })
	for _, p := range policies {
		if !slices.ContainsFunc(p.Match, func(r admissionregistrationv1.RuleWithOperations) bool { return !everything(r) }) {
			notes = append(
				notes,
				fmt.Sprintf("policy %q is not audited: it is asked about every kind, because of who writes", p.Name),
			)
		}
	}
	return resources, notes, nil
}

// named tells whether a policy names the resource among those whose creation it is asked about.
func named(policies []*policy.Policy, r schema.GroupVersionResource) bool {
	return slices.ContainsFunc(policies, func(p *policy.Policy) bool {
		return slices.ContainsFunc(p.Match, func(rule admissionregistrationv1.RuleWithOperations) bool {
			return !everything(rule) && has(rule.APIGroups, r.Group) && has(rule.APIVersions, r.Version) &&
				has(rule.Resources, r.Resource) && (slices.Contains(rule.Operations, admissionregistrationv1.Create) ||
				slices.Contains(rule.Operations, admissionregistrationv1.OperationAll))
		})
	})
}

func everything(r admissionregistrationv1.RuleWithOperations) bool {
	return slices.Contains(r.APIGroups, "*") && slices.ContainsFunc(r.Resources, func(name string) bool {
		return name == "*" || name == "*/*"
	})
}

func has(list []string, value string) bool {
	return slices.Contains(list, value) || slices.Contains(list, "*")
}

// name is what kubectl calls a resource.
func name(r schema.GroupVersionResource) string { return r.GroupResource().String() }

type audit struct {
	Options
	kinds  *review.Kinds
	engine *policy.Engine
	report *review.Report
}

// judgeAll judges all objects of a resource.
func (a *audit) judgeAll(ctx context.Context, resource schema.GroupVersionResource) error {
	options := metav1.ListOptions{Limit: a.PageSize}
	for {
		page, err := a.Dynamic.Resource(resource).List(ctx, options)
		if err != nil {
			return fmt.Errorf("list: %w", err)
		}
		for i := range page.Items {
			if err := a.judge(ctx, resource, &page.Items[i]); err != nil {
				return fmt.Errorf("%s/%s: %w", page.Items[i].GetNamespace(), page.Items[i].GetName(), err)
			}
		}
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return nil
		}
	}
}

func (a *audit) judge(
	ctx context.Context,
	resource schema.GroupVersionResource,
	object *unstructured.Unstructured,
) error {
	object.SetManagedFields(nil)
	asked, err := a.kinds.Review(review.Write{
		UID: object.GetUID(), Operation: admissionv1.Create, Object: object, Resource: resource, User: a.User})
	if err != nil {
		return err
	}
	decision, err := review.Decide(ctx, a.engine, asked)
	if err != nil {
		return err
	}
	a.report.AddFound(review.Subject{
		Document: manifest.Document{File: name(resource), Object: object}, Review: asked}, decision)
	return nil
}
