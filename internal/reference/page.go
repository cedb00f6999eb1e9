package reference

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"github.com/mozilla-iam/eksguard/internal/examples"
	"github.com/mozilla-iam/eksguard/internal/policy"
)

// page is what a reference is printed on. Texts are Markdown as METADATA has it; code puts a word into them as it is.
type page interface {
	heading(level int, text string)
	paragraph(text string)
	list(items []string)
	table(header []string, rows [][]string)
	block(language, text string)
	code(text string) string
	strong(text string) string
	// link leads to the heading target.
	link(text, target string) string
}

// printer prints a reference on a page. The first error stays.
type printer struct {
	page
	// value is what the values of the settings are called.
	value string
	err   error
}

func (r *Reference) printer(on page) *printer {
	if r.Overlaid {
		return &printer{page: on, value: "value"}
	}
	return &printer{page: on, value: "default"}
}

// Markdown prints the whole reference as a page with a table of contents.
func (r *Reference) Markdown(w io.Writer) error {
	m := &markdown{}
	p := r.printer(m)
	if len(r.Settings) > 0 { // it is of more than one policy
		p.contents(r)
	}
	for i := range r.Policies {
		p.policy(&r.Policies[i], r.oneRule)
	}
	if len(r.Settings) > 0 {
		p.heading(2, "Settings of all policies")
		p.settings("", r.Settings)
	}
	if p.err != nil {
		return p.err
	}
	return m.write(w)
}

// Text prints the policies for a terminal.
func (r *Reference) Text(w io.Writer) error {
	t := &text{}
	p := r.printer(t)
	for i := range r.Policies {
		p.policy(&r.Policies[i], r.oneRule)
	}
	if p.err != nil {
		return p.err
	}
	return t.write(w)
}

func (p *printer) contents(r *Reference) {
	p.heading(1, "Policies")
	p.paragraph("What the policies of the bundle guard, rule by rule. Each rule comes with a request that it objects to, " +
		"what eksguard answers, and one that passes. They are tests, too, and what is answered here is what the engine answers.")
	p.paragraph("This page is what `eksguard policies -o markdown` prints, and nothing in it is written by hand: it is all " +
		"in the METADATA of the policies.")
	var rows [][]string
	for _, described := range r.Policies {
		for _, rule := range described.Rules {
			rows = append(rows, []string{p.link(rule.ID, rule.ID), string(rule.Kind), rule.Severity, rule.Title})
		}
	}
	var items []string
	for _, described := range r.Policies {
		items = append(items, p.link(described.Name, described.Name)+": "+described.Title)
	}
	items = append(items, p.link("Settings of all policies", "Settings of all policies"))
	p.list(items)
	p.table([]string{"rule", "kind", "severity", "what it holds"}, rows)
}

func (p *printer) policy(described *Policy, rulesAlone bool) {
	if !rulesAlone {
		p.about(described)
	}
	for i := range described.Rules {
		p.rule(&described.Rules[i])
	}
}

// about tells of a policy what is not its rules'.
func (p *printer) about(described *Policy) {
	p.heading(2, described.Name)
	p.paragraph(p.strong(described.Title + "."))
	p.paragraph(described.Description)
	p.asked(described)
	p.needs(described.Needs)
	if len(described.Settings) > 0 {
		p.heading(3, "Settings of "+described.Name)
		p.settings(strings.ReplaceAll(described.Name, "-", "_")+".", described.Settings)
	}
}

func (p *printer) asked(described *Policy) {
	p.paragraph(p.strong("Asked about:"))
	var rows [][]string
	for _, rule := range described.Match {
		rows = append(rows, []string{p.codes(rule.Resources), p.codes(versions(rule)), joined(rule.Operations), scope(rule)})
	}
	p.table([]string{"resources", "of", "operations", "scope"}, rows)
	text := fmt.Sprintf("Where no answer can be had, such a write is %s (failurePolicy %s).",
		map[bool]string{true: "let pass", false: "denied"}[described.FailurePolicy == admissionregistrationv1.Ignore],
		p.code(string(described.FailurePolicy)))
	if len(described.MatchConditions) > 0 {
		var names []string
		for _, condition := range described.MatchConditions {
			names = append(names, condition.Name)
		}
		text = "The API server asks only where all of these conditions hold: " + p.codes(names) + ". " + text
	}
	p.paragraph(text)
}

