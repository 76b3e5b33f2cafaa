package analysis

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Thresholds of E over all metrics and of silence.
const (
	suspicious   = 10
	quietBoth    = 5 * time.Minute
	quietCanary  = time.Minute
	quietSamples = 15 * time.Second
)

// Judge folds a batch into the evidence and says what it now means. It is total: whatever the batch holds, there
// is a verdict. Windows that were consumed before, or read under another state, change nothing; the order of
// windows and criteria, and how windows are cut into batches, do not matter. cfg must be valid (Config.Validate).
func Judge(cfg Config, ev Evidence, b Batch) (Evidence, Report) { return cfg.Ready().Judge(ev, b) }

// Judge does what the function does.
func (r *Ready) Judge(ev Evidence, b Batch) (Evidence, Report) {
	j := newJudge(r, ev, b)
	j.beginStep()
	j.consume()
	j.cover()
	j.coverLoads()
	j.listen()
	j.leave()
	return j.ev, j.report()
}

type judge struct {
	cfg   Config
	ev    Evidence
	b     Batch
	reset bool     // the evidence given belongs to another Config
	sum   *float64 // what logTotal gave; nil: something has changed since
	lost  bool     // windows were

	active   []Criterion      // those that count at this step
	required []Criterion      // the comparisons of them that promotion needs, for the report
	lacks    map[string]int64 // what needed gave, by criterion, for the report
}

func newJudge(r *Ready, ev Evidence, b Batch) *judge {
	cfg := r.cfg
	j := &judge{cfg: cfg, b: b}
	j.choose()
	if ev.Begun() && ev.fits(r) {
		j.ev = ev.clone()
		return j
	}
	j.reset = ev.Begun()
	j.ev = Evidence{cfg: r.digest, step: b.Step, metrics: map[string]metricState{}, out: ev.out}
	if j.reset {
		j.ev.rules.Cursor, j.ev.loads.Cursor = ev.rules.Cursor, ev.loads.Cursor
	}
	for _, c := range cfg.Criteria {
		m := metricState{}
		if c.Kind != KindCondition {
			m.harmState, m.safeState = newHarm(cfg.Mixture, c.Noise, bounds{}), newSafe()
		}
		if j.reset {
			m.Cursor = ev.metrics[c.Name].Cursor // not twice, whatever it counts for
			m.Heard = ev.metrics[c.Name].Heard
		}
		m.Seen[0] = millis(b.At)
		j.ev.metrics[c.Name] = m
	}
	return j
}

// choose finds out which criteria count at this step.
func (j *judge) choose() {
	j.active = j.cfg.Criteria
	if slices.ContainsFunc(j.active, func(c Criterion) bool { return j.b.Step < c.FromStep }) {
		j.active = slices.DeleteFunc(slices.Clone(j.active), func(c Criterion) bool { return j.b.Step < c.FromStep })
	}
}

// beginStep starts the counts of a step where the batch belongs to a new one.
func (j *judge) beginStep() {
	if j.ev.step != j.b.Step {
		j.sum = nil
		j.ev.step, j.ev.at, j.ev.guard, j.ev.share = j.b.Step, 0, nil, nil
		j.ev.loads.nextStep()
		for _, c := range j.cfg.Criteria {
			j.ev.metrics[c.Name] = j.ev.metrics[c.Name].next(c)
		}
	}
	if j.ev.at == 0 && !j.b.Settled.IsZero() {
		j.ev.at = millis(j.b.Settled)
		for name, m := range j.ev.metrics {
			m.Seen[1], m.Seen[2] = max(m.Seen[1], j.ev.at), max(m.Seen[2], j.ev.at)
			j.ev.metrics[name] = m
		}
	}
	if name := j.watched(); j.b.Weight == 100 && j.ev.guard == nil && name != "" {
		j.ev.guard = newGuard(pair(j.ev.metrics[name].Attempt).Stable, j.cfg.Objective, j.cfg.Mixture)
	}
}

