package shape

import (
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/types"
)

// builtin gives the shape of what a built-in returns.
func (f *follower) builtin(name string, args []shape) shape {
	switch name {
	case ast.ObjectUnion.Name, ast.ArrayConcat.Name, ast.Or.Name:
		return union(args...)
	case ast.ObjectUnionN.Name, ast.ArrayFlatten.Name:
		return union(f.membersOf(args[0]), args[0])
	case ast.Union.Name, ast.Intersection.Name:
		return f.membersOf(args[0])
	case ast.And.Name, ast.Minus.Name, ast.ArraySlice.Name, ast.ArrayReverse.Name, ast.ObjectRemove.Name, ast.ObjectFilter.Name:
		return args[0]
	case ast.Sort.Name:
		return f.array(f.membersOf(args[0]))
	case ast.Max.Name, ast.Min.Name:
		return f.membersOf(args[0])
	}
	declared, ok := ast.BuiltinMap[name]
	if !ok || !isScalar(declared.Decl.Result()) {
		origin := Built
		for _, n := range union(args...) {
			if n.origin != Built {
				origin = n.origin
			}
		}
		return f.anything(origin)
	}
	return nil
}

// isScalar tells whether a type has no members that could have members.
func isScalar(t types.Type) bool {
	switch t := t.(type) {
	case types.String, types.Number, types.Boolean, types.Null:
		return true
	case *types.Array:
		return t.Len() == 0 && isScalar(t.Dynamic())
	case *types.Set:
		return isScalar(t.Of())
	case types.Any:
		for _, each := range t {
			if !isScalar(each) {
				return false
			}
		}
		return len(t) > 0
	}
	return false
}
