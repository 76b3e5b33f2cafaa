package cli_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// jsonSchema is a schema of docs/schemas. It knows the words that those schemas use, and no others; an object may have no
// fields but those that are named.
type jsonSchema struct {
	definitions map[string]any
}

// conforms holds what a verb printed against the schema of its kind, and gives the kind.
func conforms(t *testing.T, document string) string {
	t.Helper()
	var value map[string]any
	if err := json.Unmarshal([]byte(document), &value); err != nil {
		t.Fatalf("%v in %.300s", err, document)
	}
	kind, _ := value["kind"].(string)
	for _, problem := range breaches(t, kind, value) {
		t.Errorf("%s: %s", kind, problem)
	}
	return kind
}

// breaches are where a document is not what the schema of a kind says.
func breaches(t *testing.T, kind string, value map[string]any) []string {
	t.Helper()
	path := filepath.Join("../../docs/schemas", kind+".json")
	text, err := os.ReadFile(path)
	if err != nil {
		text, err = os.ReadFile(strings.ToLower(path))
	}
	if err != nil {
		t.Fatalf("kind %q: %v", kind, err)
	}
	var root map[string]any
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	s := &jsonSchema{}
	s.definitions, _ = root["definitions"].(map[string]any)
	return s.check(root, value, kind)
}

// check gives what is wrong with a value.
func (s *jsonSchema) check(schema map[string]any, value any, at string) (out []string) {
	wrong := func(format string, args ...any) { out = append(out, at+": "+fmt.Sprintf(format, args...)) }
	for _, word := range slices.Sorted(maps.Keys(schema)) {
		arg := schema[word]
		switch word {
		case "description", "default", "title", "$schema", "$id", "definitions", "required", "additionalProperties":
		case "$ref":
			name := strings.TrimPrefix(arg.(string), "#/definitions/")
			next, ok := s.definitions[name].(map[string]any)
			if !ok {
				wrong("there is no definition %q", name)
				continue
			}
			out = append(out, s.check(next, value, at)...)
		case "allOf":
			for _, next := range arg.([]any) {
				out = append(out, s.check(next.(map[string]any), value, at)...)
			}
		case "anyOf":
			var all []string
			fits := slices.ContainsFunc(arg.([]any), func(next any) bool {
				found := s.check(next.(map[string]any), value, at)
				all = append(all, found...)
				return len(found) == 0
			})
			if !fits {
				wrong("none of several fits: %s", strings.Join(all, "; "))
			}
		case "const":
			if value != arg {
				wrong("%v, want %v", value, arg)
			}
		case "enum":
			if !slices.Contains(arg.([]any), value) {
				wrong("%v is none of %v", value, arg)
			}
		case "type":
			if got := typeOf(value); got != arg && (arg != "number" || got != "integer") {
				wrong("%s, want %s", got, arg)
			}
		case "items":
			list, _ := value.([]any)
			for i, item := range list {
				out = append(out, s.check(arg.(map[string]any), item, fmt.Sprintf("%s[%d]", at, i))...)
			}
		case "properties":
			out = append(out, s.fields(schema, value, at)...)
		default:
			out = append(out, bounds(word, arg, value, at)...)
		}
	}
	if _, named := schema["properties"]; !named {
		out = append(out, s.fields(schema, value, at)...)
	}
	return out
}

// fields checks those of an object, and what it must have.
func (s *jsonSchema) fields(schema map[string]any, value any, at string) (out []string) {
	object, ok := value.(map[string]any)
	if !ok {
		return nil
	}
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, has := object[name.(string)]; !has {
			out = append(out, fmt.Sprintf("%s: %s is missing", at, name))
		}
	}
	named, closed := schema["properties"].(map[string]any)
	other, _ := schema["additionalProperties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(object)) {
		switch next, known := named[name].(map[string]any); {
		case known:
			out = append(out, s.check(next, object[name], at+"."+name)...)
		case other != nil:
			out = append(out, s.check(other, object[name], at+"."+name)...)
		case closed:
			out = append(out, fmt.Sprintf("%s: it says nothing of %s", at, name))
		}
	}
	return out
}

