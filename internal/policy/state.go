package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
)

// namespacesKey is where policies find Namespaces below data.cluster.
const namespacesKey = "v1/namespaces"

// State is the watched cluster state: the document data.cluster. Its methods may be called by any number of goroutines.
type State interface {
	// Lookup gives the value at a path below data.cluster: the key of a Need, then the namespace where the kind has
	// one, the name, and the fields. It is nil where nothing is known.
	Lookup(path []string) ast.Value
	// Synced tells whether everything of that kind that there is has been seen. Of an optional kind it tells only that it is
	// known whether the API server serves it: Lookup gives nil as long as it is not known what there is.
	Synced(need Need) bool
	// Version changes with everything that is known of that kind: what was read under one version may not be taken for
	// what is there under another.
	Version(need Need) uint64
	// Fetch reads one object past the watch, whole where the need is that one object. It is nil without an error where the
	// object does not exist.
	Fetch(ctx context.Context, need Need, namespace, name string) (ast.Value, error)
}

// StaticState is a State that is known whole from the start and does not change: what offline review judges by.
type StaticState struct{ document ast.Value }

// NewStaticState takes the document data.cluster as decoded JSON.
func NewStaticState(document map[string]any) (StaticState, error) {
	value, err := ast.InterfaceToValue(document)
	if err != nil {
		return StaticState{}, fmt.Errorf("cluster state: %w", err)
	}
	return StaticState{document: value}, nil
}

// Lookup implements State.
func (s StaticState) Lookup(path []string) ast.Value {
	if s.document == nil {
		return nil
	}
	return Find(s.document, path)
}

// Synced implements State: what is not there does not exist.
func (StaticState) Synced(Need) bool { return true }

// Version implements State: it does not change.
func (StaticState) Version(Need) uint64 { return 0 }

// Fetch implements State: what is not there does not exist.
func (StaticState) Fetch(context.Context, Need, string, string) (ast.Value, error) { return nil, nil }

// view is the state as one decision sees it: what is watched, and what had to be read for it: the request's namespace,
// and the objects that rules came to.
type view struct {
	State
	// versions are those of the policy's needs, from before anything was read.
	versions []uint64
	// asked is whether anything was read past the watch.
	asked       bool
	fetched     ast.Value
	fetchedName string
	// live are the needs that are read when a rule comes to them, and what was read of them.
	live []liveObject
}

// liveObject is an object that is read at most once for a decision.
type liveObject struct {
	need  Need
	read  bool
	value ast.Value
}

// newView makes sure that the cluster state that a policy reads is known: all of it was listed once, and the request's
// own namespace, which may be younger than the watch, is there unless it does not exist.
func newView(ctx context.Context, state State, p *Policy, r *Request) (*view, error) {
	v := &view{State: state}
	for _, need := range p.Needs {
		if need.IsRead() {
			v.live = append(v.live, liveObject{need: need})
			continue
		}
		if !state.Synced(need) {
			return nil, fmt.Errorf("cluster state %s is not synced yet", need.Key())
		}
		v.versions = append(v.versions, state.Version(need))
		if need.Key() != namespacesKey || r.Namespace == "" || state.Lookup([]string{namespacesKey, r.Namespace}) != nil {
			continue
		}
		namespace, err := state.Fetch(ctx, need, "", r.Namespace)
		if err != nil {
			return nil, fmt.Errorf("read namespace %q: %w", r.Namespace, err)
		}
		v.asked, v.fetched, v.fetchedName = true, namespace, r.Namespace
	}
	return v, nil
}

// find gives the value at a path below data.cluster, and reads the object there live if it is one that the policy needs
// so. Those are found by their whole path only.
func (v *view) find(ctx context.Context, path []string) (ast.Value, error) {
	for i := range v.live {
		o := &v.live[i]
		own := o.need.path()
		if len(path) < len(own) || !slices.Equal(path[:len(own)], own) {
			continue
		}
		if !o.read {
			value := v.State.Lookup(own) // what a review was given beforehand
			if value == nil {
				var err error
				if value, err = v.Fetch(ctx, o.need, o.need.Namespace, o.need.Name); err != nil {
					return nil, fmt.Errorf("read %s %q in namespace %q: %w", o.need.Key(), o.need.Name, o.need.Namespace, err)
				}
			}
			o.read, o.value, v.asked = true, value, true
		}
		return Find(o.value, path[len(own):]), nil
	}
	return v.Lookup(path), nil
}

func (v *view) Lookup(path []string) ast.Value {
	if v.fetched != nil && len(path) >= 2 && path[0] == namespacesKey && path[1] == v.fetchedName {
		return Find(v.fetched, path[2:])
	}
	return v.State.Lookup(path)
}

// store is the storage that queries read: the bundle's data, which never changes, and the cluster state of the
// transaction's view.
type store struct {
	storage.TriggersNotSupported
	storage.PolicyNotSupported
	storage.WritesNotSupported
	data ast.Value
}

// transaction gives one evaluation its view of the cluster.
type transaction struct{ view *view }

func (transaction) ID() uint64 { return 0 }

func (*store) NewTransaction(context.Context, ...storage.TransactionParams) (storage.Transaction, error) {
	return transaction{}, nil
}

func (*store) Commit(context.Context, storage.Transaction) error { return nil }

func (*store) Abort(context.Context, storage.Transaction) {}

func (*store) Truncate(context.Context, storage.Transaction, storage.TransactionParams, storage.Iterator) error {
	return errors.New("the data of a snapshot cannot be replaced")
}

func (s *store) Read(ctx context.Context, txn storage.Transaction, path storage.Path) (any, error) {
	var value ast.Value
	if len(path) > 0 && path[0] == "cluster" {
		if t, ok := txn.(transaction); ok && t.view != nil {
			var err error
			if value, err = t.view.find(ctx, path[1:]); err != nil {
				return nil, &storage.Error{Code: storage.InternalErr, Message: err.Error()}
			}
		}
	} else {
		value = Find(s.data, path)
	}
	if value == nil {
		return nil, notFound
	}
	return value, nil
}

// One error for all: the evaluator only asks whether it is a not-found error, and reads of absent keys are frequent.
var notFound = &storage.Error{Code: storage.NotFoundErr, Message: "document does not exist"}

// Find walks a path of keys and, in arrays, indexes, as a store is asked for it; it is nil where the path leads nowhere.
func Find(value ast.Value, path []string) ast.Value {
	for _, key := range path {
		var term *ast.Term
		switch v := value.(type) {
		case ast.Object:
			term = v.Get(ast.InternedTerm(key))
		case *ast.Array:
			if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < v.Len() {
				term = v.Elem(i)
			}
		}
		if term == nil {
			return nil
		}
		value = term.Value
	}
	return value
}
