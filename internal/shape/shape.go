// Package shape finds what a policy reads and no value can have: references, and paths given to object.get, that lead
// nowhere in input, the settings or cluster state. It follows values from there, whose shapes JSON Schemas tell, through
// rules, functions, variables, comprehensions and built-ins, over modules as OPA's compiler leaves them.
//
// It errs towards silence: what it does not understand may be anything, and what one of the values that come to a place
// has, over all calls of a function and all policies that use a library, is there.
package shape

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/agnivade/levenshtein"
)

// Origin is where a value comes from.
type Origin string

// The origins of values. Built is everything that the policy makes itself.
const (
	Review   Origin = "review"
	Object   Origin = "object"
	Settings Origin = "settings"
	Cluster  Origin = "cluster"
	Built    Origin = "built"
)

// node is one thing that a value can be. Nodes are interned: the same content is the same node.
type node struct {
	id     int
	origin Origin
	// anything is a value of which nothing is known. All else below is then empty.
	anything bool
	// closed means that there are no other members than fields.
	closed bool
	// isSet tells sets from arrays and objects: what stands in brackets is then the member itself.
	isSet bool
	// isList tells arrays, as far as it is known.
	isList bool
	fields map[string]shape
	// members are those that fields does not have: under other keys, or the elements of an array or a set.
	members shape
	// schema and definitions give fields and members of a node that a JSON Schema tells of; unread until somebody asks.
	schema, definitions map[string]any
	unread              bool
}

// shape is all that a value can be, in the order of ids. A shape without nodes is a scalar, or never there.
type shape []*node

func (s shape) key() string {
	var key strings.Builder
	for _, n := range s {
		key.WriteString(strconv.Itoa(n.id))
		key.WriteByte(',')
	}
	return key.String()
}

// union gives what is in any of the shapes.
func union(shapes ...shape) shape {
	switch len(shapes) {
	case 0:
		return nil
	case 1:
		return shapes[0]
	}
	all := slices.Concat(shapes...)
	slices.SortFunc(all, func(a, b *node) int { return cmp.Compare(a.id, b.id) })
	return slices.Compact(all)
}

// interner makes nodes, and makes each only once.
type interner struct {
	made map[string]*node
	// schemas are the nodes that JSON Schemas tell of.
	schemas map[schemaKey]*node
}

func newInterner() *interner {
	return &interner{made: map[string]*node{}, schemas: map[schemaKey]*node{}}
}

func (i *interner) intern(key string, n *node) *node {
	if known := i.made[key]; known != nil {
		return known
	}
	n.id = len(i.made) + 1
	i.made[key] = n
	return n
}

// anything is a value from there of which nothing is known.
func (i *interner) anything(origin Origin) shape {
	return shape{i.intern("any "+string(origin), &node{origin: origin, anything: true})}
}

// object is one that the policy makes, with these fields and others that have the shape of members, if others is true.
func (i *interner) object(fields map[string]shape, members shape, others bool) shape {
	var key strings.Builder
	key.WriteString("object ")
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		key.WriteString(strconv.Quote(name) + ":" + fields[name].key() + ";")
	}
	if others {
		key.WriteString("others " + members.key())
	}
	return shape{i.intern(key.String(), &node{origin: Built, fields: fields, members: members, closed: !others})}
}

// array is one that the policy makes, of such elements.
func (i *interner) array(elements shape) shape {
	return shape{i.intern("array "+elements.key(), &node{origin: Built, members: elements})}
}

// set is one that the policy makes, of such elements.
func (i *interner) set(elements shape) shape {
	return shape{i.intern("set "+elements.key(), &node{origin: Built, members: elements, isSet: true})}
}

// field gives what a value's member of that name can be, and whether it can be there at all.
func (i *interner) field(s shape, name string) (found shape, there bool) {
	for _, n := range s {
		i.read(n)
		switch member, named := n.fields[name]; {
		case named:
			found, there = union(found, member), true
		case n.anything:
			found, there = union(found, shape{n}), true
		case !n.closed && !n.resembles(name):
			found, there = union(found, n.members), true
		}
	}
	return found, there
}

// resembles tells whether a name is so near to that of a field of an object that may have others, and so long, that it
// is misspelt: metadat.
func (n *node) resembles(name string) bool {
	const long, near = 8, 2
	for field := range n.fields {
		if len(field) >= long && levenshtein.ComputeDistance(name, field) <= near {
			return true
		}
	}
	return false
}

// membersOf gives what any member of a value can be.
func (i *interner) membersOf(s shape) (found shape) {
	for _, n := range s {
		if n.anything {
			found = union(found, shape{n})
			continue
		}
		i.read(n)
		shapes := []shape{found, n.members}
		for _, name := range slices.Sorted(maps.Keys(n.fields)) {
			shapes = append(shapes, n.fields[name])
		}
		found = union(shapes...)
	}
	return found
}

// keysOf gives what can stand in brackets after a value: the members of a set, or else a scalar.
func (i *interner) keysOf(s shape) (found shape) {
	for _, n := range s {
		switch {
		case n.anything:
			found = union(found, shape{n})
		case n.isSet:
			found = union(found, n.members)
		}
	}
	return found
}

// names are the names of all fields that a value can have.
func (i *interner) names(s shape) []string {
	names := map[string]bool{}
	for _, n := range s {
		i.read(n)
		for name := range n.fields {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
