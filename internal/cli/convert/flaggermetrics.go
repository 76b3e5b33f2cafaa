package convert

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// flaggerMetrics makes the built-in metrics of Flagger's, and conditions of templates.
func (c *conversion) flaggerMetrics(p *plan, analysis field, target string) {
	limit := 0
	if n, err := strconv.Atoi(analysis.get("threshold").text()); err == nil && n > 0 {
		limit = n - 1
	}
	for _, f := range analysis.get("metrics").items() {
		switch name := f.get("name").text(); {
		case name == "request-success-rate" && !f.get("templateRef").ok() && !f.get("query").ok():
			p.metrics = append(p.metrics, &metric{name: "errors", from: f})
			if low, err := strconv.ParseFloat(f.at("thresholdRange", "min").text(), 64); err == nil && low > 50 && low < 100 && len(p.analysis) == 0 {
				p.analysis = append(p.analysis, extra{name: "objective", value: strconv.FormatFloat(low, 'f', -1, 64) + "%"})
			}
			f.change("metric errors: compared with the old version; the threshold is spec.analysis.objective")
		case name == "request-duration" && !f.get("templateRef").ok() && !f.get("query").ok():
			p.metrics = append(p.metrics, &metric{name: "latency", from: f})
			f.change("metric latency: compared with the old version at several bounds, without a threshold in milliseconds")
		default:
			c.flaggerMetric(p, f, limit, target)
		}
	}
}

// flaggerMetric is a query that is held against a threshold.
func (c *conversion) flaggerMetric(p *plan, f field, limit int, target string) {
	name := f.get("name").text()
	t := &template{name: c.called(p.namespace, named(p.name, name), origin{metric: f.value}), namespace: p.namespace, from: f}
	m := &metric{name: p.unlike(name, t.name), template: t, from: f}
	query := f.get("query")
	if ref := f.get("templateRef"); ref.ok() {
		d := c.find("flagger.app/", "MetricTemplate", cmp.Or(ref.get("namespace").text(), p.namespace), ref.get("name").text())
		if d == nil {
			f.drop("MetricTemplate %s is not among the files", ref.get("name").text())
			return
		}
		if query = c.flaggerTemplate(d, t); !query.ok() {
			f.drop("MetricTemplate %s cannot be carried over", ref.get("name").text())
			return
		}
		ref.change("a MetricTemplate of Sluice, in the namespace of the Rollout")
	} else {
		query.keep("MetricTemplate %s spec.condition.query", t.name)
	}
	if !query.ok() {
		f.drop("it asks nothing")
		return
	}
	t.query = strings.TrimSpace(query.text())
	c.flaggerVariables(p, t, f, target)
	threshold(t, f)
	if d, ok := duration(f.get("interval").text()); ok {
		t.interval = min(max(d, 5*time.Second), time.Hour)
		f.get("interval").keep("interval")
	}
	if limit > 0 {
		t.numbers = append(t.numbers, extra{name: "failureLimit", value: limit})
	}
	f.get("name").keep("metric %s", m.name)
	if t.pass == "" {
		f.get("name").todo("it has no threshold: it is shown, and decides nothing")
		t.pass, m.dryRun, t.todo = "value == value", true, "say what passes, then take dryRun off metric "+m.name
	}
	c.place(p, t, m, f)
}

// flaggerTemplate reads a MetricTemplate; no query: it cannot be carried over.
func (c *conversion) flaggerTemplate(d *source, t *template) field {
	c.used[d] = true
	f := d.root
	f.get("apiVersion").change("sluice.dev/v1alpha1")
	f.get("kind").change("a MetricTemplate of Sluice for each metric of a Canary that names it: there the threshold stands")
	f.at("metadata", "name").change("the name of the metric, behind that of the Rollout")
	f.at("metadata", "namespace").change("the namespace of the Rollout")
	provider := f.at("spec", "provider")
	if kind := provider.get("type").text(); kind != "prometheus" {
		f.get("spec").drop("Sluice reads Prometheus, not %s", kind)
		return field{}
	}
	provider.get("type").keep("the only one there is")
	if address := provider.get("address"); address.ok() {
		t.url = address.text()
		address.keep("spec.prometheus.url")
	}
	provider.get("secretRef").drop("name a Secret in spec.prometheus: its keys are token, or username and password, or tls.crt and tls.key, ca.crt")
	provider.get("insecureSkipVerify").drop("verification cannot be skipped: give the authority's certificate")
	query := f.at("spec", "query")
	query.keep("spec.condition.query")
	return query
}

// flaggerVariables replaces those of Flagger: in the value of a label by Sluice's, elsewhere by what they mean.
func (c *conversion) flaggerVariables(p *plan, t *template, f field, target string) {
	given := map[string]string{}
	for _, v := range f.get("templateVariables").fields() {
		given[v.key.Value] = v.text()
		v.keep("spec.args")
	}
	interval := f.get("interval").text()
	if _, ok := duration(interval); !ok {
		interval = "1m"
	}
	seen := map[string]bool{}
	t.query = regexp.MustCompile(`\{\{ *([A-Za-z0-9_.]+) *\}\}`).ReplaceAllStringFunc(t.query, func(found string) string {
		name := strings.Trim(found, "{} ")
		switch name {
		case "namespace":
			return "{{namespace}}"
		case "target":
			return target + "-{{subset}}"
		case "service":
			return p.host
		case "interval":
			return interval
		}
		key, isOwn := strings.CutPrefix(name, "variables.")
		if !isOwn {
			return found
		}
		to := argumentName(key)
		if !seen[key] {
			seen[key] = true
			t.args = append(t.args, argument{to, given[key]})
		}
		return "{{" + to + "}}"
	})
}

// threshold is a range that the value must keep to.
func threshold(t *template, f field) {
	var parts []string
	r := f.get("thresholdRange")
	for _, side := range []struct{ name, op string }{{"min", ">="}, {"max", "<="}} {
		if v, err := strconv.ParseFloat(r.get(side.name).text(), 64); err == nil {
			parts = append(parts, "value "+side.op+" "+literal(v).text)
			r.get(side.name).change("pass: no data and what is no number neither pass nor fail")
		}
	}
	if v, err := strconv.ParseFloat(f.get("threshold").text(), 64); err == nil && len(parts) == 0 {
		parts = append(parts, "value <= "+literal(v).text)
		f.get("threshold").change("pass: no data and what is no number neither pass nor fail")
	}
	t.pass = strings.Join(parts, " && ")
}
