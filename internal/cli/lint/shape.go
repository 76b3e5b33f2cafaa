package lint

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// shape holds values against a schema. Bounds of numbers and rules across fields are left to Validate of the kind, which
// says them in words and is held against the API server by its own tests.
type shape struct{ found []problem.Problem }

func (s *shape) bound(field, message, hint string) {
	s.found = append(s.found, problem.Problem{
		Code: v1alpha1.CodeBound, Severity: problem.Error, Field: field, Message: problem.Clean(message, problem.MaxMessage), Hint: hint,
	})
}

// object walks the fields of a mapping; metadata and what Validate reports at the top are not its concern.
func (s *shape) object(at string, schema *apiextensionsv1.JSONSchemaProps, in map[string]any) {
	known := make([]string, 0, len(schema.Properties))
	for name := range schema.Properties {
		known = append(known, name)
	}
	for _, name := range slices.Sorted(maps.Keys(in)) {
		field := strings.TrimPrefix(at+"."+name, ".")
		prop, ok := schema.Properties[name]
		switch {
		case at == "" && (name == "metadata" || name == "status" || !ok):
		case ok && in[name] != nil:
			s.value(field, &prop, in[name])
		case !ok && schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil:
			s.value(fmt.Sprintf("%s[%q]", at, name), schema.AdditionalProperties.Schema, in[name])
		case !ok && (schema.XPreserveUnknownFields == nil || !*schema.XPreserveUnknownFields):
			s.found = append(s.found, unknownField(at, name, known))
		}
	}
	for _, name := range schema.Required {
		if in[name] == nil {
			prop := schema.Properties[name]
			s.bound(strings.TrimPrefix(at+"."+name, "."), name+" is required", firstSentence(prop.Description))
		}
	}
}

func (s *shape) value(at string, schema *apiextensionsv1.JSONSchemaProps, v any) {
	switch v := v.(type) {
	case map[string]any:
		if s.typed(at, schema, "object", v) {
			s.object(at, schema, v)
		}
	case []any:
		if !s.typed(at, schema, "array", v) || schema.Items == nil || schema.Items.Schema == nil {
			return
		}
		for i, item := range v {
			s.value(fmt.Sprintf("%s[%d]", at, i), schema.Items.Schema, item)
		}
	case string:
		if s.typed(at, schema, "string", v) {
			s.text(at, schema, v)
		}
	case bool:
		s.typed(at, schema, "boolean", v)
	case int64:
		s.typed(at, schema, "integer", v)
	case float64:
		s.typed(at, schema, "number", v)
	case nil:
		s.bound(at, "the value is empty", "write it, or leave the field out")
	}
}

// typed reports whether a value of the type may stand there, or says that it may not.
func (s *shape) typed(at string, schema *apiextensionsv1.JSONSchemaProps, is string, v any) bool {
	ok := schema.Type == is || schema.Type == "" || schema.Type == "number" && is == "integer" ||
		schema.XIntOrString && (is == "integer" || is == "string")
	if !ok {
		text, err := json.Marshal(v)
		if err != nil {
			text = []byte("the value")
		}
		s.bound(at, fmt.Sprintf("%.60s is not %s", text, nameOf(schema.Type)), "give a value of that type")
	}
	return ok
}

func nameOf(schemaType string) string {
	switch schemaType {
	case "object":
		return "a mapping"
	case "array":
		return "a list"
	case "boolean":
		return "true or false"
	case "integer":
		return "an integer"
	default:
		return "a " + schemaType
	}
}

func (s *shape) text(at string, schema *apiextensionsv1.JSONSchemaProps, v string) {
	if len(schema.Enum) > 0 {
		var known []string
		for _, e := range schema.Enum {
			known = append(known, strings.Trim(string(e.Raw), `"`))
		}
		if !slices.Contains(known, v) {
			hint := "use one of " + strings.Join(known, ", ")
			if near := problem.Nearest(v, known); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			s.bound(at, fmt.Sprintf("%q is unknown", v), hint)
		}
		return
	}
	if schema.Pattern == "" {
		return
	}
	if form, err := regexp.Compile(schema.Pattern); err == nil && !form.MatchString(v) {
		s.bound(at, fmt.Sprintf("%q does not have the form %s", v, schema.Pattern), firstSentence(schema.Description))
	}
}

// firstSentence is what a field is for.
func firstSentence(description string) string {
	text := strings.Join(strings.Fields(description), " ")
	if i := strings.Index(text, ". "); i > 0 {
		text = text[:i]
	}
	return strings.TrimSuffix(text, ".")
}
