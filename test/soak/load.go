package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

const (
	// pause is between two writes of a writer, so that there is time for everything else, too.
	pause = 10 * time.Millisecond
	// writeTimeout is longer than an API server waits for its webhooks.
	writeTimeout = 40 * time.Second
)

// load is the writers.
type load struct {
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// startLoad lets the writers write until they are stopped. Each goes through all scenarios, in an order of its own.
func (s *soak) startLoad(ctx context.Context) *load {
	ctx, cancel := context.WithCancel(ctx)
	l := &load{cancel: cancel}
	for n := range s.options.Writers {
		w := s.newWriter(fmt.Sprintf("w%d", n))
		order := rand.New(rand.NewPCG(s.options.Seed, uint64(n)+1))
		l.running.Go(func() {
			all := scenarios()
			for ctx.Err() == nil {
				order.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
				for _, one := range all {
					if ctx.Err() == nil && (n == 0 || !one.alone) {
						w.do(ctx, one)
					}
				}
			}
			w.clean(context.WithoutCancel(ctx))
		})
	}
	return l
}

// stop ends the writers after what they are at.
func (l *load) stop() {
	l.cancel()
	l.running.Wait()
}

// writer is somebody who writes, under names of their own.
type writer struct {
	soak    *soak
	name    string
	count   int
	clients map[string]dynamic.Interface
	// made are objects that are there, or may be.
	made []*unstructured.Unstructured
}

func (s *soak) newWriter(name string) *writer {
	return &writer{soak: s, name: name, clients: map[string]dynamic.Interface{}}
}

// do makes the writes of a scenario, and removes what they have made. Each is made to its end, also when the run ends.
func (w *writer) do(ctx context.Context, one scenario) {
	ctx = context.WithoutCancel(ctx)
	w.count++
	id := fmt.Sprintf("%s-%d", w.name, w.count)
	for i := range one.writes {
		if w.write(ctx, &one.writes[i], id) != right {
			break
		}
		time.Sleep(pause)
	}
	w.clean(ctx)
}

func (w *writer) write(ctx context.Context, one *write, id string) verdict {
	o, err := one.parse(id)
	if err != nil {
		panic(err) // the table of writes is wrong
	}
	if one.makes() {
		w.made = append(w.made, o)
	}
	from := time.Now()
	answer, err := w.send(ctx, one, o)
	to := time.Now()
	var fault error
	if err == nil && one.check != nil {
		fault = one.check(answer)
	}
	return w.soak.judge.judge(one, outcomeOf(err), fault, from, to)
}

func (w *writer) send(ctx context.Context, one *write, o *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	resource, err := w.resource(one.user, o)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	var subresources, dryRun []string
	if one.subresource != "" {
		subresources = []string{one.subresource}
	}
	if one.dryRun {
		dryRun = []string{metav1.DryRunAll}
	}
	background := metav1.DeletePropagationBackground
	deletion := metav1.DeleteOptions{DryRun: dryRun, PropagationPolicy: &background}
	switch one.verb {
	case create:
		return resource.Create(ctx, o, metav1.CreateOptions{DryRun: dryRun}, subresources...)
	case update:
		return resource.Update(ctx, o, metav1.UpdateOptions{DryRun: dryRun}, subresources...)
	case patch:
		return resource.Patch(ctx, o.GetName(), types.MergePatchType, []byte(one.patch), metav1.PatchOptions{DryRun: dryRun},
			subresources...)
	case apply:
		return resource.Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: "soak", Force: true, DryRun: dryRun},
			subresources...)
	case remove:
		return nil, resource.Delete(ctx, o.GetName(), deletion, subresources...)
	case removeCollection:
		return nil, resource.DeleteCollection(ctx, deletion, metav1.ListOptions{})
	}
	return nil, fmt.Errorf("soak: no such verb: %q", one.verb)
}

func (w *writer) resource(user string, o *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	client := w.clients[user]
	if client == nil {
		config := rest.CopyConfig(w.soak.plane.Config)
		config.Impersonate.UserName = user
		config.WarningHandler = rest.NoWarnings{}
		var err error
		if client, err = dynamic.NewForConfig(config); err != nil {
			return nil, err
		}
		w.clients[user] = client
	}
	kind := o.GroupVersionKind()
	mapping, err := w.soak.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		return client.Resource(mapping.Resource).Namespace(o.GetNamespace()), nil
	}
	return client.Resource(mapping.Resource), nil
}

// clean removes what was made, and what got in that should not have. What cannot be removed now is removed the next time.
func (w *writer) clean(ctx context.Context) {
	var left []*unstructured.Unstructured
	for _, o := range slices.Backward(w.made) { // Namespaces last
		if err := w.removeObject(ctx, o); err != nil {
			left = append(left, o)
		}
	}
	slices.Reverse(left)
	w.made = left
}

func (w *writer) removeObject(ctx context.Context, o *unstructured.Unstructured) error {
	resource, err := w.resource(admin, o)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	now := int64(0)
	if err := resource.Delete(ctx, o.GetName(), metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
	if o.GetKind() != "Namespace" {
		return nil
	}
	// Nobody runs that would finish the deletion of a Namespace. What was in it is gone by now.
	live, err := resource.Get(ctx, o.GetName(), metav1.GetOptions{})
	if err != nil {
		return err
	}
	unstructured.RemoveNestedField(live.Object, "spec", "finalizers")
	_, err = resource.Update(ctx, live, metav1.UpdateOptions{}, "finalize")
	return err
}