// next is the memory at the start of another step.
func (m metricState) next(c Criterion) metricState {
	m.Step, m.Observed, m.Length = [4]uint64{}, 0, 0
	if c.Kind == KindCondition {
		m.gateState, m.Gap = gateState{}, nil
		return m
	}
	m.handOut(0.9) // faults that come with load start here
	m.safeState = newSafe()
	return m
}

// input is a window, the increments for the hard rules, or a measurement at the end of a window without counts.
type input struct {
	Window
	rule     bool
	load     bool // increments that proxies reported
	measured *Measurement
}

// consume folds in stable's hours, then all windows, measurements and rule increments in the order of their ends, and decides after each end.
func (j *judge) consume() {
	for name, m := range j.ev.metrics {
		m.hour(j.b.Bases[name])
		j.ev.metrics[name] = m
	}
	inputs := make([]input, 0, len(j.b.Windows)+len(j.b.Rules)+len(j.b.Measurements)+len(j.b.Loads))
	for _, w := range j.b.Loads {
		inputs = append(inputs, input{Window: w.sane(), load: true})
	}
	for _, w := range j.b.Windows {
		inputs = append(inputs, input{Window: w.sane()})
	}
	for _, w := range j.b.Rules {
		inputs = append(inputs, input{Window: w.sane(), rule: true})
	}
	for i, m := range j.b.Measurements {
		inputs = append(inputs, input{Window: Window{Metric: m.Metric, Start: m.At, End: m.At}, measured: &j.b.Measurements[i]})
	}
	slices.SortStableFunc(inputs, func(a, b input) int {
		return cmp.Or(a.End.Compare(b.End), cmp.Compare(a.Metric, b.Metric), a.Start.Compare(b.Start))
	})
	var hard broke
	for i, in := range inputs {
		switch {
		case in.measured != nil:
			j.measure(*in.measured)
		case in.Seq == j.b.Seq && in.End.After(in.Start):
			if rule := j.take(in); !j.b.Soft {
				hard = hard.or(rule)
			}
		}
		if i == len(inputs)-1 || !inputs[i+1].End.Equal(in.End) {
			j.latch(in.End, hard)
		}
	}
}

// broke is a hard rule that the canary breaks, and the metric that shows it. The zero value: none.
type broke struct {
	rule   Reason
	metric string
}

func (b broke) or(other broke) broke {
	if b.rule == "" {
		return other
	}
	return b
}

// take folds in one input.
func (j *judge) take(in input) broke {
	switch {
	case in.load:
		if rule := j.foldLoad(in.Window); rule != "" {
			return broke{rule, Attempts}
		}
	case in.rule:
		if j.ev.rules.scraped(in.Window, j.b.Endpoints, j.criterion(in.Metric).rho0()) {
			return broke{HardFail, in.Metric}
		}
	default:
		j.fold(in.Window)
	}
	return broke{}
}

func (j *judge) fold(w Window) {
	m, ok := j.ev.metrics[w.Metric]
	if !ok || millis(w.Start) < m.Cursor {
		return
	}
	m.Cursor, j.sum = millis(w.End), nil
	c := j.criterion(w.Metric)
	if j.b.Step >= c.FromStep && c.Kind != KindCondition {
		m.learn(w, c, j.cfg, j.b.Weight == 100)
		if j.ev.guard != nil && w.Metric == j.watched() {
			j.ev.guard.fold(w, j.cfg.Mixture)
		}
	}
	j.ev.metrics[w.Metric] = m
}