// bounds checks what texts, numbers and lists are limited by.
func bounds(word string, arg, value any, at string) []string {
	size := map[string]float64{}
	switch v := value.(type) {
	case string:
		size["minLength"], size["maxLength"] = float64(utf8.RuneCountInString(v)), float64(utf8.RuneCountInString(v))
		ok := true
		switch {
		case word == "pattern":
			ok = regexp.MustCompile(arg.(string)).MatchString(v)
		case word == "format" && arg == "date-time":
			_, err := time.Parse(time.RFC3339Nano, v)
			ok = err == nil
		}
		if !ok {
			return []string{fmt.Sprintf("%s: %q does not fit %s %v", at, v, word, arg)}
		}
	case float64:
		size["minimum"], size["maximum"] = v, v
	case []any:
		size["minItems"], size["maxItems"] = float64(len(v)), float64(len(v))
	case map[string]any:
		size["maxProperties"] = float64(len(v))
	}
	switch word {
	case "pattern", "format":
		return nil
	case "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "maxProperties":
	default:
		return []string{at + ": the schema says " + word + ", which is not known here"}
	}
	limit := arg.(float64)
	if n, has := size[word]; has && (strings.HasPrefix(word, "min") && n < limit || strings.HasPrefix(word, "max") && n > limit) {
		return []string{fmt.Sprintf("%s: %v breaks %s %v", at, n, word, limit)}
	}
	return nil
}

// typeOf is the name of a value's type, as a schema says it.
func typeOf(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case float64:
		if v == math.Trunc(v) {
			return "integer"
		}
		return "number"
	}
	return "object"
}

// TestConforms_findsWhatIsWrong keeps the check from being content with everything.
func TestConforms_findsWhatIsWrong(t *testing.T) {
	t.Parallel()
	sound := func() map[string]any {
		return map[string]any{"apiVersion": "view.sluice.dev/v1alpha1", "kind": "TreeView", "rollout": map[string]any{"namespace": "a", "name": "b", "uid": "c"},
			"root": map[string]any{"kind": "rollout", "name": "b", "weight": nil, "children": []any{map[string]any{"kind": "host", "name": "b", "weight": 15.0, "children": []any{}}}}}
	}
	child := func(v map[string]any) map[string]any {
		return v["root"].(map[string]any)["children"].([]any)[0].(map[string]any)
	}
	for want, spoil := range map[string]func(map[string]any){
		"":                             func(map[string]any) {},
		"TreeView.kind: Tree, want":    func(v map[string]any) { v["kind"] = "Tree" },
		"children[0]: name is missing": func(v map[string]any) { delete(child(v), "name") },
		"null, want array":             func(v map[string]any) { child(v)["children"] = nil },
		"number, want integer":         func(v map[string]any) { child(v)["weight"] = 1.5 },
		"it says nothing of colour":    func(v map[string]any) { child(v)["colour"] = "red" },
		"integer, want string":         func(v map[string]any) { child(v)["name"] = 1.0 },
	} {
		value := sound()
		spoil(value)
		found := breaches(t, "TreeView", value)
		if want == "" && len(found) > 0 || want != "" && !strings.Contains(strings.Join(found, "\n"), want) {
			t.Errorf("want %q: %q", want, found)
		}
	}
	rollout := map[string]any{"apiVersion": "sluice.dev/v1alpha1", "kind": "Rollout", "metadata": map[string]any{}, "spec": map[string]any{"host": "", "subset": "v1"}}
	if found := breaches(t, "Rollout", rollout); len(found) != 2 || !strings.Contains(found[0], "minLength") {
		t.Errorf("a Rollout without a host: %q", found)
	}
}
