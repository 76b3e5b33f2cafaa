package controller

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// crdYAML defines the kind Thing in a group.
func crdYAML(group, scope string) string {
	return strings.NewReplacer("GROUP", group, "SCOPE", scope).Replace(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.GROUP}
spec:
  group: GROUP
  scope: SCOPE
  names: {kind: Thing, listKind: ThingList, plural: things, singular: thing}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              size: {type: integer}
              port: {x-kubernetes-int-or-string: true}
              tags: {type: object, additionalProperties: {type: string}}
              parts:
                type: array
                items: {type: object, properties: {name: {type: string}, maybe: {type: string, nullable: true}}}
              free: {type: object, x-kubernetes-preserve-unknown-fields: true}
`)
}

func definitionOf() *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	return o
}
