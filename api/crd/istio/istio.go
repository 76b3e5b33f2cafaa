// Package istio holds the CustomResourceDefinitions of Istio's traffic kinds for an API server that has no Istio: the
// standalone one. They are our own and structural, and keep every field of a spec. In a cluster Istio's own are used.
package istio

import "embed"

//go:embed *.yaml
var files embed.FS

// Files gives one YAML file per kind, each with one CustomResourceDefinition.
func Files() embed.FS { return files }