func versions(rule admissionregistrationv1.RuleWithOperations) (versions []string) {
	for _, group := range rule.APIGroups {
		for _, version := range rule.APIVersions {
			versions = append(versions, strings.TrimPrefix(group+"/"+version, "/"))
		}
	}
	return versions
}

func scope(rule admissionregistrationv1.RuleWithOperations) string {
	if rule.Scope == nil || *rule.Scope == admissionregistrationv1.AllScopes {
		return "any"
	}
	return string(*rule.Scope)
}

func joined[S ~string](words []S) string {
	var all []string
	for _, word := range words {
		all = append(all, string(word))
	}
	return strings.Join(all, ", ")
}

func (p *printer) codes(words []string) string {
	var all []string
	for _, word := range words {
		all = append(all, p.code(word))
	}
	return strings.Join(all, ", ")
}

func (p *printer) needs(needs []policy.Need) {
	if len(needs) == 0 {
		return
	}
	p.paragraph(p.strong("Reads of the cluster:"))
	var items []string
	for _, need := range needs {
		item := p.code(need.Key())
		switch {
		case len(need.Fields) > 0:
			var fields []string
			for _, field := range need.Fields {
				fields = append(fields, strings.Join(field, "."))
			}
			item += ": " + p.codes(fields)
		case need.MetadataOnly:
			item += ": metadata"
		}
		if need.IsRead() {
			item += " " + p.code(strings.TrimPrefix(need.Namespace+"/"+need.Name, "/")) + ", read when a rule comes to it"
		}
		if need.Optional {
			item += ", where there is that kind"
		}
		items = append(items, item)
	}
	p.list(items)
}

// longest is how long a value may be that stands in the table of the settings.
const longest = 60

func (p *printer) settings(prefix string, settings []Setting) {
	var rows [][]string
	long := map[string]any{}
	for _, s := range settings {
		value := ""
		if s.Value != nil {
			flow, err := toFlow(s.Value)
			p.fail(err)
			if value = p.code(flow); len(flow) > longest {
				long[s.Path] = s.Value
				value = "below"
			}
		}
		rows = append(rows, []string{p.code(strings.TrimPrefix(s.Path, prefix)), s.Type, value, s.Description})
	}
	p.table([]string{"key", "type", p.value, "meaning"}, rows)
	for _, s := range settings {
		if value, ok := long[s.Path]; ok {
			key := s.Path[strings.LastIndex(s.Path, ".")+1:]
			p.yaml(map[string]any{key: value})
		}
	}
}

func (p *printer) rule(rule *Rule) {
	p.heading(3, rule.ID)
	p.paragraph(p.strong(rule.Title + "."))
	facts := []string{string(rule.Kind), "severity " + rule.Severity}
	if rule.Enforcement != usual(rule.Kind) {
		facts = append(facts, "enforcement "+string(rule.Enforcement))
	}
	if rule.Off {
		facts = append(facts, "off by the settings")
	}
	p.paragraph(strings.Join(facts, " · "))
	p.paragraph(rule.Description)
	if rule.Fix != "" {
		p.paragraph(p.strong("Fix:") + " " + sentence(rule.Fix))
	}
	before := &examples.Example{}
	for i := range rule.Examples {
		p.example(rule, &rule.Examples[i], before)
		before = &rule.Examples[i].Request
	}
}

// usual is what becomes of what a rule finds where the settings say nothing.
func usual(kind policy.RuleKind) policy.Action {
	if kind == policy.Warn {
		return policy.ActionWarn
	}
	return policy.ActionDeny
}

// sentence begins as one and ends as one.
func sentence(text string) string {
	text = strings.TrimSpace(text)
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + strings.TrimSuffix(text[1:], ".") + "."
}

func (p *printer) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

func (p *printer) yaml(value any) {
	text, err := toYAML(value, widest)
	p.fail(err)
	p.block("yaml", text)
}

