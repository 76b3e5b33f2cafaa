package render

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-dev/sluice/gitsync"
)

// documents keeps the parsed files so that places of fields can be found.
type documents map[string][]*yaml.Node

func (d *documents) keep(p string, docs []*yaml.Node) {
	if *d == nil {
		*d = documents{}
	}
	(*d)[p] = docs
}

// position implements gitsync.Position: the field, or its nearest parent, in the document of that kind and name; where
// kustomize has renamed the object, in the one whose name is part of the new name.
func (d documents) position(o gitsync.Object, field string) (line, column int) {
	var best *yaml.Node
	for _, doc := range d[o.Path] {
		best = closer(best, doc, o.ID)
	}
	if best != nil {
		n := nearest(best, field)
		return n.Line, n.Column
	}
	if len(d[o.Path]) > 0 {
		return 1, 1
	}
	return 0, 0
}

// closer gives doc, one of its items or best: what has the kind and the longest name within the wanted one.
func closer(best, doc *yaml.Node, id gitsync.ID) *yaml.Node {
	name := func(n *yaml.Node) string { return text(child(n, "metadata"), "name") }
	if text(doc, "kind") == id.Kind && name(doc) != "" && strings.Contains(id.Name, name(doc)) && len(name(doc)) > len(name(best)) {
		best = doc
	}
	items := child(doc, "items")
	if items == nil {
		return best
	}
	for _, item := range items.Content {
		best = closer(best, item, id)
	}
	return best
}

// nearest walks "spec.http[0].route" as far as it goes; keys that contain dots stand in brackets, as in
// metadata.annotations[example.com/a].
func nearest(n *yaml.Node, field string) *yaml.Node {
	for _, step := range steps(field) {
		next := child(n, step)
		if next == nil {
			return n
		}
		n = next
	}
	return n
}

func steps(field string) []string {
	var out []string
	var b strings.Builder
	flush := func() {
		if b.Len() > 0 {
			out = append(out, b.String())
			b.Reset()
		}
	}
	bracket := false
	for _, r := range field {
		switch {
		case r == '[' && !bracket:
			flush()
			bracket = true
		case r == ']' && bracket:
			flush()
			bracket = false
		case r == '.' && !bracket:
			flush()
		default:
			b.WriteRune(r)
		}
	}
	flush()
	return out
}

// child gives the value of a key or the element of an index, or nil.
func child(n *yaml.Node, step string) *yaml.Node {
	if n == nil {
		return nil
	}
	switch n.Kind {
	case yaml.AliasNode:
		return child(n.Alias, step)
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == step {
				return n.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i]
		}
	default: // a scalar ends the way, and a document stands above it
	}
	return nil
}

// text gives the scalar of a key, or "".
func text(n *yaml.Node, key string) string {
	if c := child(n, key); c != nil && c.Kind == yaml.ScalarNode {
		return c.Value
	}
	return ""
}
