package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/mozilla-iam/eksguard/internal/policy"
)

const (
	fieldManager  = "eksguard"
	retryInterval = time.Second
	// leaderRestores is how long the replica that does the registration has for putting back what was deleted, before another
	// one does.
	leaderRestores = time.Second
)

// Registrar keeps both webhook configurations as the catalogue wants them: it applies them as soon as this process can
// serve, again when policies or certificate authority change, and repairs what others change in them. Once there is a
// configuration, it stays, if only without webhooks: whoever deletes one is somebody else.
type Registrar struct {
	// Client writes; Reader reads past any cache, so that what was just written is seen.
	Client   client.Client
	Reader   client.Reader
	Endpoint Endpoint
	// Policies gives the catalogue of the moment.
	Policies func() []*policy.Policy
	// Confirmed tells whether the catalogue is the newest that there is. Until then, webhooks of policies that it does not
	// have stay registered: a replica that started with an old bundle takes no policy away. Default: it always is.
	Confirmed func() bool
	// CABundle gives the certificate authorities of the moment, PEM.
	CABundle func() []byte
	// Leads tells whether this replica does the registration; others only put back what was deleted. Default: it does.
	Leads func() bool
	// Ready returns nil once webhooks that the API server calls would be answered.
	Ready func() error
	// OwnNamespace is the namespace that eksguard runs in.
	OwnNamespace string
	// OwnerClusterRole, if it is not empty, is the ClusterRole with which the configurations are garbage-collected.
	OwnerClusterRole string
	// Repaired is told of each configuration that was not as it had been applied.
	Repaired func(kind string)
	Logger   *slog.Logger

	// applied is what this process applied last, by kind.
	applied map[string]any
	// added is when the last authority was added to what is registered, by kind, as far as this process knows.
	added map[string]time.Time
	// seen is what this process saw last while another did the registration, by kind.
	seen map[string]sighting
}

// sighting is a webhook configuration that was there, and since when it is not there any more, zero as long as it is.
type sighting struct {
	configuration client.Object
	missing       time.Time
}

// SetupWithManager makes mgr run the registrar, in every replica. Each event on changed makes it look again; one is needed
// when Leads changes.
func (r *Registrar) SetupWithManager(mgr ctrl.Manager, changed <-chan event.GenericEvent) error {
	everyReplica := false
	named := predicate.NewPredicateFuncs(func(o client.Object) bool { return o.GetName() == ConfigurationName })
	return ctrl.NewControllerManagedBy(mgr).
		Named("registration").
		For(&admissionregistrationv1.ValidatingWebhookConfiguration{}, builder.WithPredicates(named)).
		Watches(&admissionregistrationv1.MutatingWebhookConfiguration{}, &handler.EnqueueRequestForObject{},
			builder.WithPredicates(named)).
		WatchesRawSource(source.Channel(changed, handler.EnqueueRequestsFromMapFunc(
			func(context.Context, client.Object) []reconcile.Request {
				return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: ConfigurationName}}}
			}))).
		WithOptions(controller.Options{NeedLeaderElection: &everyReplica}).
		Complete(r)
}

// Reconcile implements reconcile.Reconciler.
func (r *Registrar) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	if r.Leads != nil && !r.Leads() {
		r.applied = nil // what another applies is no change of what this one has applied
		return r.follow(ctx)
	}
	r.seen = nil
	if err := r.Ready(); err != nil {
		// What it waits for sends an event when it changes, all but the listener, which is there at once.
		r.Logger.Debug("not registering yet", "reason", err.Error())
		return reconcile.Result{RequeueAfter: retryInterval}, nil
	}
	owners, err := r.owners(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	policies, caBundle := r.Policies(), r.CABundle()
	mutating := MutatingConfiguration(policies, r.Endpoint, caBundle, r.OwnNamespace)
	mutating.OwnerReferences = owners
	validating := ValidatingConfiguration(policies, r.Endpoint, caBundle, r.OwnNamespace)
	validating.OwnerReferences = owners
	// In the order in which they are asked, so that where validation is registered, all is; but one does not wait for
	// the other to succeed.
	return reconcile.Result{}, errors.Join(
		r.apply(ctx, mutating, &admissionregistrationv1.MutatingWebhookConfiguration{}, len(mutating.Webhooks)),
		r.apply(ctx, validating, &admissionregistrationv1.ValidatingWebhookConfiguration{}, len(validating.Webhooks)),
	)
}

