package view

import (
	"fmt"
	"strings"

	"github.com/sluice-dev/sluice/api/problem"
)

// TreeView says what hangs together: from the Source over a Rollout to its routes, versions, endpoints and proxies.
type TreeView struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Rollout    Object   `json:"rollout"`
	Root       TreeNode `json:"root"` // the Source, or the Rollout where there is none
}

// TreeKind is what a node of a TreeView stands for.
type TreeKind string

// The kinds of nodes.
const (
	TreeSource   TreeKind = "source"
	TreeRollout  TreeKind = "rollout"
	TreeRoute    TreeKind = "route"
	TreeHost     TreeKind = "host"
	TreeSubset   TreeKind = "subset"
	TreeEndpoint TreeKind = "endpoint"
	TreeProxies  TreeKind = "proxies" // of one replica
	TreeProxy    TreeKind = "proxy"
)

// TreeNode is one part. Weight is the share of requests in percent; null: it has none, or none is known.
type TreeNode struct {
	Kind     TreeKind   `json:"kind"`
	Name     string     `json:"name"`
	State    string     `json:"state,omitempty"`
	Weight   *int32     `json:"weight"`
	Children []TreeNode `json:"children"`
}

// Leaf makes a node that nothing hangs on yet.
func Leaf(kind TreeKind, name, state string) TreeNode {
	return TreeNode{Kind: kind, Name: name, State: state, Children: []TreeNode{}}
}

// Label is a node in a line.
func (n TreeNode) Label() string {
	label := string(n.Kind) + " " + n.Name
	if n.Weight != nil {
		label += fmt.Sprintf("  %d%%", *n.Weight)
	}
	if n.State != "" {
		label += "  " + n.State
	}
	return problem.Clean(label, problem.MaxMessage)
}

// Mermaid is the tree as a flowchart of that language.
func (v TreeView) Mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	next := 0
	mermaid(&b, v.Root, &next)
	return b.String()
}

// mermaid writes a node and what hangs below it, and gives its number.
func mermaid(b *strings.Builder, n TreeNode, next *int) int {
	self := *next
	*next++
	fmt.Fprintf(b, "  n%d[\"%s\"]\n", self, mermaidText.Replace(n.Label()))
	for _, child := range n.Children {
		number := mermaid(b, child, next)
		fmt.Fprintf(b, "  n%d --> n%d\n", self, number)
	}
	return self
}

// mermaidText writes what would end a label, or be markup in it, as the language's entities.
var mermaidText = strings.NewReplacer("#", "#35;", "\"", "#quot;", "<", "#lt;", ">", "#gt;", "&", "#amp;", "`", "#96;", "\\", "#92;")
