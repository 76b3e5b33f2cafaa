package convert

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// stepping is what steps of Argo Rollouts leave behind for those that follow.
type stepping struct {
	c      *conversion
	p      *plan
	match  []*yaml.Node // by routes of headers
	mirror *yaml.Node
}

// argoSteps gives for each step the number of Sluice's that it belongs to.
func (c *conversion) argoSteps(p *plan, f field) []int {
	s := &stepping{c: c, p: p}
	var numbers []int
	for _, item := range f.items() {
		for _, one := range item.fields() {
			s.step(one, item)
		}
		numbers = append(numbers, max(1, len(p.steps)))
	}
	return numbers
}

func (s *stepping) step(f, item field) {
	switch f.key.Value {
	case "setWeight":
		s.weight(f, item)
	case "pause":
		s.pause(f)
	case "analysis":
		at := s.p.last(f)
		at.gates = append(at.gates, f)
		s.c.argoAnalysis(s.p, f, len(s.p.steps))
	case "setHeaderRoute":
		s.header(f)
	case "setMirrorRoute":
		s.copies(f)
	case "setCanaryScale":
		f.drop("Sluice scales no Pods: spec.capacity says what must be ready for a weight")
	case "experiment":
		f.drop("Sluice runs no Pods beside the two versions")
	case "plugin":
		f.drop("Sluice has no plugins")
	default:
		f.drop(unmeant)
	}
}

func (s *stepping) weight(f, item field) {
	w, err := strconv.Atoi(strings.TrimSuffix(f.text(), "%"))
	if err != nil || w < 0 || w > 100 {
		f.drop("%s is no weight in percent", f.text())
		return
	}
	n := len(s.p.steps)
	switch {
	case n > 0 && s.p.steps[n-1].weight == w:
		f.change("the step before has that weight already")
		return
	case n > 0 && s.p.steps[n-1].weight > w:
		f.drop("weights never fall: a step back is a rollback")
		return
	}
	s.p.steps = append(s.p.steps, &step{weight: w, match: s.match, mirror: s.mirror, from: []field{item, f}})
	f.keep("spec.steps[%d].weight", n)
}

func (s *stepping) pause(f field) {
	at := s.p.last(f)
	text := f.get("duration").text()
	if text == "" {
		at.approval = true
		f.change("spec.steps[%d].approval: one person approves, or promotes", len(s.p.steps)-1)
		return
	}
	d, ok := duration(text)
	if !ok {
		f.drop("%s is no length of time", text)
		return
	}
	at.bake += d
	f.change("spec.steps[%d].bake.min: at least that long, and until the metrics say enough", len(s.p.steps)-1)
}

// beyond is the step that a route begins at: another one of the same weight where the last ends with a gate.
func (s *stepping) beyond(f field) *step {
	at := s.p.last(f)
	if at.weight < 100 && (at.approval || len(at.gates) > 0) {
		at = &step{weight: at.weight, match: s.match, mirror: s.mirror, from: []field{f}}
		s.p.steps = append(s.p.steps, at)
	}
	return at
}

// header is a route of headers: it stays until it is set anew.
func (s *stepping) header(f field) {
	s.match = nil
	for _, m := range f.get("match").items() {
		value := m.get("headerValue")
		header := valueMatch(m.get("headerName").text(), value)
		if header == nil {
			m.drop("%s is neither exact, nor prefix, nor regex", m.get("headerName").text())
			continue
		}
		match := mapping()
		put(match, "headers", flow(list(header)))
		s.match = append(s.match, match)
		m.keep("spec.steps[].match")
	}
	if !f.get("match").ok() {
		f.change("the route of headers ends with the step that is open here")
		return
	}
	s.limit(f)
	f.get("name").drop("routes of steps have no names")
	s.beyond(f).match = s.match
	f.change("spec.steps[].match of this step and of each that follows: any of them is enough")
}

// limit keeps as many matches as a step can have.
func (s *stepping) limit(f field) {
	const most = 4
	if len(s.match) > most {
		s.match = s.match[:most]
		f.get("match").todo("a step has %d matches at most: the others are left out", most)
	}
}

// valueMatch is a match of a header's value; nil: it is of no known form.
func valueMatch(name string, value field) *yaml.Node {
	for _, form := range []string{"exact", "prefix", "regex"} {
		if text := value.get(form).text(); text != "" && name != "" && len(text) <= 128 {
			out := mapping()
			put(out, "name", name)
			put(out, form, text)
			return out
		}
	}
	return nil
}

// copies is a route that mirrors: it stays until it is set anew.
func (s *stepping) copies(f field) {
	percent, err := strconv.Atoi(f.get("percentage").text())
	if !f.get("percentage").ok() {
		percent, err = 100, nil
	}
	if len(f.get("match").items()) == 0 || err != nil || percent < 1 || percent > 100 {
		s.mirror = nil
		f.change("copies end with the step that is open here")
		return
	}
	s.mirror = mapping()
	put(s.mirror, "percent", percent)
	var methods []*yaml.Node
	for _, m := range f.get("match").items() {
		for _, one := range m.fields() {
			if text := one.get("exact").text(); one.key.Value == "method" && text != "" {
				methods = append(methods, scalar(strings.ToUpper(text)))
				one.keep("spec.steps[].mirror.methods")
				continue
			}
			one.todo("copies are chosen by method only, GET and HEAD by themselves: all of those are copied, whatever the %s", one.key.Value)
		}
	}
	if len(methods) > 0 {
		put(s.mirror, "methods", flow(list(methods...)))
	}
	s.beyond(f).mirror = s.mirror
	f.get("name").drop("routes of steps have no names")
	f.change("spec.steps[].mirror of this step and of each that follows")
}
