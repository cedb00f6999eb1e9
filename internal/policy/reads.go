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
// modules as they were parsed: the compiler takes references out of the calls that they stand in. The settings do not
// change while a snapshot lives, so that a string among them is as good as a name.
func findReads(p *Policy, modules map[string]*ast.Module, settings map[string]any) *reads {
	finder := &readsFinder{modules: sortedModules(modules), settings: settings, seen: map[*ast.Module]bool{}, found: &reads{}}
	finder.visitPackage(root, p.Package)
	return finder.found
}

type readsFinder struct {
	modules  []*ast.Module
	settings map[string]any
	// seen are modules and not packages: a package may lie in several files.
	seen  map[*ast.Module]bool
	found *reads
}

// visitPackage reads the modules of the package data.<path> and of all packages below and above it that hold rules.
func (f *readsFinder) visitPackage(path ...string) {
	for _, module := range f.modules {
		name := f.names(module.Package.Path[1:])
		if f.seen[module] || !related(name, path) {
			continue
		}
		f.seen[module] = true
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
	case *ast.With:
		f.visitTarget(n)
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

// visitTarget sees what a rule puts in place of something for a while. Settings are then no constants any more.
func (f *readsFinder) visitTarget(with *ast.With) {
	if ref, ok := with.Target.Value.(ast.Ref); !ok || ref[0].Value.Compare(ast.DefaultRootDocument.Value) == 0 {
		f.found.add(nil)
	}
}

// visitCall understands object.get of the input with a key or path that is constant, or one of several that are.
func (f *readsFinder) visitCall(call ast.Call) bool {
	if len(call) < 4 || call[0].Value.Compare(ast.ObjectGet.Ref()) != 0 {
		return false
	}
	ref, ok := call[1].Value.(ast.Ref)
	if !ok || !ref.HasPrefix(ast.InputRootRef) || len(f.names(ref[1:])) != len(ref)-1 {
		return false
	}
	keys, ok := f.keys(call[2])
	if !ok {
		return false
	}
	for _, key := range keys {
		f.visitRef(ref, key)
	}
	for _, argument := range call[2:] {
		ast.NewGenericVisitor(f.visit).Walk(argument)
	}
	return true
}

// keys gives every path that the second argument of object.get can be: a name, an array of names, what the settings have
// at a place or, where parts of that are not constant, at several, or an array.concat of two of these.
func (f *readsFinder) keys(term *ast.Term) ([][]string, bool) {
	switch value := term.Value.(type) {
	case ast.String:
		return [][]string{{string(value)}}, true
	case *ast.Array:
		var path []string
		for i := range value.Len() {
			name, ok := f.name(value.Elem(i))
			if !ok {
				return nil, false
			}
			path = append(path, name)
		}
		return [][]string{path}, true
	case ast.Ref:
		return f.settingsPaths(value)
	case ast.Call:
		if len(value) != 3 || value[0].Value.Compare(ast.ArrayConcat.Ref()) != 0 {
			return nil, false
		}
		starts, ok := f.keys(value[1])
		ends, also := f.keys(value[2])
		if !ok || !also {
			return nil, false
		}
		var paths [][]string
		for _, start := range starts {
			for _, end := range ends {
				paths = append(paths, slices.Concat(start, end))
			}
		}
		return paths, true
	}
	return nil, false
}

// settingsPaths gives the paths that a reference to the settings can be, where all that it can lead to are paths or names.
func (f *readsFinder) settingsPaths(ref ast.Ref) ([][]string, bool) {
	if !ref.HasPrefix(settingsRef) {
		return nil, false
	}
	values := []any{f.settings}
	for _, term := range ref[len(settingsRef):] {
		values = members(values, term)
	}
	paths := make([][]string, 0, len(values))
	for _, value := range values {
		switch value := value.(type) {
		case string:
			paths = append(paths, []string{value})
		case []any:
			path := make([]string, len(value))
			for i, step := range value {
				name, ok := step.(string)
				if !ok {
					return nil, false
				}
				path[i] = name
			}
			paths = append(paths, path)
		default:
			return nil, false
		}
	}
	return paths, true
}

// members gives what a step of a reference can lead to: the member of that name, or any where the step is no name.
func members(values []any, step *ast.Term) (found []any) {
	name, isName := step.Value.(ast.String)
	for _, value := range values {
		switch value := value.(type) {
		case map[string]any:
			for key, member := range value {
				if !isName || key == string(name) {
					found = append(found, member)
				}
			}
		case []any:
			if !isName {
				found = append(found, value...)
			}
		}
	}
	return found
}

// visitRef marks what a reference reads, and visits what stands in its brackets.
func (f *readsFinder) visitRef(ref ast.Ref, more []string) {
	switch {
	case ref[0].Value.Compare(ast.InputRootDocument.Value) == 0:
		f.found.add(append(f.names(ref[1:]), more...))
	case ref[0].Value.Compare(ast.DefaultRootDocument.Value) == 0:
		if path := f.names(ref[1:]); len(path) == 0 || path[0] == root {
			f.visitPackage(path...)
		}
	default:
		ast.NewGenericVisitor(f.visit).Walk(ref[0])
	}
	for _, term := range ref[1:] {
		ast.NewGenericVisitor(f.visit).Walk(term)
	}
}

// names gives the names that a reference begins with, up to the first part that is no name.
func (f *readsFinder) names(ref ast.Ref) []string {
	path := make([]string, 0, len(ref))
	for _, term := range ref {
		name, ok := f.name(term)
		if !ok {
			break
		}
		path = append(path, name)
	}
	return path
}

// name gives the string that a term always is: itself, or what the settings have at data.eksguard.settings.….
func (f *readsFinder) name(term *ast.Term) (string, bool) {
	switch value := term.Value.(type) {
	case ast.String:
		return string(value), true
	case ast.Ref:
		if !value.HasPrefix(settingsRef) {
			return "", false
		}
		var setting any = f.settings
		for _, term := range value[len(settingsRef):] {
			key, ok := term.Value.(ast.String)
			object, isObject := setting.(map[string]any)
			if !ok || !isObject {
				return "", false
			}
			setting = object[string(key)]
		}
		name, ok := setting.(string)
		return name, ok
	}
	return "", false
}

var settingsRef = ast.MustParseRef("data.eksguard.settings")
