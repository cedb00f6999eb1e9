package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/mozilla-iam/eksguard/internal/excerpt"
	"github.com/mozilla-iam/eksguard/internal/spelling"
)

// unsupported tells of keys of OPA's that mean nothing to eksguard, or would weaken it, what to do instead; it is empty for
// all others.
func unsupported(key string) string {
	switch key {
	case "bundle":
		return "use bundles"
	case "caching":
		return "policies of eksguard have no built-in that caches"
	case "decision_logs.mask_decision", "decision_logs.drop_decision":
		return "the rules are mask and drop in package system.log of a bundle"
	case "decision_logs.nd_builtin_cache":
		return "policies of eksguard have no such built-in"
	case "decision_logs.plugin":
		return "eksguard loads no plugins"
	case "decision_logs.reporting.buffer_type", "decision_logs.reporting.buffer_size_limit_events":
		return "the buffer is bounded by buffer_size_limit_bytes"
	case "decision_logs.reporting.trigger":
		return "uploads are periodic"
	case "decision_logs.request_context":
		return "the requests are the API server's, and their headers tell nothing"
	case "default_authorization_decision":
		return "eksguard has no API to authorize"
	case "default_decision":
		return "eksguard asks each policy that matches"
	case "discovery":
		return "the configuration is this file alone"
	case "distributed_tracing":
		return "eksguard has no traces"
	case "metrics_export":
		return "metrics are scraped from --metrics-address"
	case "nd_builtin_cache":
		return "policies of eksguard have no such built-in"
	case "plugins":
		return "eksguard loads no plugins"
	case "server":
		return "addresses are flags of eksguard serve"
	case "status.plugin":
		return "eksguard loads no plugins"
	case "status.prometheus", "status.prometheus_config":
		return "metrics of bundles are eksguard_bundle_* on --metrics-address, and OPA's have error texts as labels"
	case "status.trigger":
		return "a status is sent whenever it changes"
	case "storage":
		return "bundles are kept in memory, and in persistence_directory"
	case "bundles.*.trigger":
		return "bundles are polled"
	case "bundles.*.signing.exclude_files":
		return "every file is verified"
	case "bundles.*.signing.allow_unsigned_delta_bundles":
		return "delta bundles are refused"
	case "services.*.credentials.plugin":
		return "eksguard loads no plugins"
	default:
		return ""
	}
}

// checkKeys finds every key that is not known or not supported. What is known are OPA's own types.
func checkKeys(document []byte) error {
	var value any
	if err := json.Unmarshal(document, &value); err != nil {
		return err
	}
	if value == nil {
		return nil
	}
	if _, ok := value.(map[string]any); !ok {
		return fmt.Errorf("it is %T, want an object with services, bundles and so on", value)
	}
	var faults []error
	walkKeys(nil, nil, value, reflect.TypeFor[configFile](), func(path, pattern []string, known []string) {
		name := strings.Join(path, ".")
		if why := unsupported(strings.Join(pattern, ".")); why != "" {
			faults = append(faults, fmt.Errorf("%s: not supported: %s", name, why))
		} else if !slices.Contains(known, path[len(path)-1]) {
			faults = append(faults, fmt.Errorf("%s: unknown key%s", excerpt.Of(name, maxText), spelling.Suggest(path[len(path)-1], known)))
		}
	})
	return errors.Join(faults...)
}

// walkKeys shows every key of an object that a struct stands for, with the keys that the struct knows. In pattern, the keys
// of maps are "*".
func walkKeys(path, pattern []string, value any, t reflect.Type, visit func(path, pattern, known []string)) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	below := func(list []string, key string) []string { return append(slices.Clone(list), key) }
	switch v := value.(type) {
	case map[string]any:
		fields := map[string]reflect.Type{}
		if t.Kind() == reflect.Struct {
			collectFields(t, fields)
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			switch t.Kind() {
			case reflect.Map:
				walkKeys(below(path, key), below(pattern, "*"), v[key], t.Elem(), visit)
			case reflect.Struct:
				visit(below(path, key), below(pattern, key), slices.Sorted(maps.Keys(fields)))
				if field, found := fields[key]; found {
					walkKeys(below(path, key), below(pattern, key), v[key], field, visit)
				}
			}
		}
	case []any:
		// OPA takes a list for services, too, whose entries have names.
		if t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
			for i, element := range v {
				walkKeys(below(path, fmt.Sprint(i)), below(pattern, "*"), element, t.Elem(), visit)
			}
		}
	}
}

func collectFields(t reflect.Type, into map[string]reflect.Type) {
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous && name == "":
			collectFields(field.Type, into)
		case name != "" && name != "-":
			into[name] = field.Type
		}
	}
}
