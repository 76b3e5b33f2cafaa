package convert

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// mapping is an empty one.
func mapping() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode} }

// list holds nodes; a flow one stands on a line.
func list(items ...*yaml.Node) *yaml.Node { return &yaml.Node{Kind: yaml.SequenceNode, Content: items} }

func flow(n *yaml.Node) *yaml.Node {
	n.Style = yaml.FlowStyle
	return n
}

// scalar is a value as YAML writes it.
func scalar(v any) *yaml.Node {
	switch v := v.(type) {
	case *yaml.Node:
		return v
	case time.Duration:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: span(v)}
	case string:
		n := &yaml.Node{}
		n.SetString(v)
		switch {
		case strings.ContainsAny(v, "{}") && !strings.Contains(v, "\n"):
			n.Style = yaml.SingleQuotedStyle
		case n.Style == 0 && ambiguous().MatchString(v):
			n.Style = yaml.DoubleQuotedStyle
		}
		return n
	}
	n := &yaml.Node{}
	_ = n.Encode(v) // numbers and booleans have no mistake to make
	return n
}

// ambiguous are texts that some readers of YAML take for something else.
func ambiguous() *regexp.Regexp {
	return regexp.MustCompile(`(?i)^(y|n|yes|no|on|off|true|false|null|~|)$|^[-+.]?[0-9][0-9_.:eExXoOa-f+-]*$`)
}

// span is a time as people write it.
func span(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// put sets a field, with the comments of what it comes from.
func put(m *yaml.Node, name string, v any, from ...field) {
	key := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name}
	value := scalar(v)
	for _, f := range from {
		if !f.ok() {
			continue
		}
		of := f.value
		if f.key != nil {
			of = f.key
		}
		key.HeadComment = join(key.HeadComment, of.HeadComment)
		if value.Kind == yaml.ScalarNode || value.Style == yaml.FlowStyle {
			value.LineComment = join(value.LineComment, f.value.LineComment)
			value.LineComment = strings.ReplaceAll(value.LineComment, "\n", " ")
		}
	}
	m.Content = append(m.Content, key, value)
}

// above are the comments of what something comes from, to stand above it.
func above(n *yaml.Node, from ...field) *yaml.Node {
	for _, f := range from {
		if !f.ok() {
			continue
		}
		of := f.value
		if f.key != nil {
			of = f.key
		}
		words := join(of.HeadComment, f.value.LineComment)
		if words != "" && !strings.Contains(n.HeadComment, words) {
			n.HeadComment = join(n.HeadComment, words)
		}
	}
	return n
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "\n" + b
}

// copied is a node of the source for the output, comments included.
func copied(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return copied(n.Alias)
	}
	out := *n
	out.Anchor, out.Content = "", make([]*yaml.Node, len(n.Content))
	for i, c := range n.Content {
		out.Content[i] = copied(c)
	}
	return &out
}

// object is the beginning of one of the output.
func object(apiVersion, kind, name, namespace string) *yaml.Node {
	m, meta := mapping(), mapping()
	put(m, "apiVersion", apiVersion)
	put(m, "kind", kind)
	put(meta, "name", name)
	if namespace != "" {
		put(meta, "namespace", namespace)
	}
	put(m, "metadata", flow(meta))
	return m
}

// write gives the objects as documents, each below what is to be said of it.
func write(objects []*yaml.Node) ([]byte, error) {
	var out bytes.Buffer
	for i, o := range objects {
		if i > 0 {
			out.WriteString("---\n")
		}
		encoder := yaml.NewEncoder(&out)
		encoder.SetIndent(2)
		if err := encoder.Encode(o); err != nil {
			return nil, fmt.Errorf("writing object %d: %w", i+1, err)
		}
		if err := encoder.Close(); err != nil {
			return nil, fmt.Errorf("writing object %d: %w", i+1, err)
		}
	}
	return out.Bytes(), nil
}

// duration reads a length of time as the other tools write them: 5m, 30s, or a number of seconds.
func duration(text string) (time.Duration, bool) {
	if text == "" {
		return 0, false
	}
	if strings.Trim(text, "0123456789") == "" {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d >= 0
}
