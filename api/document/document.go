// Package document reads the YAML and JSON documents of a file, and knows where in it each field stands.
//
// It decides what is not YAML, which keys stand twice, and how far aliases may go; it opens no file. gitsync/render,
// xds/manifest and the linter read their files with it:
//
//	docs, problems := document.Parse(content, document.Limits{})
//	content, found := document.Value(docs[0])
//	line, column := document.Position(docs[0], "spec.http[0].route")
package document

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

// Limits bound one file. Zero fields mean their defaults.
type Limits struct {
	Nodes int // with aliases expanded; 200,000
	Depth int // of nesting; 100
}

func (l Limits) withDefaults() Limits {
	if l.Nodes == 0 {
		l.Nodes = 200_000
	}
	if l.Depth == 0 {
		l.Depth = 100
	}
	return l
}

// syntaxPlace finds the line in an error of the parser.
func syntaxPlace() *regexp.Regexp {
	return regexp.MustCompile(`^yaml: (?:unmarshal errors:\s+)?line (\d+): (?s:(.*))$`)
}

// Parse gives the root nodes of the documents that are not empty, with what is wrong: aliases are counted before anything
// is expanded. A document with a key that stands twice is given all the same; one with any other error is left out, and
// nothing is read behind text that is not YAML.
func Parse(content []byte, l Limits) (docs []*yaml.Node, found []problem.Problem) {
	defer func() {
		if r := recover(); r != nil { // the parser panics on some inputs that are not YAML
			found = append(found, problem.Problem{Code: "S501", Severity: problem.Error, Line: 1, Message: "not YAML", Hint: "correct the syntax"})
		}
	}()
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	for {
		var doc yaml.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return docs, found
		}
		if err != nil {
			return docs, append(found, syntax(err))
		}
		if len(doc.Content) == 0 || doc.Content[0].ShortTag() == "!!null" {
			continue
		}
		c := counter{limits: l.withDefaults(), cost: map[*yaml.Node]int{}, open: map[*yaml.Node]bool{}}
		_, bad := c.count(doc.Content[0], 1)
		found = append(found, c.twice...)
		if bad != nil {
			found = append(found, *bad)
			continue
		}
		docs = append(docs, doc.Content[0])
	}
}

func syntax(err error) problem.Problem {
	p := problem.Problem{Code: "S501", Severity: problem.Error, Line: 1, Message: "not YAML: " + strings.TrimPrefix(err.Error(), "yaml: "), Hint: "correct the syntax"}
	if m := syntaxPlace().FindStringSubmatch(err.Error()); m != nil {
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
	twice  []problem.Problem
}

// count gives 1 for a scalar, 1 plus its children for a sequence or mapping, and an alias's target for an alias.
func (c *counter) count(n *yaml.Node, depth int) (int, *problem.Problem) {
	if n.Kind == yaml.AliasNode {
		if c.open[n.Alias] {
			return 0, At(n, "S307", "an alias that contains itself", "write the value out")
		}
		n = n.Alias
	}
	if known, ok := c.cost[n]; ok {
		return known, nil
	}
	if depth > c.limits.Depth {
		return 0, At(n, "S306", fmt.Sprintf("nested deeper than %d", c.limits.Depth), "")
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
			return 0, At(n, "S307", fmt.Sprintf("more than %d values with aliases expanded", c.limits.Nodes), "write fewer aliases of aliases")
		}
	}
	if n.Kind == yaml.MappingNode {
		if found := c.keys(n); found != nil {
			return 0, found
		}
	}
	c.cost[n] = total
	return total, nil
}

// keys notes keys that stand twice, and refuses those that are no text.
func (c *counter) keys(n *yaml.Node) *problem.Problem {
	lines := make(map[string]int, len(n.Content)/2)
	for i := 0; i < len(n.Content); i += 2 {
		k := n.Content[i]
		if k.Kind != yaml.ScalarNode {
			return At(k, "S504", "a key that is not a plain value", "")
		}
		if first, twice := lines[k.Value]; twice {
			c.twice = append(c.twice, *At(k, "S503", fmt.Sprintf("key %q stands at line %d too", k.Value, first), "keep one of them"))
			continue
		}
		lines[k.Value] = k.Line
	}
	return nil
}

// At is an error at the place of a node.
func At(n *yaml.Node, code, message, hint string) *problem.Problem {
	return &problem.Problem{Code: code, Severity: problem.Error, Message: problem.Clean(message, problem.MaxMessage), Hint: hint, Line: n.Line, Column: n.Column}
}

// Value converts a counted node to JSON values: merge keys are merged, other tags than the core ones refused.
func Value(n *yaml.Node) (any, *problem.Problem) {
	switch n.Kind {
	case yaml.AliasNode:
		return Value(n.Alias)
	case yaml.SequenceNode:
		out := make([]any, 0, len(n.Content))
		for _, child := range n.Content {
			v, found := Value(child)
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
		return nil, At(n, "S501", "not a YAML value", "")
	}
}

func mapping(n *yaml.Node) (any, *problem.Problem) {
	out := make(map[string]any, len(n.Content)/2)
	merged := map[string]any{}
	for i := 0; i < len(n.Content); i += 2 {
		k := n.Content[i]
		v, found := Value(n.Content[i+1])
		if found != nil {
			return nil, found
		}
		if k.ShortTag() == "!!merge" {
			if !merge(merged, v) {
				return nil, At(k, "S504", "only mappings can be merged", "")
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
		return nil, At(n, "S504", fmt.Sprintf("tag %.40q is not supported", n.Tag), "remove the tag")
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return nil, At(n, "S504", fmt.Sprintf("%.40q is not a value of its tag", n.Value), "")
	}
	switch v := v.(type) {
	case int:
		return int64(v), nil
	case uint64:
		return float64(v), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, At(n, "S504", n.Value+" is not a number that JSON has", "")
		}
		return v, nil
	}
	return v, nil
}
