package prefilter

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	admissioncel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel/environment"
)

// Fault is a match condition that does not compile, with which the API server would refuse a webhook.
type Fault struct {
	// Index is the condition's place among the conditions.
	Index int
	Err   error
}

// Faults gives the conditions that do not compile.
func (c *Compiler) Faults(conditions []admissionregistrationv1.MatchCondition) (faults []Fault) {
	for i := range conditions {
		compiled := c.conditions.CompileCondition(
			[]admissioncel.ExpressionAccessor{(*matchconditions.MatchCondition)(&conditions[i])},
			admissioncel.OptionalVariableDeclarations{HasAuthorizer: true}, environment.NewExpressions)
		for _, err := range compiled.CompilationErrors() {
			faults = append(faults, Fault{Index: i, Err: err})
		}
	}
	return faults
}
