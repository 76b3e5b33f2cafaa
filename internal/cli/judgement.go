package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/spec"
)

// judgeLine is one line of input.
type judgeLine struct {
	T         *float64          `json:"t"`
	Metric    string            `json:"metric"`
	Canary    *judgeArm         `json:"canary"`
	Stable    *judgeArm         `json:"stable"`
	Gap       string            `json:"gap"`
	Weight    *int              `json:"weight"`
	Endpoints *int              `json:"endpoints"`
	Buckets   []json.RawMessage `json:"le"` // of histograms, which are refused by name
}

type judgeArm struct {
	N       *uint64           `json:"n"`
	Bad     uint64            `json:"bad"`
	Buckets []json.RawMessage `json:"le"`
}

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
	return analysis.Moment{
		At: instantOf(j.now), Step: j.step.index, Weight: j.step.weight, Endpoints: j.step.endpoints,
		Since: instantOf(j.step.begun), Settled: instantOf(j.step.begun),
	}
}

func instantOf(ms int64) time.Time { return time.UnixMilli(epoch + ms).UTC() }

// parseLine reads one line strictly.
func parseLine(text []byte) (judgeLine, error) {
	var l judgeLine
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		return l, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return l, errors.New("more than one JSON value")
	}
	switch {
	case l.Buckets != nil || (l.Canary != nil && l.Canary.Buckets != nil) || (l.Stable != nil && l.Stable.Buckets != nil):
		return l, errors.New("le: histograms are not judged by this version")
	case l.T == nil:
		return l, errors.New("t is missing: the end of the line in seconds")
	case !(*l.T >= 0 && *l.T <= 1e9):
		return l, fmt.Errorf("t is %v: want seconds from 0 on", *l.T)
	case l.Gap != "" && (l.Canary != nil || l.Stable != nil):
		return l, errors.New("a gap has no counts")
	case len(l.Gap) > 63:
		return l, errors.New("gap: want a reason of at most 63 bytes")
	case l.Weight != nil && (*l.Weight < 0 || *l.Weight > 100):
		return l, fmt.Errorf("weight is %d: want 0 to 100", *l.Weight)
	case l.Endpoints != nil && *l.Endpoints < 0:
		return l, fmt.Errorf("endpoints is %d: want 0 or more", *l.Endpoints)
	case l.Gap != "":
		return l, nil
	}
	for name, arm := range map[string]*judgeArm{"canary": l.Canary, "stable": l.Stable} {
		switch {
		case arm == nil || arm.N == nil:
			return l, fmt.Errorf("%s: n is missing", name)
		case arm.Bad > *arm.N:
			return l, fmt.Errorf("%s: bad is %d of %d", name, arm.Bad, *arm.N)
		case *arm.N > 1<<53:
			return l, fmt.Errorf("%s: n is %d: at most 2^53", name, *arm.N)
		}
	}
	return l, nil
}

// read takes in a line: the end of the last one of its metric begins it.
func (j *judgement) read(text []byte) error {
	l, err := parseLine(text)
	if err != nil {
		return err
	}
	m, ok := j.metrics[l.Metric]
	if !ok {
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
	w := analysis.Window{
		Metric: l.Metric, Start: instantOf(start), End: instantOf(t),
		Canary: analysis.Counts{N: *l.Canary.N, Bad: l.Canary.Bad}, Stable: analysis.Counts{N: *l.Stable.N, Bad: l.Stable.Bad},
	}
	m.gapped = false
	m.lines++
	m.asked += w.Canary.N
	batch.Coverage = []analysis.Coverage{{
		Metric: l.Metric, Newest: w.End, LastCanary: w.End, LastStable: w.End, Total: true, Expected: 1,
	}}
	if j.o.hardFail && l.Metric == j.ruled() {
		batch.Rules = []analysis.Window{w}
	}
	if closed, ok := m.merge(w, j.criterion(l.Metric), j.step.begun, j.step.weight); ok {
		batch.Windows = []analysis.Window{closed}
	}
	return j.judge(batch)
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
	m.canary.N, m.canary.Bad = m.canary.N+w.Canary.N, m.canary.Bad+w.Canary.Bad
	m.stable.N, m.stable.Bad = m.stable.N+w.Stable.N, m.stable.Bad+w.Stable.Bad
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

// ruled is the metric that the hard rule reads.
func (j *judgement) ruled() string {
	for _, name := range []string{spec.Attempts, "errors"} {
		if _, declared := j.metrics[name]; declared {
			return name
		}
	}
	return j.o.cfg.Criteria[0].Name
}

func (j *judgement) criterion(name string) analysis.Criterion {
	i := slices.IndexFunc(j.o.cfg.Criteria, func(c analysis.Criterion) bool { return c.Name == name })
	return j.o.cfg.Criteria[i] // declared
}

// judge folds a batch in and notes the first moments that matter.
func (j *judgement) judge(b analysis.Batch) error {
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
	if !j.o.trace {
		return nil
	}
	for _, w := range b.Windows {
		if err := j.out.Encode(j.traceOf(w)); err != nil {
			return fmt.Errorf("writing the trace: %w", err)
		}
	}
	return nil
}
