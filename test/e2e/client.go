package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// Client is somebody who writes to the cluster with client-go. Its methods return what came of it and fail the test only
// if the request could not be made.
type Client struct {
	t       testing.TB
	dynamic dynamic.Interface
	mapper  meta.ResettableRESTMapper
	heard   *warnings
}

// As returns a client for a user, whom the administrator impersonates; "" is the administrator. A user can do what RBAC
// grants to that name.
func (c *Cluster) As(t testing.TB, user string) *Client {
	t.Helper()
	config := rest.CopyConfig(c.Plane(t).Config)
	config.Impersonate.UserName = user
	return c.client(t, config)
}

// AsPrincipal returns a client for an administrator of whom the API server says what aws-iam-authenticator would: that
// they came as this ARN.
func (c *Cluster) AsPrincipal(t testing.TB, arn string) *Client {
	t.Helper()
	config := rest.CopyConfig(c.Plane(t).Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: "principal", Groups: []string{"system:masters"}}
	// The API server takes an extra's name in small letters, but for what is escaped; client-go does not escape letters.
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			request = request.Clone(request.Context())
			request.Header.Set("Impersonate-Extra-Canonical%41rn", arn)
			return next.RoundTrip(request)
		})
	})
	return c.client(t, config)
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (r roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }

func (c *Cluster) client(t testing.TB, config *rest.Config) *Client {
	t.Helper()
	heard := &warnings{}
	config.WarningHandler = heard
	clients, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return &Client{t: t, dynamic: clients, mapper: c.mapper, heard: heard}
}

// A How says how to write.
type How func(*how)

type how struct {
	dryRun       []string
	subresources []string
}

// DryRun asks the API server to do everything but to store the result.
func DryRun(h *how) { h.dryRun = []string{metav1.DryRunAll} }

// Subresource writes to a subresource.
func Subresource(name string) How {
	return func(h *how) { h.subresources = []string{name} }
}

func (c *Client) how(hows []How) how {
	var h how
	for _, set := range hows {
		set(&h)
	}
	return h
}

// Create creates the object.
func (c *Client) Create(o *unstructured.Unstructured, hows ...How) *Outcome {
	h := c.how(hows)
	return c.do("creating", o, h, func(ctx context.Context, resource dynamic.ResourceInterface) (*unstructured.Unstructured, error) {
		return resource.Create(ctx, o, metav1.CreateOptions{DryRun: h.dryRun}, h.subresources...)
	})
}

// CreateIn creates something in a subresource of the object of that kind and name, such as a binding of a Pod.
func (c *Client) CreateIn(owner, o *unstructured.Unstructured, hows ...How) *Outcome {
	h := c.how(hows)
	return c.do("creating", owner, h, func(ctx context.Context, resource dynamic.ResourceInterface) (*unstructured.Unstructured, error) {
		return resource.Create(ctx, o, metav1.CreateOptions{DryRun: h.dryRun}, h.subresources...)
	})
}

// Update replaces the object by this version of it.
func (c *Client) Update(o *unstructured.Unstructured, hows ...How) *Outcome {
	h := c.how(hows)
	return c.do("updating", o, h, func(ctx context.Context, resource dynamic.ResourceInterface) (*unstructured.Unstructured, error) {
		return resource.Update(ctx, o, metav1.UpdateOptions{DryRun: h.dryRun}, h.subresources...)
	})
}

// Patch patches the object.
func (c *Client) Patch(o *unstructured.Unstructured, form types.PatchType, patch string, hows ...How) *Outcome {
	h := c.how(hows)
	return c.do("patching", o, h, func(ctx context.Context, resource dynamic.ResourceInterface) (*unstructured.Unstructured, error) {
		return resource.Patch(ctx, o.GetName(), form, []byte(patch), metav1.PatchOptions{DryRun: h.dryRun}, h.subresources...)
	})
}

// Apply applies the object server-side, as field manager e2e.
func (c *Client) Apply(o *unstructured.Unstructured, hows ...How) *Outcome {
	h := c.how(hows)
	return c.do("applying", o, h, func(ctx context.Context, resource dynamic.ResourceInterface) (*unstructured.Unstructured, error) {
		options := metav1.ApplyOptions{FieldManager: "e2e", Force: true, DryRun: h.dryRun}
		return resource.Apply(ctx, o.GetName(), o, options, h.subresources...)
	})
}

// Delete deletes the object, and leaves no finalizer to a garbage collector that may not be there.
func (c *Client) Delete(o *unstructured.Unstructured, hows ...How) *Outcome {
	h := c.how(hows)
	return c.do("deleting", o, h, func(ctx context.Context, resource dynamic.ResourceInterface) (*unstructured.Unstructured, error) {
		background := metav1.DeletePropagationBackground
		options := metav1.DeleteOptions{DryRun: h.dryRun, PropagationPolicy: &background}
		return nil, resource.Delete(ctx, o.GetName(), options, h.subresources...)
	})
}

// DeleteCollection deletes every object of the kind and in the namespace of this one that a field selector selects, in
// one request.
func (c *Client) DeleteCollection(o *unstructured.Unstructured, fields string, hows ...How) *Outcome {
	h := c.how(hows)
	return c.do("deleting a collection with", o, h, func(ctx context.Context, resource dynamic.ResourceInterface) (*unstructured.Unstructured, error) {
		return nil, resource.DeleteCollection(ctx, metav1.DeleteOptions{DryRun: h.dryRun}, metav1.ListOptions{FieldSelector: fields})
	})
}

// Get reads the object as it is stored.
func (c *Client) Get(o *unstructured.Unstructured) *unstructured.Unstructured {
	c.t.Helper()
	return c.do("reading", o, how{}, func(ctx context.Context, resource dynamic.ResourceInterface) (*unstructured.Unstructured, error) {
		return resource.Get(ctx, o.GetName(), metav1.GetOptions{})
	}).Admitted().Object
}

func (c *Client) do(verb string, o *unstructured.Unstructured, h how,
	request func(context.Context, dynamic.ResourceInterface) (*unstructured.Unstructured, error)) *Outcome {
	c.t.Helper()
	kind := o.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) {
		c.mapper.Reset() // its CRD may be younger than what is remembered
		mapping, err = c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	}
	if err != nil {
		c.t.Fatalf("%s %s: %v", verb, kind, err)
	}
	var resource dynamic.ResourceInterface = c.dynamic.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		resource = c.dynamic.Resource(mapping.Resource).Namespace(o.GetNamespace())
	}
	outcome := &Outcome{t: c.t, what: fmt.Sprintf("%s %s %q", verb, kind.Kind, o.GetName()+o.GetGenerateName())}
	for _, subresource := range h.subresources {
		outcome.what += " (" + subresource + ")"
	}
	c.heard.take()
	// What is asked for while a test cleans up is to be done too.
	outcome.Object, outcome.Err = request(context.WithoutCancel(c.t.Context()), resource)
	outcome.Warnings = c.heard.take()
	return outcome
}

// warnings collects what the API server warns of.
type warnings struct {
	mu    sync.Mutex
	texts []string
}

// HandleWarningHeader implements rest.WarningHandler.
func (w *warnings) HandleWarningHeader(code int, _ string, text string) {
	const miscellaneous = 299
	if code != miscellaneous || text == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, text)
}

func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	texts := slices.Clone(w.texts)
	w.texts = nil
	return texts
}
