package decode

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/gitsync"
)

// Definition is what a CustomResourceDefinition says of its kind.
type Definition struct {
	Kind     string                    // "Kind.group"
	Cluster  bool                      // its objects have no namespace
	Versions map[string]map[string]any // structural schema of each served version; empty where there is none
}

// ReadDefinition reads the content of a CustomResourceDefinition; false where it is not one.
func ReadDefinition(content map[string]any) (Definition, bool) {
	group, _, _ := unstructured.NestedString(content, "spec", "group")
	kind, _, _ := unstructured.NestedString(content, "spec", "names", "kind")
	scope, _, _ := unstructured.NestedString(content, "spec", "scope")
	versions, _, _ := unstructured.NestedSlice(content, "spec", "versions")
	if content["kind"] != "CustomResourceDefinition" || kind == "" || group == "" {
		return Definition{}, false
	}
	d := Definition{Kind: kind + "." + group, Cluster: scope == "Cluster", Versions: map[string]map[string]any{}}
	for _, one := range versions {
		v, _ := one.(map[string]any)
		name, _ := v["name"].(string)
		if v["served"] == true {
			d.Versions[name], _, _ = unstructured.NestedMap(v, "schema", "openAPIV3Schema")
		}
	}
	return d, true
}

// With gives a Decoder that knows custom kinds, by "Kind.group", besides those that have Go types.
func (d *Decoder) With(definitions map[string]Definition) *Decoder {
	more := *d
	more.definitions = definitions
	return &more
}

// Custom reports whether there is no Go type for the group of an object: only a definition can tell its form.
func (d *Decoder) Custom(id gitsync.ID) bool { return !d.scheme.IsGroupRegistered(id.Group) }

// custom compares an object with the schema of its definition, and reports whether it fits.
func (c *check) custom(o gitsync.Object, d Definition) bool {
	before := len(c.problems)
	schema, served := d.Versions[o.Version]
	if !served {
		c.report(o, "S505", "apiVersion", fmt.Sprintf("there is no %s in %s", o.ID.Kind, o.APIVersion()),
			"use version "+strings.Join(slices.Sorted(maps.Keys(d.Versions)), " or "))
		return false
	}
	if len(schema) > 0 {
		(&structure{check: c, object: o}).walk(schema, o.Content, "", true)
	}
	return len(c.problems) == before
}

// structure compares a value with a structural schema: fields that it does not have, and values of another type. Bounds,
// patterns and rules are left to the server.
type structure struct {
	*check
	object gitsync.Object
}

func (s *structure) walk(schema map[string]any, v any, field string, whole bool) {
	if v == nil {
		return // the server drops it or says what it wants
	}
	want, _ := schema["type"].(string)
	if schema["x-kubernetes-int-or-string"] == true {
		want = "integer or string"
	}
	if !fits(want, v) {
		s.report(s.object, "S504", field, fmt.Sprintf("%s is not of type %s", typeName(v), want), "give a value of that type")
		return
	}
	switch v := v.(type) {
	case map[string]any:
		s.fields(schema, v, field, whole || schema["x-kubernetes-embedded-resource"] == true)
	case []any:
		items, _ := schema["items"].(map[string]any)
		for i, item := range v {
			s.walk(items, item, fmt.Sprintf("%s[%d]", field, i), false)
		}
	}
}

// fields walks those of an object; of a whole Kubernetes object some are known without a schema.
func (s *structure) fields(schema, v map[string]any, field string, whole bool) {
	properties, _ := schema["properties"].(map[string]any)
	more, others := schema["additionalProperties"].(map[string]any)
	free := others || schema["additionalProperties"] == true || schema["x-kubernetes-preserve-unknown-fields"] == true || schema["type"] == nil
	for _, name := range slices.Sorted(maps.Keys(v)) {
		if whole && (name == "apiVersion" || name == "kind" || name == "metadata") {
			continue
		}
		at := strings.TrimPrefix(field+"."+name, ".")
		known, ok := properties[name].(map[string]any)
		switch {
		case ok:
			s.walk(known, v[name], at, false)
		case others:
			s.walk(more, v[name], at, false)
		case !free:
			s.report(s.object, "S502", at, fmt.Sprintf("there is no field %q", name), "correct the name, or remove the field")
		}
	}
}

// fits reports whether a value is of a type of OpenAPI; "" is any.
func fits(want string, v any) bool {
	is := typeName(v)
	switch want {
	case "":
		return true
	case "number":
		return is == "number" || is == "integer"
	case "integer or string":
		return is == "integer" || is == "string"
	}
	return is == want
}

func typeName(v any) string {
	switch v := v.(type) {
	case map[string]any:
		return "object"
	case []any:
		return "array"
	case string:
		return "string"
	case bool:
		return "boolean"
	case float64:
		if v != math.Trunc(v) || math.IsInf(v, 0) {
			return "number"
		}
	}
	return "integer"
}
