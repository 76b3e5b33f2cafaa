package convert

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Fate is what became of a part of the source.
type Fate string

// The fates. The zero value is not decided yet.
const (
	Kept    Fate = "kept"
	Changed Fate = "changed"
	Dropped Fate = "dropped"
)

// field is a place in a document of the source, with the lines that belong to it. The zero field is not there.
type field struct {
	doc   *source
	path  string
	key   *yaml.Node // nil: an element of a list, or the document
	value *yaml.Node
	to    int // last line
}

// source is a document of a file, and what is known of its parts.
type source struct {
	file  *fileLines
	root  field
	marks []mark
}

// mark is a decision about a field and all below it that has no decision of its own.
type mark struct {
	field field
	fate  Fate
	words string // where it went, how it changed, or why it is gone
	todo  bool   // something is left for people to do
}

func (f field) ok() bool { return f.value != nil }

// line is where the field begins.
func (f field) line() int {
	if f.key != nil {
		return f.key.Line
	}
	return f.value.Line
}

// get is the field of that name below f.
func (f field) get(name string) field {
	for _, c := range f.fields() {
		if c.key.Value == name {
			return c
		}
	}
	return field{}
}

// at goes down a path.
func (f field) at(names ...string) field {
	for _, n := range names {
		f = f.get(n)
	}
	return f
}

// target is the node that stands for the value: what an alias means.
func (f field) target() *yaml.Node {
	if f.value != nil && f.value.Kind == yaml.AliasNode {
		return f.value.Alias
	}
	return f.value
}

// fields are those of a mapping.
func (f field) fields() []field {
	n := f.target()
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	var out []field
	for i := 0; i+1 < len(n.Content); i += 2 {
		c := field{doc: f.doc, path: strings.TrimPrefix(f.path+"."+n.Content[i].Value, "."), key: n.Content[i], value: n.Content[i+1], to: f.to}
		if i+2 < len(n.Content) {
			c.to = f.before(c, n.Content[i+2].Line)
		}
		out = append(out, c)
	}
	return out
}

// items are the elements of a list.
func (f field) items() []field {
	n := f.target()
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	var out []field
	for i, v := range n.Content {
		c := field{doc: f.doc, path: fmt.Sprintf("%s[%d]", f.path, i), value: v, to: f.to}
		if i+1 < len(n.Content) {
			c.to = f.before(c, n.Content[i+1].Line)
		}
		out = append(out, c)
	}
	return out
}

// before is the last line of c where the next one begins at a line: comments above that belong to the next.
func (f field) before(c field, next int) int {
	to := next - 1
	for to > c.line() && f.doc.file.idle(to) {
		to--
	}
	return max(to, c.line())
}

// text is a scalar as it is written; empty where there is none.
func (f field) text() string {
	if n := f.target(); n != nil && n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null" {
		return n.Value
	}
	return ""
}

// mark decides on f. The first decision on a field stays.
func (f field) mark(fate Fate, todo bool, format string, args ...any) {
	if !f.ok() || slices.ContainsFunc(f.doc.marks, func(m mark) bool { return m.field.value == f.value && m.field.path == f.path }) {
		return
	}
	f.doc.marks = append(f.doc.marks, mark{field: f, fate: fate, words: fmt.Sprintf(format, args...), todo: todo})
}

func (f field) keep(to string, args ...any)  { f.mark(Kept, false, to, args...) }
func (f field) change(how string, a ...any)  { f.mark(Changed, false, how, a...) }
func (f field) drop(why string, args ...any) { f.mark(Dropped, false, why, args...) }
func (f field) todo(what string, a ...any)   { f.mark(Changed, true, what, a...) }

// fileLines are the lines of a file.
type fileLines struct {
	name  string
	lines []string
}

// idle reports that a line, counted from 1, says nothing to a machine.
func (f *fileLines) idle(line int) bool {
	if line < 1 || line > len(f.lines) {
		return true
	}
	text := strings.TrimSpace(f.lines[line-1])
	return text == "" || text == "---" || text == "..." || strings.HasPrefix(text, "#") || strings.HasPrefix(text, "--- #")
}

// comment reports that a line is a comment.
func (f *fileLines) comment(line int) bool {
	return line >= 1 && line <= len(f.lines) && strings.HasPrefix(strings.TrimSpace(f.lines[line-1]), "#")
}
