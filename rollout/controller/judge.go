package controller

import (
	"slices"
	"time"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/rollout"
)

// Bounds of queries: time for all metrics of one look, and queries of one Rollout at the same moment.
const (
	queryTimeout = 10 * time.Second
	maxQueries   = 2
	longestTick  = 5 * time.Second
)

// answer is what the queries of one look brought, and what is thought with it.
type answer struct {
	attempt int64
	moment  analysis.Moment
	reads   []analysis.Read
	batch   analysis.Batch // of the reads
	opinion
}

// judge folds in what the last query brought, starts the next one when it is time, and gives the report on the present
// step; the zero report where nothing is judged.
func (p *pass) judge() analysis.Report {
	j := &p.memory.judged
	if !p.judging() {
		return analysis.Report{}
	}
	j.ready = j.ready.For(p.analysis)
	if a := p.memory.take(); a != nil && a.attempt == p.state.Attempt && a.moment.Seq == p.state.Traffic.Seq && a.moment.Step == p.state.Traffic.Step {
		before := j.report.Verdict
		batch := j.hear(a)
		j.looked = lookedAt{at: a.moment.At, coverage: batch.Coverage, gaps: batch.Gaps}
		j.tell(p, batch)
		p.controller.queried(p, a.moment.At, before)
	}
	p.judgeLoads(j)
	p.ask(j)
	if j.seq != p.state.Traffic.Seq || j.step != p.state.Traffic.Step {
		return analysis.Report{}
	}
	return j.report
}

// judging reports that the canary is sent traffic that can be judged.
func (p *pass) judging() bool {
	return p.state.Phase.Open() && p.state.Phase != rollout.Preparing && p.sent()
}

// sent reports that the canary gets requests: by weight, by who asks, as copies, or, in a dry run, from elsewhere.
func (p *pass) sent() bool { return p.state.Traffic.Sends() || p.state.Kind.Observe }

// required leaves to the present step's gate the metrics that it names: there none of them is optional. Harm counts in all.
func (p *pass) required(criteria []analysis.Criterion) []analysis.Criterion {
	names := p.state.Stage().Metrics
	if len(names) == 0 {
		return criteria
	}
	out := slices.Clone(criteria)
	for i := range out {
		out[i].Required = slices.Contains(names, out[i].Name)
		if out[i].Required {
			out[i].Optional = false
		}
	}
	return out
}

// load makes the evidence that of the present attempt: what memory has, else what the status has, else none.
func (p *pass) load(j *judged) {
	if j.known && j.attempt == p.state.Attempt {
		return
	}
	*j = judged{known: true, attempt: p.state.Attempt}
	if s := p.object.Status; s != nil && s.Analysis != nil && p.state.Phase.Open() {
		if err := j.evidence.UnmarshalText([]byte(s.Analysis.Evidence)); err != nil {
			p.reset = true
		}
	}
}

// ask starts the queries for the next look, if the last one is long enough ago.
func (p *pass) ask(j *judged) {
	if p.untilLook(j) > 0 || !p.memory.begin() {
		return
	}
	j.at = p.mono
	moment := p.moment()
	p.controller.queries.run(look{
		key: p.key, memory: p.memory, attempt: p.state.Attempt, moment: moment,
		questions: p.questions(j.ready.Queries(j.evidence, moment, p.arms())),
		opinion:   j.opinion, now: p.controller.config.Now, meters: p.controller.meters.queries,
	})
}

// untilLook is how long the next look has time: a tick after the last one, or less where a sample is due before. One
// that is late is asked for each second, for an interval at most.
func (p *pass) untilLook(j *judged) time.Duration {
	if j.at == 0 {
		return 0
	}
	ago := p.mono - j.at
	wait := p.tick() - ago
	for _, cov := range j.looked.coverage {
		due := cov.Due()
		if late := p.now.Sub(due); due.IsZero() || late > cov.Interval {
			continue
		}
		wait = min(wait, max(due.Sub(p.now), analysis.MinWindow-ago))
	}
	return wait
}

// moment is the present one, as the judge takes it.
func (p *pass) moment() analysis.Moment {
	out := analysis.Moment{
		At: p.now, Seq: p.state.Traffic.Seq, Step: p.state.Traffic.Step, Weight: p.state.Traffic.Weight,
		Endpoints: p.facts.CanaryReady, Since: p.state.Since, Settled: p.state.Progress.SettledAt, Traffic: checkOf(p.facts, p.state.Traffic),
	}
	if !out.Settled.IsZero() {
		out.Since = out.Settled
	}
	return out
}

// take folds a batch in.
func (j *judged) take(p *pass, b analysis.Batch) {
	j.opinion.take(b)
	j.tell(p, b)
}

// tell says what is thought since a batch was folded in.
func (j *judged) tell(p *pass, b analysis.Batch) {
	j.report.Message = analysis.Clause(j.report, p.state.Canary.Name)
	j.seq, j.step = b.Seq, b.Step
	p.reset = p.reset || j.report.Reset
	p.controller.meters.tallies.with(p.key, func(t *tally) { t.judged(p.state.Attempt, b.Step, j.report) })
}

// tick is the time between two looks: the shortest window.
func (p *pass) tick() time.Duration {
	out := longestTick
	for _, c := range p.analysis.Criteria {
		if c.Window > 0 {
			out = min(out, c.Window)
		}
	}
	return max(out, analysis.MinWindow)
}
