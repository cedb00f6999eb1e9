package manifest

import (
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// readObject adds the object, or the items of the list, that the JSON holds. The document says where it stands; items
// are on the lines itemLines where there is one for each.
func (r *reader) readObject(at Document, text []byte, itemLines []int) {
	if string(text) == "null" {
		return // an empty document, in YAML's words
	}
	var value any
	if err := utiljson.Unmarshal(text, &value); err != nil {
		r.fail(at.File, at.Line, err)
		return
	}
	r.found++
	// A list is as large as it likes: no one sends it to the API server.
	r.add(at, value, itemLines, len(text) > MaxBytes)
}

// add takes what was decoded apart. Only where the whole is large, its parts have to be measured.
func (r *reader) add(at Document, value any, itemLines []int, large bool) {
	object, ok := value.(map[string]any)
	if !ok {
		r.fail(at.File, at.Line, fmt.Errorf("want an object with apiVersion and kind, not %s", typeOf(value)))
		return
	}
	if items, ok := listItems(object); ok {
		for i, item := range items {
			itemAt := at
			if len(itemLines) == len(items) {
				itemAt.Line = itemLines[i]
			}
			itemAt.source = at.source.item("items", i)
			inherit(item, object)
			r.add(itemAt, item, nil, large)
		}
		return
	}
	if err := Check(object); err != nil {
		r.fail(at.File, at.Line, err)
		return
	}
	if large && tooLarge(object) {
		r.fail(at.File, at.Line, fmt.Errorf("the object is larger than %d MiB, which no API server takes", MaxBytes>>20))
		return
	}
	at.Object = &unstructured.Unstructured{Object: object}
	r.documents = append(r.documents, at)
}

func tooLarge(object map[string]any) bool {
	text, err := json.Marshal(object)
	return err != nil || len(text) > MaxBytes
}

// listItems gives the items of a List, PodList and so on; a named object is none, whatever its kind.
func listItems(object map[string]any) ([]any, bool) {
	kind, _ := object["kind"].(string)
	items, ok := object["items"].([]any)
	metadata, _ := object["metadata"].(map[string]any)
	return items, ok && strings.HasSuffix(kind, "List") && metadata["name"] == nil
}

// inherit gives an item of a PodList the kind Pod, which the API server leaves out there.
func inherit(item any, list map[string]any) {
	object, ok := item.(map[string]any)
	kind := strings.TrimSuffix(list["kind"].(string), "List")
	if ok && kind != "" && object["kind"] == nil && object["apiVersion"] == nil {
		object["kind"], object["apiVersion"] = kind, list["apiVersion"]
	}
}

// Check makes sure that the object tells what it is and how it is called.
func Check(object map[string]any) error {
	var missing []string
	for _, field := range []string{"apiVersion", "kind"} {
		text, err := textAt(object, field, field)
		if err != nil {
			return err
		}
		if text == "" {
			missing = append(missing, field)
		}
	}
	metadata, ok := object["metadata"].(map[string]any)
	if !ok && object["metadata"] != nil {
		return fmt.Errorf("metadata: want an object, not %s", typeOf(object["metadata"]))
	}
	for _, field := range []string{"name", "generateName", "namespace"} {
		if _, err := textAt(metadata, field, "metadata."+field); err != nil {
			return err
		}
	}
	if name, _ := metadata["name"].(string); name == "" && (metadata["generateName"] == nil || metadata["generateName"] == "") {
		missing = append(missing, "metadata.name")
	}
	switch len(missing) {
	case 0:
	case 1:
		return fmt.Errorf("%s is missing", missing[0])
	default:
		last := len(missing) - 1
		return fmt.Errorf("%s and %s are missing", strings.Join(missing[:last], ", "), missing[last])
	}
	if _, err := schema.ParseGroupVersion(object["apiVersion"].(string)); err != nil {
		return fmt.Errorf("apiVersion: %q is neither VERSION nor GROUP/VERSION", object["apiVersion"])
	}
	return nil
}

// textAt gives the string at the key, empty where there is none.
func textAt(object map[string]any, key, path string) (string, error) {
	text, ok := object[key].(string)
	if !ok && object[key] != nil {
		return "", fmt.Errorf("%s: want a string, not %s", path, typeOf(object[key]))
	}
	return text, nil
}

func typeOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	default:
		return "a number"
	}
}
