package render

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-dev/sluice/api/document"
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
		return document.Position(best, field)
	}
	for _, doc := range d[o.Path] { // its name may hold variables
		if n := at(doc, o.Line); n != nil {
			return document.Position(n, field)
		}
	}
	if len(d[o.Path]) > 0 {
		return 1, 1
	}
	return 0, 0
}

// closer gives doc, one of its items or best: what has the kind and the longest name within the wanted one.
func closer(best, doc *yaml.Node, id gitsync.ID) *yaml.Node {
	name := func(n *yaml.Node) string { return text(document.Child(n, "metadata"), "name") }
	if text(doc, "kind") == id.Kind && name(doc) != "" && strings.Contains(id.Name, name(doc)) && len(name(doc)) > len(name(best)) {
		best = doc
	}
	items := document.Child(doc, "items")
	if items == nil {
		return best
	}
	for _, item := range items.Content {
		best = closer(best, item, id)
	}
	return best
}

// at gives doc, or the one of its items, that begins in a line.
func at(doc *yaml.Node, line int) *yaml.Node {
	if doc.Line == line {
		return doc
	}
	if items := document.Child(doc, "items"); items != nil {
		for _, item := range items.Content {
			if found := at(item, line); found != nil {
				return found
			}
		}
	}
	return nil
}

// text gives the scalar of a key, or "".
func text(n *yaml.Node, key string) string {
	if c := document.Child(n, key); c != nil && c.Kind == yaml.ScalarNode {
		return c.Value
	}
	return ""
}
