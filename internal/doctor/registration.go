package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/mozilla-iam/eksguard/webhook"
)

// The kinds of webhook configurations.
const (
	validatingKind = "ValidatingWebhookConfiguration"
	mutatingKind   = "MutatingWebhookConfiguration"
)

// hook is what validating and mutating webhooks have in common.
type hook struct {
	name          string
	client        admissionregistrationv1.WebhookClientConfig
	failurePolicy admissionregistrationv1.FailurePolicyType
	selector      *metav1.LabelSelector
	rules         []admissionregistrationv1.RuleWithOperations
	// fields are all of it but the address, as JSON has them.
	fields map[string]any
}

func validatingHooks(c *admissionregistrationv1.ValidatingWebhookConfiguration) (hooks []hook) {
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		hooks = append(hooks, newHook(w.Name, w.ClientConfig, w.FailurePolicy, w.NamespaceSelector, w.Rules, w))
	}
	return hooks
}

func mutatingHooks(c *admissionregistrationv1.MutatingWebhookConfiguration) (hooks []hook) {
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		hooks = append(hooks, newHook(w.Name, w.ClientConfig, w.FailurePolicy, w.NamespaceSelector, w.Rules, w))
	}
	return hooks
}

func newHook(name string, client admissionregistrationv1.WebhookClientConfig,
	failurePolicy *admissionregistrationv1.FailurePolicyType, selector *metav1.LabelSelector,
	rules []admissionregistrationv1.RuleWithOperations, whole any) hook {
	h := hook{name: name, client: client, selector: selector, rules: rules, fields: map[string]any{}}
	if failurePolicy != nil {
		h.failurePolicy = *failurePolicy
	}
	text, err := json.Marshal(whole)
	if err == nil {
		err = json.Unmarshal(text, &h.fields)
	}
	if err != nil {
		panic(fmt.Sprintf("doctor: a webhook is no JSON object: %v", err)) // it came as one
	}
	delete(h.fields, "clientConfig")
	return h
}

// registered reads what is registered under eksguard's name; nil is not registered.
func (e *examination) registered(ctx context.Context) (validating, mutating []hook, err error) {
	api := e.Clients.AdmissionregistrationV1()
	v, err := api.ValidatingWebhookConfigurations().Get(ctx, webhook.ConfigurationName, metav1.GetOptions{})
	if err == nil {
		validating = validatingHooks(v)
	} else if !apierrors.IsNotFound(err) {
		return nil, nil, fmt.Errorf("read %s: %w", validatingKind, err)
	}
	m, err := api.MutatingWebhookConfigurations().Get(ctx, webhook.ConfigurationName, metav1.GetOptions{})
	if err == nil {
		mutating = mutatingHooks(m)
	} else if !apierrors.IsNotFound(err) {
		return nil, nil, fmt.Errorf("read %s: %w", mutatingKind, err)
	}
	return validating, mutating, nil
}

// lookAtRegistration compares what is registered with what the catalogue and the settings ask for.
func lookAtRegistration(ctx context.Context, e *examination) (string, error) {
	validating, mutating, err := e.registered(ctx)
	if err != nil {
		return "", err
	}
	if validating == nil && mutating == nil {
		e.find(Finding{
			Severity: Error,
			What:     "eksguard is not registered: there is no webhook configuration " + webhook.ConfigurationName,
			Why:      "the API server asks nobody: everything passes",
			Do:       fmt.Sprintf("kubectl -n %s get pods; %s", e.Namespace, e.logs()),
		})
		return "not registered", nil
	}
	policies := e.Snapshot.Policies()
	// Where it is reached, and by what authority, is looked at by others.
	none := webhook.Endpoint{URL: &url.URL{}}
	e.compare(
		validatingKind,
		validatingHooks(webhook.ValidatingConfiguration(policies, none, nil, e.Namespace)),
		validating,
	)
	e.compare(mutatingKind, mutatingHooks(webhook.MutatingConfiguration(policies, none, nil, e.Namespace)), mutating)
	if err := e.lookAtExemptions(ctx, slices.Concat(validating, mutating)); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d validating and %d mutating webhooks", len(validating), len(mutating)), nil
}

