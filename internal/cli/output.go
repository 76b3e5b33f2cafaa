package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kubejson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// output is the -o of a verb that reads: the formats of kubectl besides those of the verb's own.
type output struct {
	verb      string
	format    string
	own       []string // formats that the verb prints itself, such as wide
	templates *genericclioptions.KubeTemplatePrintFlags
	print     func(w io.Writer, doc map[string]any, v any) error // of a format of kubectl; nil: the verb prints
	stream    bool                                               // many documents: one a line, or each behind ---
}

// addOutput gives a verb -o and the flags of templates.
func addOutput(cmd *cobra.Command, own ...string) *output {
	o := &output{verb: cmd.Name(), own: own, templates: genericclioptions.NewKubeTemplatePrintFlags()}
	o.templates.AddFlags(cmd)
	known := slices.Concat(own, []string{"json", "yaml", "name", "jsonpath=...", "go-template=...", "custom-columns=..."})
	cmd.Flags().StringVarP(&o.format, "output", "o", "", strings.Join(known, ", "))
	offer(cmd, "output", slices.Concat(own, []string{"json", "yaml", "name", "jsonpath=", "go-template=", "custom-columns="})...)
	return o
}

// ready checks the format, before anything is asked of anybody.
func (o *output) ready() error {
	o.print = nil
	if o.format == "" && o.templates.TemplateArgument != nil && *o.templates.TemplateArgument != "" {
		o.format = "go-template"
	}
	kind, rest, _ := strings.Cut(o.format, "=")
	switch {
	case o.format == "" || slices.Contains(o.own, o.format):
	case o.format == "json":
		o.print = o.json
	case o.format == "yaml":
		o.print = o.yaml
	case o.format == "name":
		o.print = printNames
	case kind == "custom-columns":
		columns, err := parseColumns(rest)
		if err != nil {
			return &Exit{Code: ExitUsage, Err: err, Next: "sluice " + o.verb + " --help"}
		}
		o.print = columns.print
	default:
		p, err := o.templates.ToPrinter(o.format)
		if genericclioptions.IsNoCompatiblePrinterError(err) {
			err = fmt.Errorf("--output %q: want one of %s, json, yaml, name, jsonpath=, go-template=, custom-columns=", o.format, strings.Join(o.own, ", "))
			if len(o.own) == 0 {
				err = fmt.Errorf("--output %q: want one of json, yaml, name, jsonpath=, go-template=, custom-columns=", o.format)
			}
		}
		if err != nil {
			return &Exit{Code: ExitUsage, Err: err, Next: "sluice " + o.verb + " --help"}
		}
		o.print = templated(p)
	}
	return nil
}

// people reports that the verb itself prints, in o.format or, where that is empty, for people.
func (o *output) people() bool { return o.print == nil }

// document prints v as -o says. It must not be called when people is true.
func (o *output) document(w io.Writer, v any) error {
	doc, err := asMap(v)
	if err != nil {
		return err
	}
	return o.print(w, doc, v)
}

// show prints v as -o says, or what text gives.
func (o *output) show(s Streams, v any, text func() string) error {
	if o.people() {
		_, err := io.WriteString(s.Out, text())
		return err
	}
	return o.document(s.Out, v)
}

// asMap gives a document as the printers of kubectl take it.
func asMap(v any) (map[string]any, error) {
	if m, ok := v.(map[string]any); ok {
		return m, nil
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	doc := map[string]any{}
	if err := kubejson.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("a document that is no object: %w", err)
	}
	return doc, nil
}

func (o *output) json(w io.Writer, _ map[string]any, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if !o.stream {
		enc.SetIndent("", "  ")
	}
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := io.WriteString(w, escaped(b.String()))
	return err
}

// escaped writes what would steer a terminal or the direction of text as JSON's escapes: the meaning stays.
func escaped(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r > 0x7e && problem.Clean(string(r), 8) == " " {
			fmt.Fprintf(&b, "\\u%04x", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func (o *output) yaml(w io.Writer, doc map[string]any, _ any) error {
	text, err := yaml.Marshal(doc)
	if err != nil {
		return err
	}
	if shown := escaped(string(text)); shown != string(text) {
		return o.json(w, doc, doc) // YAML's plain words have no escapes, and JSON is YAML
	}
	if o.stream {
		text = append([]byte("---\n"), text...)
	}
	_, err = w.Write(text)
	return err
}

// templated prints by a printer of kubectl, and ends the line where the template does not.
func templated(p printers.ResourcePrinter) func(io.Writer, map[string]any, any) error {
	return func(w io.Writer, doc map[string]any, _ any) error {
		var b bytes.Buffer
		if err := p.PrintObj(&unstructured.Unstructured{Object: doc}, &b); err != nil {
			return &Exit{Code: ExitUsage, Err: fmt.Errorf("printing by the template: %w", err)}
		}
		_, err := w.Write(b.Bytes())
		return err
	}
}

// errNameless says that a document is about nothing that has a name.
var errNameless = errors.New("-o name: it is about nothing that has a name")

// printNames prints what a document is, or is about, as kind.group/name.
func printNames(w io.Writer, doc map[string]any, _ any) error {
	names := namesOf(doc)
	if _, list := doc["items"]; len(names) == 0 && !list {
		return &Exit{Code: ExitUsage, Err: errNameless}
	}
	for _, name := range names {
		if _, err := fmt.Fprintln(w, name); err != nil {
			return err
		}
	}
	return nil
}

func namesOf(doc map[string]any) []string {
	if items, ok := doc["items"].([]any); ok {
		var out []string
		for _, item := range items {
			if one, ok := item.(map[string]any); ok {
				out = append(out, namesOf(one)...)
			}
		}
		return out
	}
	if name, ok, _ := unstructured.NestedString(doc, "metadata", "name"); ok {
		u := unstructured.Unstructured{Object: doc}
		gk := u.GroupVersionKind().GroupKind()
		return []string{strings.ToLower(gk.String()) + "/" + name}
	}
	if name, ok, _ := unstructured.NestedString(doc, "rollout", "name"); ok && name != "" {
		return []string{"rollout." + v1alpha1.Group + "/" + name}
	}
	for _, field := range []string{"object", "node"} {
		if name, ok := doc[field].(string); ok && name != "" {
			return []string{name}
		}
	}
	return nil
}
