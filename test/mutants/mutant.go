package mutants

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
)

// Mutant is one mistake.
type Mutant struct {
	Name   string // what is wrong then, as a sentence
	Breaks string // invariants, such as "I6 I13"
	Seen   string // where it was met, such as "envoyproxy/go-control-plane#46"; empty: nowhere in public
	Edits  []Edit
	In     string   // package of the tests, as a path within the module
	Tests  []string // one of them at least fails
}

// Edit replaces lines of a file.
type Edit struct {
	File string // path within the module
	Old  string // lines that stand in it once
	New  string // lines in their place; may be empty
}

// Read reads mutants in the form that the package comment shows.
func Read(name, text string) ([]Mutant, error) {
	r := &reader{}
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		if err := r.line(lines.Text()); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", name, n, err)
		}
	}
	for _, m := range r.all {
		if err := m.check(); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", name, m.Name, err)
		}
	}
	return r.all, lines.Err()
}

// reader puts mutants together line by line.
type reader struct {
	all  []Mutant
	file string // that edits are of
}

func (r *reader) line(line string) error {
	key, rest, _ := strings.Cut(line, " ")
	if key == "#" {
		r.all, r.file = append(r.all, Mutant{Name: rest}), ""
		return nil
	}
	if line == "" {
		return nil
	}
	if len(r.all) == 0 {
		return errors.New("a mutant begins with # and its name")
	}
	m := &r.all[len(r.all)-1]
	switch {
	case line[0] == '-' || line[0] == '+':
		return m.change(r.file, line)
	case key == "breaks":
		m.Breaks = rest
	case key == "seen":
		m.Seen = rest
	case key == "edit":
		r.file = rest
		m.Edits = append(m.Edits, Edit{File: rest})
	case key == "test":
		words := strings.Fields(rest)
		if len(words) < 2 {
			return errors.New("want a package and the names of tests")
		}
		m.In, m.Tests = words[0], words[1:]
	default:
		return fmt.Errorf("%q is neither breaks, seen, edit, test, nor a line of an edit", key)
	}
	return nil
}

// change adds a line to the newest edit; an old line behind a new one begins another edit of the file.
func (m *Mutant) change(file, line string) error {
	if file == "" {
		return errors.New("a line of an edit without its file")
	}
	e := &m.Edits[len(m.Edits)-1]
	if line[0] == '+' {
		e.New += line[1:] + "\n"
		return nil
	}
	if e.New != "" {
		m.Edits = append(m.Edits, Edit{File: file})
		e = &m.Edits[len(m.Edits)-1]
	}
	e.Old += line[1:] + "\n"
	return nil
}

func (m Mutant) check() error {
	if m.Breaks == "" || m.In == "" || len(m.Edits) == 0 {
		return errors.New("want breaks, edit and test")
	}
	for _, e := range m.Edits {
		if e.Old == "" || e.Old == e.New {
			return fmt.Errorf("an edit of %s changes nothing", e.File)
		}
	}
	return nil
}

// Apply makes the edit in the text of its file.
func (e Edit) Apply(text string) (string, error) {
	before, after, found := strings.Cut("\n"+text, "\n"+e.Old)
	if !found {
		return "", fmt.Errorf("%s does not hold these lines any more:\n%s", e.File, e.Old)
	}
	if strings.Contains("\n"+after, "\n"+e.Old) {
		return "", fmt.Errorf("%s holds these lines more than once:\n%s", e.File, e.Old)
	}
	return strings.TrimPrefix(before+"\n", "\n") + e.New + after, nil
}