// learn takes in a window. One of a histogram whose bounds are not chosen helps to choose them, and is judged only where
// that was done before it; once the canary has all traffic there is nothing left to choose for.
func (m *metricState) learn(w Window, c Criterion, cfg Config, alone bool) {
	if c.Kind == KindHistogram && !m.chosen() {
		if alone {
			w.Canary.Bad, w.Stable.Bad = 0, 0
			m.add(w)
			return
		}
		usable := m.settle(w)
		if m.chosen() {
			m.harmState = newHarm(cfg.Mixture, c.Noise, m.bounds)
		}
		if !usable {
			return
		}
	}
	streams := m.pairs(w)
	if len(streams) == 0 {
		return
	}
	if c.Kind == KindHistogram {
		w = m.promoted(w)
	}
	m.harmState.fold(w.End.Sub(w.Start).Seconds(), streams, c, cfg.Mixture)
	m.safeState.fold(w, c, cfg.Beta)
	m.add(w)
}

func (j *judge) criterion(name string) Criterion {
	i := slices.IndexFunc(j.cfg.Criteria, func(c Criterion) bool { return c.Name == name })
	return j.cfg.Criteria[i] // the evidence fits the Config
}

// latch keeps the first Rollback that the evidence gives; nothing takes it back in this attempt.
func (j *judge) latch(at time.Time, hard broke) {
	if j.ev.out != nil {
		return
	}
	out := outcome{Verdict: Rollback, At: millis(at)}
	switch {
	case j.logTotal() >= -math.Log(j.cfg.Alpha):
		out.Reason, out.Metric = RegressionDetected, j.loudest()
	case hard.rule != "":
		out.Reason, out.Metric = hard.rule, hard.metric
	case j.ev.guard != nil && j.ev.guard.logE() >= -math.Log(j.cfg.AlphaGuard):
		out.Reason, out.Metric = SLOBreach, j.watched()
	default:
		if out.Metric = j.failedGate(); out.Metric == "" {
			return
		}
		out.Reason = GateFailed
	}
	j.ev.out = &out
}

// share is the weight of a criterion in the total: fixed for the attempt, but for those it goes on without.
func (j *judge) share(c Criterion) float64 {
	if !j.counts(&c) {
		return 0
	}
	sum := 0
	for i := range j.cfg.Criteria {
		if k := &j.cfg.Criteria[i]; j.counts(k) {
			sum += k.Share
		}
	}
	return float64(c.Share) / float64(sum)
}

// counts reports that the criterion has a share in the evidence of harm.
func (c *Criterion) counts() bool { return !c.DryRun && c.Kind != KindCondition }

// counts reports that the criterion has a share in this attempt. What was let go of has none, whatever a step names.
func (j *judge) counts(c *Criterion) bool { return c.counts() && !j.ev.metrics[c.Name].Left }

// logTotal is ln of the evidence of harm over all metrics: a weighted mean of e-processes is one.
func (j *judge) logTotal() float64 {
	if j.sum == nil {
		sum := j.total()
		j.sum = &sum
	}
	return *j.sum
}

func (j *judge) total() float64 {
	values := make([]float64, 0, MaxCriteria)
	for _, c := range j.cfg.Criteria {
		if v := j.share(c); v > 0 {
			m := j.ev.metrics[c.Name]
			values = append(values, math.Log(v)+m.harmState.logE())
		}
	}
	if len(values) == 0 {
		return 0
	}
	return logSum(values...)
}

// loudest is the metric that adds most to the total.
func (j *judge) loudest() string {
	name, most := "", math.Inf(-1)
	for _, c := range j.cfg.Criteria {
		if !j.counts(&c) {
			continue
		}
		m := j.ev.metrics[c.Name]
		if v := math.Log(j.share(c)) + m.harmState.logE(); v > most {
			name, most = c.Name, v
		}
	}
	return name
}

// incident reports that both arms are in trouble; it is known only where an objective says what trouble is.
func (j *judge) incident() bool {
	name := j.watched()
	if j.cfg.Objective == 0 || name == "" {
		return false
	}
	d, limit := j.ev.metrics[name].Recent, slo(j.cfg.Objective)
	return d[0] >= 20 && d[2] >= 20 && d[1] > limit*d[0] && d[3] > limit*d[2]
}
