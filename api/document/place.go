package document

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Position gives line and column, from 1, of a field such as spec.http[0].route[1].weight, or of what of its way there
// is. A block that starts below its key has the place of the key.
func Position(doc *yaml.Node, field string) (line, column int) {
	at := doc
	for _, step := range steps(field) {
		key, value := entry(doc, step)
		if value == nil {
			break
		}
		doc, at = value, value
		if key != nil && key.Line != value.Line {
			at = key
		}
	}
	return at.Line, at.Column
}

// Nearest walks a field as far as it goes. Keys that contain dots stand in brackets, as in
// metadata.annotations[example.com/a], in quotes or without.
func Nearest(n *yaml.Node, field string) *yaml.Node {
	for _, step := range steps(field) {
		next := Child(n, step)
		if next == nil {
			return n
		}
		n = next
	}
	return n
}

// steps takes a field apart into keys and indexes.
func steps(field string) []string {
	var out []string
	for field != "" {
		switch end := strings.IndexAny(field, ".["); {
		case field[0] == '.':
			field = field[1:]
		case field[0] == '[':
			var step string
			step, field = bracketed(field[1:])
			out = append(out, step)
		case end < 0:
			return append(out, field)
		default:
			out, field = append(out, field[:end]), field[end:]
		}
	}
	return out
}

// bracketed gives what stands before the closing bracket, and what behind it.
func bracketed(rest string) (step, behind string) {
	if quoted, err := strconv.QuotedPrefix(rest); err == nil {
		step, _ = strconv.Unquote(quoted)
		return step, strings.TrimPrefix(rest[len(quoted):], "]")
	}
	step, behind, _ = strings.Cut(rest, "]")
	return step, behind
}

// Child gives the value of a key or the element of an index, or nil.
func Child(n *yaml.Node, step string) *yaml.Node {
	_, value := entry(n, step)
	return value
}

// entry gives a key with its value, or an element without key.
func entry(n *yaml.Node, step string) (key, value *yaml.Node) {
	if n == nil {
		return nil, nil
	}
	switch n.Kind {
	case yaml.AliasNode:
		return entry(n.Alias, step)
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == step {
				return n.Content[i], n.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(n.Content) {
			return nil, n.Content[i]
		}
	default: // a scalar ends the way, and a document stands above it
	}
	return nil, nil
}
