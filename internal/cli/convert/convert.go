package convert

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-dev/sluice/api/document"
	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/view"
)

// File is one to convert.
type File struct {
	Name    string
	Content []byte
}

// From is the tool whose objects are converted. The zero value takes those of either.
type From string

// The tools.
const (
	Argo    From = "argo"
	Flagger From = "flagger"
)

// Check says why a condition would be refused; nil: it would not.
type Check func(query, pass, fail string, args map[string]string) error

// Options say how to convert.
type Options struct {
	From  From
	Check Check // nil: nothing is refused
}

// Result is what was made.
type Result struct {
	YAML   []byte
	Report view.ConversionReport
}

// conversion is one run.
type conversion struct {
	options Options
	docs    []*source
	used    map[*source]bool // looked at by the object that names it
	out     []*yaml.Node
	made    map[string]*yaml.Node  // objects that are written, by kind/namespace/name
	edited  map[*source]*yaml.Node // objects of the files in the output, changed by all that name them
	routed  map[*yaml.Node]string  // rules in the output, and the Rollout whose host they send to
	origins map[string]origin      // of MetricTemplates, by namespace/name
}

// Run converts all that the files hold. The error says what is not YAML, or that nothing was there to convert.
func Run(files []File, o Options) (Result, error) {
	c := &conversion{options: o, used: map[*source]bool{}, made: map[string]*yaml.Node{}, edited: map[*source]*yaml.Node{},
		routed: map[*yaml.Node]string{}, origins: map[string]origin{}}
	perFile := make([][]*source, len(files))
	lines := make([]*fileLines, len(files))
	for i, f := range files {
		lines[i] = &fileLines{name: f.Name, lines: strings.Split(strings.TrimSuffix(string(f.Content), "\n"), "\n")}
		docs, found := document.Parse(f.Content, document.Limits{})
		if len(found) > 0 {
			return Result{}, fmt.Errorf("%s:%d:%d: %s", f.Name, found[0].Line, max(1, found[0].Column), found[0].Message)
		}
		for n, d := range docs {
			s := &source{file: lines[i]}
			to := len(lines[i].lines)
			if n+1 < len(docs) {
				to = docs[n+1].Line - 1
			}
			s.root = field{doc: s, value: d, to: to}
			perFile[i] = append(perFile[i], s)
			c.docs = append(c.docs, s)
		}
	}
	if err := c.run(); err != nil {
		return Result{}, err
	}
	var counts []view.ConvertedFile
	items := []view.ConversionItem{}
	for i := range files {
		count, found := account(lines[i], perFile[i])
		counts, items = append(counts, count), append(items, found...)
	}
	report := view.Conversion(counts, items)
	c.comment(report)
	text, err := write(c.out)
	return Result{YAML: text, Report: report}, err
}

// run converts object by object: those that others name come with them, the rest is taken over as it is.
func (c *conversion) run() error {
	made := false
	for _, d := range c.docs {
		switch {
		case d.is("argoproj.io/", "Rollout") && c.options.From != Flagger:
			c.argo(d.root)
			made = true
		case d.is("flagger.app/", "Canary") && c.options.From != Argo:
			c.flagger(d.root)
			made = true
		}
	}
	for _, d := range c.docs {
		if c.used[d] {
			continue
		}
		switch {
		case d.is("argoproj.io/", "AnalysisTemplate"), d.is("argoproj.io/", "ClusterAnalysisTemplate"):
			c.orphan(d, func(p *plan) { c.analysisTemplate(p, d, unbound()) })
			made = true
		case d.is("flagger.app/", "MetricTemplate"):
			d.root.drop("no Canary among the files names it, and what holds it against a threshold stands there")
		case d.is("argoproj.io/", ""), d.is("flagger.app/", ""):
			d.root.drop("nothing is made of the kind %s", problem.Clean(d.root.get("kind").text(), 64))
		default:
			d.root.keep("as it is")
			c.out = append(c.out, copied(d.root.value))
		}
	}
	if !made {
		return errors.New("no Rollout or AnalysisTemplate of Argo Rollouts and no Canary of Flagger is among the files")
	}
	return nil
}

// orphan converts a template that no Rollout among the files names.
func (c *conversion) orphan(d *source, convert func(*plan)) {
	p := &plan{from: d.root, namespace: d.root.at("metadata", "namespace").text()}
	c.used[d] = true
	convert(p)
}

// is reports the kind of a document; an empty kind is any.
func (s *source) is(group, kind string) bool {
	return strings.HasPrefix(s.root.get("apiVersion").text(), group) && (kind == "" || s.root.get("kind").text() == kind)
}

// find is the document of a kind and name. It is in that namespace, or the only one where either says none.
func (c *conversion) find(group, kind, namespace, name string) *source {
	var near []*source
	for _, d := range c.docs {
		if !d.is(group, kind) || d.root.at("metadata", "name").text() != name {
			continue
		}
		switch own := d.root.at("metadata", "namespace").text(); {
		case own == namespace:
			return d
		case own == "" || namespace == "":
			near = append(near, d)
		}
	}
	if len(near) == 1 {
		return near[0]
	}
	return nil
}

// add puts an object into the output, once for each name.
func (c *conversion) add(n *yaml.Node, id string) {
	if c.made[id] == nil {
		c.made[id] = n
		c.out = append(c.out, n)
	}
}

// edit is an object of the files in the output, to be changed: one for all that name it.
func (c *conversion) edit(d *source) *yaml.Node {
	if c.edited[d] == nil {
		c.used[d] = true
		c.edited[d] = copied(d.root.value)
		c.out = append(c.out, c.edited[d])
	}
	return c.edited[d]
}

// note says of an object as a whole how it is changed.
func (s *source) note(f field, words string) {
	kind := f.get("kind")
	if m := s.markOf(kind); m.fate == Changed && !strings.Contains(m.words, words) {
		for i := range s.marks {
			if s.marks[i].field.value == kind.value {
				s.marks[i].words += "; " + words
			}
		}
		return
	}
	kind.change("%s", words)
}

// undo forgets the decision on a field.
func (s *source) undo(f field) {
	s.marks = slices.DeleteFunc(s.marks, func(m mark) bool {
		return m.field.path == f.path || strings.HasPrefix(m.field.path, f.path+".") || strings.HasPrefix(m.field.path, f.path+"[")
	})
}

// comment writes above the first object what was changed, dropped and left to do.
func (c *conversion) comment(r view.ConversionReport) {
	if len(c.out) == 0 {
		return
	}
	var lines []string
	for _, i := range r.Items {
		if i.Code == "" {
			continue
		}
		word := map[string]string{"S901": "dropped", "S902": "changed", "S903": "TODO"}[i.Code]
		lines = append(lines, fmt.Sprintf("# %s %s %s:%d %s: %s", i.Code, word, problem.Clean(i.File, 256), i.Line, problem.Clean(cmp.Or(i.Path, "the object"), 256), problem.Clean(i.Words, 512)))
	}
	if len(lines) == 0 {
		return
	}
	first := c.out[0]
	first.HeadComment = strings.Join(append([]string{fmt.Sprintf("# Converted: of %d lines %d are kept, %d changed, %d dropped, %d blank.", r.Total.Lines, r.Total.Kept, r.Total.Changed, r.Total.Dropped, r.Total.Blank)}, lines...), "\n") +
		join2(first.HeadComment)
}

func join2(rest string) string {
	if rest == "" {
		return "\n"
	}
	return "\n\n" + rest
}
