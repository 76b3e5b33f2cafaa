package cli

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/spec"
)

// epoch keeps the instants of recorded time away from the zero time.
const epoch = int64(1_000_000_000_000) // Unix ms

// recorded is what a metric's lines have brought.
type recorded struct {
	end     int64 // of its last line, ms
	start   int64 // of the open window
	canary  analysis.Counts
	stable  analysis.Counts
	gapped  bool   // the last line is a gap
	windows int    // closed
	lines   int    // with counts
	asked   uint64 // canary requests of all lines
	le      []float64
	closed  analysis.Tally // of load reports: what the last windows held in all
}

// judgement runs the analysis line by line.
type judgement struct {
	o        *judgeOptions
	out      *json.Encoder
	evidence analysis.Evidence
	report   analysis.Report
	metrics  map[string]*recorded
	now      int64 // ms
	step     judgedStep
	started  bool // a line was read

	rollbackAt   *float64
	promotableAt *float64
	decided      float64 // logE at the deciding moment
}

// judgedStep is the state of the rollout as the lines tell it.
type judgedStep struct {
	index     int
	begun     int64 // ms
	weight    int
	endpoints int
}

func newJudgement(o *judgeOptions, out *json.Encoder) *judgement {
	from := int64(math.Round(o.from * 1000))
	j := &judgement{
		o: o, out: out, metrics: map[string]*recorded{},
		now: from, step: judgedStep{index: 1, begun: from, weight: o.weight, endpoints: o.endpoints},
	}
	for _, c := range o.cfg.Criteria {
		j.metrics[c.Name] = &recorded{end: from, start: from}
	}
	j.evidence, j.report = analysis.Judge(o.cfg, analysis.Evidence{}, analysis.Batch{Moment: j.moment()})
	return j
}

func (j *judgement) moment() analysis.Moment {
	check := analysis.CheckBoth
	if j.step.weight == 0 {
		check = analysis.CheckNone
	}
	return analysis.Moment{
		Traffic: check, At: instantOf(j.now), Step: j.step.index, Weight: j.step.weight, Endpoints: j.step.endpoints,
		Since: instantOf(j.step.begun), Settled: instantOf(j.step.begun),
	}
}

func instantOf(ms int64) time.Time { return time.UnixMilli(epoch + ms).UTC() }

// read takes in a line: the end of the last one of its metric begins it.
func (j *judgement) read(text []byte) error {
	l, err := parseLine(text)
	if err != nil {
		return err
	}
	m, ok := j.metrics[l.Metric]
	if !ok {
		if slices.Contains(j.o.without, l.Metric) {
			return fmt.Errorf("metric %q has no line in the first minute and was left out: list it in --config", l.Metric)
		}
		return fmt.Errorf("metric %q is not declared: give --metric %s", l.Metric, l.Metric)
	}
	t := int64(math.Round(*l.T * 1000))
	if t < j.now || t <= m.end {
		return fmt.Errorf("time runs back: t is %v after %v", *l.T, float64(max(j.now, m.end))/1000)
	}
	start := m.end
	m.end = t
	j.turn(l, start)
	j.now, j.started = t, true
	batch := analysis.Batch{Moment: j.moment()}
	if l.Gap != "" {
		m.drop(t)
		m.gapped = true
		batch.Gaps = []analysis.Gap{{Metric: l.Metric, Reason: analysis.Reason(l.Gap)}}
		return j.judge(batch)
	}
	w, err := m.window(l, j.criterion(l.Metric))
	if err != nil {
		return err
	}
	w.Start, w.End = instantOf(start), instantOf(t)
	m.gapped = false
	m.lines++
	m.asked += w.Canary.N
	batch.Loads = j.reported(l, w)
	if j.loads(l.Metric) {
		return j.judge(batch) // the judge cuts reports into windows itself
	}
	batch.Coverage = []analysis.Coverage{{
		Metric: l.Metric, Newest: w.End, LastCanary: w.End, LastStable: w.End, Total: true, Expected: 1, Bounds: w.Le,
	}}
	if l.Metric == j.ruled() {
		batch.Rules = []analysis.Window{w}
	}
	if closed, ok := m.merge(w, j.criterion(l.Metric), j.step.begun, j.step.weight); ok {
		batch.Windows = []analysis.Window{closed}
	}
	return j.judge(batch)
}

// loads reports whether lines of the metric are load reports to the judge.
func (j *judgement) loads(metric string) bool {
	return metric == spec.Attempts && j.criterion(metric).Kind == analysis.KindRatio
}

// reported is what the line tells as a load report would: for the traffic check where a weight is known, and for the
// hard rules where it says what was started, or is about attempts.
func (j *judgement) reported(l judgeLine, w analysis.Window) []analysis.Window {
	counted := l.Canary.Started != nil || l.Stable.Started != nil
	checked := j.step.weight > 0 && j.step.weight < 100
	if l.Metric != j.ruled() || len(w.Le) > 0 {
		return nil
	}
	w.Metric = analysis.Attempts
	if j.loads(l.Metric) || counted || checked {
		return []analysis.Window{w}
	}
	return nil
}

