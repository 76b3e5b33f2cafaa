package sim_test

import (
	"fmt"
	"strings"
)

// tree is a value as the goldens print it: a text, fields or a list. The zero value is nothing.
type tree struct {
	text   string
	fields []field
	list   []tree
}

type field struct {
	name  string
	value tree
}

// lineWidth is how long a line of a golden may be before a value is broken into several.
const lineWidth = 120

func (v tree) empty() bool { return v.text == "" && len(v.fields) == 0 && len(v.list) == 0 }

func (v *tree) add(name string, value tree) {
	if !value.empty() {
		v.fields = append(v.fields, field{name, value})
	}
}

// short joins names while a value has a single field: a.b.c in place of nested braces.
func (f field) short() field {
	for len(f.value.fields) == 1 {
		f = field{f.name + "." + f.value.fields[0].name, f.value.fields[0].value}
	}
	return f
}

// inline is the value in one line.
func (v tree) inline() string {
	var parts []string
	switch {
	case len(v.fields) > 0:
		for _, f := range v.fields {
			f = f.short()
			parts = append(parts, f.name+": "+f.value.inline())
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case len(v.list) > 0:
		for _, e := range v.list {
			parts = append(parts, e.inline())
		}
		return "[" + strings.Join(parts, ", ") + "]"
	default:
		return v.text
	}
}

// write prints the fields of a value, each on lines of its own.
func (v tree) write(b *strings.Builder, indent string) {
	for _, f := range v.fields {
		f = f.short()
		line := indent + f.name + ": " + f.value.inline()
		switch {
		case len(line) <= lineWidth || f.value.text != "":
			fmt.Fprintln(b, line)
		case len(f.value.fields) > 0:
			fmt.Fprintf(b, "%s%s:\n", indent, f.name)
			f.value.write(b, indent+"  ")
		default:
			fmt.Fprintf(b, "%s%s:\n", indent, f.name)
			f.value.items(b, indent)
		}
	}
}

func (v tree) items(b *strings.Builder, indent string) {
	for _, e := range v.list {
		line := indent + "- " + e.inline()
		if len(line) <= lineWidth || len(e.fields) == 0 {
			fmt.Fprintln(b, line)
			continue
		}
		var nested strings.Builder
		e.write(&nested, indent+"  ")
		fmt.Fprintf(b, "%s- %s", indent, strings.TrimPrefix(nested.String(), indent+"  "))
	}
}
