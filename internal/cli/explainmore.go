package cli

import (
	_ "embed" // the texts of reasons
	"fmt"
	"maps"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/sluice-dev/sluice/api/crd"
	"github.com/sluice-dev/sluice/api/problem"
)

//go:embed reasons.txt
var reasonTexts string

// reasonText is what a reason of a condition means, and what to do.
type reasonText struct{ Reason, Means, Do string }

// reasons are the texts by reason.
func reasons() map[string]reasonText {
	out := map[string]reasonText{}
	for line := range strings.Lines(reasonTexts) {
		parts := strings.Split(strings.TrimSpace(line), " | ")
		if len(parts) == 3 {
			out[parts[0]] = reasonText{parts[0], parts[1], parts[2]}
		}
	}
	return out
}

// findReason finds a reason; case does not matter.
func findReason(word string) (reasonText, bool) {
	for name, text := range reasons() {
		if strings.EqualFold(name, word) {
			return text, true
		}
	}
	return reasonText{}, false
}

func (r reasonText) text() string {
	return fmt.Sprintf("%s  (reason of a condition)\n\n%s\n\nTo do: %s\n", r.Reason, r.Means, r.Do)
}

// field is a field of one of our kinds.
type field struct {
	path   string
	schema apiextensionsv1.JSONSchemaProps
}

// findField finds KIND or KIND.field.field in the definitions; known says that the kind is ours.
func findField(path string) (f field, known bool, err error) {
	parts := strings.Split(path, ".")
	own, err := crd.Own()
	if err != nil {
		return f, false, err
	}
	for _, d := range own {
		n := d.Spec.Names
		if !slices.Contains(append([]string{n.Singular, n.Plural}, n.ShortNames...), strings.ToLower(parts[0])) {
			continue
		}
		f = field{path: n.Singular, schema: *d.Spec.Versions[0].Schema.OpenAPIV3Schema}
		for _, name := range parts[1:] {
			next, ok := below(f.schema, name)
			if !ok {
				return f, true, &Exit{Code: ExitNotFound, Err: fmt.Errorf("%s has no field %q; the nearest is %q", f.path, name, problem.Nearest(name, slices.Collect(maps.Keys(inside(f.schema).Properties)))),
					Next: "sluice explain " + f.path}
			}
			f = field{path: f.path + "." + name, schema: next}
		}
		return f, true, nil
	}
	return f, false, nil
}

// inside is the schema of the objects that a schema holds: its own, or those of its items or values.
func inside(s apiextensionsv1.JSONSchemaProps) apiextensionsv1.JSONSchemaProps {
	switch {
	case s.Items != nil && s.Items.Schema != nil:
		return inside(*s.Items.Schema)
	case s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil:
		return inside(*s.AdditionalProperties.Schema)
	}
	return s
}

func below(s apiextensionsv1.JSONSchemaProps, name string) (apiextensionsv1.JSONSchemaProps, bool) {
	out, ok := inside(s).Properties[name]
	return out, ok
}

// typeOf is the type of a schema in words.
func typeOf(s apiextensionsv1.JSONSchemaProps) string {
	switch {
	case s.Items != nil && s.Items.Schema != nil:
		return "list of " + typeOf(*s.Items.Schema)
	case s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil:
		return "map of " + typeOf(*s.AdditionalProperties.Schema)
	case s.XIntOrString:
		return "integer or string"
	}
	return s.Type
}

// text tells all of a field, and names those below it.
func (f field) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  <%s>\n", f.path, typeOf(f.schema))
	if f.schema.Description != "" {
		fmt.Fprintf(&b, "\n%s\n", fold(f.schema.Description, explainWidth))
	}
	for _, line := range bounding(f.schema) {
		fmt.Fprintf(&b, "\n%s", line)
	}
	if len(bounding(f.schema)) > 0 {
		b.WriteString("\n")
	}
	in := inside(f.schema)
	if len(in.Properties) > 0 {
		b.WriteString("\nFields\n")
	}
	for _, name := range slices.Sorted(maps.Keys(in.Properties)) {
		p := in.Properties[name]
		required := ""
		if slices.Contains(in.Required, name) {
			required = " required"
		}
		first, _, _ := strings.Cut(strings.ReplaceAll(p.Description, "\n", " "), ". ")
		fmt.Fprintf(&b, "  %-24s <%s>%s  %s\n", name, typeOf(p), required, strings.TrimSuffix(first, "."))
	}
	return b.String()
}

// bounding are the default and the limits of a field in words.
func bounding(s apiextensionsv1.JSONSchemaProps) []string {
	var out []string
	if s.Default != nil {
		out = append(out, "Default: "+string(s.Default.Raw))
	}
	var values []string
	for _, v := range s.Enum {
		values = append(values, string(v.Raw))
	}
	if len(values) > 0 {
		out = append(out, "One of: "+strings.Join(values, ", "))
	}
	if s.Pattern != "" {
		out = append(out, "Pattern: "+s.Pattern)
	}
	if s.Minimum != nil {
		out = append(out, fmt.Sprintf("At least: %g", *s.Minimum))
	}
	if s.Maximum != nil {
		out = append(out, fmt.Sprintf("At most: %g", *s.Maximum))
	}
	if s.MaxLength != nil {
		out = append(out, fmt.Sprintf("At most %d characters", *s.MaxLength))
	}
	if s.MaxItems != nil {
		out = append(out, fmt.Sprintf("At most %d of them", *s.MaxItems))
	}
	return out
}

// fold breaks words into lines of at most so many characters; lines of their own stay.
func fold(text string, width int) string {
	var lines []string
	for _, paragraph := range strings.Split(text, "\n") {
		line := ""
		for _, word := range strings.Fields(paragraph) {
			if line != "" && len(line)+1+len(word) > width {
				lines = append(lines, line)
				line = ""
			}
			line = strings.TrimSpace(line + " " + word)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}
