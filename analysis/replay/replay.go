// Package replay judges a past attempt anew, from the samples that a server still holds: the very same questions and
// the very same judge, at times that have passed. It writes nothing, and what it finds changes nothing.
//
//	past, err := replay.Judge(ctx, replay.Attempt{Config: cfg, Arms: arms, Stages: stages}, ask)
//	picture, err := report.SVG(past.Curves("errors"))
package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/report"
)

// Attempt is what is judged anew.
type Attempt struct {
	Config analysis.Config
	Arms   analysis.Arms
	Stages []Stage // in the order of time
}

// Stage is the time of one step.
type Stage struct {
	Step    int // from 1
	Weight  int // percent
	From    time.Time
	Settled time.Time // every proxy had the weight; zero: not known, and taken for From
	To      time.Time
	// Required names the metrics that the step's gate asked for; empty: all.
	Required []string
}

// Ask gives whom the reads of a metric are put to.
type Ask func(metric string) (analysis.Querier, error)

// Bounds of a replay: the time between looks, of a short attempt a part of it but a second at least, and how many looks
// there are at most where that leaves them apart by no more than Apart, which windows bear.
const (
	Tick  = 5 * time.Second
	Few   = 40
	Looks = 400
	Apart = 5 * time.Minute
)

// lag is how old samples must be to be taken for stored.
const lag = time.Second

// ErrGone says that the server holds no samples of that time any more, or never did.
var ErrGone = errors.New("no samples of that time")

// Past is what was found.
type Past struct {
	attempt Attempt
	looks   []look
}

type look struct {
	step   int
	report analysis.Report
}

// Judge looks at the attempt from its beginning to its end. Hard rules decide nothing here: they go by what proxies
// reported, which nobody keeps. The error is ErrGone, that of ctx, or the first failure of a read where no read told
// anything.
func Judge(ctx context.Context, a Attempt, ask Ask) (*Past, error) {
	if len(a.Stages) == 0 {
		return nil, errors.New("no step whose time is known")
	}
	out := &Past{attempt: a}
	length := a.Stages[len(a.Stages)-1].To.Sub(a.Stages[0].From)
	tick := max(min(Tick, (length/Few).Round(time.Second)), time.Second, min((length/Looks).Round(time.Second), Apart))
	p := player{ask: ask}
	var ev analysis.Evidence
	for _, s := range a.Stages {
		cfg := a.Config
		cfg.Criteria = s.required(cfg.Criteria)
		for at := s.From.Add(tick); ; at = at.Add(tick) {
			last := !at.Before(s.To)
			if last {
				at = s.To
			}
			if err := ctx.Err(); err != nil {
				return nil, fmt.Errorf("judging the attempt anew: %w", context.Cause(ctx))
			}
			m := s.moment(at)
			queries := analysis.Queries(cfg, ev, m, a.Arms)
			batch := analysis.Collect(cfg, ev, m, p.read(ctx, queries))
			batch.Soft = true
			var r analysis.Report
			ev, r = analysis.Judge(cfg, ev, batch)
			r.Message = ""
			out.looks = append(out.looks, look{step: s.Step, report: r})
			if last {
				break
			}
		}
	}
	if !p.told {
		return nil, cmp.Or(p.failure, ErrGone)
	}
	return out, nil
}

// moment is the state at a time, looked at a lag later.
func (s Stage) moment(at time.Time) analysis.Moment {
	m := analysis.Moment{At: at.Add(lag), Seq: uint64(s.Step), Step: s.Step, Weight: s.Weight, Since: s.From}
	settled := s.Settled
	if settled.IsZero() {
		settled = s.From
	}
	if !at.Before(settled) {
		m.Settled, m.Since = settled, settled
	}
	return m
}

// required leaves to the step's gate the metrics that it named.
func (s Stage) required(criteria []analysis.Criterion) []analysis.Criterion {
	out := slices.Clone(criteria)
	for i := range out {
		if len(s.Required) == 0 {
			break
		}
		out[i].Required = slices.Contains(s.Required, out[i].Name)
		out[i].Optional = out[i].Optional && !out[i].Required
	}
	return out
}

// player puts questions, and remembers whether any of them told anything.
type player struct {
	ask     Ask
	told    bool
	failure error
}

func (p *player) read(ctx context.Context, queries []analysis.Query) []analysis.Read {
	out := make([]analysis.Read, 0, len(queries))
	for _, q := range queries {
		r := p.one(ctx, q)
		if r.Err != nil {
			p.failure = cmp.Or(p.failure, r.Err)
		}
		p.told = p.told || len(r.Series) > 0 || (r.Err == nil && r.Measurement != nil)
		out = append(out, r)
	}
	return out
}

func (p *player) one(ctx context.Context, q analysis.Query) analysis.Read {
	out := analysis.Read{Metric: q.Metric}
	server, err := p.ask(q.Metric)
	if err != nil {
		out.Err = err
		return out
	}
	if q.Condition != nil {
		m, err := server.Measure(ctx, q)
		if err != nil {
			out.Err = err
			return out
		}
		out.Measurement = &m
		return out
	}
	out.Series, out.Err = server.Series(ctx, q)
	if q.Base && out.Err == nil {
		if base, err := server.Base(ctx, q); err == nil { // without it, windows choose the bounds, as in the attempt itself
			out.Base = base
		}
	}
	return out
}

// Final is the report of the last look.
func (p *Past) Final() analysis.Report { return p.looks[len(p.looks)-1].report }

// Metric is the one that tells most: that which decided, else that with the most evidence of harm. Empty: none was
// compared.
func (p *Past) Metric() string {
	final := p.Final()
	best, most := "", 0.0
	for _, m := range final.Metrics {
		if m.Gate != nil || m.Attempt.Canary.N == 0 {
			continue
		}
		if m.Name == final.Metric && final.Verdict == analysis.Rollback {
			return m.Name
		}
		if best == "" || m.Harm.Sup > most {
			best, most = m.Name, m.Harm.Sup
		}
	}
	return best
}

// Curves are those of a metric, with the weights and their acknowledgements. Sentence, names and the decision are the
// caller's to add.
func (p *Past) Curves(metric string) report.Curves {
	stages := p.attempt.Stages
	cfg := p.attempt.Config.WithDefaults()
	c := report.Curves{Metric: metric, Alpha: cfg.Alpha, Beta: cfg.Beta, Start: stages[0].From, End: stages[len(stages)-1].To}
	for _, s := range stages {
		c.Marks = append(c.Marks, report.Mark{Kind: report.WeightChange, At: s.From, Weight: s.Weight})
		if !s.Settled.IsZero() {
			c.Marks = append(c.Marks, report.Mark{Kind: report.Acked, At: s.Settled})
		}
	}
	for _, l := range p.looks {
		if l.report.Verdict == analysis.Unknown || l.report.At.IsZero() {
			continue
		}
		r := l.report
		r.At = r.At.Add(-lag)
		c.Add(r, l.step)
	}
	return c
}
