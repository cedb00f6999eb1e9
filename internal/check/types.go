package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"

	"github.com/mozilla-iam/eksguard/internal/openapi"
	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/internal/spelling"
)

var (
	eksguardRef = ast.MustParseRef("data.eksguard")
	settingsRef = ast.MustParseRef("data.eksguard.settings")
	clusterRef  = ast.MustParseRef("data.cluster")

	objectRef    = ast.MustParseRef("input.request.object")
	oldObjectRef = ast.MustParseRef("input.request.oldObject")
)

// noNeed is a key that no need has: an object of a JSON Schema without properties could have any.
const noNeed = ""

// types finds what leads nowhere: references into input that no kind which the policy matches has, into settings that
// their schema does not know, and into cluster state that the policy does not need. OPA's type checker does the work.
func types(b *bundle.Bundle, policies []*policy.Policy, schemas *openapi.Schemas) []Finding {
	modules := map[string]*ast.Module{}
	for i := range b.Modules {
		if file := &b.Modules[i]; !policy.IsTest(file) {
			modules[file.Path] = file.Parsed.Copy()
		}
	}
	set := ast.NewSchemaSet()
	settings := ast.MustParseRef("schema.settings")
	set.Put(settings, openObjects(policy.SettingsSchema(policies)))
	for _, p := range policies {
		input, cluster := schemaRef("input", p), schemaRef("cluster", p)
		set.Put(input, schemas.Review(p.Match))
		set.Put(cluster, needsSchema(p.Needs))
		annotate(modules, p, []*ast.SchemaAnnotation{
			{Path: ast.InputRootRef, Schema: input},
			{Path: clusterRef, Schema: cluster},
			{Path: settingsRef, Schema: settings},
		})
	}
	for _, module := range modules {
		exposePaths(module)
	}
	places := findPlaces(modules)
	compiler := ast.NewCompiler().
		WithCapabilities(policy.Capabilities()).
		WithSchemas(set).
		WithUseTypeCheckAnnotations(true)
	compiler.SetErrorLimit(0)
	if compiler.Compile(modules); !compiler.Failed() {
		return nil
	}
	var findings []Finding
	for _, fault := range compiler.Errors {
		findings = append(findings, typeFindings(fault, places)...)
	}
	return findings
}

func schemaRef(kind string, p *policy.Policy) ast.Ref {
	return ast.Ref{ast.VarTerm("schema"), ast.StringTerm(kind), ast.StringTerm(p.Package)}
}

// annotate adds schemas to the METADATA of the policy's package.
func annotate(modules map[string]*ast.Module, p *policy.Policy, schemas []*ast.SchemaAnnotation) {
	path := ast.Ref{ast.DefaultRootDocument, ast.StringTerm("eksguard"), ast.StringTerm(p.Package)}
	for _, module := range modules {
		if !module.Package.Path.Equal(path) {
			continue
		}
		for _, a := range module.Annotations {
			if a.Scope == "package" {
				a.Schemas = append(a.Schemas, schemas...)
			}
		}
	}
}

// needsSchema knows the kinds of data.cluster, and nothing of their objects.
func needsSchema(needs []policy.Need) openapi.Schema {
	properties := openapi.Schema{noNeed: openapi.Schema{}}
	for _, need := range needs {
		properties[need.Key()] = openapi.Schema{}
	}
	return openapi.Schema{"type": "object", "properties": properties}
}

// openObjects leaves only those objects of a JSON Schema with their properties that can have no others: OPA's type
// checker takes properties for all that there are.
func openObjects(node any) any {
	switch node := node.(type) {
	case map[string]any:
		open := map[string]any{}
		for key, value := range node {
			if key == "properties" && node["additionalProperties"] != false {
				continue
			}
			open[key] = openObjects(value)
		}
		return open
	case []any:
		for i := range node {
			node[i] = openObjects(node[i])
		}
	}
	return node
}

