package convert

import (
	"cmp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-dev/sluice/api/view"
)

// unmeant is why a field is dropped that nobody looked at.
const unmeant = "nothing of Sluice has that meaning"

// account says of each line of a file what became of it.
func account(file *fileLines, docs []*source) (view.ConvertedFile, []view.ConversionItem) {
	fates := make([]Fate, len(file.lines)+2)
	var items []view.ConversionItem
	for _, d := range docs {
		d.settle(d.root, mark{})
		for _, m := range d.marks {
			items = append(items, view.ConversionItem{File: file.name, Line: m.field.line(), To: m.field.to, Path: m.field.path,
				Fate: string(m.fate), Words: m.words, Code: m.code()})
			for line := m.field.line(); line <= min(m.field.to, len(file.lines)); line++ {
				fates[line] = d.fate(line)
			}
		}
		d.containers(d.root, fates)
	}
	out := view.ConvertedFile{Name: file.name, Lines: len(file.lines)}
	next := Fate("") // of the lines below, whose comments stand above them
	for line := len(file.lines); line >= 1; line-- {
		fate := fates[line]
		switch {
		case file.comment(line):
			fate = cmp.Or(next, Dropped)
		case file.idle(line):
			fate = ""
			if strings.TrimSpace(file.lines[line-1]) != "" {
				next = ""
			}
		default:
			fate = cmp.Or(fate, Dropped)
			next = fate
		}
		out.Count(string(fate))
	}
	slices.SortStableFunc(items, func(a, b view.ConversionItem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Path, b.Path))
	})
	return out, items
}

// code is that of the catalogue; empty: nothing is to be said.
func (m mark) code() (code string) {
	switch {
	case m.todo:
		code = "S903"
	case m.fate == Dropped:
		code = "S901"
	case m.fate == Changed:
		code = "S902"
	}
	return code
}

// settle decides on fields that nobody has decided on: below a decision they share it, else they are dropped.
func (s *source) settle(f field, above mark) {
	own := s.markOf(f)
	if own.fate != "" {
		above = own
	}
	children := slices.Concat(f.fields(), f.items())
	if len(children) == 0 || f.value.Kind == yaml.AliasNode {
		if above.fate == "" {
			f.drop(unmeant)
		}
		return
	}
	if above.fate == "" && !s.below(f) {
		f.drop(unmeant)
		return
	}
	for _, c := range children {
		s.settle(c, above)
	}
}

// below reports that something is decided of what is below f.
func (s *source) below(f field) bool {
	return slices.ContainsFunc(s.marks, func(m mark) bool {
		return f.path == "" || strings.HasPrefix(m.field.path, f.path+".") || strings.HasPrefix(m.field.path, f.path+"[")
	})
}

func (s *source) markOf(f field) mark {
	for _, m := range s.marks {
		if m.field.value == f.value && m.field.path == f.path {
			return m
		}
	}
	return mark{}
}

// fate is that of a line: of the innermost decisions on it, and changed where they differ.
func (s *source) fate(line int) Fate {
	var out Fate
	for _, m := range s.marks {
		if line < m.field.line() || line > m.field.to || s.overruled(m, line) {
			continue
		}
		if out != "" && out != m.fate {
			return Changed
		}
		out = m.fate
	}
	return out
}

// overruled reports that another decision is about a part of m that has the line.
func (s *source) overruled(m mark, line int) bool {
	return slices.ContainsFunc(s.marks, func(o mark) bool {
		inner := o.field.path != m.field.path && (m.field.path == "" || strings.HasPrefix(o.field.path, m.field.path+".") || strings.HasPrefix(o.field.path, m.field.path+"["))
		return inner && line >= o.field.line() && line <= o.field.to && m.field.line() != line
	})
}

// containers gives lines that only begin something, such as "spec:", the fate of what they hold.
func (s *source) containers(f field, fates []Fate) Fate {
	var all []Fate
	for _, c := range slices.Concat(f.fields(), f.items()) {
		all = append(all, s.containers(c, fates))
	}
	line := f.line()
	if line >= len(fates) {
		return Dropped
	}
	if fates[line] == "" {
		fates[line] = Dropped
		if slices.ContainsFunc(all, func(x Fate) bool { return x != Dropped }) {
			fates[line] = Kept
		}
	}
	return fates[line]
}
