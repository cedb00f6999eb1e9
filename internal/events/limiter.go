package events

import (
	"golang.org/x/time/rate"
	"k8s.io/utils/lru"
)

const (
	// shares is the part of what is allowed in all that one namespace gets: a quarter, so that denials of one leave room for
	// those of others.
	shares = 4
	// namespacesKept is of how many namespaces it is remembered what they used.
	namespacesKept = 1024
)

// limiter limits how often something is done in all, and for each namespace.
type limiter struct {
	perSecond float64
	burst     int
	all       *rate.Limiter
	each      *lru.Cache
}

func newLimiter(perSecond float64, burst int) *limiter {
	return &limiter{
		perSecond: perSecond, burst: burst,
		all:  rate.NewLimiter(rate.Limit(perSecond), burst),
		each: lru.New(namespacesKept),
	}
}

// allow tells whether it may be done now for a namespace, and counts it.
func (l *limiter) allow(namespace string) bool {
	own, found := l.each.Get(namespace)
	if !found {
		// Of two that come at the same time, one is forgotten with what it has counted: once.
		own = rate.NewLimiter(rate.Limit(l.perSecond/shares), l.burst/shares)
		l.each.Add(namespace, own)
	}
	return own.(*rate.Limiter).Allow() && l.all.Allow()
}
