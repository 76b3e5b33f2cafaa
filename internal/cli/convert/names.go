package convert

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// origin is what a MetricTemplate is made of.
type origin struct {
	metric *yaml.Node
	hashes string // variables of its query that stand for the Pods of a version
}

// unset is the value of an arg that the template itself gives none: what names the template does.
const unset = "unset"

// place puts a metric and its template into the output, unless it would be refused.
func (c *conversion) place(p *plan, t *template, m *metric, f field) {
	id := "MetricTemplate/" + t.namespace + "/" + t.name
	if err := c.refused(t, m); err != nil {
		if c.made[id] != nil {
			p.from.doc.note(p.from, fmt.Sprintf("metric %s is left out: Sluice would not ask it: %v", m.name, err))
			return
		}
		f.doc.undo(f)
		f.drop("Sluice would not ask it: %v", err)
		return
	}
	c.add(t.node(), id)
	for _, other := range p.metrics {
		if other.template != nil && other.template.name == t.name && other.dryRun == m.dryRun && slices.Equal(other.args, m.args) {
			other.fromStep = min(other.fromStep, m.fromStep) // each step measures anew
			return
		}
	}
	p.metrics = append(p.metrics, m)
}

// refused says why Sluice would not ask a query.
func (c *conversion) refused(t *template, m *metric) error {
	if c.options.Check == nil {
		return nil
	}
	values := map[string]string{}
	for _, a := range t.args {
		values[a.name] = cmp.Or(a.value, unset)
	}
	for _, a := range m.args {
		values[a.name] = a.value
	}
	return c.options.Check(t.query, t.pass, t.fail, values)
}

// called is the name of the MetricTemplate of that origin: others of the same name in its namespace get a number.
func (c *conversion) called(namespace, name string, of origin) string {
	out := name
	for n := 2; ; n++ {
		id := namespace + "/" + out
		if was, taken := c.origins[id]; !taken || was == of {
			c.origins[id] = of
			return out
		}
		out = numbered(name, n)
	}
}

// unlike is a name for a metric that no other one of the Rollout has, and no built-in one: its own, or that of its template.
func (p *plan) unlike(name, template string) string {
	out := metricName(name)
	for n := 1; p.has(out); n++ {
		if out = metricName(template); n > 1 {
			out = numbered(out, n)
		}
	}
	return out
}

func (p *plan) has(name string) bool {
	return slices.Contains(v1alpha1.BuiltinMetrics(), name) || slices.ContainsFunc(p.metrics, func(m *metric) bool { return m.name == name })
}

// numbered is a name with a number behind it, no longer than names may be.
func numbered(name string, n int) string {
	behind := "-" + strconv.Itoa(n)
	return strings.TrimRight(name[:min(len(name), 63-len(behind))], "-") + behind
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
