package convert

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// binding is how a template is used: from which step, with which values.
type binding struct {
	step   int
	own    map[string]string // values of the template, by the names of Argo Rollouts
	args   map[string]string // values of the one that uses it, which come first
	lost   map[string]bool   // values of the one that uses it that cannot be read
	hashes map[string]bool   // those that stand for the Pods of a version
	asked  map[string]bool   // those that a query asks for
	dry    map[string]bool   // metrics that only show what they find
	from   field             // where it is named; none: nobody names it
}

// unbound is the use of a template that nobody names.
func unbound() binding {
	return binding{args: map[string]string{}, lost: map[string]bool{}, hashes: map[string]bool{}, asked: map[string]bool{}, dry: map[string]bool{}}
}

// argoAnalysis makes metrics of the templates that an analysis names.
func (c *conversion) argoAnalysis(p *plan, f field, from int) {
	b := unbound()
	b.step = from
	for _, a := range f.get("args").items() {
		name := a.get("name").text()
		switch {
		case a.at("valueFrom", "podTemplateHashValue").ok():
			b.hashes[name] = true
			a.todo("the version's name instead of the hash of its Pods: the query's label has to hold it")
		case a.get("value").text() != "":
			b.args[name] = a.get("value").text()
		default:
			b.lost[name] = true
			a.todo("a value that is empty, or stands in a field or Secret, cannot be read here: write it out")
		}
	}
	for _, d := range f.get("dryRun").items() {
		b.dry[d.get("metricName").text()] = true
		d.keep("dryRun of the metric")
	}
	f.get("measurementRetention").drop("Sluice keeps no measurements")
	for _, t := range f.get("templates").items() {
		name, kind, namespace := t.get("templateName").text(), "AnalysisTemplate", p.namespace
		if t.get("clusterScope").text() == "true" {
			kind, namespace = "ClusterAnalysisTemplate", ""
		}
		d := c.find("argoproj.io/", kind, namespace, name)
		if d == nil {
			t.drop("%s %s is not among the files", kind, name)
			continue
		}
		c.used[d] = true
		b.from = t
		c.analysisTemplate(p, d, b)
		t.keep("spec.analysis.metrics")
	}
	for _, a := range f.get("args").items() {
		if b.asked[a.get("name").text()] {
			a.keep("spec.analysis.metrics[].args")
		} else {
			a.drop("no query that is carried over asks for it")
		}
	}
}

// analysisTemplate makes a MetricTemplate of each metric, and a metric of the Rollout.
func (c *conversion) analysisTemplate(p *plan, d *source, b binding) {
	f := d.root
	f.get("apiVersion").change("sluice.dev/v1alpha1")
	f.get("kind").change("a MetricTemplate for each metric, in the namespace of the Rollout")
	f.at("metadata", "name").change("the beginning of their names")
	f.at("metadata", "namespace").keep("metadata.namespace")
	spec := f.get("spec")
	b.dry, b.own = maps.Clone(b.dry), map[string]string{}
	for _, x := range spec.get("dryRun").items() {
		b.dry[x.get("metricName").text()] = true
		x.keep("dryRun of the metric")
	}
	spec.get("measurementRetention").drop("Sluice keeps no measurements")
	spec.get("templates").drop("templates of templates are not followed: name them in the Rollout")
	for _, a := range spec.get("args").items() {
		b.own[a.get("name").text()] = a.get("value").text()
		if a.get("valueFrom").ok() {
			a.todo("a value that stands in a Secret cannot be read here: write it out")
		} else {
			a.keep("spec.args")
		}
	}
	for _, m := range spec.get("metrics").items() {
		c.argoMetric(p, m, b)
	}
}

// hashed names the variables of a query that stand for the Pods of a version: with others it is another query.
func (b binding) hashed(query string) string {
	var out []string
	for _, found := range argoVariable().FindAllStringSubmatch(query, -1) {
		if b.hashes[found[1]] {
			out = append(out, found[1])
		}
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), ",")
}

// variables replaces those of Argo Rollouts. The template has its own values, the metric those of its use.
func (b binding) variables(t *template, m *metric) {
	seen := map[string]bool{}
	t.query = argoVariable().ReplaceAllStringFunc(t.query, func(found string) string {
		name := argoVariable().FindStringSubmatch(found)[1]
		b.asked[name] = true
		if b.hashes[name] {
			m.dryRun = true
			t.todo = also(t.todo, "the query tells versions apart by the hash of their Pods: name a label that holds the version, then take dryRun off what names this template")
			return "{{subset}}"
		}
		to := argumentName(name)
		if !seen[name] {
			seen[name] = true
			t.args = append(t.args, argument{to, b.own[name]})
			b.bind(t, m, name)
		}
		return "{{" + to + "}}"
	})
}

// bind gives an arg the value of the use. Without any the metric decides nothing.
func (b binding) bind(t *template, m *metric, name string) {
	to := argumentName(name)
	switch {
	case b.args[name] != "":
		m.args = append(m.args, argument{to, b.args[name]})
	case !b.from.ok() && b.own[name] == "":
		m.dryRun = true
		t.todo = also(t.todo, "give arg "+to+" its value, here or in the metric of a Rollout")
	case b.lost[name] || b.own[name] == "":
		m.dryRun = true
		m.todo = also(m.todo, "give arg "+to+" its value, then take dryRun off")
		b.from.todo("give arg %s of metric %s its value: it decides nothing until then", to, m.name)
	}
}

// also puts what is to do behind what else is, once.
func also(before, words string) string {
	switch {
	case before == "":
		return words
	case strings.Contains(before, words):
		return before
	}
	return before + "; " + words
}

func argoVariable() *regexp.Regexp {
	return regexp.MustCompile(`\{\{ *(?:inputs\.)?args\.([A-Za-z0-9_.-]+) *\}\}`)
}

// argumentName is a name that Sluice takes, and that is none of its own variables.
func argumentName(name string) string {
	name = regexp.MustCompile(`[^a-zA-Z0-9_]`).ReplaceAllString(name, "_")
	switch name {
	case "namespace", "host", "subset", "cluster", "port", "rollout":
		return name + "_"
	}
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		return "_" + name
	}
	return name
}
