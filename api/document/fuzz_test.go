package document

import (
	"encoding/json"
	"testing"

	"go.yaml.in/yaml/v3"
)

// expanded counts as the budget is written: each scalar, sequence and mapping counts one plus its children, an alias what
// it stands for. It gives up beyond a bound.
func expanded(n *yaml.Node, bound int) int {
	if bound < 0 {
		return 1 << 20
	}
	if n.Kind == yaml.AliasNode {
		return expanded(n.Alias, bound-1)
	}
	total := 1
	for _, child := range n.Content {
		if total += expanded(child, bound-total); total > bound {
			return 1 << 20
		}
	}
	return total
}

func nesting(n *yaml.Node) int {
	deepest := 0
	for _, child := range n.Content {
		deepest = max(deepest, nesting(child))
	}
	return deepest + 1
}

// FuzzParse counts what passes in the plain way: no document is larger or deeper than allowed, and each can be valued and
// written as JSON.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"a: 1\n", "{a: &a [1,1], b: [*a,*a]}", "a: &a [*a]", "&a {<<: *a}", "a: &a [&b [1], *b]\nb: [*a, *a, *a, *a, *a]", "[[[[[[[[[[[[1]]]]]]]]]]]]",
		"? [a]\n: b", "a: !!binary x", "---\na\n---\nb\n...\n", "a: 1\na: 2", "\t", "{", "a: .inf", "<<: {a: 1}\na: 2", "a: 18446744073709551616", "%YAML 1.1\n---\nyes"} {
		f.Add([]byte(seed))
	}
	const nodes, depth = 60, 10
	f.Fuzz(func(t *testing.T, raw []byte) {
		docs, _ := Parse(raw, Limits{Nodes: nodes, Depth: depth})
		for _, doc := range docs {
			if n := expanded(doc, nodes); n > nodes {
				t.Fatalf("a document of %d values passed, at most %d may", n, nodes)
			}
			if n := nesting(doc); n > depth+1 { // an alias stands one deeper than what it stands for
				t.Fatalf("a document %d deep passed, at most %d may", n, depth)
			}
			v, found := Value(doc)
			if found != nil {
				continue
			}
			if _, err := json.Marshal(v); err != nil {
				t.Fatalf("%v cannot be written: %v", v, err)
			}
			Position(doc, "a.b[0].c")
		}
	})
}
