package bundle

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/mozilla-iam/eksguard/internal/excerpt"
)

// sequenceOf reads metadata.eksguard.sequence of a manifest, which orders the versions of a bundle: a whole number that
// grows. It is nil where the manifest has none. A revision orders nothing: OPA lets it be any text, and most are hashes.
func sequenceOf(metadata map[string]any) (*int64, error) {
	section, found := metadata["eksguard"]
	if !found {
		return nil, nil
	}
	object, ok := section.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("manifest: metadata.eksguard is %T, want an object", section)
	}
	for key := range object {
		if key != "sequence" {
			return nil, fmt.Errorf("manifest: metadata.eksguard.%s: unknown key (known: sequence)", excerpt.Of(key, maxText))
		}
	}
	value, found := object["sequence"]
	if !found {
		return nil, nil
	}
	var sequence int64
	switch n := value.(type) {
	case json.Number:
		parsed, err := n.Int64()
		if err != nil || parsed < 0 {
			return nil, badSequence(n)
		}
		sequence = parsed
	case float64:
		if n < 0 || n != math.Trunc(n) || n > 1<<53 {
			return nil, badSequence(n)
		}
		sequence = int64(n)
	default:
		return nil, badSequence(value)
	}
	return &sequence, nil
}

func badSequence(value any) error {
	return fmt.Errorf("manifest: metadata.eksguard.sequence is %q, want a whole number that is not negative",
		excerpt.Of(fmt.Sprint(value), maxText))
}

// checkSequence refuses a bundle that is older than the highest sequence seen. Once a bundle had a sequence, one without is
// taken for older: it may be from before there were any.
func checkSequence(highest, sequence *int64) error {
	const fix = "publish it with a higher one, or set eksguard.allow_older in the configuration for as long as it takes"
	switch {
	case highest == nil || sequence != nil && *sequence >= *highest:
		return nil
	case sequence == nil:
		return &Fault{ReasonOlder, fmt.Errorf("its manifest has no metadata.eksguard.sequence, and the bundle that was taken "+
			"before has %d: %s", *highest, fix)}
	default:
		return &Fault{ReasonOlder, fmt.Errorf("its sequence %d is older than %d, which was taken before: %s",
			*sequence, *highest, fix)}
	}
}
