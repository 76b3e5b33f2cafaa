package render

import (
	"go.yaml.in/yaml/v3"

	"github.com/sluice-dev/sluice/api/document"
	"github.com/sluice-dev/sluice/api/problem"
)

// parse reads the documents of a file. A file with an error has no documents.
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
func parseDocuments(content []byte, l Limits) ([]*yaml.Node, *problem.Problem) {
	docs, found := document.Parse(content, document.Limits{Nodes: l.Nodes, Depth: l.Depth})
	if len(found) > 0 {
		return nil, &found[0]
	}
	return docs, nil
}
