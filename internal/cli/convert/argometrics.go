package convert

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// argoMetric is one of a template.
func (c *conversion) argoMetric(p *plan, f field, b binding) {
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
	of := origin{metric: f.value, hashes: b.hashed(server.get("query").text())}
	t := &template{name: c.called(p.namespace, named(f.doc.root.at("metadata", "name").text(), name), of), namespace: p.namespace, from: f}
	m := &metric{name: p.unlike(name, t.name), template: t, fromStep: b.step, dryRun: b.dry[name], from: f}
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
	b.variables(t, m)
	c.rules(t, m, f.get("successCondition"), f.get("failureCondition"))
	c.argoLimits(t, f)
	f.get("name").keep("MetricTemplate %s", t.name)
	c.place(p, t, m, f)
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
			t.todo = also(t.todo, fmt.Sprintf("write %q as a rule over value and stable, as %s, then take dryRun off what names this template: %v", one.from.text(), one.name, err))
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
			t.todo = "say what passes, then take dryRun off what names this template"
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