// follow puts back what is deleted, as it was, unless the replica that does the registration is there to do so: it may have
// died at the same moment, and its Lease must end before another one leads. Policies of this replica, which may be older or
// newer, do not come into it.
func (r *Registrar) follow(ctx context.Context) (result reconcile.Result, err error) {
	if r.seen == nil {
		r.seen = map[string]sighting{}
	}
	var faults []error
	for kind, live := range configurations() {
		err := r.Reader.Get(ctx, client.ObjectKey{Name: ConfigurationName}, live)
		was := r.seen[kind]
		switch {
		case err == nil:
			r.seen[kind] = sighting{configuration: live}
		case !apierrors.IsNotFound(err):
			faults = append(faults, fmt.Errorf("read %s: %w", kind, err))
		case was.configuration == nil: // it was never there
		case was.missing.IsZero():
			was.missing = time.Now()
			r.seen[kind] = was
			result.RequeueAfter = leaderRestores
		case time.Since(was.missing) < leaderRestores || r.Ready() != nil:
			result.RequeueAfter = retryInterval
		default:
			faults = append(faults, r.restore(ctx, kind, was.configuration))
		}
	}
	return result, errors.Join(faults...)
}

// restore makes a deleted configuration again.
func (r *Registrar) restore(ctx context.Context, kind string, deleted client.Object) error {
	owners, err := r.owners(ctx)
	if err != nil {
		return err
	}
	want := deleted.DeepCopyObject().(client.Object)
	want.GetObjectKind().SetGroupVersionKind(admissionregistrationv1.SchemeGroupVersion.WithKind(kind))
	want.SetUID("")
	want.SetResourceVersion("")
	want.SetGeneration(0)
	want.SetManagedFields(nil)
	want.SetFinalizers(nil)
	want.SetDeletionTimestamp(nil)
	want.SetOwnerReferences(owners)
	if _, err := r.serverSideApply(ctx, want); err != nil {
		return fmt.Errorf("apply %s: %w", kind, err)
	}
	r.Logger.Info("put back a webhook configuration that was deleted, since the leader had not", "kind", kind)
	r.Repaired(kind)
	return nil
}

