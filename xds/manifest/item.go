package manifest

import (
	"slices"

	"github.com/sluice-dev/sluice/api/problem"
)

// Item is one object of a mesh and where it stands.
type Item struct {
	Ref     string         // "Kind/namespace/name", as Problems name it; Add sets it
	Path    string         // of its file
	Content map[string]any // JSON values; not to be changed
	// Position gives line and column, from 1, of a field or of its nearest parent; zeros when unknown. It may be nil.
	Position func(field string) (line, column int)
	Err      error // why its kind's type could not take the content; Add sets it
}

func (it Item) place(field string) (line, column int) {
	if it.Position == nil {
		return 0, 0
	}
	return it.Position(field)
}

func (it Item) line() int {
	line, _ := it.place("")
	return line
}

// Items are the objects read, in the order of reading; of two of one name the first.
func (m *Mesh) Items() []Item { return slices.Clone(m.items) }

// Placed joins Problems with those found while reading, and says of each in which file its object stands, and where in
// it the field.
func (m *Mesh) Placed(ps []problem.Problem) []problem.Problem {
	out := slices.Concat(ps, m.problems)
	for i := range out {
		p := &out[i]
		if at, known := m.byRef[p.Object]; known && p.Path == "" {
			p.Path = m.items[at].Path
			p.Line, p.Column = m.items[at].place(p.Field)
		}
	}
	problem.Sort(out)
	return out
}
