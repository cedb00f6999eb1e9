package shape

import (
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

var (
	settingsRef = ast.MustParseRef("data.eksguard.settings")
	clusterRef  = ast.MustParseRef("data.cluster")
)

// Documents are JSON Schemas of what a policy reads.
type Documents struct {
	// Input is that of the AdmissionReview, Settings that of data.eksguard.settings, Cluster that of data.cluster.
	Input, Settings, Cluster map[string]any
}

// Finder looks at the policies of one bundle. It is not safe for concurrent use.
type Finder struct {
	// rules are by the path of their document: eksguard/iam_role/deny.
	rules map[string][]*ast.Rule
	// packages are the documents' paths in the order of the source, by package.
	packages map[string][]string
	// written are the names that the author gave to variables.
	written map[ast.Var]ast.Var
	found   map[place]*verdict
}

// NewFinder takes modules from a compiler that has come as far as the check of types.
func NewFinder(compiler *ast.Compiler) *Finder {
	f := &Finder{
		rules: map[string][]*ast.Rule{}, packages: map[string][]string{}, written: compiler.RewrittenVars,
		found: map[place]*verdict{},
	}
	for _, module := range compiler.Modules {
		pkg := pathOf(module.Package.Path[1:])
		for _, rule := range module.Rules {
			name := pkg + "/" + nameOf(rule.Head.Ref()[0])
			if f.rules[name] == nil {
				f.packages[pkg] = append(f.packages[pkg], name)
			}
			f.rules[name] = append(f.rules[name], rule)
		}
	}
	return f
}

// Policy follows what the rules of package eksguard.<name> read of the documents.
func (f *Finder) Policy(name string, d Documents) {
	in := newInterner()
	p := &follower{Finder: f, interner: in, calls: map[string]shape{}, documents: map[string]shape{}}
	p.input = in.ofSchema(d.Input, definitionsOf(d.Input), Review)
	p.settings = in.ofSchema(d.Settings, definitionsOf(d.Settings), Settings)
	p.cluster = in.ofSchema(d.Cluster, definitionsOf(d.Cluster), Cluster)
	for _, path := range f.packages["eksguard/"+name] {
		p.document(path)
	}
}

func definitionsOf(schema map[string]any) map[string]any {
	definitions, _ := schema["definitions"].(map[string]any)
	return definitions
}

func pathOf(ref ast.Ref) string {
	names := make([]string, len(ref))
	for i, term := range ref {
		names[i] = nameOf(term)
	}
	return strings.Join(names, "/")
}

func nameOf(term *ast.Term) string {
	switch value := term.Value.(type) {
	case ast.String:
		return string(value)
	case ast.Var:
		return string(value)
	}
	return term.String()
}

// follower follows one policy.
type follower struct {
	*Finder
	*interner
	input, settings, cluster shape
	// documents are the shapes of documents, and calls those of calls of functions, by function and arguments.
	documents, calls map[string]shape
}

// document gives the shape of what the rules of one name make.
func (f *follower) document(path string) shape {
	if known, ok := f.documents[path]; ok {
		return known
	}
	f.documents[path] = nil // rules do not recur
	var found shape
	for _, rule := range f.rules[path] {
		if len(rule.Head.Args) == 0 {
			found = union(found, f.rule(rule, nil))
		}
	}
	f.documents[path] = found
	return found
}

// call gives the shape of what a function returns for such arguments.
func (f *follower) call(path string, args []shape) shape {
	var key strings.Builder
	key.WriteString(path)
	for _, arg := range args {
		key.WriteString("|" + arg.key())
	}
	if known, ok := f.calls[key.String()]; ok {
		return known
	}
	var found shape
	for _, rule := range f.rules[path] {
		found = union(found, f.rule(rule, args))
	}
	f.calls[key.String()] = found
	return found
}

// rule gives the shape of what one definition of a rule contributes to its document, with what stands after else.
func (f *follower) rule(rule *ast.Rule, args []shape) (found shape) {
	for ; rule != nil; rule = rule.Else {
		b := &body{follower: f, module: rule.Module, variables: map[ast.Var]shape{}, texts: map[ast.Var]string{}}
		for i, arg := range rule.Head.Args {
			if i < len(args) {
				b.bind(arg, args[i])
			}
		}
		b.expressions(rule.Body)
		found = union(found, b.head(rule.Head))
	}
	return found
}

func (b *body) head(head *ast.Head) shape {
	var value shape
	switch {
	case head.Key != nil:
		value = b.set(b.term(head.Key))
	case head.Value != nil:
		value = b.term(head.Value)
	}
	ref := head.Ref()
	for i := len(ref) - 1; i > 0; i-- {
		if name, ok := ref[i].Value.(ast.String); ok {
			value = b.object(map[string]shape{string(name): value}, nil, false)
		} else {
			b.term(ref[i])
			value = b.object(nil, value, true)
		}
	}
	return value
}

// body is a rule's body, and what its variables can be. The compiler has given every variable a name of its own, and has
// put the expressions into an order in which a variable is bound before it is used: the first one binds, others compare.
type body struct {
	*follower
	module    *ast.Module
	variables map[ast.Var]shape
	// texts are what stands in the source for variables that the compiler made.
	texts map[ast.Var]string
}

func (b *body) expressions(expressions ast.Body) {
	for _, expr := range expressions {
		b.expression(expr)
	}
}

func (b *body) expression(expr *ast.Expr) {
	if len(expr.With) > 0 {
		defer b.replace(expr.With)()
	}
	switch terms := expr.Terms.(type) {
	case *ast.Term:
		b.term(terms)
	case []*ast.Term:
		b.operation(terms, expr.Negated)
	case *ast.Every:
		domain := b.term(terms.Domain)
		if terms.Key != nil {
			b.bind(terms.Key, b.keysOf(domain))
		}
		b.bind(terms.Value, b.membersOf(domain))
		b.expressions(terms.Body)
	}
}

// replace puts other documents in place of those that with replaces, and returns what puts them back.
func (b *body) replace(with []*ast.With) (restore func()) {
	before := b.follower
	replaced := &follower{Finder: b.Finder, interner: b.interner, calls: map[string]shape{}, documents: map[string]shape{},
		input: b.anything(Built), settings: b.anything(Built), cluster: b.anything(Built)}
	for _, each := range with {
		if value := b.term(each.Value); len(with) == 1 && each.Target.Value.Compare(ast.InputRootRef) == 0 {
			replaced.input, replaced.settings, replaced.cluster = value, b.settings, b.cluster
		}
	}
	b.follower = replaced
	return func() { b.follower = before }
}

// operation is a call, with the result as one more argument, or a comparison that may bind.
func (b *body) operation(terms []*ast.Term, negated bool) {
	if terms[0].Value.Compare(ast.Equality.Ref()) == 0 && len(terms) == 3 {
		left, right := b.unbound(terms[1]), b.unbound(terms[2])
		switch {
		case negated || (!left && !right):
			b.term(terms[1])
			b.term(terms[2])
		case left:
			b.bindAs(terms[1], terms[2], b.term(terms[2]))
		default:
			b.bindAs(terms[2], terms[1], b.term(terms[1]))
		}
		return
	}
	arity := b.arity(terms[0])
	if len(terms)-1 > arity {
		b.bindAs(terms[arity+1], ast.CallTerm(terms[:arity+1]...), b.result(terms[:arity+1]))
		return
	}
	b.result(terms)
}

func (b *body) arity(operator *ast.Term) int {
	if ref, ok := operator.Value.(ast.Ref); ok {
		if builtin := ast.BuiltinMap[ref.String()]; builtin != nil {
			return builtin.Decl.Arity()
		}
		if rules := b.rules[functionPath(ref)]; len(rules) > 0 {
			return len(rules[0].Head.Args)
		}
	}
	return 0
}

func functionPath(ref ast.Ref) string { return pathOf(ref[1:]) }

// result gives what a call without its result returns.
func (b *body) result(call []*ast.Term) shape {
	ref, ok := call[0].Value.(ast.Ref)
	if !ok {
		return b.anything(Built)
	}
	args := make([]shape, 0, len(call)-1)
	for _, term := range call[1:] {
		args = append(args, b.term(term))
	}
	switch name := ref.String(); {
	case name == ast.ObjectGet.Name && len(args) == 3:
		return union(b.get(call[1], args[0], call[2]), args[2])
	case name == ast.WalkBuiltin.Name:
		return b.array(b.anything(originOf(args[0])))
	case ast.BuiltinMap[name] != nil:
		return b.builtin(name, args)
	case len(b.rules[functionPath(ref)]) > 0:
		return b.call(functionPath(ref), args)
	}
	return b.anything(Built)
}

func originOf(s shape) Origin {
	for _, n := range s {
		if n.origin != Built {
			return n.origin
		}
	}
	return Built
}

// get is object.get without its default.
func (b *body) get(of *ast.Term, value shape, path *ast.Term) shape {
	steps := stepsOf(path)
	if steps == nil {
		return b.anything(originOf(value)) // a key, or a path of any length
	}
	r := read(b.textOf(of), of)
	for _, step := range steps {
		value = b.step(r, value, step)
	}
	return value
}

// stepsOf are the steps of a path that is spelt out, nil of another.
func stepsOf(path *ast.Term) (steps []*ast.Term) {
	switch value := path.Value.(type) {
	case ast.String:
		return []*ast.Term{path}
	case *ast.Array:
		for i := range value.Len() {
			steps = append(steps, value.Elem(i))
		}
	}
	return steps
}

// term gives what a term can be, and looks at what it reads.
func (b *body) term(term *ast.Term) shape {
	switch value := term.Value.(type) {
	case ast.Var:
		return b.variable(value)
	case ast.Ref:
		return b.reference(term, value)
	case ast.Call:
		return b.result(value)
	case *ast.Array:
		var elements shape
		for i := range value.Len() {
			elements = union(elements, b.term(value.Elem(i)))
		}
		return b.array(elements)
	case ast.Set:
		var elements shape
		value.Foreach(func(element *ast.Term) { elements = union(elements, b.term(element)) })
		return b.set(elements)
	case ast.Object:
		return b.literal(value)
	case *ast.ArrayComprehension:
		b.expressions(value.Body)
		return b.array(b.term(value.Term))
	case *ast.SetComprehension:
		b.expressions(value.Body)
		return b.set(b.term(value.Term))
	case *ast.ObjectComprehension:
		b.expressions(value.Body)
		b.term(value.Key)
		return b.object(nil, b.term(value.Value), true)
	case ast.String, ast.Number, ast.Boolean, ast.Null:
		return nil
	}
	return b.anything(Built)
}

func (b *body) literal(object ast.Object) shape {
	fields, members, others := map[string]shape{}, shape(nil), false
	object.Foreach(func(key, value *ast.Term) {
		if name, ok := key.Value.(ast.String); ok {
			fields[string(name)] = b.term(value)
			return
		}
		b.term(key)
		others, members = true, union(members, b.term(value))
	})
	return b.object(fields, members, others)
}

func (b *body) variable(name ast.Var) shape {
	switch {
	case name.Equal(ast.InputRootDocument.Value):
		return b.input
	case name.Equal(ast.DefaultRootDocument.Value):
		return b.anything(Built)
	}
	if bound, ok := b.variables[name]; ok {
		return bound
	}
	return b.anything(Built)
}

// unbound tells whether a term has a variable that nothing has bound.
func (b *body) unbound(term *ast.Term) bool {
	switch value := term.Value.(type) {
	case ast.Var:
		_, bound := b.variables[value]
		return !bound && !value.Equal(ast.InputRootDocument.Value) && !value.Equal(ast.DefaultRootDocument.Value)
	case *ast.Array:
		for i := range value.Len() {
			if b.unbound(value.Elem(i)) {
				return true
			}
		}
	case ast.Object:
		return value.Until(func(_, member *ast.Term) bool { return b.unbound(member) })
	}
	return false
}

// bind binds the variables of a pattern to what is there in a value.
func (b *body) bind(pattern *ast.Term, value shape) {
	switch p := pattern.Value.(type) {
	case ast.Var:
		if _, bound := b.variables[p]; !bound {
			b.variables[p] = value
		}
	case *ast.Array:
		for i := range p.Len() {
			b.bind(p.Elem(i), b.membersOf(value))
		}
	case ast.Object:
		p.Foreach(func(key, member *ast.Term) {
			if name, ok := key.Value.(ast.String); ok {
				found, there := b.field(value, string(name))
				b.judge(read("{"+key.String()+": …}", key), value, key, there)
				b.bind(member, found)
				return
			}
			b.bind(member, b.membersOf(value))
		})
	default:
		b.term(pattern)
	}
}

// bindAs binds a pattern to the value of a term, which stands in the source where the compiler made the variable.
func (b *body) bindAs(pattern, of *ast.Term, value shape) {
	if name, ok := pattern.Value.(ast.Var); ok {
		if _, written := b.written[name]; !written {
			b.texts[name] = b.textOf(of)
		}
	}
	b.bind(pattern, value)
}

// reference gives what a reference leads to.
func (b *body) reference(term *ast.Term, ref ast.Ref) shape {
	value, rest := b.start(ref)
	r := read(b.textOf(ast.NewTerm(ref[:len(ref)-len(rest)])), term)
	for _, step := range rest {
		value = b.step(r, value, step)
	}
	return value
}

// start gives the shape of what a reference begins with, and the steps from there.
func (b *body) start(ref ast.Ref) (value shape, steps []*ast.Term) {
	switch {
	case ref.HasPrefix(settingsRef):
		return b.settings, ref[len(settingsRef):]
	case ref.HasPrefix(clusterRef):
		return b.cluster, ref[len(clusterRef):]
	case ref[0].Value.Compare(ast.DefaultRootDocument.Value) != 0:
		return b.term(ref[0]), ref[1:]
	}
	if n := b.documentLength(ref); n > 0 {
		return b.document(pathOf(ref[1:n])), ref[n:]
	}
	return b.anything(Built), nil
}

// documentLength is how much of a reference names rules; 0 if it names none.
func (f *Finder) documentLength(ref ast.Ref) int {
	for n := 2; n <= len(ref); n++ {
		if _, isName := ref[n-1].Value.(ast.String); !isName {
			break
		}
		if f.rules[pathOf(ref[1:n])] != nil {
			return n
		}
	}
	return 0
}

// step gives what one step from a value leads to.
func (b *body) step(r *reading, value shape, step *ast.Term) shape {
	name, isName := step.Value.(ast.String)
	if isName {
		r.text += b.textOfSteps([]*ast.Term{step})
		found, there := b.field(value, string(name))
		b.judge(r, value, step, there)
		return found
	}
	switch {
	case b.unbound(step):
		if _, isVariable := step.Value.(ast.Var); isVariable {
			b.bind(step, b.keysOf(value))
		} else {
			b.bind(step, b.anything(Built))
		}
	default:
		b.term(step)
	}
	r.text += b.textOfSteps([]*ast.Term{step})
	return b.membersOf(value)
}
