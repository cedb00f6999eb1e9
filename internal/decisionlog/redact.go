package decisionlog

import (
	"slices"

	"github.com/mozilla-iam/eksguard/internal/policy"
)

// erased stands for what was taken out. rules.rego knows it, too.
const erased = "(erased)"

// kept are the fields of a Secret that tell nothing of what is in it.
var kept = []string{"apiVersion", "kind", "metadata", "type", "immutable"}

// redact takes out of a review what no log may hold, whatever masks a bundle has: all of a Secret but the fields in
// kept, and of its annotations, in which tools keep copies of it, all values; tokens that were asked for (TokenRequest)
// or are asked about (TokenReview); and userInfo.extra.
func redact(review any) {
	request := member(review, "request")
	if request == nil {
		return
	}
	if user := member(request, "userInfo"); user["extra"] != nil {
		user["extra"] = erased
	}
	secret := isSecret(request)
	for _, side := range []string{"object", "oldObject"} {
		object := member(request, side)
		if secret || object["kind"] == "Secret" {
			redactSecret(object)
		}
		for _, section := range []string{"spec", "status"} {
			redactToken(member(object, section))
		}
	}
}

// isSecret takes any kind of that name for one, of whatever group, and Secrets that are asked about as another kind.
func isSecret(request map[string]any) bool {
	for _, key := range []string{"kind", "requestKind"} {
		if member(request, key)["kind"] == "Secret" {
			return true
		}
	}
	for _, key := range []string{"resource", "requestResource"} {
		if member(request, key)["resource"] == "secrets" {
			return true
		}
	}
	return false
}

func redactSecret(object map[string]any) {
	for field := range object {
		if !slices.Contains(kept, field) {
			object[field] = erased
		}
	}
	annotations := member(object, "metadata")["annotations"]
	if values, ok := annotations.(map[string]any); ok {
		for key := range values {
			values[key] = erased
		}
	} else if annotations != nil {
		member(object, "metadata")["annotations"] = erased
	}
}

func redactToken(section map[string]any) {
	if section["token"] != nil {
		section["token"] = erased
	}
}

// member is an object in an object, nil if there is none.
func member(object any, key string) map[string]any {
	fields, _ := object.(map[string]any)
	found, _ := fields[key].(map[string]any)
	return found
}

// redactMutations gives the mutations of a Secret without the values of their patches.
func redactMutations(mutations []policy.Mutation) []policy.Mutation {
	redacted := slices.Clone(mutations)
	for i := range redacted {
		redacted[i].Patch = slices.Clone(redacted[i].Patch)
		for j := range redacted[i].Patch {
			redacted[i].Patch[j].Value = nil
		}
	}
	return redacted
}
