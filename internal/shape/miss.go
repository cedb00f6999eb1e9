package shape

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Miss is a name in a reference, or in a path given to object.get, that no value which comes there has.
type Miss struct {
	File string
	Line int
	// Reference is what leads there, as it is written: container.image for `some container in …`.
	Reference string
	Name      string
	// Known are the names that are there.
	Known []string
	// Of is where the value comes from that does not have it.
	Of Origin
	// List is true where what does not have it is a list, whose elements may.
	List bool
}

// place is where a step of a reference stands.
type place struct {
	file      string
	row, col  int
	reference string
}

// verdict is what is known of a step, over all values that come there.
type verdict struct {
	step *ast.Term
	// there is true once a value has it, or may have it.
	there bool
	// origins are those of all values, misses those of values that do not have it.
	origins, misses map[Origin]bool
	known           map[string]bool
	// others is true once a value that does not have it is no list.
	others bool
}

// Misses gives what leads nowhere for all policies that were followed, in the order of the source.
func (f *Finder) Misses() (misses []Miss) {
	for at, v := range f.found {
		if v.there || len(v.misses) == 0 {
			continue
		}
		misses = append(misses, Miss{
			File: at.file, Line: at.row, Reference: at.reference, Name: string(v.step.Value.(ast.String)),
			Known: slices.Sorted(maps.Keys(v.known)), Of: slices.Sorted(maps.Keys(v.misses))[0], List: !v.others,
		})
	}
	slices.SortFunc(misses, func(a, b Miss) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Reference, b.Reference))
	})
	return misses
}

// judge notes whether a value has what a step names.
func (b *body) judge(r *reading, value shape, step *ast.Term, there bool) {
	origins := map[Origin]bool{}
	for _, n := range value {
		if n.origin != Built {
			origins[n.origin] = true
		}
	}
	if !there && len(origins) == 0 {
		return // what a policy makes may lack what another part of it asks for
	}
	at := r.place(step)
	v := b.found[at]
	if v == nil {
		v = &verdict{step: step, origins: map[Origin]bool{}, misses: map[Origin]bool{}, known: map[string]bool{}}
		b.found[at] = v
	}
	v.there = v.there || there
	maps.Copy(v.origins, origins)
	if there {
		return
	}
	maps.Copy(v.misses, origins)
	v.others = v.others || slices.ContainsFunc(value, func(n *node) bool { return n.origin != Built && !n.isList })
	for _, name := range b.names(value) {
		v.known[name] = true
	}
}

// reading is a reference that is followed: what of it was followed, and where it stands.
type reading struct {
	text     string
	location *ast.Location
}

func (r *reading) place(step *ast.Term) place {
	at := place{reference: r.text}
	location := step.Location
	if location == nil {
		location = r.location
	}
	if location != nil {
		at.file, at.row, at.col = location.File, location.Row, location.Col
	}
	return at
}

// read begins to read what stands in the source as text.
func read(text string, term *ast.Term) *reading {
	r := &reading{text: text, location: term.Location}
	if ref, ok := term.Value.(ast.Ref); ok && r.location == nil {
		r.location = ref[0].Location
	}
	return r
}

// textOf is a term as it stands in the source, in short: what a policy's own rules and variables are called there.
func (b *body) textOf(term *ast.Term) string {
	switch value := term.Value.(type) {
	case ast.Var:
		if name, ok := b.written[value]; ok {
			return string(name)
		}
		if text, ok := b.texts[value]; ok {
			return text
		}
		if value.IsGenerated() || value.IsWildcard() {
			return "_"
		}
		return string(value)
	case ast.Ref:
		own := b.module.Package.Path
		if len(value) > len(own) && value.HasPrefix(own) {
			return nameOf(value[len(own)]) + b.textOfSteps(value[len(own)+1:])
		}
		return b.textOf(value[0]) + b.textOfSteps(value[1:])
	case ast.Call:
		if value[0].String() == ast.ObjectGet.Name && len(value) == 4 {
			return b.textOf(value[1]) + b.textOfSteps(stepsOf(value[2]))
		}
		return strings.TrimPrefix(value[0].String(), "data.eksguard.lib.") + "(…)"
	}
	return term.String()
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (b *body) textOfSteps(steps []*ast.Term) string {
	var text strings.Builder
	for _, step := range steps {
		switch name, isName := step.Value.(ast.String); {
		case !isName:
			text.WriteString("[" + b.textOf(step) + "]")
		case identifier.MatchString(string(name)):
			text.WriteString("." + string(name))
		default:
			text.WriteString("[" + strconv.Quote(string(name)) + "]")
		}
	}
	return text.String()
}
