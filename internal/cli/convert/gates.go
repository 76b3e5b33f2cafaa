package convert

import (
	"fmt"
	"slices"
)

// gate lets a step end as it did: by evidence where the new version gets requests, else by a person. Without a word here, a
// step that gets no share of all requests counts time.
func (s *step) gate(skip bool) {
	asked := len(s.gates) > 0 && s.weight == 0 && !s.selects()
	switch {
	case skip:
		s.promotion = "timeOnly"
	case asked:
		s.approval = true
	case s.promotion == "" && s.selects() && (s.weight > 0 || s.judged || len(s.gates) > 0):
		s.promotion = "evidence"
	}
	for _, f := range s.gates {
		if asked {
			f.todo("no request that is judged reaches the new version at this step: look at it, and approve; the metrics count from the next step on")
		} else {
			f.change("a metric from that step on, beside the others")
		}
	}
}

// shorten leaves out steps that a Rollout cannot hold. Metrics begin where they did.
func (p *plan) shorten() {
	if len(p.steps) <= maxSteps {
		return
	}
	p.from.doc.note(p.from, fmt.Sprintf("a Rollout has %d steps at most: some between the first and the last are left out", maxSteps))
	for len(p.steps) > maxSteps {
		for i := 1; i < len(p.steps)-1 && len(p.steps) > maxSteps; i++ {
			p.steps = slices.Delete(p.steps, i, i+1)
			for _, m := range p.metrics {
				if m.fromStep > i+1 {
					m.fromStep--
				}
			}
		}
	}
}
