package events

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// ownersKept and ownersAge bound what is remembered of owners.
	ownersKept, ownersAge = 4096, 10 * time.Minute
	// lookupBurst and lookupRate bound how often owners are asked for: whoever creates objects can make names up.
	lookupBurst, lookupRate = 100, 10
)

// Owners finds the Deployment behind a ReplicaSet and the CronJob behind a Job, which nobody looks at by themselves. Of
// other owners it takes the word of the object: an owner is in the object's own namespace, and so is the Event.
type Owners struct {
	reader  client.Reader
	lookups *limiter
	known   *cache.LRUExpireCache
}

// NewOwners makes Owners that read past any cache: only metadata, and that seldom.
func NewOwners(reader client.Reader) *Owners {
	return &Owners{
		reader: reader, lookups: newLimiter(lookupRate, lookupBurst),
		known: cache.NewLRUExpireCache(ownersKept),
	}
}

// intermediate tells whether objects of the kind are made by another object, as a rule.
func intermediate(kind schema.GroupVersionKind) bool {
	return kind == appsv1.SchemeGroupVersion.WithKind("ReplicaSet") || kind == batchv1.SchemeGroupVersion.WithKind("Job")
}

// behind gives the object to tell instead of ref, which is ref itself where nothing is behind it or where eksguard may not
// look; err then says why. Nil with a reason means that there is nothing to tell it to.
func (o *Owners) behind(ctx context.Context, ref corev1.ObjectReference) (*corev1.ObjectReference, Drop, error) {
	kind := ref.GroupVersionKind()
	if !intermediate(kind) {
		return &ref, "", nil
	}
	if known, ok := o.known.Get(ref); ok {
		if found := known.(*corev1.ObjectReference); found != nil {
			return found, "", nil
		}
		return nil, DropOwner, nil
	}
	if !o.lookups.allow(ref.Namespace) {
		return nil, DropRateLimit, nil
	}
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(kind)
	err := o.reader.Get(ctx, client.ObjectKey{Namespace: ref.Namespace, Name: ref.Name}, object)
	found := &ref
	switch {
	case apierrors.IsNotFound(err), err == nil && object.UID != ref.UID:
		found = nil
	case err != nil:
		return found, reasonOf(err), fmt.Errorf("read %s: %w", kind.Kind, err)
	default:
		if owner := metav1.GetControllerOf(object); owner != nil {
			found = reference(owner, ref.Namespace)
		}
	}
	o.known.Add(ref, found, ownersAge)
	if found == nil {
		return nil, DropOwner, nil
	}
	return found, "", nil
}

// reference is how an Event names an owner in that namespace.
func reference(owner *metav1.OwnerReference, namespace string) *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: owner.APIVersion, Kind: owner.Kind, Namespace: namespace, Name: owner.Name, UID: owner.UID}
}
