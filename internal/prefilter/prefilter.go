// Package prefilter evaluates the match conditions of a webhook as the API server does, with the API server's own
// evaluator: whether it would call the webhook about a request. It decides nothing else about the request.
package prefilter

import (
	"context"
	"encoding/json"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	admissioncel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/cel/environment"
)

// Compiler compiles match conditions. It is dear to make, and serves for any number of webhooks.
type Compiler struct {
	conditions admissioncel.ConditionCompiler
}

// NewCompiler makes a compiler of what an API server of the evaluator's own version takes in new expressions.
func NewCompiler() *Compiler {
	return &Compiler{admissioncel.NewConditionCompiler(
		environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))}
}

// Conditions are the compiled match conditions of one webhook.
type Conditions struct{ matcher matchconditions.Matcher }

// Compile compiles the match conditions of a webhook. One that does not compile is an error of Match.
func (c *Compiler) Compile(name string, conditions []admissionregistrationv1.MatchCondition,
	failurePolicy admissionregistrationv1.FailurePolicyType) *Conditions {
	accessor := webhook.NewValidatingWebhookAccessor(name, name, &admissionregistrationv1.ValidatingWebhook{
		Name: name, MatchConditions: conditions, FailurePolicy: &failurePolicy})
	return &Conditions{accessor.GetCompiledMatcher(c.conditions)}
}

// Match gives the name of a condition that is false of the review, so that the API server does not call the webhook; it
// is empty where none is. An error is what the API server makes the webhook's failurePolicy decide.
func (c *Conditions) Match(ctx context.Context, review *admissionv1.AdmissionReview) (failed string, err error) {
	attributes, err := attributes(review.Request)
	if err != nil {
		return "", err
	}
	result := c.matcher.Match(ctx, attributes, nil, nil)
	switch {
	case result.Error != nil:
		return "", result.Error
	case result.Matches:
		return "", nil
	default:
		return result.FailedConditionName, nil
	}
}

// attributes makes of a request what the API server's admission chain has before it calls a webhook.
func attributes(r *admissionv1.AdmissionRequest) (*admission.VersionedAttributes, error) {
	object, err := decode(r.Object)
	if err != nil {
		return nil, fmt.Errorf("request.object: %w", err)
	}
	oldObject, err := decode(r.OldObject)
	if err != nil {
		return nil, fmt.Errorf("request.oldObject: %w", err)
	}
	kind := schema.GroupVersionKind{Group: r.Kind.Group, Version: r.Kind.Version, Kind: r.Kind.Kind}
	resource := schema.GroupVersionResource{
		Group: r.Resource.Group, Version: r.Resource.Version, Resource: r.Resource.Resource}
	author := &user.DefaultInfo{Name: r.UserInfo.Username, UID: r.UserInfo.UID, Groups: r.UserInfo.Groups}
	return &admission.VersionedAttributes{
		Attributes: admission.NewAttributesRecord(object, oldObject, kind, r.Namespace, r.Name, resource, r.SubResource,
			admission.Operation(r.Operation), nil, r.DryRun != nil && *r.DryRun, author),
		VersionedObject:    admission.NewLazyObject(object),
		VersionedOldObject: admission.NewLazyObject(oldObject),
		VersionedKind:      kind,
	}, nil
}

// decode gives nothing, and no nil pointer in an interface, where there is no object.
func decode(raw runtime.RawExtension) (runtime.Object, error) {
	if len(raw.Raw) == 0 || string(raw.Raw) == "null" {
		return nil, nil
	}
	object := &unstructured.Unstructured{}
	if err := json.Unmarshal(raw.Raw, &object.Object); err != nil {
		return nil, err
	}
	return object, nil
}
