package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/open-policy-agent/opa/v1/ast"
)

// A pooled decoder keeps its buffers and its name tables from one review to the next.
var decoders = sync.Pool{New: func() any { return new(decoder) }}

// maxValues bounds the values that are made of a review for a policy, each of which takes some 80 bytes. Objects of Kubernetes
// that are no attack on the memory stay far below.
const maxValues = 1 << 20

var errTooManyValues = fmt.Errorf("what the policy reads of the review has more than %d values", maxValues)

type decoder struct {
	text  jsontext.Decoder
	terms []*ast.Term
	// values counts down to zero, beyond which no term is made.
	values *int
}

// newDecoder takes a decoder out of the pool, to be given back by release. The decoder finds whatever is wrong with the text.
func newDecoder(text []byte) *decoder {
	d := decoders.Get().(*decoder)
	d.text.Reset(bytes.NewBuffer(text))
	return d
}

// newRereader is newDecoder for text that a decoder found valid before, and saves the search for names that stand twice.
func newRereader(text []byte) *decoder {
	d := decoders.Get().(*decoder)
	d.text.Reset(bytes.NewBuffer(text), jsontext.AllowDuplicateNames(true))
	return d
}

// decodeJSON turns JSON into an OPA value in one pass, without the Go maps in between that ast.ValueFromReader makes. It
// is strict (RFC 8259, no duplicate names, valid UTF-8), and nesting is limited to 10,000 levels by the tokenizer. The
// values that it makes are taken off those that are left.
func decodeJSON(body []byte, left *int) (ast.Value, error) {
	d := newDecoder(body)
	d.values = left
	defer d.release()
	term, err := d.term()
	if err != nil {
		return nil, jsonError(err)
	}
	if err := d.end(); err != nil {
		return nil, err
	}
	return term.Value, nil
}

// end makes sure that nothing follows.
func (d *decoder) end() error {
	switch _, err := d.text.ReadToken(); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return jsonError(err)
	}
	return errors.New("there is more after the JSON value")
}

// release lets go of the review, and of the whole decoder where a huge review made it grow.
func (d *decoder) release() {
	const most = 1 << 14
	if cap(d.terms) > most {
		return
	}
	clear(d.terms[:cap(d.terms)])
	d.terms, d.values = d.terms[:0], nil
	d.text.Reset(bytes.NewBuffer(nil))
	decoders.Put(d)
}

func (d *decoder) term() (*ast.Term, error) {
	if *d.values--; *d.values < 0 {
		return nil, errTooManyValues
	}
	token, err := d.text.ReadToken()
	if err != nil {
		return nil, err
	}
	switch token.Kind() {
	case jsontext.KindBeginObject:
		return d.object()
	case jsontext.KindBeginArray:
		return d.array()
	case jsontext.KindString:
		return stringTerm(token.String()), nil
	case jsontext.KindNumber:
		return numberTerm(token.String())
	case jsontext.KindTrue, jsontext.KindFalse:
		return ast.InternedTerm(token.Bool()), nil
	default:
		return ast.NullTerm(), nil
	}
}

// object collects the members on a shared stack first, so that the object is made at its final size.
func (d *decoder) object() (*ast.Term, error) {
	start := len(d.terms)
	for d.text.PeekKind() != jsontext.KindEndObject {
		name, err := d.text.ReadToken()
		if err != nil {
			return nil, err
		}
		key := stringTerm(name.String())
		value, err := d.term()
		if err != nil {
			return nil, err
		}
		d.terms = append(d.terms, key, value)
	}
	if _, err := d.text.ReadToken(); err != nil {
		return nil, err
	}
	members := d.terms[start:]
	object := ast.NewObjectWithCapacity(len(members) / 2)
	for i := 0; i < len(members); i += 2 {
		object.Insert(members[i], members[i+1])
	}
	d.terms = d.terms[:start]
	return ast.NewTerm(object), nil
}

func (d *decoder) array() (*ast.Term, error) {
	start := len(d.terms)
	for d.text.PeekKind() != jsontext.KindEndArray {
		element, err := d.term()
		if err != nil {
			return nil, err
		}
		d.terms = append(d.terms, element)
	}
	if _, err := d.text.ReadToken(); err != nil {
		return nil, err
	}
	array := ast.ArrayTerm(append([]*ast.Term(nil), d.terms[start:]...)...)
	d.terms = d.terms[:start]
	return array, nil
}

// members reads an object, and calls read for each member, which must read its value.
func (d *decoder) members(read func(name string) error) error {
	if _, err := d.text.ReadToken(); err != nil {
		return err
	}
	for d.text.PeekKind() != jsontext.KindEndObject {
		name, err := d.text.ReadToken()
		if err != nil {
			return err
		}
		if err := read(name.String()); err != nil {
			return err
		}
	}
	_, err := d.text.ReadToken()
	return err
}

// str reads a string; a value of another type counts as none.
func (d *decoder) str() (string, error) {
	if d.text.PeekKind() != jsontext.KindString {
		return "", d.text.SkipValue()
	}
	token, err := d.text.ReadToken()
	if err != nil {
		return "", err
	}
	return token.String(), nil
}

// strings reads those members of an object that are strings and wanted.
func (d *decoder) strings(wanted map[string]*string) error {
	if d.text.PeekKind() != jsontext.KindBeginObject {
		return d.text.SkipValue()
	}
	return d.members(func(name string) (err error) {
		if into := wanted[name]; into != nil {
			*into, err = d.str()
			return err
		}
		return d.text.SkipValue()
	})
}

// raw reads a value and gives the part of the whole text that it is.
func (d *decoder) raw(whole []byte) ([]byte, error) {
	value, err := d.text.ReadValue()
	if err != nil {
		return nil, err
	}
	end := d.text.InputOffset()
	return whole[end-int64(len(value)) : end], nil
}

// objectOrNothing is raw for an object; a value of another type counts as none.
func (d *decoder) objectOrNothing(whole []byte) ([]byte, error) {
	if d.text.PeekKind() != jsontext.KindBeginObject {
		return nil, d.text.SkipValue()
	}
	return d.raw(whole)
}

func stringTerm(s string) *ast.Term {
	return ast.InternedTerm(s)
}

// numberTerm refuses a number with an exponent that OPA does not compute with in bounded time.
func numberTerm(s string) (*ast.Term, error) {
	if term := ast.InternedIntNumberTermFromString(s); term != nil {
		return term, nil
	}
	number, err := ast.NumberChecked(s)
	if err != nil {
		return nil, fmt.Errorf("a number in the review: %w", err)
	}
	return ast.NewTerm(number), nil
}

// jsonError tells what is wrong and where, without the names and values around it, which may be a Secret's.
func jsonError(err error) error {
	var syntactic *jsontext.SyntacticError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the JSON ends too early")
	case errors.As(err, &syntactic):
		return fmt.Errorf("%w after byte %d", syntactic.Err, syntactic.ByteOffset)
	}
	return err
}