func (r *Registrar) owners(ctx context.Context) ([]metav1.OwnerReference, error) {
	if r.OwnerClusterRole == "" {
		return nil, nil
	}
	owner := &metav1.PartialObjectMetadata{}
	owner.SetGroupVersionKind(rbacv1.SchemeGroupVersion.WithKind("ClusterRole"))
	if err := r.Reader.Get(ctx, client.ObjectKey{Name: r.OwnerClusterRole}, owner); err != nil {
		return nil, fmt.Errorf("owner of the webhook configurations: ClusterRole %q: %w", r.OwnerClusterRole, err)
	}
	return []metav1.OwnerReference{{
		APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole", Name: owner.Name, UID: owner.UID}}, nil
}

// apply brings one configuration into the wanted state; live is an empty object of its kind.
func (r *Registrar) apply(ctx context.Context, want, live client.Object, webhooks int) error {
	kind := want.GetObjectKind().GroupVersionKind().Kind
	err := r.Reader.Get(ctx, client.ObjectKeyFromObject(want), live)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("read %s: %w", kind, err)
	}
	exists := err == nil
	if exists && r.Confirmed != nil && !r.Confirmed() {
		webhooks += r.keep(want, live)
	}
	if webhooks == 0 && !exists {
		return nil
	}
	if r.applied == nil {
		r.applied = map[string]any{}
	}
	keepAnnounced(want, live)
	r.stamp(kind, want, live)
	if exists && sameRegistration(want, live) {
		r.applied[kind] = webhooksOf(want)
		return nil
	}
	if previous := r.applied[kind]; previous != nil && equality.Semantic.DeepEqual(previous, webhooksOf(want)) {
		r.Logger.Info("repairing a webhook configuration that was changed or deleted", "kind", kind)
		r.Repaired(kind)
	}
	version, err := r.serverSideApply(ctx, want)
	if err != nil {
		return fmt.Errorf("apply %s: %w", kind, err)
	}
	// Others can add to lists that are merged by key (webhooks, match conditions), where an apply leaves it.
	if err := r.Reader.Get(ctx, client.ObjectKeyFromObject(want), live); err != nil {
		return fmt.Errorf("read %s: %w", kind, err)
	}
	if !sameRegistration(want, live) {
		if live.GetResourceVersion() != version {
			r.Logger.Info("repairing a webhook configuration that was changed while it was applied", "kind", kind)
			r.Repaired(kind)
		}
		want.SetResourceVersion(live.GetResourceVersion())
		if err := r.Client.Update(ctx, want, client.FieldOwner(fieldManager)); err != nil {
			return fmt.Errorf("replace %s: %w", kind, err)
		}
	}
	r.applied[kind] = webhooksOf(want)
	r.Logger.Info("registered", "kind", kind, "webhooks", webhooks)
	return nil
}

// keep adds to want the webhooks of eksguard in live that it does not have, and returns their number.
func (r *Registrar) keep(want, live client.Object) int {
	switch w := want.(type) {
	case *admissionregistrationv1.ValidatingWebhookConfiguration:
		before := len(w.Webhooks)
		w.Webhooks = keepOthers(r, w.Webhooks, live.(*admissionregistrationv1.ValidatingWebhookConfiguration).Webhooks,
			func(h *admissionregistrationv1.ValidatingWebhook) (string, *admissionregistrationv1.WebhookClientConfig) {
				return h.Name, &h.ClientConfig
			})
		return len(w.Webhooks) - before
	case *admissionregistrationv1.MutatingWebhookConfiguration:
		before := len(w.Webhooks)
		w.Webhooks = keepOthers(r, w.Webhooks, live.(*admissionregistrationv1.MutatingWebhookConfiguration).Webhooks,
			func(h *admissionregistrationv1.MutatingWebhook) (string, *admissionregistrationv1.WebhookClientConfig) {
				return h.Name, &h.ClientConfig
			})
		return len(w.Webhooks) - before
	}
	return 0
}

// keepOthers gives want with the webhooks of eksguard in live that it does not have, at the address of the moment. parts
// are a webhook's name and address.
func keepOthers[W any](r *Registrar, want, live []W,
	parts func(*W) (string, *admissionregistrationv1.WebhookClientConfig)) []W {
	known := map[string]bool{}
	for i := range want {
		name, _ := parts(&want[i])
		known[name] = true
	}
	for _, hook := range live {
		if name, address := parts(&hook); !known[name] && strings.HasSuffix(name, "."+Domain) {
			*address = r.Endpoint.clientConfig(pathOf(*address), r.CABundle())
			want = append(want, hook)
		}
	}
	return want
}

// pathOf is the path in a registered webhook's address.
func pathOf(c admissionregistrationv1.WebhookClientConfig) string {
	if c.Service != nil && c.Service.Path != nil {
		return *c.Service.Path
	}
	if c.URL != nil {
		if address, err := url.Parse(*c.URL); err == nil {
			return address.Path
		}
	}
	return ""
}

// serverSideApply returns the resource version of what it has made.
func (r *Registrar) serverSideApply(ctx context.Context, want client.Object) (version string, err error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(want)
	if err != nil {
		return "", err
	}
	object := &unstructured.Unstructured{Object: content}
	unstructured.RemoveNestedField(object.Object, "metadata", "creationTimestamp")
	err = r.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(object),
		client.FieldOwner(fieldManager), client.ForceOwnership)
	return object.GetResourceVersion(), err
}

func sameRegistration(want, live client.Object) bool {
	for key, value := range want.GetLabels() {
		if live.GetLabels()[key] != value {
			return false
		}
	}
	return equality.Semantic.DeepEqual(webhooksOf(want), webhooksOf(live)) && addedAt(want).Equal(addedAt(live)) &&
		want.GetAnnotations()[announcedAuthorities] == live.GetAnnotations()[announcedAuthorities] &&
		equality.Semantic.DeepEqual(want.GetOwnerReferences(), live.GetOwnerReferences())
}

func webhooksOf(o client.Object) any {
	switch c := o.(type) {
	case *admissionregistrationv1.ValidatingWebhookConfiguration:
		return c.Webhooks
	case *admissionregistrationv1.MutatingWebhookConfiguration:
		return c.Webhooks
	}
	return nil
}
