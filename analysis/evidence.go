package analysis

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"time"
)

// MaxEvidence is the longest text of an Evidence in bytes.
const MaxEvidence = 32768

const evidenceVersion = 1

// Evidence is all that is remembered between two looks; it is persisted as text in the Rollout's status. The zero
// value is that of a new attempt. It is a value: nothing that was given away is changed later.
type Evidence struct {
	cfg     string // digest of the Config it belongs to; empty: fresh
	step    int
	at      int64 // when the step settled, Unix ms; 0: not yet
	metrics map[string]metricState
	rules   rulesState
	loads   loadState
	share   *shareState // once the check has begun in this step
	guard   *guardState // at weight 100 only
	out     *outcome    // the latched rollback
}

// metricState is the memory of one metric.
type metricState struct {
	readState
	harmState
	safeState
	tally
	gateState
}

// readState is how far a metric was read.
type readState struct {
	Cursor   int64    `json:"cur,omitempty"`   // end of the last consumed window, Unix ms
	Length   float64  `json:"w,omitempty"`     // of windows in this step, s; 0: not chosen
	Interval float64  `json:"i,omitempty"`     // between scrapes in this step, s; 0: not known
	Seen     [3]int64 `json:"seen,omitzero"`   // newest sample, canary request and stable request, Unix ms
	Gap      *gap     `json:"gap,omitempty"`   // why there is no usable data; nil: there is
	Left     bool     `json:"left,omitempty"`  // the attempt goes on without the metric, as nobody holds it
	Heard    bool     `json:"heard,omitempty"` // a read of the attempt had samples of it
	Absent   int64    `json:"-"`               // since when every look found it absent, Unix ms; 0: the last did not. Anew after a restart
}

// gap is a stretch without usable data.
type gap struct {
	Reason Reason `json:"reason"`
	Since  int64  `json:"since"` // Unix ms
}

// tally is what was counted, each as canary n and bad, stable n and bad.
type tally struct {
	Attempt  [4]uint64  `json:"a,omitzero"`
	Step     [4]uint64  `json:"s,omitzero"`
	Recent   [4]float64 `json:"d,omitzero"`  // halved every 60 s
	Observed float64    `json:"o,omitempty"` // s of closed windows in the step
	Windows  int        `json:"k,omitempty"`
}

// outcome is a latched verdict.
type outcome struct {
	Verdict Verdict `json:"verdict"`
	Reason  Reason  `json:"reason"`
	Metric  string  `json:"metric,omitempty"`
	At      int64   `json:"ms"`
}

// evidenceText is the persisted form.
type evidenceText struct {
	Version int                    `json:"v"`
	Config  string                 `json:"cfg"`
	Step    int                    `json:"step"`
	At      int64                  `json:"at"`
	Metrics map[string]metricState `json:"m"`
	Rules   rulesState             `json:"er"`
	Loads   loadState              `json:"ld"`
	Share   *shareState            `json:"sh,omitempty"`
	Guard   *guardState            `json:"g,omitempty"`
	Out     *outcome               `json:"out,omitempty"`
}

// Begun reports whether anything was judged under this evidence.
func (ev Evidence) Begun() bool { return ev.cfg != "" }

// RolledBack reports whether the evidence holds a latched Rollback, its reason and when it was reached.
func (ev Evidence) RolledBack() (reason Reason, at time.Time, ok bool) {
	if ev.out == nil {
		return "", time.Time{}, false
	}
	return ev.out.Reason, time.UnixMilli(ev.out.At), true
}

// Cursor is the end of the last window of a metric that was consumed; zero: none yet.
func (ev Evidence) Cursor(metric string) time.Time { return instant(ev.metrics[metric].Cursor) }

// MarshalText gives one line of JSON, at most MaxEvidence bytes; nothing for the zero value.
func (ev Evidence) MarshalText() ([]byte, error) {
	if !ev.Begun() {
		return []byte{}, nil
	}
	text, err := json.Marshal(evidenceText{
		Version: evidenceVersion, Config: ev.cfg, Step: ev.step, At: ev.at,
		Metrics: ev.metrics, Rules: ev.rules, Loads: ev.loads, Share: ev.share, Guard: ev.guard, Out: ev.out,
	})
	if err != nil {
		return nil, fmt.Errorf("writing evidence: %w", err)
	}
	if len(text) > MaxEvidence {
		return nil, fmt.Errorf("writing evidence: %d bytes, at most %d", len(text), MaxEvidence)
	}
	return text, nil
}