// turn takes in what the line says of the state; another weight begins a step, and no window spans it.
func (j *judgement) turn(l judgeLine, start int64) {
	if l.Endpoints != nil {
		j.step.endpoints = *l.Endpoints
	}
	if l.Weight == nil || *l.Weight == j.step.weight {
		return
	}
	j.step.weight = *l.Weight
	if !j.started {
		return // the first line sets the step
	}
	j.step.index++
	j.step.begun = start
	if j.rollbackAt == nil {
		j.promotableAt = nil
	}
	for _, m := range j.metrics {
		m.drop(m.end)
	}
	j.metrics[l.Metric].drop(start)
}

func (m *recorded) drop(at int64) {
	m.start, m.canary, m.stable = at, analysis.Counts{}, analysis.Counts{}
}

// merge fills the open window and closes it when it is long enough and both arms have a request.
func (m *recorded) merge(w analysis.Window, c analysis.Criterion, begun int64, weight int) (analysis.Window, bool) {
	start, end := w.Start.UnixMilli()-epoch, w.End.UnixMilli()-epoch
	if start < begun+max(c.Warmup, 0).Milliseconds() {
		m.drop(end)
		return w, false
	}
	m.canary, m.stable = sum(m.canary, w.Canary), sum(m.stable, w.Stable)
	long := time.Duration(end-m.start) * time.Millisecond
	full := m.canary.N > 0 && (m.stable.N > 0 || weight == 100)
	if long < c.Window || !full {
		if long >= analysis.MaxOpen {
			m.drop(end)
		}
		return w, false
	}
	w.Start, w.Canary, w.Stable = instantOf(m.start), m.canary, m.stable
	m.windows++
	m.drop(end)
	return w, true
}

// sum adds counts that are by the same bounds; nothing that was given away is changed.
func sum(a, b analysis.Counts) analysis.Counts {
	out := analysis.Counts{N: a.N + b.N, Bad: a.Bad + b.Bad, Le: slices.Clone(b.Le)}
	for i, n := range a.Le {
		out.Le[i] += n
	}
	return out
}

// ruled is the metric that the hard rule reads.
func (j *judgement) ruled() string {
	for _, name := range []string{spec.Attempts, "errors"} {
		if _, declared := j.metrics[name]; declared {
			return name
		}
	}
	for _, c := range j.o.cfg.Criteria {
		if c.Kind == analysis.KindRatio {
			return c.Name
		}
	}
	return ""
}

func (j *judgement) criterion(name string) analysis.Criterion {
	i := slices.IndexFunc(j.o.cfg.Criteria, func(c analysis.Criterion) bool { return c.Name == name })
	return j.o.cfg.Criteria[i] // declared
}

// judge folds a batch in and notes the first moments that matter.
func (j *judgement) judge(b analysis.Batch) error {
	b.Soft = !j.o.hardFail
	j.evidence, j.report = analysis.Judge(j.o.cfg, j.evidence, b)
	t := float64(j.now) / 1000
	switch {
	case j.report.Verdict == analysis.Rollback && j.rollbackAt == nil:
		j.rollbackAt, j.decided = &t, j.report.LogE
	case j.report.Verdict == analysis.Promote && j.promotableAt == nil:
		j.promotableAt = &t
		if j.rollbackAt == nil {
			j.decided = j.report.LogE
		}
	}
	closed := append(slices.Clone(b.Windows), j.attempts()...)
	if !j.o.trace {
		return nil
	}
	for _, w := range closed {
		if err := j.out.Encode(j.traceOf(w)); err != nil {
			return fmt.Errorf("writing the trace: %w", err)
		}
	}
	return nil
}

// attempts is the window that the judge closed of load reports, if it did: what was not counted before.
func (j *judgement) attempts() []analysis.Window {
	m, declared := j.metrics[spec.Attempts]
	i := slices.IndexFunc(j.report.Metrics, func(r analysis.MetricReport) bool { return r.Name == spec.Attempts })
	if !declared || i < 0 || !j.loads(spec.Attempts) {
		return nil
	}
	now, was := j.report.Metrics[i].Tally, m.closed
	if now.Windows == was.Windows {
		return nil
	}
	m.closed = now
	m.windows += now.Windows - was.Windows
	less := func(a, b analysis.Counts) analysis.Counts { return analysis.Counts{N: a.N - b.N, Bad: a.Bad - b.Bad} }
	w := analysis.Window{Metric: spec.Attempts, Start: instantOf(m.start), End: instantOf(j.now),
		Canary: less(now.Attempt.Canary, was.Attempt.Canary), Stable: less(now.Attempt.Stable, was.Attempt.Stable)}
	m.start = j.now
	return []analysis.Window{w}
}
