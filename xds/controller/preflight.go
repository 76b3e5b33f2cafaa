package controller

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
	"github.com/sluice-dev/sluice/xds/sim"
)

// codeIdle is the code of a subset without a ready endpoint.
const codeIdle = "S018"

// facts are about a split in what was last seen, for the classes given besides those that it can be rendered in. The mesh
// is read once per change, however many splits are asked about, and a question is answered once.
func (w *world) facts(s ir.Split, classes []ir.ProxyClass) ir.SplitFacts {
	s.Weight, s.Seq = 0, 0 // no fact depends on them
	key := fmt.Sprintf("%+v %+v", s, classes)
	survey := w.surveyed()
	w.mu.Lock()
	known, ok := w.rehearsed[key]
	w.mu.Unlock()
	if ok {
		return known
	}
	facts, rehearsals := survey.Rehearse(s, classes...)
	forbidGaps(&facts, rehearsals)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.survey == survey {
		if w.rehearsed == nil {
			w.rehearsed = map[string]ir.SplitFacts{}
		}
		w.rehearsed[key] = facts
	}
	return facts
}

// forbidGaps forbids to start and to raise where proxies of some class would send an arm's share to nothing, though the arm
// has ready endpoints. An arm without any is waited for elsewhere.
func forbidGaps(f *ir.SplitFacts, rehearsals []istio.Rehearsal) {
	var arms []string
	if f.StableReady > 0 {
		arms = append(arms, f.StableClusters...)
	}
	if f.CanaryReady > 0 {
		arms = append(arms, f.CanaryClusters...)
	}
	if len(f.CanaryClusters) == 0 || len(arms) == 0 {
		return
	}
	for _, r := range rehearsals {
		res, _ := envoy.Build(*r.Config) // what cannot be built is missing, and a Problem of its own
		for _, gap := range sim.Gaps(res, arms) {
			if !slices.Contains(f.BlockingCodes, codeIdle) {
				f.BlockingCodes = append(f.BlockingCodes, codeIdle)
				slices.Sort(f.BlockingCodes)
			}
			f.BlockingMessage = cmp.Or(f.BlockingMessage, fmt.Sprintf("%s: %s", proxiesOf(r.Class), gap))
		}
	}
}

// proxiesOf says which proxies a class holds.
func proxiesOf(c ir.ProxyClass) string {
	out := fmt.Sprintf("%s proxies of namespace %s", c.Kind, c.Namespace)
	if c.Labels != "" {
		out += " with " + strings.ReplaceAll(c.Labels, ",", ", ")
	}
	return out
}