// UnmarshalText is the inverse of MarshalText. Text of another format version, of another shape, or with values
// that no Judge wrote is an error, and ev is then left alone; the caller goes on with the zero value and says so.
func (ev *Evidence) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*ev = Evidence{}
		return nil
	}
	if len(text) > MaxEvidence {
		return fmt.Errorf("reading evidence: %d bytes, at most %d", len(text), MaxEvidence)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	var t evidenceText
	if err := dec.Decode(&t); err != nil {
		return fmt.Errorf("reading evidence: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("reading evidence: text after the end")
	}
	if err := t.check(); err != nil {
		return fmt.Errorf("reading evidence: %w", err)
	}
	*ev = Evidence{
		cfg: t.Config, step: t.Step, at: t.At,
		metrics: t.Metrics, rules: t.Rules, loads: t.Loads, share: t.Share, guard: t.Guard, out: t.Out,
	}
	return nil
}

func (t evidenceText) check() error {
	switch {
	case t.Version != evidenceVersion:
		return fmt.Errorf("format %d: this build reads %d", t.Version, evidenceVersion)
	case len(t.Config) != 16:
		return fmt.Errorf("digest %q has not 16 digits", t.Config)
	case len(t.Metrics) > MaxCriteria:
		return fmt.Errorf("%d metrics: at most %d", len(t.Metrics), MaxCriteria)
	case t.Out != nil && t.Out.Verdict != Rollback:
		return fmt.Errorf("latched verdict %q", t.Out.Verdict)
	case t.Guard != nil && (len(t.Guard.Wealth) != guarded || !(t.Guard.P0 > 0 && t.Guard.P0 <= 0.5) || !(t.Guard.Elapsed >= 0)):
		return errors.New("the guard is not whole")
	}
	for _, name := range slices.Sorted(maps.Keys(t.Metrics)) {
		if err := t.Metrics[name].check(); err != nil {
			return fmt.Errorf("metric %q: %w", name, err)
		}
	}
	return errors.Join(t.Rules.check(), t.Loads.check(), t.Share.check())
}

func (m metricState) check() error {
	if err := errors.Join(m.bounds.check(), m.gateState.check()); err != nil {
		return err
	}
	if len(m.Clip) == 0 && len(m.Vote)+len(m.Relative)+len(m.Absolute)+len(m.Le) == 0 {
		return m.checkCondition()
	}
	if m.gateState != (gateState{}) {
		return errors.New("measurements of what is no condition")
	}
	if k := m.streams(); len(m.Clip) == 0 || len(m.Clip)%k != 0 || len(m.Clip) > k*maxGrid || (m.Vote != nil && len(m.Vote) != len(m.Clip)) {
		return fmt.Errorf("%d and %d wealths of %d streams", len(m.Clip), len(m.Vote), k)
	}
	if len(m.Relative) != 3 || len(m.Absolute) != 3 {
		return errors.New("the evidence of safety is not whole")
	}
	if m.Elapsed < 0 || m.Observed < 0 || m.Length < 0 || m.Interval < 0 || m.Windows < 0 {
		return errors.New("a duration or count is negative")
	}
	for _, c := range [][4]uint64{m.Attempt, m.Step} {
		if c[1] > c[0] || c[3] > c[2] {
			return errors.New("more bad requests than requests")
		}
	}
	for _, pot := range [][]logw{m.Clip, m.Vote, m.Relative, m.Absolute, {m.Reserve}} {
		for _, w := range pot {
			if float64(w) > highest {
				return fmt.Errorf("log wealth %v is above %d", float64(w), highest)
			}
		}
	}
	return nil
}

// checkCondition finds what only a comparison has.
func (m metricState) checkCondition() error {
	if m.tally != (tally{}) || m.Elapsed != 0 || m.Reserve != 0 || m.Sup != 0 || m.Cleared || m.Base != nil {
		return errors.New("requests of a condition")
	}
	return nil
}

// clone copies everything that a Judge changes.
func (ev Evidence) clone() Evidence {
	ev.metrics = maps.Clone(ev.metrics)
	for name, m := range ev.metrics {
		m.bounds = m.clone()
		room := make([]logw, 0, len(m.Clip)+len(m.Vote)+len(m.Relative)+len(m.Absolute))
		for _, pot := range []*[]logw{&m.Clip, &m.Vote, &m.Relative, &m.Absolute} {
			if *pot != nil {
				start := len(room)
				room = append(room, *pot...)
				*pot = room[start:len(room):len(room)]
			}
		}
		if m.Gap != nil {
			g := *m.Gap
			m.Gap = &g
		}
		if m.Last != nil {
			last := *m.Last
			m.Last = &last
		}
		ev.metrics[name] = m
	}
	ev.loads, ev.share = ev.loads.clone(), ev.share.clone()
	if ev.guard != nil {
		g := *ev.guard
		g.Wealth = slices.Clone(g.Wealth)
		ev.guard = &g
	}
	return ev
}

// fits reports whether the evidence belongs to the Config; one that was edited by hand may not.
func (ev Evidence) fits(r *Ready) bool {
	if ev.cfg != r.digest || len(ev.metrics) != len(r.cfg.Criteria) {
		return false
	}
	for _, c := range r.cfg.Criteria {
		if m, ok := ev.metrics[c.Name]; !ok || !m.fits(c, len(r.cfg.Mixture.Grid)) {
			return false
		}
	}
	return true
}

func (m metricState) fits(c Criterion, grid int) bool {
	switch c.Kind {
	case KindCondition:
		return len(m.Clip) == 0
	case KindRatio:
		if m.chosen() || m.Base != nil {
			return false
		}
	case KindHistogram:
	}
	return len(m.Clip) == m.streams()*grid && (m.Vote == nil) == (c.Noise == Independent)
}

func (t *tally) add(w Window) {
	inc := [4]uint64{w.Canary.N, w.Canary.Bad, w.Stable.N, w.Stable.Bad}
	dt := w.End.Sub(w.Start).Seconds()
	for i, n := range inc {
		t.Attempt[i] += n
		t.Step[i] += n
		t.Recent[i] = t.Recent[i]*math.Exp2(-dt/60) + float64(n)
	}
	t.Observed += max(0, dt-w.Unseen.Seconds())
	t.Windows++
}

func pair(c [4]uint64) Pair {
	return Pair{Canary: Counts{N: c[0], Bad: c[1]}, Stable: Counts{N: c[2], Bad: c[3]}}
}

// instant is the time of Unix ms; zero for 0.
func instant(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// millis is the Unix ms of a time; 0 for the zero time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
