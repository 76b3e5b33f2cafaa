package convert

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// binding is how a template is used: from which step, with which values.
type binding struct {
	step   int
	args   map[string]string // by the names of Argo Rollouts
	hashes map[string]bool   // those that stand for the Pods of a version
	dry    map[string]bool   // metrics that only show what they find
	from   field
}

// argoAnalysis makes metrics of the templates that an analysis names.
func (c *conversion) argoAnalysis(p *plan, f field, from int) {
	b := binding{step: from, args: map[string]string{}, hashes: map[string]bool{}, dry: map[string]bool{}, from: f}
	for _, a := range f.get("args").items() {
		name := a.get("name").text()
		switch {
		case a.at("valueFrom", "podTemplateHashValue").ok():
			b.hashes[name] = true
			a.todo("the version's name instead of the hash of its Pods: the query's label has to hold it")
		case a.get("value").ok():
			b.args[name] = a.get("value").text()
			a.keep("spec.analysis.metrics[].args")
		default:
			a.todo("a value that stands in a field or Secret cannot be read here: write it out")
		}
	}
	for _, d := range f.get("dryRun").items() {
		b.dry[d.get("metricName").text()] = true
		d.keep("dryRun of the metric")
	}
	f.get("measurementRetention").drop("Sluice keeps no measurements")
	for _, t := range f.get("templates").items() {
		name, kind := t.get("templateName").text(), "AnalysisTemplate"
		if t.get("clusterScope").text() == "true" {
			kind = "ClusterAnalysisTemplate"
		}
		d := c.find("argoproj.io/", kind, name)
		if d == nil {
			t.drop("%s %s is not among the files", kind, name)
			continue
		}
		t.keep("spec.analysis.metrics")
		c.used[d] = true
		c.analysisTemplate(p, d, b)
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
	for _, x := range spec.get("dryRun").items() {
		b.dry[x.get("metricName").text()] = true
		x.keep("dryRun of the metric")
	}
	spec.get("measurementRetention").drop("Sluice keeps no measurements")
	spec.get("templates").drop("templates of templates are not followed: name them in the Rollout")
	values := map[string]string{}
	for _, a := range spec.get("args").items() {
		name := a.get("name").text()
		values[name] = a.get("value").text()
		if a.get("valueFrom").ok() {
			a.todo("a value that stands in a Secret cannot be read here: write it out")
		} else {
			a.keep("spec.args")
		}
	}
	for name, value := range b.args {
		values[name] = value
	}
	for _, m := range spec.get("metrics").items() {
		c.argoMetric(p, d, m, b, values)
	}
}

// argoMetric is one of a template.
func (c *conversion) argoMetric(p *plan, d *source, f field, b binding, values map[string]string) {
	name := f.get("name").text()
	for _, provider := range f.get("provider").fields() {
		if provider.key.Value != "prometheus" {
			f.drop("Sluice reads Prometheus, not %s", provider.key.Value)
			return
		}
	}
	server := f.at("provider", "prometheus")
	if !server.get("query").ok() {
		f.drop("it asks nothing of Prometheus")
		return
	}
	t := &template{name: named(d.root.at("metadata", "name").text(), name), namespace: p.namespace, from: f}
	m := &metric{name: metricName(name), template: t, fromStep: b.step, dryRun: b.dry[name], from: f}
	for _, one := range server.fields() {
		switch one.key.Value {
		case "query":
			t.query = strings.TrimSpace(one.text())
			one.keep("MetricTemplate %s spec.condition.query", t.name)
		case "address":
			if text := one.text(); strings.HasPrefix(text, "http") && !strings.Contains(text, "{{") {
				t.url = text
				one.keep("MetricTemplate %s spec.prometheus.url", t.name)
			} else {
				one.drop("it is no address: the Prometheus named default is read")
			}
		default:
			one.drop("say in spec.prometheus of the MetricTemplate how the server is reached")
		}
	}
	c.variables(t, m, b, values)
	c.rules(t, m, f.get("successCondition"), f.get("failureCondition"))
	c.argoLimits(t, f)
	f.get("name").keep("MetricTemplate %s", t.name)
	c.place(p, t, m, f)
}

// place puts a metric and its template into the output, unless it would be refused.
func (c *conversion) place(p *plan, t *template, m *metric, f field) {
	if c.options.Check != nil {
		values := map[string]string{}
		for _, a := range t.args {
			values[a.name] = a.value
			if a.value == "" {
				values[a.name] = "TODO"
			}
		}
		if err := c.options.Check(t.query, t.pass, t.fail, values); err != nil {
			f.doc.undo(f)
			f.drop("Sluice would not ask it: %v", err)
			return
		}
	}
	for _, other := range p.metrics {
		if other.name == m.name {
			m.name = metricName(t.name)
		}
	}
	if f.doc == p.from.doc || p.name != "" {
		p.metrics = append(p.metrics, m)
	}
	c.add(t.node(), "MetricTemplate/"+t.namespace+"/"+t.name)
}

// variables replaces those of Argo Rollouts.
func (c *conversion) variables(t *template, m *metric, b binding, values map[string]string) {
	seen := map[string]bool{}
	t.query = argoVariable().ReplaceAllStringFunc(t.query, func(found string) string {
		name := argoVariable().FindStringSubmatch(found)[1]
		if b.hashes[name] {
			m.dryRun = true
			t.todo = "the query tells versions apart by the hash of their Pods: name a label that holds the version, then take dryRun off metric " + m.name
			return "{{subset}}"
		}
		to := argumentName(name)
		if !seen[name] {
			seen[name] = true
			t.args = append(t.args, argument{to, values[name]})
			if values[name] == "" {
				m.dryRun = true
				t.todo = "give arg " + to + " its value, then take dryRun off metric " + m.name
			}
		}
		return "{{" + to + "}}"
	})
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

// rules carries the conditions over.
func (c *conversion) rules(t *template, m *metric, success, failure field) {
	for _, one := range []struct {
		from field
		into *string
		name string
	}{{success, &t.pass, "pass"}, {failure, &t.fail, "fail"}} {
		if !one.from.ok() {
			continue
		}
		r, err := translate(one.from.text())
		if err != nil {
			m.dryRun = true
			t.todo = fmt.Sprintf("write %q as a rule over value and stable, as %s, then take dryRun off metric %s: %v", one.from.text(), one.name, m.name, err)
			one.from.todo("%v: the metric decides nothing until it is written as %s", err, one.name)
			continue
		}
		*one.into = r.text
		if len(r.notes) > 0 {
			one.from.change("%s: %s", one.name, strings.Join(r.notes, "; "))
		} else {
			one.from.change("%s: what is no number, and no data, neither passes nor fails", one.name)
		}
	}
	if t.pass == "" && t.fail == "" {
		t.pass, m.dryRun = "value == value", true
		if t.todo == "" {
			t.todo = "say what passes, then take dryRun off metric " + m.name
			m.from.get("name").todo("it has no condition: it is shown, and decides nothing")
		}
	}
}

// argoLimits carries the numbers of a metric over.
func (c *conversion) argoLimits(t *template, f field) {
	for _, one := range f.fields() {
		switch one.key.Value {
		case "interval":
			c.interval(t, one)
		case "initialDelay":
			if d, ok := duration(one.text()); ok {
				t.delay = min(d, time.Hour)
				one.keep("initialDelay")
			}
		case "count", "failureLimit", "inconclusiveLimit", "consecutiveErrorLimit", "consecutiveSuccessLimit":
			n, err := strconv.Atoi(one.text())
			if err != nil || n < -1 || n > 1000 || n < 0 && one.key.Value != "failureLimit" {
				one.todo("%s is no number that it can have", one.text())
				continue
			}
			t.numbers = append(t.numbers, extra{one.key.Value, n, one})
			one.keep("%s", one.key.Value)
		}
	}
	t.settle()
	if !f.get("interval").ok() && !f.get("count").ok() {
		t.numbers = append(t.numbers, extra{name: "count", value: 1})
	}
}

// settle has no more passes in a row than there are measurements.
func (t *template) settle() {
	count := 0
	for _, n := range t.numbers {
		if v, ok := n.value.(int); ok && n.name == "count" {
			count = v
		}
	}
	for i, n := range t.numbers {
		if v, ok := n.value.(int); ok && n.name == "consecutiveSuccessLimit" && count > 0 && v > count {
			t.numbers[i].value = count
		}
	}
}

func (c *conversion) interval(t *template, f field) {
	d, ok := duration(f.text())
	if !ok {
		f.todo("%s is no length of time: it is measured each minute", f.text())
		return
	}
	t.interval = min(max(d, 5*time.Second), time.Hour)
	if t.interval != d {
		f.change("interval: %s, as Sluice measures each 5s to 1h", span(t.interval))
		return
	}
	f.keep("interval")
}

// named is the name of a template, of its own and that of its metric.
func named(parts ...string) string {
	name := regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(strings.Join(parts, "-")), "-")
	return strings.Trim(strings.Trim(name, "-")[:min(63, len(strings.Trim(name, "-")))], "-")
}

// metricName is the name of a metric as Sluice takes it.
func metricName(name string) string {
	name = regexp.MustCompile(`[^a-zA-Z0-9]+`).ReplaceAllString(name, "-")
	return strings.Trim(strings.Trim(name, "-")[:min(63, len(strings.Trim(name, "-")))], "-")
}