// repair is what puts a registration right, which a running eksguard does by itself.
func (e *examination) repair() string {
	return fmt.Sprintf("a running eksguard puts it right by itself: see why it does not with %s; if other settings decide "+
		"there, give them to doctor with --settings", e.logs())
}

func (e *examination) compare(kind string, want, got []hook) {
	byName := map[string]hook{}
	for _, h := range got {
		byName[h.name] = h
	}
	var missing []string
	for _, w := range want {
		g, ok := byName[w.name]
		delete(byName, w.name)
		if !ok {
			missing = append(missing, w.name)
			continue
		}
		if g.failurePolicy != w.failurePolicy {
			e.find(Finding{
				Severity: Error,
				What: fmt.Sprintf("%s: webhook %q has failurePolicy %s, and its policy asks for %s",
					kind, w.name, g.failurePolicy, w.failurePolicy),
				Why: "it decides what happens to a write while eksguard does not answer",
				Do:  e.repair(),
			})
		}
		if fields := differing(w, g); len(fields) > 0 {
			e.find(Finding{
				Severity: Error,
				What:     fmt.Sprintf("%s: webhook %q differs from its policy in %s", kind, w.name, strings.Join(fields, ", ")),
				Why:      "the API server asks about other writes than the policy is for: some may pass that are to be denied",
				Do:       e.repair(),
			})
		}
	}
	if len(missing) > 0 {
		e.find(Finding{
			Severity: Error,
			What:     fmt.Sprintf("%s: webhooks are missing: %s", kind, listed(missing)),
			Why:      "the API server does not ask about what these policies guard",
			Do:       e.repair(),
		})
	}
	if len(byName) > 0 {
		e.find(Finding{
			Severity: Warning,
			What: fmt.Sprintf("%s: webhooks that no policy of this bundle asks for: %s", kind,
				listed(slices.Sorted(maps.Keys(byName)))),
			Why: "they are of another bundle than the one that you examine by, or somebody added them",
			Do:  e.repair(),
		})
	}
}

// differing are the names of the fields in which two webhooks differ, besides the failure policy.
func differing(want, got hook) (fields []string) {
	for key := range got.fields {
		if _, ok := want.fields[key]; !ok {
			fields = append(fields, key)
		}
	}
	for key, value := range want.fields {
		if key != "failurePolicy" && !reflect.DeepEqual(value, got.fields[key]) {
			fields = append(fields, key)
		}
	}
	slices.Sort(fields)
	return fields
}

// lookAtExemptions finds namespaces, besides eksguard's own, that no webhook of a policy selects.
func (e *examination) lookAtExemptions(ctx context.Context, hooks []hook) error {
	namespaces, err := e.allNamespaces(ctx)
	if err != nil {
		return err
	}
	exempt := map[string][]string{} // webhooks by their namespaces
	for _, h := range hooks {
		if strings.Contains(h.name, ".own-namespace.") {
			continue
		}
		selector, err := metav1.LabelSelectorAsSelector(h.selector)
		if err != nil {
			continue // the API server would have refused it
		}
		var names []string
		for i := range namespaces {
			if n := &namespaces[i]; n.Name != e.Namespace && !selector.Matches(labels.Set(n.Labels)) {
				names = append(names, n.Name)
			}
		}
		if len(names) > 0 {
			exempt[listed(names)] = append(exempt[listed(names)], h.name)
		}
	}
	for _, names := range slices.Sorted(maps.Keys(exempt)) {
		e.find(Finding{
			Severity: Error,
			What:     fmt.Sprintf("namespaces are exempt, %s, from webhooks %s", names, listed(exempt[names])),
			Why:      "whoever may write there is not judged; only eksguard's own namespace is to be exempt",
			Do:       e.repair(),
		})
	}
	return nil
}
