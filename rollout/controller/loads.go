package controller

import (
	"time"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/rollout"
	"github.com/sluice-dev/sluice/xds/ir"
)

// Reports of proxies are gathered for a short time before the objects concerned are looked at: all whose canary gets requests
// once in a second, and in between those with some failures, which may be the ones that break a rule.
const (
	gatherLoads  = 20 * time.Millisecond
	lookAtAll    = 900 * time.Millisecond // less than a second, which news are not exactly
	failingFor   = 2 * time.Second
	failingAtAll = 3 // requests
)

// pulse says to whom news of reports matter.
func (c *Controller) pulse() func() func(concern) bool {
	last := -time.Hour
	return func() func(concern) bool {
		now := c.config.Now()
		if mono := now.Sub(c.start); mono-last >= lookAtAll {
			last = mono
			return func(m concern) bool { return m.loads }
		}
		return func(m concern) bool { return m.loads && c.failing(m.facts.CanaryClusters, now.Add(-failingFor)) }
	}
}

// failed is how many requests a canary has failed since then.
func (c *Controller) failed(canary []string, since time.Time) (failed uint64) {
	for _, l := range c.config.Fleet.LoadsOf(canary, since) {
		failed += l.Failed
	}
	return failed
}

// failing reports that a canary has failed some requests since then.
func (c *Controller) failing(canary []string, since time.Time) bool {
	return c.failed(canary, since) >= failingAtAll
}

// fails reports that an object's canary has just failed some requests, and some of them since its newest pass.
func (c *Controller) fails(m concern) bool {
	canary := m.facts.CanaryClusters
	return c.failing(canary, c.config.Now().Add(-failingFor)) && c.failed(canary, m.since) > m.failed
}

// judgeLoads folds in what proxies have reported since the last pass. That goes on while metrics cannot be read, and what
// the newest look at them held stands meanwhile. Before the first look of this process at the step, load reports alone
// only roll back.
func (p *pass) judgeLoads(j *judged) {
	moment := p.moment()
	windows := p.reported(moment, j.evidence)
	if len(windows) == 0 {
		return
	}
	b := analysis.Batch{Moment: moment, Loads: windows}
	if j.seq == moment.Seq && j.step == moment.Step {
		b.Coverage, b.Gaps, b.Stands = j.looked.coverage, j.looked.gaps, true
		j.take(p, b)
		return
	}
	before := *j
	j.take(p, b)
	if j.report.Verdict != analysis.Rollback {
		j.report, j.seq, j.step = before.report, before.seq, before.step
	}
}

// reported are the increments of both arms that proxies have reported and that the evidence does not hold yet.
func (p *pass) reported(m analysis.Moment, ev analysis.Evidence) []analysis.Window {
	if len(p.facts.CanaryClusters) == 0 {
		return nil
	}
	arms := map[string]analysis.Arm{}
	var clusters []string
	for _, name := range p.facts.StableClusters {
		arms[name], clusters = analysis.Stable, append(clusters, name)
	}
	for _, name := range p.facts.CanaryClusters {
		arms[name], clusters = analysis.Canary, append(clusters, name)
	}
	loads := p.controller.config.Fleet.LoadsOf(clusters, ev.LoadsSince(m))
	out := make([]analysis.Load, 0, len(loads))
	for _, l := range loads {
		out = append(out, loadOf(l, arms[l.Cluster]))
	}
	return analysis.Reported(m.Seq, out)
}

// loadOf is a load as the analysis takes it.
func loadOf(l ir.Load, arm analysis.Arm) analysis.Load {
	out := analysis.Load{
		Arm: arm, Start: l.From, End: l.To, Open: l.InProgress,
		Counts: analysis.Counts{N: l.OK + l.Failed, Bad: l.Failed, Started: l.Issued},
	}
	if arm == analysis.Canary {
		for _, e := range l.Endpoints {
			out.Endpoints = append(out.Endpoints, analysis.Endpoint{ID: e.ID, N: e.OK + e.Failed, Bad: e.Failed})
		}
	}
	return out
}

// checkOf says what a share of requests can be held against. A step that sends the canary more than its weight can only
// show that it gets less.
func checkOf(f ir.SplitFacts, asked rollout.Traffic) analysis.TrafficCheck {
	switch besides := len(asked.Match) > 0 || asked.Mirror.Percent > 0 || asked.Preview != ""; {
	case f.StableBesides:
		return analysis.CheckNone
	case f.CanaryBesides || besides || asked.Affinity != nil:
		return analysis.CheckLow
	default:
		return analysis.CheckBoth
	}
}
