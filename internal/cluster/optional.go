package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mozilla-iam/eksguard/internal/policy"
)

const (
	// lookInterval is how often Follow asks which optional kinds there are.
	lookInterval = 5 * time.Second
	// patience is how long Watch waits for optional kinds. One that cannot be listed, because its conversion webhook does not
	// answer, holds up nothing: what there is of it stays unknown.
	patience = 5 * time.Second
)

// Discovery tells which kinds the API server serves.
type Discovery interface {
	ServerResourcesForGroupVersion(groupVersion string) (*metav1.APIResourceList, error)
}

// Follow keeps up with the optional kinds that come and go, until ctx ends. While the API server does not tell which there
// are, what is known stays as it is.
func (s *State) Follow(ctx context.Context) {
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := s.look(ctx, s.optional()); err != nil && ctx.Err() == nil {
			s.options.Logger.Warn("cannot keep up with optional kinds", "error", err.Error())
		}
	}
}

// optional are the needs that are watched as such.
func (s *State) optional() (needs []policy.Need) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, key := range slices.Sorted(maps.Keys(s.kinds)) {
		if s.kinds[key].need.Optional {
			needs = append(needs, s.kinds[key].need)
		}
	}
	return needs
}

// look brings optional kinds to what the API server serves now: those that it serves are watched, the others are empty.
func (s *State) look(ctx context.Context, needs []policy.Need) error {
	s.looking.Lock()
	defer s.looking.Unlock()
	lists := map[string]*metav1.APIResourceList{}
	var faults []error
	for _, need := range needs {
		list, asked := lists[need.APIVersion]
		if !asked {
			var err error
			list, err = s.options.Discovery.ServerResourcesForGroupVersion(need.APIVersion)
			switch {
			case apierrors.IsNotFound(err):
				list = &metav1.APIResourceList{}
			case err != nil:
				faults = append(faults, fmt.Errorf("which kinds of %s there are: %w", need.APIVersion, err))
				list = nil
			}
			lists[need.APIVersion] = list
		}
		if list == nil {
			continue
		}
		if err := s.bring(ctx, need, list); err != nil {
			faults = append(faults, fmt.Errorf("watch %s: %w", need.Key(), err))
		}
	}
	return errors.Join(faults...)
}

// bring makes of an optional kind what the list of its API version says.
func (s *State) bring(ctx context.Context, need policy.Need, list *metav1.APIResourceList) error {
	known := s.widest(need.Key())
	if known != nil && !known.need.Optional {
		return nil // required by now
	}
	index := slices.IndexFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == need.Resource })
	if index < 0 {
		if known != nil && known.absent && known.need.Covers(need) {
			return nil
		}
		if known != nil && !known.absent {
			if err := s.options.Cache.RemoveInformer(ctx, known.empty()); err != nil {
				return err
			}
		}
		s.put(&collection{need: need, absent: true, synced: func() bool { return true },
			objects: map[client.ObjectKey]ast.Value{}, changes: &s.changes})
		return nil
	}
	if known != nil && !known.absent && known.need.Covers(need) {
		return nil
	}
	resource := list.APIResources[index]
	c, err := s.begin(ctx, need, need.GroupVersionResource().GroupVersion().WithKind(resource.Kind), resource.Namespaced)
	if err != nil {
		return err
	}
	if known != nil && !known.absent {
		s.adopt(c)
		return nil
	}
	c.pending = true
	s.put(c)
	return nil
}

// put begins to answer for a kind with c.
func (s *State) put(c *collection) {
	c.mu.Lock()
	c.changed()
	c.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kinds[c.need.Key()] = c
}

// isKnown tells whether all that there is of an optional kind has been seen. It is asked by every reader, also of the
// version, so that what is read under a version from before is not taken for what is there now.
func (c *collection) isKnown() bool {
	c.mu.RLock()
	pending := c.pending
	c.mu.RUnlock()
	if !pending {
		return true
	}
	if !c.synced() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending {
		c.pending = false
		c.changed()
	}
	return true
}

// waitFor waits for optional kinds, but not long.
func (s *State) waitFor(ctx context.Context, needs []policy.Need) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, need := range needs {
		toolscache.WaitForCacheSync(ctx.Done(), func() bool {
			c := s.get(need.Key())
			return c != nil && c.need.Covers(need) && c.lookup(nil) != nil
		})
	}
}
