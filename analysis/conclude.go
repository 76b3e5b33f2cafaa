package analysis

import (
	"math"
	"slices"
	"time"
)

// report draws the conclusion. The order of the cases is the order of verdicts.
func (j *judge) report() Report {
	j.required = slices.DeleteFunc(slices.Clone(j.active), func(c Criterion) bool { return !j.requires(c) || !c.counts() })
	r := Report{
		At:       j.b.At,
		LogE:     j.logTotal(),
		Limit:    -math.Log(j.cfg.Alpha),
		Metrics:  j.metricReports(),
		Progress: j.progress(),
		Reset:    j.reset,
		Guard:    j.guardReport(),
	}
	blindMetric, blindReason, dark := j.blind()
	r.Blind = dark
	switch {
	case j.ev.out != nil:
		r.Verdict, r.Reason, r.Metric = j.ev.out.Verdict, j.ev.out.Reason, j.ev.out.Metric
	case blindMetric != "":
		r.Verdict, r.Reason, r.Metric = Blind, blindReason, blindMetric
	default:
		r.Verdict = Inconclusive
		r.Reason, r.Metric = j.pending(r)
		if r.Reason == NonInferior {
			r.Verdict = Promote
		}
	}
	r.Message = Clause(r, "")
	return r
}

// pending is the reason that is first in the way of a promotion, or NonInferior where none is.
func (j *judge) pending(r Report) (Reason, string) {
	switch {
	case r.LogE >= math.Log(suspicious):
		return Suspicious, j.loudest()
	case j.incident():
		return Incident, j.watched()
	case j.ev.share.holds(j.b.At):
		return TrafficMismatch, ""
	case r.Guard != nil && r.Guard.LogE >= math.Log(suspicious):
		return Suspicious, r.Guard.Metric
	case j.unsureGate() != "":
		return GateInconclusive, j.unsureGate()
	case len(j.required) == 0:
		return NoPromotionSource, ""
	}
	if name := j.partial(); name != "" && j.ev.at != 0 {
		return PartialTargets, name
	}
	// What follows up to here is more than too little data: whatever the policy, a step does not go on without it.
	if name := j.openGate(); name != "" {
		return GateRunning, name
	}
	for _, c := range j.required {
		if m := j.ev.metrics[c.Name]; c.Kind == KindHistogram && j.b.Weight != 100 && m.gathering() {
			return BaselineMissing, c.Name
		}
	}
	for _, c := range j.required {
		if j.ev.metrics[c.Name].Observed == 0 {
			return Collecting, c.Name
		}
	}
	for _, c := range j.required {
		if j.needed(c) != 0 {
			return NeedsRequests, c.Name
		}
	}
	if r.Progress.Observed < r.Progress.Bake {
		return Baking, ""
	}
	return NonInferior, ""
}

// needed is how many canary requests a criterion lacks in this step, whatever the evidence of harm. It is worked out once.
func (j *judge) needed(c Criterion) int64 {
	n, known := j.lacks[c.Name]
	if !known {
		if j.lacks == nil {
			j.lacks = make(map[string]int64, len(j.cfg.Criteria))
		}
		n = j.lacking(c)
		j.lacks[c.Name] = n
	}
	return n
}

func (j *judge) lacking(c Criterion) int64 {
	m := j.ev.metrics[c.Name]
	if j.b.Weight == 100 {
		return max(0, 10-int64(min(m.Step[0], 10)))
	}
	p := pair(m.Step)
	n := p.Canary.plus(p.Stable)
	if n.N == 0 || p.Canary.N == 0 {
		return m.needed(c, j.cfg.Beta, 0, 0)
	}
	return m.needed(c, j.cfg.Beta, float64(n.Bad)/float64(n.N), float64(p.Stable.N)/float64(p.Canary.N))
}

// hopeless reports that no number of requests would do now.
func (j *judge) hopeless() bool {
	return j.ev.out != nil || j.logTotal() >= math.Log(suspicious)
}

