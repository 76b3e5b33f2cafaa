package render

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-dev/sluice/api/document"
	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/gitsync"
)

// reference is what stands between the braces: a name, and behind a colon a default or a type.
var reference = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*)(?::(-[^}]*|int|bool))?$`)

// filler puts the values of variables into one object. Names of faults never hold a value: values may be secret.
type filler struct {
	values map[string]string
	room   *int64 // bytes that all objects of the build may still grow by
	faults []fault
}

// fault is a value that could not be filled.
type fault struct{ field, message, hint string }

// fill replaces the variables in the values of an object, unless it asks to be left alone. Keys stay as they are, and a
// value stays one value: nothing that is put in can add to the structure.
func (b *build) fill(content map[string]any) []fault {
	if b.options.Variables.Values == nil || gitsync.Annotation(content, gitsync.AnnotationSubstitute) == "disabled" {
		return nil
	}
	f := &filler{values: b.options.Variables.Values, room: &b.room}
	for _, key := range slices.Sorted(maps.Keys(content)) {
		content[key] = f.value(key, content[key])
	}
	return f.faults
}

// unfilled reports what could not be filled in an object, at its place.
func (b *build) unfilled(o gitsync.Object, doc *yaml.Node, faults []fault) {
	for _, f := range faults {
		p := problem.Problem{Code: "S325", Object: o.ID.Ref(), Path: o.Path, Field: f.field, Message: f.message, Hint: f.hint}
		p.Line, p.Column = document.Position(doc, f.field)
		if doc.Kind == 0 { // made by kustomize: the place is that of the file it comes from
			p.Line, p.Column = b.docs.position(o, f.field)
		}
		b.report(p)
	}
	if b.room < 0 {
		b.refuse(gitsync.LimitExceeded, problem.Problem{Code: "S306", Path: o.Path, Message: fmt.Sprintf("variables add more than %d bytes", b.limits.ReadBytes)})
	}
}

func (f *filler) value(field string, v any) any {
	switch v := v.(type) {
	case string:
		return f.text(field, v)
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			step := "." + key
			if strings.ContainsAny(key, "./[]") {
				step = "[" + key + "]"
			}
			v[key] = f.value(field+step, v[key])
		}
	case []any:
		for i := range v {
			v[i] = f.value(field+"["+strconv.Itoa(i)+"]", v[i])
		}
	}
	return v
}

// text fills one value. A value that is one variable with a type becomes a number or a truth value.
func (f *filler) text(field, text string) any {
	if !strings.Contains(text, "${") || *f.room < 0 {
		return text
	}
	if inner, ok := strings.CutPrefix(text, "${"); ok && strings.IndexByte(inner, '}') == len(inner)-1 {
		if m := reference.FindStringSubmatch(inner[:len(inner)-1]); m != nil && (m[2] == "int" || m[2] == "bool") {
			return f.typed(field, text, m[1], m[2])
		}
	}
	var out strings.Builder
	for rest := text; ; {
		at := strings.Index(rest, "${")
		if at < 0 {
			out.WriteString(rest)
			break
		}
		if at > 0 && rest[at-1] == '$' { // $${ is a literal ${
			out.WriteString(rest[:at-1] + "${")
			rest = rest[at+2:]
			continue
		}
		out.WriteString(rest[:at])
		inner, behind, closed := strings.Cut(rest[at+2:], "}")
		value, ok := f.named(field, inner, closed)
		if !ok {
			return text
		}
		out.WriteString(value)
		rest = behind
	}
	*f.room -= int64(out.Len() - len(text))
	return out.String()
}

// named gives the value of what stands between braces, or notes why there is none.
func (f *filler) named(field, inner string, closed bool) (string, bool) {
	m := reference.FindStringSubmatch(inner)
	switch {
	case !closed || m == nil:
		return "", f.fail(field, fmt.Sprintf("%q is no variable", problem.Clean("${"+inner, 40)), "write ${NAME}, or $${ for a literal ${")
	case m[2] == "int" || m[2] == "bool":
		return "", f.fail(field, fmt.Sprintf("${%s:%s} must be the whole value", m[1], m[2]), "write ${"+m[1]+"} within a text")
	}
	value, known := f.values[m[1]]
	standIn, has := strings.CutPrefix(m[2], "-")
	switch {
	case value != "":
		return value, true
	case has:
		return standIn, true
	case !known:
		return "", f.undefined(field, m[1])
	}
	return value, true
}

func (f *filler) typed(field, text, name, kind string) any {
	value, known := f.values[name]
	if !known {
		f.undefined(field, name)
		return text
	}
	value = strings.TrimSpace(value)
	if n, err := strconv.ParseInt(value, 10, 64); kind == "int" && err == nil {
		return n
	}
	if kind == "bool" && (value == "true" || value == "false") {
		return value == "true"
	}
	what := map[string]string{"int": "a whole number", "bool": "true or false"}[kind]
	f.fail(field, fmt.Sprintf("the value of %s is not %s", name, what), "correct the value, or write ${"+name+"} for text")
	return text
}

func (f *filler) undefined(field, name string) bool {
	return f.fail(field, "the variable "+name+" has no value", "set it in spec.substitute, or write ${"+name+":-default}, or $${ for a literal ${")
}

func (f *filler) fail(field, message, hint string) bool {
	f.faults = append(f.faults, fault{field, message, hint})
	return false
}
