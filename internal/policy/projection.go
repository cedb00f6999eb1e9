package policy

import (
	"encoding/binary"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/open-policy-agent/opa/v1/ast"
)

// projection is the part of a review that a policy can read, as raw JSON by the slots of its reads. The JSON is a part of
// the review's bytes and was found valid before.
type projection struct {
	reads *reads
	slots []slot
}

// slot is what stands at one node of the reads.
type slot struct {
	state slotState
	raw   []byte
}

// slotState is zero where the review has nothing.
type slotState byte

const (
	// opened: an object, whose members have slots of their own.
	opened slotState = iota + 1
	// closed: a value that is taken as it is.
	closed
)

// projections makes projections of one kind of reads, and makes them anew of those that are done with: the settings may
// name many places of which a review has few.
type projections struct {
	reads *reads
	slots int
	done  sync.Pool
}

// newProjections numbers the nodes of r.
func newProjections(r *reads) *projections { return &projections{reads: r, slots: r.number(0)} }

// project takes of the review what is read. The projection is to be released.
func (ps *projections) project(review []byte) (*projection, error) {
	p, _ := ps.done.Get().(*projection)
	if p == nil {
		p = &projection{reads: ps.reads, slots: make([]slot, ps.slots)}
	}
	d := newRereader(review)
	defer d.release()
	if err := d.fill(p, p.reads, review); err != nil {
		return nil, jsonError(err)
	}
	return p, nil
}

// release takes back a projection, of which nothing may be used any more but the values that were made of it.
func (ps *projections) release(p *projection) {
	clear(p.slots)
	ps.done.Put(p)
}

// fill reads the value that the decoder stands before into the slots of r.
func (d *decoder) fill(p *projection, r *reads, review []byte) error {
	if r.whole || d.text.PeekKind() != jsontext.KindBeginObject {
		raw, err := d.raw(review)
		p.slots[r.slot] = slot{closed, raw}
		return err
	}
	p.slots[r.slot].state = opened
	if _, err := d.text.ReadToken(); err != nil {
		return err
	}
	for d.text.PeekKind() != jsontext.KindEndObject {
		name, err := d.text.ReadToken()
		if err != nil {
			return err
		}
		// Looked up here, and not in a function that is given the name, names that are not read stay off the heap.
		if field := r.fields[name.String()]; field != nil {
			err = d.fill(p, field, review)
		} else {
			err = d.text.SkipValue()
		}
		if err != nil {
			return err
		}
	}
	_, err := d.text.ReadToken()
	return err
}

// appendKey appends what tells the projection from any other of the same reads.
func (p *projection) appendKey(key []byte) []byte {
	for i := range p.slots {
		key = append(key, byte(p.slots[i].state))
		if p.slots[i].state == closed {
			key = binary.AppendUvarint(key, uint64(len(p.slots[i].raw)))
			key = append(key, p.slots[i].raw...)
		}
	}
	return key
}

// input makes of the projection what a policy sees. A review that would take too much memory is an error.
func (p *projection) input() (ast.Value, error) {
	left := maxValues
	term, err := p.value(p.reads, &left)
	if err != nil {
		return nil, err
	}
	return term.Value, nil
}

// value makes the value at one node of the reads, nil where there is nothing.
func (p *projection) value(r *reads, left *int) (*ast.Term, error) {
	switch s := p.slots[r.slot]; s.state {
	case closed:
		value, err := decodeJSON(s.raw, left)
		if err != nil {
			return nil, err
		}
		return ast.NewTerm(value), nil
	case opened:
		object := ast.NewObjectWithCapacity(len(r.names))
		for _, name := range r.names {
			term, err := p.value(r.fields[name], left)
			if err != nil {
				return nil, err
			}
			if term != nil {
				object.Insert(stringTerm(name), term)
			}
		}
		return ast.NewTerm(object), nil
	default:
		return nil, nil
	}
}
