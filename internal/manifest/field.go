package manifest

import (
	"regexp"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// step is one step down into an object: a string, the key of a mapping; or an int, the index of a list.
type step any

// plainKey is a key that may stand after a dot. Policies quote what kubectl would quote, people forget to.
var plainKey = regexp.MustCompile(`^[^.\[\]"]+`)

// parseField takes the path of a field apart, as kubectl prints it: spec.containers[0].image,
// metadata.annotations["example.com/role"]. What cannot be understood ends it.
func parseField(field string) (steps []step) {
	for field != "" {
		if quoted, err := strconv.QuotedPrefix(strings.TrimPrefix(field, "[")); err == nil && field[0] == '[' {
			key, err := strconv.Unquote(quoted)
			rest, closed := strings.CutPrefix(field[1+len(quoted):], "]")
			if err != nil || !closed {
				return steps
			}
			steps, field = append(steps, key), rest
			continue
		}
		if rest, ok := strings.CutPrefix(field, "["); ok {
			digits, rest, _ := strings.Cut(rest, "]")
			index, err := strconv.Atoi(digits)
			if err != nil || index < 0 {
				return steps
			}
			steps, field = append(steps, index), rest
			continue
		}
		field = strings.TrimPrefix(field, ".")
		key := plainKey.FindString(field)
		if key == "" {
			return steps
		}
		steps, field = append(steps, key), field[len(key):]
	}
	return steps
}

// valueAt follows the steps through an object, into a string no further than that. It is false where they lead nowhere.
func valueAt(object *unstructured.Unstructured, steps []step) (any, bool) {
	var value any = object.Object
	for _, s := range steps {
		switch inner := value.(type) {
		case map[string]any:
			key, _ := s.(string)
			member, ok := inner[key]
			if !ok {
				return nil, false
			}
			value = member
		case []any:
			index, isIndex := s.(int)
			if !isIndex || index >= len(inner) {
				return nil, false
			}
			value = inner[index]
		case string:
			return inner, true
		default:
			return nil, false
		}
	}
	return value, true
}
