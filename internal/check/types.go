package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"

	"github.com/mozilla-iam/eksguard/internal/openapi"
	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/internal/shape"
	"github.com/mozilla-iam/eksguard/internal/spelling"
)

var (
	eksguardRef = ast.MustParseRef("data.eksguard")
	settingsRef = ast.MustParseRef("data.eksguard.settings")
	clusterRef  = ast.MustParseRef("data.cluster")
)

// noNeed is a key that no need has: an object of a JSON Schema without properties could have any.
const noNeed = ""

// types finds what leads nowhere: references into input that no kind which the policy matches has, into settings that
// their schema does not know, and into cluster state that the policy does not need; and what OPA's type checker finds,
// which knows the types of all that is there.
func types(b *bundle.Bundle, policies []*policy.Policy, schemas *openapi.Schemas) []Finding {
	modules := map[string]*ast.Module{}
	for i := range b.Modules {
		if file := &b.Modules[i]; !policy.IsTest(file) {
			modules[file.Path] = file.Parsed.Copy()
		}
	}
	set := ast.NewSchemaSet()
	settings := ast.MustParseRef("schema.settings")
	settingsSchema := withoutOpen(policy.SettingsSchema(policies), mayBeOpen).(openapi.Schema)
	set.Put(settings, settingsSchema)
	documents := make([]shape.Documents, len(policies))
	for i, p := range policies {
		documents[i] = shape.Documents{
			Input: schemas.Review(p.Match), Settings: settingsSchema, Cluster: needsSchema(p.Needs)}
		input, cluster := schemaRef("input", p), schemaRef("cluster", p)
		set.Put(input, withoutOpen(documents[i].Input, isOpen))
		set.Put(cluster, documents[i].Cluster)
		annotate(modules, p, []*ast.SchemaAnnotation{
			{Path: ast.InputRootRef, Schema: input},
			{Path: clusterRef, Schema: cluster},
			{Path: settingsRef, Schema: settings},
		})
	}
	compiler := ast.NewCompiler().
		WithCapabilities(policy.Capabilities()).
		WithSchemas(set).
		WithUseTypeCheckAnnotations(true)
	compiler.SetErrorLimit(0)
	compiler.Compile(modules)
	finder := shape.NewFinder(compiler)
	for i, p := range policies {
		finder.Policy(p.Package, documents[i])
	}
	misses := finder.Misses()
	findings := resources(policies, schemas)
	for i := range misses {
		findings = append(findings, missFinding(&misses[i]))
	}
	for _, fault := range compiler.Errors {
		f := typeFinding(fault)
		known := func(m shape.Miss) bool {
			return (m.File == f.File && m.Line == f.Line) || m.Name == missing(fault)
		}
		if !isFollowed(fault) && !slices.ContainsFunc(misses, known) {
			findings = append(findings, f)
		}
	}
	return findings
}

// resources finds what match misspells of Kubernetes' own resources.
func resources(policies []*policy.Policy, schemas *openapi.Schemas) (findings []Finding) {
	for _, p := range policies {
		for i := range p.Match {
			for _, group := range p.Match[i].APIGroups {
				for _, resource := range p.Match[i].Resources {
					if meant := schemas.Meant(group, resource); meant != "" {
						f := located(Types, p.Location+": ")
						f.Message = fmt.Sprintf("policy %q: metadata custom.match[%d]: group %q has no resource %q (did you mean %q?)",
							p.Name, i, group, resource, meant)
						findings = append(findings, f)
					}
				}
			}
		}
	}
	return findings
}

// isFollowed tells whether a fault is of a reference that package shape judges.
func isFollowed(fault *ast.Error) bool {
	detail, ok := fault.Details.(*ast.RefErrInvalidDetail)
	return ok && (detail.Ref.HasPrefix(ast.InputRootRef) || detail.Ref.HasPrefix(settingsRef) || detail.Ref.HasPrefix(clusterRef))
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

// withoutOpen takes the properties from those objects of a JSON Schema that can have others: OPA's type checker takes
// properties for all that there are.
func withoutOpen(node any, open func(schema map[string]any) bool) any {
	switch node := node.(type) {
	case map[string]any:
		without := map[string]any{}
		for key, value := range node {
			if key != "properties" || !open(node) {
				without[key] = withoutOpen(value, open)
			}
		}
		return without
	case []any:
		without := make([]any, len(node))
		for i := range node {
			without[i] = withoutOpen(node[i], open)
		}
		return without
	}
	return node
}

// mayBeOpen is JSON Schema's own rule.
func mayBeOpen(schema map[string]any) bool { return schema["additionalProperties"] != false }

// isOpen is that of package openapi.
func isOpen(schema map[string]any) bool { return schema["additionalProperties"] == true }

// missFinding tells what leads nowhere in the words of a policy's author.
func missFinding(miss *shape.Miss) Finding {
	why := map[shape.Origin]string{
		shape.Object:   "no kind that the policy matches has it",
		shape.Review:   "an AdmissionReview does not have it",
		shape.Settings: "the schema of the settings does not have it",
		shape.Cluster:  "it is not among the policy's needs",
	}[miss.Of]
	if miss.List {
		why = "it is a list; want an element of it, as in `some element in …`"
	}
	known := slices.DeleteFunc(miss.Known, func(name string) bool { return name == noNeed })
	return Finding{File: miss.File, Line: miss.Line, Check: Types, Message: fmt.Sprintf("%s: there is no %q: %s%s",
		miss.Reference, miss.Name, why, spelling.Suggest(miss.Name, few(miss.Name, known)))}
}

// missing is the name that a reference asks for in vain, if that is the fault.
func missing(fault *ast.Error) string {
	if detail, ok := fault.Details.(*ast.RefErrInvalidDetail); ok {
		if name, ok := detail.Ref[detail.Pos].Value.(ast.String); ok {
			return string(name)
		}
	}
	return ""
}

// typeFinding tells an error of OPA's type checker.
func typeFinding(fault *ast.Error) Finding {
	f := compileFinding(fault)
	f.Check = Types
	if name := missing(fault); name != "" {
		detail := fault.Details.(*ast.RefErrInvalidDetail)
		var known []string
		for _, value := range detail.OneOf {
			if s, ok := value.(ast.String); ok {
				known = append(known, string(s))
			}
		}
		slices.Sort(known)
		f.Message = fmt.Sprintf("%s: there is no %q: nothing that can be there has it%s",
			localRef(detail.Ref[:detail.Pos+1]), name, spelling.Suggest(name, few(name, known)))
	} else if strings.HasPrefix(fault.Message, "match error") && fault.Details != nil {
		f.Message = fmt.Sprintf("what is compared is never equal: %s",
			strings.Join(strings.Fields(strings.Join(fault.Details.Lines(), ", ")), " "))
	} else if fault.Details != nil {
		f.Message += ": " + strings.Join(strings.Fields(strings.Join(fault.Details.Lines(), ", ")), " ")
	}
	return f
}

// localRef gives a reference as it is written in its own package: _object.spec and not data.eksguard.p._object.spec.
func localRef(ref ast.Ref) string {
	if len(ref) < 4 || !ref.HasPrefix(eksguardRef) || ref.HasPrefix(settingsRef) {
		return ref.String()
	}
	return strings.TrimPrefix(ref.String(), ref[:3].String()+".")
}

// few leaves out the words that are too many to be listed where none of them is near.
func few(word string, known []string) []string {
	const most = 12
	if len(known) > most && strings.HasPrefix(spelling.Suggest(word, known), " (known") {
		return nil
	}
	return known
}
