package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/open-policy-agent/opa/v1/ast"
)

// A pooled decoder keeps its buffers and its name tables from one review to the next.
var decoders = sync.Pool{New: func() any { return new(decoder) }}

type decoder struct {
	text  jsontext.Decoder
	terms []*ast.Term
}

// decodeJSON turns JSON into an OPA value in one pass, without the Go maps in between that ast.ValueFromReader makes:
// most of the time that a decision takes is spent here. It is strict (RFC 8259, no duplicate names, valid UTF-8), and
// nesting is limited to 10,000 levels by the tokenizer.
func decodeJSON(body []byte) (ast.Value, error) {
	d := decoders.Get().(*decoder)
	defer d.release()
	d.text.Reset(bytes.NewBuffer(body))
	term, err := d.term()
	if err != nil {
		return nil, jsonError(err)
	}
	if _, err := d.text.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more after the JSON value")
	}
	return term.Value, nil
}

// release lets go of the review, and of the whole decoder where a huge review made it grow.
func (d *decoder) release() {
	const most = 1 << 14
	if cap(d.terms) > most {
		return
	}
	clear(d.terms[:cap(d.terms)])
	d.terms = d.terms[:0]
	d.text.Reset(bytes.NewBuffer(nil))
	decoders.Put(d)
}

func (d *decoder) term() (*ast.Term, error) {
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
		return numberTerm(token.String()), nil
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

func stringTerm(s string) *ast.Term {
	return ast.InternedTerm(s)
}

func numberTerm(s string) *ast.Term {
	if term := ast.InternedIntNumberTermFromString(s); term != nil {
		return term
	}
	return ast.NumberTerm(json.Number(s))
}

// jsonError tells what is wrong and where, without the bytes around it, which may be a Secret's.
func jsonError(err error) error {
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) {
		return syntactic
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the JSON ends too early")
	}
	return err
}
