package webhook

import (
	"net/url"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mozilla-iam/eksguard/internal/policy"
)

const (
	// ConfigurationName is the name of both webhook configurations.
	ConfigurationName = "eksguard"
	// Domain is what the names of the webhooks end in.
	Domain = "eksguard.io"

	// sideEffects is what the webhooks do besides answering: a denial is told by a Kubernetes Event, and that of a dry run
	// is not (kubernetes/api: admissionregistration/v1/types.go, SideEffectClassNoneOnDryRun). It needs no reconciliation,
	// which the API asks for: a denial is final, whatever others say of the request. Whether Events are turned on does not
	// change it, so that replicas and doctor need not agree on that; the API server treats it like None.
	sideEffects = admissionregistrationv1.SideEffectClassNoneOnDryRun

	timeoutSeconds = 5
	httpsPort      = 443
)

// Endpoint is where the API server reaches the webhooks: by URL, or a Service.
type Endpoint struct {
	// URL is the base URL, https and without a path; nil for a Service.
	URL *url.URL
	// Namespace and Name are the Service's.
	Namespace, Name string
	// Port is the Service's port; 443 if it is zero.
	Port int32
}

func (e Endpoint) clientConfig(path string, caBundle []byte) admissionregistrationv1.WebhookClientConfig {
	if e.URL != nil {
		address := e.URL.JoinPath(path).String()
		return admissionregistrationv1.WebhookClientConfig{URL: &address, CABundle: caBundle}
	}
	port := e.Port
	if port == 0 {
		port = httpsPort
	}
	return admissionregistrationv1.WebhookClientConfig{
		Service: &admissionregistrationv1.ServiceReference{
			Namespace: e.Namespace, Name: e.Name, Path: &path, Port: &port},
		CABundle: caBundle,
	}
}

// ValidatingConfiguration is the registration of every policy that has a deny or warn rule. Every field that the API
// server would default is set, so that it can be compared with what is registered.
//
// Each policy has two webhooks. The first follows the policy's failure policy everywhere but in ownNamespace. The second
// judges ownNamespace, and is ignored while no one answers it, so that eksguard can always be repaired.
func ValidatingConfiguration(policies []*policy.Policy, e Endpoint, caBundle []byte, ownNamespace string,
) *admissionregistrationv1.ValidatingWebhookConfiguration {
	c := &admissionregistrationv1.ValidatingWebhookConfiguration{
		TypeMeta: metav1.TypeMeta{
			APIVersion: admissionregistrationv1.SchemeGroupVersion.String(), Kind: validatingKind},
		ObjectMeta: objectMeta(),
	}
	for _, p := range policies {
		if !p.Has(policy.Deny) && !p.Has(policy.Warn) {
			continue
		}
		for _, s := range scopes(p, ownNamespace) {
			c.Webhooks = append(c.Webhooks, admissionregistrationv1.ValidatingWebhook{
				Name:                    s.name,
				ClientConfig:            e.clientConfig(Path(policy.Validate, p.Name), caBundle),
				Rules:                   rules(p),
				FailurePolicy:           &s.failurePolicy,
				MatchPolicy:             ptr(admissionregistrationv1.Equivalent),
				NamespaceSelector:       s.selector,
				ObjectSelector:          &metav1.LabelSelector{},
				SideEffects:             ptr(sideEffects),
				TimeoutSeconds:          ptr[int32](timeoutSeconds),
				AdmissionReviewVersions: []string{"v1"},
				MatchConditions:         s.conditions,
			})
		}
	}
	return c
}

// MutatingConfiguration is the registration of every policy that has a mutate rule; see ValidatingConfiguration.
func MutatingConfiguration(policies []*policy.Policy, e Endpoint, caBundle []byte, ownNamespace string,
) *admissionregistrationv1.MutatingWebhookConfiguration {
	c := &admissionregistrationv1.MutatingWebhookConfiguration{
		TypeMeta: metav1.TypeMeta{
			APIVersion: admissionregistrationv1.SchemeGroupVersion.String(), Kind: mutatingKind},
		ObjectMeta: objectMeta(),
	}
	for _, p := range policies {
		if !p.Has(policy.MutateRule) {
			continue
		}
		for _, s := range scopes(p, ownNamespace) {
			c.Webhooks = append(c.Webhooks, admissionregistrationv1.MutatingWebhook{
				Name:                    s.name,
				ClientConfig:            e.clientConfig(Path(policy.Mutate, p.Name), caBundle),
				Rules:                   rules(p),
				FailurePolicy:           &s.failurePolicy,
				MatchPolicy:             ptr(admissionregistrationv1.Equivalent),
				NamespaceSelector:       s.selector,
				ObjectSelector:          &metav1.LabelSelector{},
				SideEffects:             ptr(sideEffects),
				TimeoutSeconds:          ptr[int32](timeoutSeconds),
				AdmissionReviewVersions: []string{"v1"},
				ReinvocationPolicy:      ptr(admissionregistrationv1.IfNeededReinvocationPolicy),
				MatchConditions:         s.conditions,
			})
		}
	}
	return c
}

func objectMeta() metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name:   ConfigurationName,
		Labels: map[string]string{"app.kubernetes.io/name": "eksguard", "app.kubernetes.io/managed-by": "eksguard"},
	}
}

// scope is one of the two webhooks of a policy.
type scope struct {
	name          string
	selector      *metav1.LabelSelector
	failurePolicy admissionregistrationv1.FailurePolicyType
	conditions    []admissionregistrationv1.MatchCondition
}

func scopes(p *policy.Policy, ownNamespace string) []scope {
	own := func(operator metav1.LabelSelectorOperator) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
			Key: "kubernetes.io/metadata.name", Operator: operator, Values: []string{ownNamespace}}}}
	}
	return []scope{
		{
			name:          p.Name + "." + Domain,
			selector:      own(metav1.LabelSelectorOpNotIn),
			failurePolicy: p.FailurePolicy,
			conditions:    p.MatchConditions,
		},
		{
			name:          p.Name + ".own-namespace." + Domain,
			selector:      own(metav1.LabelSelectorOpIn),
			failurePolicy: admissionregistrationv1.Ignore,
			// A namespace selector does not hold cluster-scoped objects back: the first webhook has these.
			conditions: append([]admissionregistrationv1.MatchCondition{{
				Name: "own-namespace", Expression: "has(request.namespace)"}}, p.MatchConditions...),
		},
	}
}

func rules(p *policy.Policy) []admissionregistrationv1.RuleWithOperations {
	rules := slices.Clone(p.Match)
	for i := range rules {
		if rules[i].Scope == nil {
			rules[i].Scope = ptr(admissionregistrationv1.AllScopes)
		}
	}
	return rules
}

func ptr[T any](v T) *T { return &v }
