package render

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-dev/sluice/api/document"
	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/gitsync"
)

// The names that kustomize looks for.
func kustomizationNames() []string {
	return []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}
}

// allowedFields are the fields of a kustomization that load nothing but files of the tree and run nothing.
func allowedFields() []string {
	return []string{"apiVersion", "kind", "metadata", "resources", "bases", "components", "crds", "configurations", "patches",
		"patchesStrategicMerge", "patchesJson6902", "replacements", "configMapGenerator", "secretGenerator", "generatorOptions",
		"images", "imageTags", "replicas", "namespace", "namePrefix", "nameSuffix", "commonLabels", "labels", "commonAnnotations",
		"vars", "sortOptions", "buildMetadata"}
}

// allowedEntries are the keys of entries that may hold paths: kustomize matches keys without regard to case, so any
// other spelling is refused.
func allowedEntries(field string) []string {
	switch field {
	case "patches", "patchesJson6902":
		return []string{"path", "patch", "target", "options"}
	case "replacements":
		return []string{"path", "source", "targets", "sourceValue"}
	case "configMapGenerator", "secretGenerator":
		return []string{"name", "namespace", "behavior", "files", "envs", "env", "literals", "options", "type"}
	}
	return nil
}

func insteadOf(field string) string {
	switch {
	case strings.HasPrefix(field, "helm"):
		return "render the chart in your pipeline and commit the result"
	case field == "openapi":
		return "remove it; use a JSON patch where merge keys of custom kinds matter"
	case field == "generators", field == "transformers", field == "validators":
		return "use patches, replacements or configMapGenerator"
	}
	return "remove it"
}

// scan is what the walk over kustomizations finds out.
type scan struct {
	*build
	content   map[string][]byte // files that kustomize may see
	stack     []string          // directories under way
	visited   map[string]bool
	resources int
}

// kustomizationsIn gives the names of the kustomization files in a directory.
func (b *build) kustomizationsIn(dir string) []string {
	var found []string
	for _, name := range kustomizationNames() {
		if b.files.kind(path.Join(dir, name)) != absent {
			found = append(found, name)
		}
	}
	return found
}

// prescan visits every kustomization that the build would, and reports what must not reach kustomize.
func (b *build) prescan() *scan {
	s := &scan{build: b, content: map[string][]byte{}, visited: map[string]bool{}}
	if refused := badPath(b.root); b.root != "." && refused != "" {
		s.refuse(gitsync.BuildFailed, problem.Problem{Code: "S312", Field: "spec.path", Message: "the path " + refused})
		return s
	}
	s.directory(b.root, nil, "")
	return s
}

// directory scans the kustomization of a directory. from is where it is named; nil for the root.
func (s *scan) directory(dir string, from *yaml.Node, file string) {
	if slices.Contains(s.stack, dir) {
		s.bad(from, file, "S314", "kustomizations in a circle: "+strings.Join(append(s.stack, dir), " -> "), "remove one of the references")
		return
	}
	if s.visited[dir] {
		return
	}
	s.visited[dir] = true
	if len(s.stack) >= s.limits.KustomizeDepth || len(s.visited) > s.limits.Kustomizations {
		s.bad(from, file, "S306", fmt.Sprintf("more than %d kustomizations, or deeper than %d", s.limits.Kustomizations, s.limits.KustomizeDepth), "")
		return
	}
	found := s.kustomizationsIn(dir)
	switch len(found) {
	case 0:
		s.bad(from, file, "S312", fmt.Sprintf("directory %s has no kustomization file", dir), "add a kustomization.yaml to it, or name its files")
		return
	case 1:
	default:
		s.several(dir, found)
		return
	}
	name := path.Join(dir, found[0])
	if kind := s.files.kind(name); kind != regular {
		s.special(kind, name, from, file)
		return
	}
	s.stack = append(s.stack, dir)
	defer func() { s.stack = s.stack[:len(s.stack)-1] }()
	s.kustomization(dir, name)
}

