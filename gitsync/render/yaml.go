package render

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-dev/sluice/api/problem"
)

var syntaxPlace = regexp.MustCompile(`^yaml: (?:unmarshal errors:\s+)?line (\d+): (?s:(.*))$`)

// parse reads the documents of a file: aliases are counted and duplicate keys refused before anything is expanded.
// A file with an error has no documents.
func (b *build) parse(p string, content []byte) ([]*yaml.Node, bool) {
	docs, found := parseDocuments(content, b.limits)
	if found == nil {
		return docs, true
	}
	found.Path = p
	b.report(*found)
	return nil, false
}

// parseDocuments gives the root nodes of the non-empty documents, or the first Problem.
func parseDocuments(content []byte, l Limits) (docs []*yaml.Node, found *problem.Problem) {
	defer func() {
		if r := recover(); r != nil { // the parser panics on some inputs that are not YAML
			docs, found = nil, &problem.Problem{Code: "S501", Severity: problem.Error, Line: 1, Message: "not YAML"}
		}
	}()
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	for {
		var doc yaml.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, syntax(err)
		}
		if len(doc.Content) == 0 || doc.Content[0].ShortTag() == "!!null" {
			continue
		}
		c := counter{limits: l, cost: map[*yaml.Node]int{}, open: map[*yaml.Node]bool{}}
		if _, found := c.count(doc.Content[0], 1); found != nil {
			return nil, found
		}
		docs = append(docs, doc.Content[0])
	}
}

func syntax(err error) *problem.Problem {
	p := &problem.Problem{Code: "S501", Severity: problem.Error, Line: 1, Message: "not YAML: " + strings.TrimPrefix(err.Error(), "yaml: "), Hint: "correct the syntax"}
	if m := syntaxPlace.FindStringSubmatch(err.Error()); m != nil {
		p.Line, _ = strconv.Atoi(m[1])
		p.Message = "not YAML: " + m[2]
	}
	p.Message = problem.Clean(p.Message, problem.MaxMessage)
	return p
}

// counter counts nodes as if aliases were expanded, and refuses what must not be expanded.
type counter struct {
	limits Limits
	cost   map[*yaml.Node]int
	open   map[*yaml.Node]bool
}

// count gives 1 for a scalar, 1 plus its children for a sequence or mapping, and an alias's target for an alias.
func (c *counter) count(n *yaml.Node, depth int) (int, *problem.Problem) {
	if n.Kind == yaml.AliasNode {
		if c.open[n.Alias] {
			return 0, at(n, "S307", "an alias that contains itself", "write the value out")
		}
		n = n.Alias
	}
	if known, ok := c.cost[n]; ok {
		return known, nil
	}
	if depth > c.limits.Depth {
		return 0, at(n, "S306", fmt.Sprintf("nested deeper than %d", c.limits.Depth), "")
	}
	c.open[n] = true
	defer delete(c.open, n)
	total := 1
	for _, child := range n.Content {
		cost, found := c.count(child, depth+1)
		if found != nil {
			return 0, found
		}
		if total += cost; total > c.limits.Nodes {
			return 0, at(n, "S307", fmt.Sprintf("more than %d values with aliases expanded", c.limits.Nodes), "write fewer aliases of aliases")
		}
	}
	if n.Kind == yaml.MappingNode {
		if found := duplicate(n); found != nil {
			return 0, found
		}
	}
	c.cost[n] = total
	return total, nil
}

func duplicate(n *yaml.Node) *problem.Problem {
	lines := make(map[string]int, len(n.Content)/2)
	for i := 0; i < len(n.Content); i += 2 {
		k := n.Content[i]
		if k.Kind != yaml.ScalarNode {
			return at(k, "S504", "a key that is not a plain value", "")
		}
		if first, twice := lines[k.Value]; twice {
			return at(k, "S503", fmt.Sprintf("key %q stands at line %d too", k.Value, first), "keep one of them")
		}
		lines[k.Value] = k.Line
	}
	return nil
}

func at(n *yaml.Node, code, message, hint string) *problem.Problem {
	return &problem.Problem{Code: code, Severity: problem.Error, Message: problem.Clean(message, problem.MaxMessage), Hint: hint, Line: n.Line, Column: n.Column}
}

// value converts a counted node to JSON values: merge keys are merged, other tags than the core ones refused.
func value(n *yaml.Node) (any, *problem.Problem) {
	switch n.Kind {
	case yaml.AliasNode:
		return value(n.Alias)
	case yaml.SequenceNode:
		out := make([]any, 0, len(n.Content))
		for _, child := range n.Content {
			v, found := value(child)
			if found != nil {
				return nil, found
			}
			out = append(out, v)
		}
		return out, nil
	case yaml.MappingNode:
		return mapping(n)
	case yaml.ScalarNode:
		return scalar(n)
	default:
		return nil, at(n, "S501", "not a YAML value", "")
	}
}

func mapping(n *yaml.Node) (any, *problem.Problem) {
	out := make(map[string]any, len(n.Content)/2)
	merged := map[string]any{}
	for i := 0; i < len(n.Content); i += 2 {
		k := n.Content[i]
		v, found := value(n.Content[i+1])
		if found != nil {
			return nil, found
		}
		if k.ShortTag() == "!!merge" {
			if !merge(merged, v) {
				return nil, at(k, "S504", "only mappings can be merged", "")
			}
			continue
		}
		out[k.Value] = v
	}
	for k, v := range merged {
		if _, own := out[k]; !own {
			out[k] = v
		}
	}
	return out, nil
}

// merge adds the keys of a mapping, or of each mapping of a sequence, that are not there yet.
func merge(into map[string]any, v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for k, item := range v {
			if _, known := into[k]; !known {
				into[k] = item
			}
		}
		return true
	case []any:
		for _, item := range v {
			if m, ok := item.(map[string]any); !ok || !merge(into, m) {
				return false
			}
		}
		return true
	}
	return false
}

func scalar(n *yaml.Node) (any, *problem.Problem) {
	switch n.ShortTag() {
	case "!!str", "!!timestamp":
		return n.Value, nil
	case "!!null", "!!bool", "!!int", "!!float":
	default:
		return nil, at(n, "S504", fmt.Sprintf("tag %.40q is not supported", n.Tag), "remove the tag")
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return nil, at(n, "S504", fmt.Sprintf("%.40q is not a value of its tag", n.Value), "")
	}
	switch v := v.(type) {
	case int:
		return int64(v), nil
	case uint64:
		return float64(v), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, at(n, "S504", n.Value+" is not a number that JSON has", "")
		}
		return v, nil
	}
	return v, nil
}
