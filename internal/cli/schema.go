package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/sluice-dev/sluice/api/crd"
	"github.com/sluice-dev/sluice/api/view"
)

// newSchema prints the JSON Schema of a kind, for editors and other tools.
func newSchema(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:   "schema KIND",
		Short: "Print the JSON Schema of a kind, for editors",
		Long: "Print the JSON Schema of Rollout, Source, Notifier, MetricTemplate, RolloutAction or FleetReport, or of a document that\n" +
			"-o json prints, such as StatusView, as this program was built with. No network is needed.\n\n" +
			"Exit code: 0 printed, 2 wrong usage, 5 there is no such kind.",
		Example: "  sluice schema rollout > rollout.schema.json\n  sluice schema statusview",
		Args:    cobra.ExactArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return printSchema(s, args[0]) },
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			defs, err := crd.Own()
			if err != nil {
				return nil, cobra.ShellCompDirectiveError
			}
			var out []string
			for _, d := range defs {
				out = append(out, d.Spec.Names.Singular)
			}
			for _, kind := range view.Schemas() {
				out = append(out, strings.ToLower(kind))
			}
			return out, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

func printSchema(s Streams, word string) error {
	defs, err := crd.Own()
	if err != nil {
		return err
	}
	kinds := map[string]*apiextensionsv1.CustomResourceDefinition{}
	for _, d := range defs {
		kinds[d.Spec.Names.Kind] = d
		n := d.Spec.Names
		if slices.Contains(append([]string{n.Singular, n.Plural, n.Plural + "." + d.Spec.Group}, n.ShortNames...), strings.ToLower(word)) {
			doc, err := document(d)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(s.Out, doc)
			return err
		}
	}
	if text, ok := view.Schema(word); ok {
		_, err = s.Out.Write(text)
		return err
	}
	return &Exit{Code: ExitNotFound, Err: fmt.Errorf("%q is no kind of ours; there are %s", word, strings.Join(append(slices.Sorted(maps.Keys(kinds)), view.Schemas()...), ", ")), Next: "sluice schema rollout"}
}

// document is the schema of a definition's stored version as a document of its own.
func document(d *apiextensionsv1.CustomResourceDefinition) (string, error) {
	i := slices.IndexFunc(d.Spec.Versions, func(v apiextensionsv1.CustomResourceDefinitionVersion) bool { return v.Storage })
	if i < 0 || d.Spec.Versions[i].Schema == nil {
		return "", fmt.Errorf("%s has no schema", d.Name)
	}
	v := d.Spec.Versions[i]
	raw, err := json.Marshal(v.Schema.OpenAPIV3Schema)
	if err != nil {
		return "", fmt.Errorf("%s: %w", d.Name, err)
	}
	tree := map[string]any{}
	if err := json.Unmarshal(raw, &tree); err != nil {
		return "", fmt.Errorf("%s: %w", d.Name, err)
	}
	closed(tree)
	tree["$schema"] = "http://json-schema.org/draft-07/schema#"
	tree["$id"] = fmt.Sprintf("https://sluice.dev/schemas/%s/%s/%s.json", d.Spec.Group, v.Name, d.Spec.Names.Singular)
	tree["title"] = d.Spec.Names.Kind
	required := []string{"apiVersion", "kind", "metadata"}
	if properties, ok := tree["properties"].(map[string]any); ok {
		if properties["spec"] != nil {
			required = append(required, "spec")
		}
		properties["apiVersion"] = map[string]any{"const": d.Spec.Group + "/" + v.Name}
		properties["kind"] = map[string]any{"const": d.Spec.Names.Kind}
		properties["metadata"] = map[string]any{"type": "object"}
	}
	tree["required"] = required
	text, err := json.MarshalIndent(tree, "", "  ")
	return string(text), err
}

// closed makes a schema refuse unknown fields, as the strict API server does, and drops what is Kubernetes' own.
func closed(node map[string]any) {
	if _, known := node["properties"]; known && node["additionalProperties"] == nil && node["x-kubernetes-preserve-unknown-fields"] != true {
		node["additionalProperties"] = false
	}
	for key, value := range node {
		if strings.HasPrefix(key, "x-kubernetes-") {
			delete(node, key)
			continue
		}
		each(value)
	}
}

func each(value any) {
	switch v := value.(type) {
	case map[string]any:
		closed(v)
	case []any:
		for _, one := range v {
			each(one)
		}
	}
}
