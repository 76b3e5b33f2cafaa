// Package crd holds the CustomResourceDefinitions of Sluice's kinds, generated from api/v1alpha1, so that every build
// can install the ones it was built with. It decides nothing.
//
//	defs, err := crd.All() // ours and, for an API server without Istio, minimal ones of Istio's traffic kinds
package crd

import (
	"embed"
	"fmt"
	"io/fs"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/crd/istio"
)

//go:embed *.yaml
var files embed.FS

// Own gives the definitions of Sluice's kinds, sorted by file name.
func Own() ([]*apiextensionsv1.CustomResourceDefinition, error) { return read(files) }

// Istio gives minimal definitions of Istio's traffic kinds, sorted by file name, for an API server that has none.
func Istio() ([]*apiextensionsv1.CustomResourceDefinition, error) { return read(istio.Files()) }

// All gives Own followed by Istio.
func All() ([]*apiextensionsv1.CustomResourceDefinition, error) {
	own, err := Own()
	if err != nil {
		return nil, err
	}
	others, err := Istio()
	if err != nil {
		return nil, err
	}
	return append(own, others...), nil
}

func read(from fs.FS) ([]*apiextensionsv1.CustomResourceDefinition, error) {
	names, err := fs.Glob(from, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("listing definitions: %w", err)
	}
	var out []*apiextensionsv1.CustomResourceDefinition
	for _, name := range names {
		text, err := fs.ReadFile(from, name)
		if err != nil {
			return nil, fmt.Errorf("reading definition %s: %w", name, err)
		}
		def := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(text, def); err != nil {
			return nil, fmt.Errorf("reading definition %s: %w", name, err)
		}
		if def.Kind != "CustomResourceDefinition" || def.Name == "" {
			return nil, fmt.Errorf("reading definition %s: it is a %q named %q", name, def.Kind, def.Name)
		}
		out = append(out, def)
	}
	return out, nil
}