// typeFindings tells a type error in the words of a policy's author.
func typeFindings(fault *ast.Error, places places) []Finding {
	f := compileFinding(fault)
	f.Check = Types
	detail, ok := fault.Details.(*ast.RefErrInvalidDetail)
	if !ok && fault.Details != nil {
		f.Message += ": " + strings.Join(strings.Fields(strings.Join(fault.Details.Lines(), ", ")), " ")
	}
	if !ok {
		return []Finding{f}
	}
	name, ok := detail.Ref[detail.Pos].Value.(ast.String)
	if !ok {
		return []Finding{f}
	}
	var known []string
	for _, value := range detail.OneOf {
		if s, ok := value.(ast.String); ok && s != noNeed {
			known = append(known, string(s))
		}
	}
	slices.Sort(known)
	why := "no kind that the policy matches has it"
	switch {
	case detail.Ref.HasPrefix(settingsRef):
		why = "the schema of the settings does not have it"
	case detail.Ref.HasPrefix(clusterRef):
		why = "it is not among the policy's needs"
	case detail.Ref.HasPrefix(ast.InputRootRef) && !detail.Ref.HasPrefix(objectRef) && !detail.Ref.HasPrefix(oldObjectRef):
		why = "an AdmissionReview does not have it"
	}
	ref := detail.Ref[:detail.Pos+1]
	local, packagePath := localRef(ref)
	f.Message = fmt.Sprintf("%s: there is no %q: %s%s",
		local, string(name), why, spelling.Suggest(string(name), few(string(name), known)))
	if packagePath == "" {
		return []Finding{f}
	}
	// The error stands where the rule is that the reference begins with. What the author wants to see is the reference.
	var findings []Finding
	for _, location := range places[packagePath] {
		if strings.HasPrefix(location.ref, local) {
			f.File, f.Line = location.file, location.line
			findings = append(findings, f)
		}
	}
	if findings == nil {
		findings = []Finding{f}
	}
	return findings
}

// localRef gives a reference as it is written in its own package: _object.spec and not data.eksguard.p._object.spec;
// and the package, if that makes a difference.
func localRef(ref ast.Ref) (local, packagePath string) {
	if len(ref) < 4 || !ref.HasPrefix(eksguardRef) || ref.HasPrefix(settingsRef) {
		return ref.String(), ""
	}
	packagePath = ref[:3].String()
	return strings.TrimPrefix(ref.String(), packagePath+"."), packagePath
}

// places are the references of each package, as they are written.
type places map[string][]place

type place struct {
	ref, file string
	line      int
}

func findPlaces(modules map[string]*ast.Module) places {
	found := places{}
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		module := modules[name]
		packagePath := module.Package.Path.String()
		ast.WalkRefs(module, func(ref ast.Ref) bool {
			if location := ref[0].Location; location != nil {
				found[packagePath] = append(found[packagePath], place{ref.String(), location.File, location.Row})
			}
			return false
		})
	}
	return found
}

// exposePaths puts in place of every call of object.get with a constant path the reference that it stands for, since
// the type checker looks into references only. What is checked so is never evaluated, and the default is left out: a
// value of its type is what the author provides for, not a mistake.
func exposePaths(module *ast.Module) {
	ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case *ast.Expr:
			if every, ok := x.Terms.(*ast.Every); ok {
				x.Terms = asComprehension(every).SetLocation(x.Location)
			}
			if call, ok := x.Terms.([]*ast.Term); ok {
				if ref := calledPath(call); ref != nil {
					x.Terms = ast.NewTerm(ref).SetLocation(x.Location)
				}
			}
		case *ast.Term:
			if call, ok := x.Value.(ast.Call); ok {
				if ref := calledPath(call); ref != nil {
					x.Value = ref
				}
			}
		}
		return false
	}).Walk(module)
}

// asComprehension gives a comprehension that reads what an every reads: the type checker does not tell the body of an
// every that its value is a member of the domain.
func asComprehension(every *ast.Every) *ast.Term {
	domain, ok := every.Domain.Value.(ast.Ref)
	if !ok {
		domain = ast.Ref{every.Domain}
	}
	key := every.Key
	if key == nil {
		key = ast.VarTerm(ast.WildcardPrefix + "member")
	}
	member := ast.Assign.Expr(every.Value, ast.NewTerm(append(slices.Clone(domain), key)).SetLocation(every.Location))
	body := ast.NewBody(member.SetLocation(every.Location))
	for _, expr := range every.Body {
		body.Append(expr)
	}
	return ast.ArrayComprehensionTerm(ast.BooleanTerm(true), body)
}

// calledPath gives the reference that `object.get(of, path, default)` stands for, nil for another call or a path that
// is not spelt out.
func calledPath(call []*ast.Term) ast.Ref {
	if len(call) != 4 || call[0].String() != ast.ObjectGet.Name {
		return nil
	}
	var ref ast.Ref
	switch of := call[1].Value.(type) {
	case ast.Ref:
		ref = slices.Clone(of)
	case ast.Call:
		if ref = calledPath(of); ref == nil {
			ref = ast.Ref{call[1]}
		}
	case ast.Var:
		ref = ast.Ref{call[1]}
	default:
		return nil
	}
	path, ok := call[2].Value.(*ast.Array)
	if !ok {
		path = ast.NewArray(call[2])
	}
	for i := range path.Len() {
		switch path.Elem(i).Value.(type) {
		case ast.String, ast.Number, ast.Var, ast.Ref:
			ref = append(ref, path.Elem(i))
		default:
			return nil
		}
	}
	return ref
}

// few leaves out the words that are too many to be listed where none of them is near.
func few(word string, known []string) []string {
	const most = 12
	if len(known) > most && strings.HasPrefix(spelling.Suggest(word, known), " (known") {
		return nil
	}
	return known
}