// title says what becomes of the example.
func title(rule *Rule, example *Example) string {
	switch {
	case example.Name == examples.Passes:
		return "Passes"
	case example.Name == examples.Mutates:
		return "Changed"
	case rule.Kind == policy.Warn:
		return "Warned of"
	default:
		return "Denied"
	}
}

// example tells what differs from the example before.
func (p *printer) example(rule *Rule, example *Example, before *examples.Example) {
	request := &example.Request
	same := reflect.DeepEqual([]any{request.Object, request.OldObject}, []any{before.Object, before.OldObject})
	words := []string{p.strong(title(rule, example) + ":"), request.Note, p.circumstances(request)}
	if same {
		words = append(words, "The same object.")
	}
	words = append(words, p.overlay(request.Settings, before.Settings))
	p.paragraph(strings.Join(slices.DeleteFunc(words, func(word string) bool { return word == "" }), " "))
	if !same {
		p.objects(request)
	}
	if len(request.Settings) > 0 && p.overlay(request.Settings, before.Settings) == "" {
		p.paragraph("With the settings:")
		p.yaml(request.Settings)
	}
	if len(request.Cluster) > 0 {
		p.paragraph("In the cluster there is:")
		var objects []any
		for _, object := range request.Cluster {
			objects = append(objects, object)
		}
		text, err := toYAML(objects, wide)
		p.fail(err)
		p.block("yaml", text)
	}
	if len(example.Answer) > 0 {
		p.paragraph("eksguard answers:")
		p.block("text", wrap(strings.Join(example.Answer, "\n"), 100))
	}
	if len(example.Patch) > 0 {
		p.paragraph("eksguard answers with the patch:")
		var lines []string
		for _, operation := range example.Patch {
			line, err := json.Marshal(operation)
			p.fail(err)
			lines = append(lines, string(line))
		}
		p.block("json", strings.Join(lines, "\n"))
	}
	if example.HeldBack != "" {
		p.paragraph(fmt.Sprintf("The API server does not ask about it: condition %s is false.", p.code(example.HeldBack)))
	}
	if example.Error != "" {
		p.paragraph(p.strong("The example is broken:") + " " + p.code(example.Error))
	}
}

// overlay says the settings of an example in a sentence; it is empty where they are the default or too long for one.
func (p *printer) overlay(settings, before map[string]any) string {
	if len(settings) == 0 {
		return ""
	}
	if reflect.DeepEqual(settings, before) {
		return "With the same settings."
	}
	flow, err := toFlow(settings)
	p.fail(err)
	if len(flow) > widest {
		return ""
	}
	return "With settings " + p.code(flow) + "."
}

// circumstances says what the objects do not.
func (p *printer) circumstances(request *examples.Example) string {
	var words []string
	if request.Resource != "" || request.Subresource != "" {
		resource := strings.TrimSuffix(request.Resource+"/"+request.Subresource, "/")
		words = append(words, fmt.Sprintf("%s of %s", request.Operation, p.code(strings.TrimPrefix(resource, "/"))))
	} else if request.Object == nil {
		words = append(words, string(request.Operation))
	}
	if request.Name != "" {
		words = append(words, p.code(strings.TrimPrefix(request.Namespace+"/"+request.Name, "/")))
	}
	if request.User != "" {
		words = append(words, "by "+p.code(request.User))
	}
	if len(request.Groups) > 0 {
		words = append(words, "of "+p.codes(request.Groups))
	}
	if len(request.Unknown) > 0 {
		words = append(words, "while it is not known what "+p.codes(request.Unknown)+" there are")
	}
	if len(words) == 0 {
		return ""
	}
	return sentence(strings.Join(words, " "))
}

// objects prints what is written, an update as the difference that it makes.
func (p *printer) objects(request *examples.Example) {
	if request.Object != nil && request.OldObject != nil {
		before, err := toYAML(request.OldObject, widest)
		p.fail(err)
		after, err := toYAML(request.Object, widest)
		p.fail(err)
		p.block("diff", difference(before, after))
		return
	}
	if request.Object != nil {
		p.yaml(request.Object)
		return
	}
	p.yaml(request.OldObject)
}