// kustomization scans the fields of one kustomization file.
func (s *scan) kustomization(dir, name string) {
	docs, ok := s.yamlFile(name)
	if !ok {
		return
	}
	if len(docs) != 1 || docs[0].Kind != yaml.MappingNode {
		s.bad(&yaml.Node{Line: 1, Column: 1}, name, "S320", "a kustomization is one mapping", "")
		return
	}
	s.docs.keep(name, docs)
	doc := docs[0]
	v, found := document.Value(doc)
	if found != nil {
		s.bad(&yaml.Node{Line: found.Line, Column: found.Column}, name, found.Code, found.Message, found.Hint)
		return
	}
	fields := v.(map[string]any)
	allowed := allowedFields()
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		n := keyNode(doc, field)
		if !slices.Contains(allowed, field) {
			s.bad(n, name, "S311", fmt.Sprintf("field %q of a kustomization is not supported", field), insteadOf(field))
			continue
		}
		s.field(dir, name, field, fields[field], n)
	}
}

// field scans the paths of one field.
func (s *scan) field(dir, name, field string, v any, n *yaml.Node) {
	entry := func(i int) *yaml.Node {
		if e := document.Child(document.Nearest(n, ""), fmt.Sprint(i)); e != nil {
			return e
		}
		return n
	}
	switch field {
	case "resources", "bases", "components":
		expected := []fileKind{directory}
		if field == "resources" {
			expected = append(expected, regular)
		}
		for i, p := range stringsOf(v, s, n, name) {
			s.reference(place{dir, name}, p, entry(i), expected...)
		}
	case "crds", "configurations":
		for i, p := range stringsOf(v, s, n, name) {
			s.reference(place{dir, name}, p, entry(i), regular)
		}
	case "patchesStrategicMerge":
		for i, p := range stringsOf(v, s, n, name) {
			if !inline(p, s.limits) {
				s.reference(place{dir, name}, p, entry(i), regular)
			}
		}
	case "patches", "patchesJson6902", "replacements", "configMapGenerator", "secretGenerator":
		items, _ := v.([]any)
		for i, item := range items {
			if m, ok := item.(map[string]any); ok {
				s.entry(dir, name, field, m, entry(i))
			}
		}
	}
}

// entry scans one patch, replacement or generator.
func (s *scan) entry(dir, name, field string, m map[string]any, n *yaml.Node) {
	allowed := allowedEntries(field)
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if !slices.Contains(allowed, k) {
			s.bad(n, name, "S311", fmt.Sprintf("key %q of %s is not supported", k, field), "keys are "+strings.Join(allowed, ", "))
		}
	}
	one := func(key string) {
		if p, ok := m[key].(string); ok && p != "" {
			s.reference(place{dir, name}, p, n, regular)
		}
	}
	switch field {
	case "configMapGenerator", "secretGenerator":
		one("env")
		for _, p := range stringsOf(m["envs"], s, n, name) {
			s.reference(place{dir, name}, p, n, regular)
		}
		for _, p := range stringsOf(m["files"], s, n, name) {
			if _, after, found := strings.Cut(p, "="); found {
				p = after
			}
			s.reference(place{dir, name}, p, n, regular)
		}
	default:
		one("path")
	}
}

// stringsOf gives the strings of a sequence; other values are refused.
func stringsOf(v any, s *scan, n *yaml.Node, name string) []string {
	if v == nil {
		return nil
	}
	items, ok := v.([]any)
	if !ok {
		s.bad(n, name, "S504", "a list of paths is expected", "")
		return nil
	}
	out := make([]string, 0, len(items))
	for _, item := range items {
		text, ok := item.(string)
		if !ok {
			s.bad(n, name, "S504", "a path is expected, as a string", "")
			continue
		}
		out = append(out, text)
	}
	return out
}

// inline reports whether a patch is written in place: it parses as a mapping.
func inline(p string, l Limits) bool {
	docs, found := parseDocuments([]byte(p), l)
	return found == nil && len(docs) > 0 && docs[0].Kind == yaml.MappingNode
}

// place is a kustomization: its directory and its file.
type place struct{ dir, file string }

