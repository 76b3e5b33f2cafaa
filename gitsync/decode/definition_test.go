package decode

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const thing = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.com}
spec:
  group: example.com
  scope: Cluster
  names: {kind: Thing, plural: things}
  versions:
  - name: v1
    served: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              size: {type: integer}
              share: {type: number}
              port: {x-kubernetes-int-or-string: true}
              tags: {type: object, additionalProperties: {type: string}}
              parts: {type: array, items: {type: object, properties: {name: {type: string}}}}
              free: {type: object, x-kubernetes-preserve-unknown-fields: true}
              inner: {type: object, x-kubernetes-embedded-resource: true, properties: {spec: {type: object}}}
  - {name: v2, served: false}
`

func TestDefinition_table(t *testing.T) {
	t.Parallel()
	var content map[string]any
	if err := yaml.Unmarshal([]byte(thing), &content); err != nil {
		t.Fatal(err)
	}
	definition, ok := ReadDefinition(content)
	if !ok || definition.Kind != "Thing.example.com" || !definition.Cluster || len(definition.Versions) != 1 {
		t.Fatalf("definition %+v, %v; want one served version of a kind of the cluster", definition, ok)
	}
	plain, err := New(Policy{Kinds: []string{"Thing.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	d := plain.With(map[string]Definition{definition.Kind: definition})
	for _, row := range []struct{ name, version, spec, want string }{
		{"all that it knows", "v1", "{size: 1, share: 2, port: http, tags: {a: b}, parts: [{name: a}], free: {x: [1]}, inner: {apiVersion: v1, kind: A, metadata: {name: x}, spec: {}}}", ""},
		{"number for a port", "v1", "{port: 80, share: 0.5}", ""},
		{"null is left to the server", "v1", "{size: null}", ""},
		{"misspelt", "v1", "{sise: 1}", "S502 spec.sise"},
		{"misspelt in a list", "v1", "{parts: [{name: a}, {nam: b}]}", "S502 spec.parts[1].nam"},
		{"misspelt in an inner object", "v1", "{inner: {spek: {}}}", "S502 spec.inner.spek"},
		{"text for a number", "v1", "{size: two}", "S504 spec.size"},
		{"fraction for an integer", "v1", "{size: 1.5}", "S504 spec.size"},
		{"object for a port", "v1", "{port: {}}", "S504 spec.port"},
		{"number for a tag", "v1", "{tags: {a: 1}}", "S504 spec.tags.a"},
		{"list for an object", "v1", "[]", "S504 spec"},
		{"version that is not served", "v2", "{}", "S505 apiVersion"},
	} {
		b := build(t, "apiVersion: example.com/"+row.version+"\nkind: Thing\nmetadata: {name: a}\nspec: "+row.spec+"\n")
		_, problems := d.Check(b, Scope{Namespace: "shop"})
		var got []string
		for _, p := range problems {
			got = append(got, p.Code+" "+p.Field)
			if p.Line == 0 || p.Hint == "" {
				t.Errorf("%s: %+v, want a place and a hint", row.name, p)
			}
		}
		if strings.Join(got, ", ") != row.want {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
		if _, problems := plain.Check(b, Scope{Namespace: "shop"}); len(problems) > 0 {
			t.Errorf("%s: without a definition: %v, want it left to the server", row.name, problems)
		}
	}
}

func TestReadDefinition_ofSomethingElse(t *testing.T) {
	t.Parallel()
	for _, content := range []map[string]any{{}, {"kind": "ConfigMap"}, {"kind": "CustomResourceDefinition", "spec": "x"}} {
		if d, ok := ReadDefinition(content); ok {
			t.Errorf("%v is read as %+v", content, d)
		}
	}
}
