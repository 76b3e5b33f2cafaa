package render

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-dev/sluice/api/document"
	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/gitsync"
)

const localConfig = "config.kubernetes.io/local-config"

// collect adds the objects of a file's documents. A file with any error adds none.
func (b *build) collect(p string, docs []*yaml.Node) {
	var objects []gitsync.Object
	for _, doc := range docs {
		v, found := document.Value(doc)
		if found != nil {
			found.Path = p
			b.report(*found)
			return
		}
		more, found := b.expand(p, doc, v)
		if found != nil {
			found.Path = p
			b.report(*found)
			return
		}
		objects = append(objects, more...)
	}
	b.objects = append(b.objects, objects...)
}

// expand gives the object of a document, or the items of a list.
func (b *build) expand(p string, doc *yaml.Node, v any) ([]gitsync.Object, *problem.Problem) {
	content, ok := v.(map[string]any)
	if !ok {
		return nil, document.At(doc, "S320", "a document that is not an object", "write apiVersion, kind and metadata, or move the file elsewhere")
	}
	kind, _ := content["kind"].(string)
	items, isList := content["items"].([]any)
	if !isList || !strings.HasSuffix(kind, "List") {
		o, found := b.object(p, doc, content)
		if found != nil || o == nil {
			return nil, found
		}
		return []gitsync.Object{*o}, nil
	}
	var out []gitsync.Object
	for i, item := range items {
		node := document.Child(document.Child(doc, "items"), strconv.Itoa(i))
		if node == nil {
			node = doc
		}
		more, found := b.expand(p, node, item)
		if found != nil {
			return nil, found
		}
		out = append(out, more...)
	}
	return out, nil
}

// object makes one object of a mapping; nil for configuration that is not meant for the cluster.
func (b *build) object(p string, doc *yaml.Node, content map[string]any) (*gitsync.Object, *problem.Problem) {
	if gitsync.Annotation(content, localConfig) == "true" {
		return nil, nil
	}
	faults := b.fill(content)
	version, _ := content["apiVersion"].(string)
	kind, _ := content["kind"].(string)
	meta, _ := content["metadata"].(map[string]any)
	if version == "" || kind == "" {
		return nil, document.At(doc, "S320", "a document without apiVersion or kind", "write both, or move the file elsewhere")
	}
	name, _ := meta["name"].(string)
	if name == "" || strings.ContainsAny(name, "/ \t\n%") {
		return nil, document.At(document.Nearest(doc, "metadata.name"), "S321", fmt.Sprintf("%s needs a metadata.name that is a name, not %.60q", kind, name),
			"generateName is not possible: Git must say which object it means")
	}
	id := gitsync.ID{Kind: kind, Name: name}
	group, v, found := strings.Cut(version, "/")
	if !found {
		group, v = "", version
	}
	id.Group = group
	id.Namespace, _ = meta["namespace"].(string)
	if gitsync.ClusterScoped(id) {
		id.Namespace = ""
	} else if id.Namespace == "" && b.options.Namespace != "" {
		id.Namespace = b.options.Namespace
		meta["namespace"] = id.Namespace
	}
	o := &gitsync.Object{ID: id, Version: v, Path: p, Line: doc.Line, Content: content}
	b.unfilled(*o, doc, faults)
	return o, nil
}
