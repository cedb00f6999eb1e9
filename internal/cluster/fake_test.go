package cluster

import (
	"context"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// unlistable is a cache of a kind whose list does not come before the channel is closed.
type unlistable struct {
	cache.Cache
	listed chan struct{}
}

func (u *unlistable) RemoveInformer(context.Context, client.Object) error { return nil }

func (u *unlistable) GetInformer(context.Context, client.Object, ...cache.InformerGetOption) (cache.Informer, error) {
	return informer{listed: u.listed}, nil
}

type informer struct {
	cache.Informer
	listed chan struct{}
}

func (i informer) AddEventHandler(toolscache.ResourceEventHandler) (toolscache.ResourceEventHandlerRegistration, error) {
	return registration{listed: i.listed}, nil
}

type registration struct {
	toolscache.ResourceEventHandlerRegistration
	listed chan struct{}
}

func (r registration) HasSynced() bool {
	select {
	case <-r.listed:
		return true
	default:
		return false
	}
}