func (j *judge) progress() Progress {
	p := Progress{Bake: j.cfg.Bake, Lost: j.lost, Loads: j.loadsReport(), Without: j.ev.absences(j.cfg.Criteria)}
	for i, c := range j.required {
		m := j.ev.metrics[c.Name]
		observed := seconds(m.Observed)
		if i == 0 || observed < p.Observed {
			p.Observed = observed
		}
		n := j.needed(c)
		if p.Needed == -1 || (n != -1 && n <= p.Needed) {
			continue
		}
		p.Needed = n
		if n > 0 && m.Step[0] > 0 && m.Observed > 0 {
			p.Wait = wait(n, m.Step[0], m.Observed)
		}
	}
	if j.hopeless() {
		p.Needed = -1
	}
	if p.Needed <= 0 {
		p.Wait = 0
	}
	return p
}

// Wait is how long the requests that a metric needs take at the rate of its step; 0: unknown, or none needed.
func Wait(m MetricReport) time.Duration {
	if m.Safe.Needed <= 0 || m.Step.Canary.N == 0 {
		return 0
	}
	return wait(m.Safe.Needed, m.Step.Canary.N, m.Observed.Seconds())
}

// wait is how long n requests take when seen of them took the given seconds; at most a year.
func wait(n int64, seen uint64, took float64) time.Duration {
	return seconds(min(float64(n)*took/float64(seen), 365*24*3600))
}

func (j *judge) metricReports() []MetricReport {
	reports := make([]MetricReport, 0, len(j.cfg.Criteria))
	hopeless := j.hopeless()
	for _, c := range j.cfg.Criteria {
		m := j.ev.metrics[c.Name]
		if c.Kind == KindCondition {
			reports = append(reports, j.gateReport(c, m))
			continue
		}
		step := pair(m.Step)
		clip, vote := m.logClip(), m.logVote()
		logE := m.both(clip, vote)
		r := MetricReport{
			Name: c.Name, Kind: c.Kind, Required: j.requires(c), DryRun: c.DryRun, Limit: c.rho0(),
			Tally: Tally{Attempt: pair(m.Attempt), Step: step, Windows: m.Windows, Observed: seconds(m.Observed)},
			Harm: Harm{
				Share: j.share(c), LogE: logE, Sup: m.Sup, P: min(1, math.Exp(-m.Sup)),
				Clip: clip, Vote: vote,
			},
			Safe:     Safe{LogE: m.safeState.logE(), Limit: -math.Log(j.cfg.Beta), Cleared: m.Cleared, Needed: j.needed(c)},
			Estimate: estimate(step, logE, c, j.cfg),
		}
		if c.Kind == KindHistogram {
			r.Bounds = m.boundsReport()
		}
		if hopeless && !m.Cleared {
			r.Safe.Needed = -1
		}
		if m.Gap != nil {
			r.Gap = m.Gap.Reason
		}
		reports = append(reports, r)
	}
	return reports
}

func (j *judge) gateReport(c Criterion, m metricState) MetricReport {
	g := &Gate{
		Standing: m.state(c.Limits, j.b.At), Pass: m.Pass, Fail: m.Fail, Inconclusive: m.Unsure, Errors: m.Errors,
		Wanted: max(c.Limits.Count, c.Limits.Successes), Next: m.due(c.Limits, instant(j.ev.at)),
	}
	if g.Wanted == 0 {
		g.Wanted = leastMeasured
	}
	if m.Last != nil {
		g.Value, g.Outcome, g.At = m.Last.Value, m.Last.Outcome, instant(m.Last.At)
	}
	r := MetricReport{Name: c.Name, Kind: c.Kind, Required: c.Required, DryRun: c.DryRun, Gate: g}
	if m.Gap != nil {
		r.Gap = m.Gap.Reason
	}
	return r
}

func (h *harmState) boundsReport() *Bounds {
	b := &Bounds{}
	if h.Base != nil {
		b.Known = h.Base.All
	}
	if !h.chosen() {
		return b
	}
	b.Promotion = h.Le[h.Promotion]
	for i, le := range h.Le {
		b.Judged = append(b.Judged, Bound{Le: le, Fast: h.Fast[i], LogE: h.stream(i)})
	}
	return b
}

func (j *judge) guardReport() *Guard {
	if j.ev.guard == nil {
		return nil
	}
	return &Guard{
		Metric: j.watched(), P0: j.ev.guard.P0, LogE: j.ev.guard.logE(), Limit: -math.Log(j.cfg.AlphaGuard),
	}
}
