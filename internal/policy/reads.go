package policy

import (
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// reads is what of the input a policy can read, as a tree of names: a node that is whole stands for everything below it.
// It is found in the source and errs on the safe side: what the analysis does not understand counts as read.
//
// A decision rests on nothing but what is read, so that the rest of a review need not be turned into values, and two
// reviews that agree in it get the same answer.
type reads struct {
	whole  bool
	fields map[string]*reads
	// names are the keys of fields in order; slot is the node's place in a projection.
	names []string
	slot  int
}

// at gives the node below r for a path of names, made if it was not there.
func (r *reads) at(path []string) *reads {
	for _, name := range path {
		if r.whole {
			return r
		}
		next := r.fields[name]
		if next == nil {
			next = &reads{}
			if r.fields == nil {
				r.fields = map[string]*reads{}
			}
			r.fields[name] = next
		}
		r = next
	}
	return r
}

// add marks what lies at path as read.
func (r *reads) add(path []string) {
	node := r.at(path)
	node.whole, node.fields = true, nil
}

// number gives every node its slot and returns how many there are.
func (r *reads) number(next int) int {
	r.slot = next
	next++
	r.names = slices.Sorted(maps.Keys(r.fields))
	for _, name := range r.names {
		next = r.fields[name].number(next)
	}
	return next
}

// findReads finds what the policy's rules can read, with those of the packages below data.eksguard that they use. It wants
// modules as they were parsed: the compiler takes references out of the calls that they stand in.
func findReads(p *Policy, modules map[string]*ast.Module) *reads {
	finder := &readsFinder{modules: sortedModules(modules), seen: map[string]bool{}, found: &reads{}}
	finder.visitPackage(root, p.Package)
	return finder.found
}

type readsFinder struct {
	modules []*ast.Module
	seen    map[string]bool
	found   *reads
}

// visitPackage reads the modules of the package data.<path> and of all packages below and above it that hold rules.
func (f *readsFinder) visitPackage(path ...string) {
	for _, module := range f.modules {
		name := constantPath(module.Package.Path[1:])
		if f.seen[module.Package.Path.String()] || !related(name, path) {
			continue
		}
		f.seen[module.Package.Path.String()] = true
		ast.NewGenericVisitor(f.visit).Walk(module)
	}
}

// related tells whether one of two paths leads to or through the other.
func related(a, b []string) bool {
	n := min(len(a), len(b))
	return slices.Equal(a[:n], b[:n])
}

// visit sees every node of a module; it returns true where the nodes below are dealt with.
func (f *readsFinder) visit(node any) bool {
	switch n := node.(type) {
	case *ast.Package:
		return true
	case *ast.Rule:
		// The visitor passes over what stands in the brackets of a rule's name.
		for _, term := range n.Head.Reference {
			if ref, ok := term.Value.(ast.Ref); ok {
				f.visitRef(ref, nil)
			}
		}
	case ast.Call:
		return f.visitCall(n)
	case *ast.Expr:
		if terms, ok := n.Terms.([]*ast.Term); ok && len(terms) > 0 && f.visitCall(ast.Call(terms)) {
			f.visitWith(n)
			return true
		}
	case ast.Ref:
		f.visitRef(n, nil)
		return true
	case ast.Var:
		if n.Equal(ast.InputRootDocument.Value) {
			f.found.add(nil)
		}
	}
	return false
}

func (f *readsFinder) visitWith(expr *ast.Expr) {
	for _, with := range expr.With {
		ast.NewGenericVisitor(f.visit).Walk(with)
	}
}

// visitCall understands object.get of the input with a constant key or path.
func (f *readsFinder) visitCall(call ast.Call) bool {
	if len(call) < 4 || call[0].Value.Compare(ast.ObjectGet.Ref()) != 0 {
		return false
	}
	ref, ok := call[1].Value.(ast.Ref)
	if !ok || !ref.HasPrefix(ast.InputRootRef) || len(constantPath(ref[1:])) != len(ref)-1 {
		return false
	}
	key, ok := constantKey(call[2].Value)
	if !ok {
		return false
	}
	f.visitRef(ref, key)
	for _, argument := range call[3:] {
		ast.NewGenericVisitor(f.visit).Walk(argument)
	}
	return true
}

func constantKey(value ast.Value) ([]string, bool) {
	switch key := value.(type) {
	case ast.String:
		return []string{string(key)}, true
	case *ast.Array:
		var path []string
		for i := range key.Len() {
			name, ok := key.Elem(i).Value.(ast.String)
			if !ok {
				return nil, false
			}
			path = append(path, string(name))
		}
		return path, true
	}
	return nil, false
}

// visitRef marks what a reference reads, and visits what stands in its brackets.
func (f *readsFinder) visitRef(ref ast.Ref, more []string) {
	switch {
	case ref[0].Value.Compare(ast.InputRootDocument.Value) == 0:
		f.found.add(append(constantPath(ref[1:]), more...))
	case ref[0].Value.Compare(ast.DefaultRootDocument.Value) == 0:
		if path := constantPath(ref[1:]); len(path) == 0 || path[0] == root {
			f.visitPackage(path...)
		}
	default:
		ast.NewGenericVisitor(f.visit).Walk(ref[0])
	}
	for _, term := range ref[1:] {
		ast.NewGenericVisitor(f.visit).Walk(term)
	}
}

// constantPath gives the names that a reference begins with, up to the first part that is no name.
func constantPath(ref ast.Ref) []string {
	path := make([]string, 0, len(ref))
	for _, term := range ref {
		name, ok := term.Value.(ast.String)
		if !ok {
			break
		}
		path = append(path, string(name))
	}
	return path
}
