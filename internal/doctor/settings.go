package doctor

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gobwas/glob"

	"github.com/mozilla-iam/eksguard/internal/excerpt"
	"github.com/mozilla-iam/eksguard/internal/policy"
)

// soon is how long before its end an exception is told of.
const soon = 14 * 24 * time.Hour

// settings are data.eksguard.settings. They were checked against their schemas, so that what is of another type than it
// is read as belongs to another bundle, and is as good as not there.
type settings map[string]any

func (s settings) at(path ...string) any {
	var value any = map[string]any(s)
	for _, key := range path {
		object, _ := value.(map[string]any)
		value = object[key]
	}
	return value
}

func (s settings) text(path ...string) string {
	text, _ := s.at(path...).(string)
	return text
}

func (s settings) list(path ...string) []any {
	list, _ := s.at(path...).([]any)
	return list
}

// starMatches reads a glob of a policy's settings, in which only * means something (policies/lib/glob).
func starMatches(pattern, value string) bool {
	parts := strings.Split(pattern, "*")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile(`(?s)\A` + strings.Join(parts, ".*") + `\z`).MatchString(value)
}

// texts are the strings of a list.
func texts(list []any) (found []string) {
	for _, element := range list {
		if text, ok := element.(string); ok {
			found = append(found, text)
		}
	}
	return found
}

// lookAtSettings finds settings that say less than they seem to.
func lookAtSettings(ctx context.Context, e *examination) (string, error) {
	if _, known := e.settings.at("cluster", "account").(string); known && e.settings.text("cluster", "account") == "" {
		e.find(Finding{
			Severity: Warning,
			What:     "settings.cluster.account is empty",
			Why:      "the account in ARNs is not compared, so that roles of other accounts pass",
			Do:       `set cluster: {account: "…"} to what aws sts get-caller-identity --query Account --output text prints`,
		})
	}
	e.lookAtEnforcement()
	e.lookAtExceptions()
	namespaces, err := e.allNamespaces(ctx)
	if err != nil {
		return "", err
	}
	var names []string
	for i := range namespaces {
		names = append(names, namespaces[i].Name)
	}
	e.lookAtPatterns(names)
	return fmt.Sprintf("revision %s, %d policies", e.Snapshot.Revision(), len(e.Snapshot.Policies())), nil
}

func (e *examination) lookAtEnforcement() {
	var lenient []string
	for _, p := range e.Snapshot.Policies() {
		for i := range p.Rules {
			r := &p.Rules[i]
			if r.Kind == policy.Deny && !r.Off && e.Snapshot.Action(p, r) != policy.ActionDeny {
				lenient = append(lenient, fmt.Sprintf("%s/%s: %s", p.Name, r.ID, e.Snapshot.Action(p, r)))
			}
		}
	}
	if len(lenient) > 0 {
		e.find(Finding{
			Severity: Info,
			What:     "rules that do not deny: " + listed(lenient),
			Why:      "what they find is told, but passes",
			Do:       "when their eksguard_violations_total rests, take them out of settings.enforcement (docs/runbooks.md)",
		})
	}
}

func (e *examination) lookAtExceptions() {
	for i, x := range e.Snapshot.Exceptions() {
		subject := fmt.Sprintf(
			"settings.exceptions[%d] (%s: %q)",
			i,
			strings.Trim(x.Policy+"/"+x.Rule, "/"),
			excerpt.Of(x.Reason, maxText),
		)
		switch left := x.Ends().Sub(e.Now); {
		case left <= 0:
			e.find(Finding{
				Severity: Warning,
				What:     fmt.Sprintf("%s expired: %s", subject, x.Expires),
				Why:      "it does not apply any more: what it covered is denied when it is next created or changed",
				Do:       "remove it from the settings, or give it a new end and a reason",
			})
		case left <= soon:
			e.find(Finding{
				Severity: Info,
				What:     fmt.Sprintf("%s expires soon: %s", subject, x.Expires),
				Why:      "what it covers is denied from then on when it is created or changed",
				Do:       "put right what it covers: eksguard review --settings tells what that is",
			})
		}
	}
}

// lookAtPatterns finds what names namespaces of which there are none: it may be misspelt.
func (e *examination) lookAtPatterns(names []string) {
	idle := map[string]bool{} // by where it stands
	if grants, ok := e.settings.at("iam_role", "grants").(map[string]any); ok {
		for namespace := range grants {
			idle[fmt.Sprintf("settings.iam_role.grants[%q]", excerpt.Of(namespace, maxText))] = !slices.Contains(names, namespace)
		}
	}
	for i, x := range e.Snapshot.Exceptions() {
		if x.Namespace != "" {
			idle[fmt.Sprintf("settings.exceptions[%d].namespace %q", i, excerpt.Of(x.Namespace, maxText))] = !anyMatches(x.Namespace, names)
		}
	}
	for _, where := range slices.Sorted(maps.Keys(idle)) {
		if idle[where] {
			e.find(Finding{
				Severity: Info,
				What:     where + " matches no namespace of this cluster",
				Why:      "it has no effect here; it may be misspelt",
				Do:       "kubectl get namespaces",
			})
		}
	}
}

func anyMatches(pattern string, names []string) bool {
	compiled, err := glob.Compile(pattern)
	return err != nil || slices.ContainsFunc(names, compiled.Match)
}