// reference checks one path of a kustomization and goes where it leads.
func (s *scan) reference(from place, p string, n *yaml.Node, expected ...fileKind) {
	dir, name := from.dir, from.file
	files, dirs := slices.Contains(expected, regular), slices.Contains(expected, directory)
	if remote(p) {
		s.bad(n, name, "S805", fmt.Sprintf("%.100q is not a path of this repository; nothing is loaded from elsewhere", p), "copy it into the repository and name its path")
		return
	}
	if refused := badPath(p); refused != "" {
		s.bad(n, name, "S312", fmt.Sprintf("%.100q %s", p, refused), "use a relative path of this repository")
		return
	}
	target := path.Join(dir, p)
	if target == ".." || strings.HasPrefix(target, "../") {
		s.bad(n, name, "S312", fmt.Sprintf("%.100q leaves the repository", p), "use a path of this repository")
		return
	}
	switch kind := s.files.kind(target); {
	case kind == directory && dirs:
		s.directory(target, n, name)
	case kind == regular && files:
		if rel := strings.TrimPrefix(target, dir+"/"); dir != "." && rel == target {
			s.bad(n, name, "S312", fmt.Sprintf("file %s lies outside the directory of its kustomization", target), "move it below, or give it a kustomization and name the directory")
			return
		}
		s.file(target, name, n, dirs)
	case kind == absent:
		s.bad(n, name, "S312", fmt.Sprintf("%s does not exist", target), "add it to the commit, or remove the reference")
	case kind == directory || kind == regular:
		s.bad(n, name, "S312", fmt.Sprintf("%s is not of the kind that is expected here", target), "")
	default:
		s.special(kind, target, n, name)
	}
}

// file takes a file for kustomize. Those that hold objects are parsed, for budget and positions.
func (s *scan) file(target, name string, n *yaml.Node, objects bool) {
	if _, known := s.content[target]; known {
		return
	}
	if !objects && !slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(target)) {
		if content, ok := s.take(target); ok {
			s.content[target] = content
		}
		return
	}
	docs, ok := s.yamlFile(target)
	if ok && objects {
		s.docs.keep(target, docs)
		s.resources += len(docs)
		if s.resources > s.limits.KustomizeResources {
			s.bad(n, name, "S306", fmt.Sprintf("more than %d objects in a kustomization", s.limits.KustomizeResources), "split it into several Sources")
		}
	}
}

// yamlFile takes and parses a file; an error refuses the build.
func (s *scan) yamlFile(p string) ([]*yaml.Node, bool) {
	content, ok := s.take(p)
	if !ok {
		return nil, false
	}
	s.content[p] = content
	docs, found := parseDocuments(content, s.limits)
	if found != nil {
		found.Path = p
		s.refuse(gitsync.BuildFailed, *found)
		return nil, false
	}
	return docs, true
}

func (s *scan) take(p string) ([]byte, bool) {
	content, why := s.files.read(p)
	if why != nil {
		s.refuse(gitsync.BuildFailed, *why)
	}
	return content, content != nil
}

func (s *scan) bad(n *yaml.Node, file, code, message, hint string) {
	p := problem.Problem{Code: code, Path: file, Message: message, Hint: hint}
	if n != nil {
		p.Line, p.Column = n.Line, n.Column
	}
	s.refuse(gitsync.BuildFailed, p)
}

func (s *scan) special(kind fileKind, target string, n *yaml.Node, file string) {
	if kind == symlink {
		s.bad(n, file, "S303", target+" is a symbolic link", "replace it by the file it points to")
		return
	}
	s.bad(n, file, "S304", target+" is a submodule", "copy its files into this repository")
}

// keyNode finds the value of a field for its position; merged fields have the document's.
func keyNode(doc *yaml.Node, field string) *yaml.Node {
	if n := document.Child(doc, field); n != nil {
		return n
	}
	return doc
}

// remote reports whether kustomize would take the string for something to download or clone.
func remote(p string) bool {
	lower := strings.ToLower(p)
	return strings.ContainsAny(p, ":@?") || strings.Contains(p, "//") || strings.HasPrefix(lower, "github.com") ||
		strings.Contains(lower, ".git/") && !strings.HasPrefix(p, ".") || strings.HasSuffix(lower, ".git")
}

// badPath says why a string is no relative path, or "".
func badPath(p string) string {
	switch {
	case p == "":
		return "is empty"
	case strings.HasPrefix(p, "/"):
		return "is an absolute path"
	case strings.ContainsAny(p, "\\\x00"):
		return "has a character that is not allowed"
	}
	return ""
}
